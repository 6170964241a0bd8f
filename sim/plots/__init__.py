"""Pictures of runs for notebooks, papers and reports, as matplotlib axes.

Pictures of several runs are in :mod:`sim.plots.accuracy`, those of a sweep in
:mod:`sim.plots.sweep`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from sim.analysis.critical_path import CriticalPath
from sim.plots import accuracy, clients, contact, experts, ground_map, timeline
from sim.plots.accuracy import HasTables, Over
from sim.plots.canvas import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Run(HasTables, Protocol):
    """What pictures need of a run, like :class:`sim.Result`."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest."""

    @property
    def critical_path(self) -> CriticalPath:
        """Where the simulated time went."""


class Pictures:
    """What ``Result.plot`` offers; each takes the axes to draw on, or makes some.

    Axes that it makes have a figure of their own, which pyplot does not know, and show themselves
    in notebooks. All raise InputError, in one line, for a run that has nothing to show.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def accuracy(
        self, axes: Axes | None = None, over: Over = "time", clusters: bool = False
    ) -> Axes:
        """Draw the server's accuracy over simulated time or over complete cycles.

        With ``clusters`` also on the test data of each cluster. Thin lines are the summary's
        targets.
        """
        return accuracy.draw(self._run.tables, axes or new_axes(), over, clusters)

    def loss(self, axes: Axes | None = None, over: Over = "time", clusters: bool = False) -> Axes:
        """Draw the loss of the server's model as :meth:`accuracy` does the accuracy."""
        return accuracy.draw(self._run.tables, axes or new_axes(), over, clusters, "loss")

    def clients(self, axes: Axes | None = None) -> Axes:
        """Draw how many samples of which class each client holds, by cluster for many clients."""
        return clients.draw(self._run.tables, axes or new_axes())

    def timeline(self, axes: Axes | None = None, days: float | None = None) -> Axes:
        """Draw contacts, transfers and training by cluster, of the first ``days`` or of all."""
        return timeline.draw(
            self._run.tables, self._run.manifest["simulated_s"], axes or new_axes(), days
        )

    def map(self, axes: Axes | None = None, hours: float | None = None) -> Axes:
        """Draw the ground tracks of the first ``hours``, the clusters and who sees them from where.

        Without ``hours`` it is about two orbits of one satellite, half of one of a constellation.
        """
        return ground_map.draw(self._run.manifest, axes or new_axes(), hours)

    def contact(self, contact_id: int | None = None, axes: Axes | None = None) -> Axes:
        """Draw elevation and rate over a contact, by default the one that was served longest.

        They are those of the cluster's centre. The rate's axes are the last of the figure.
        """
        return contact.draw(self._run.tables, self._run.manifest, contact_id, axes or new_axes())

    def assignment(self, axes: Axes | None = None) -> Axes:
        """Draw which cluster trains which expert by cycle, the darker the more relevant it is.

        Where experts are given to devices, it is how many devices train each of them.
        """
        return experts.draw(self._run.tables, axes or new_axes())

    def where_time_went(self, axes: Axes | None = None) -> Axes:
        """Draw how each cluster, and the critical path, spent the simulated time."""
        return timeline.draw_time_spent(self._run.critical_path, axes or new_axes())

    def gating(self, axes: Axes | None = None) -> Axes:
        """Draw the gating pattern: which client's samples go to which expert (NMoE, Figure 3)."""
        return experts.draw_gating(self._run.tables, axes or new_axes())
