"""Pictures of runs for notebooks, papers and reports, as matplotlib axes.

Pictures of several runs are in :mod:`sim.draw.accuracy`.
"""

from functools import partialmethod
from typing import NoReturn

from sim.draw import accuracy as curves
from sim.draw import client_samples, experts, ground_map
from sim.draw import contact as passes
from sim.draw import timeline as lanes
from sim.draw.canvas import Drawn, nothing


class Pictures(Drawn):
    """What ``Result.plot`` offers; each takes the axes to draw on, or makes some.

    Axes that it makes have a figure of their own, which pyplot does not know, and show themselves
    in notebooks. All raise InputError, in one line, for a run that has nothing to show.
    """

    accuracy = curves.accuracy_of
    loss = partialmethod(curves.accuracy_of, what="loss")
    clients = client_samples.clients
    timeline = lanes.timeline
    map = ground_map.ground_map
    contact = passes.contact
    assignment = experts.assignment
    rounds = lanes.rounds
    where_time_went = lanes.where_time_went
    gating = experts.gating


class NetworkPictures(Drawn):
    """What ``Result.plot`` offers of a network study, in which nobody learns."""

    timeline = lanes.timeline
    map = ground_map.ground_map
    contact = passes.contact

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse the pictures that only runs of a method have."""
        if hasattr(Pictures, name):
            text = "a network study has no picture of this kind ({picture}): nobody learns in it"
            raise nothing(text, picture=name)
        raise AttributeError(name=name, obj=self)
