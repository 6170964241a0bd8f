"""Route: the hops of a message over rows of a book; Hop: one of them over a contact of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

HOP = 4
"""Figures of a hop."""


@dataclass(slots=True, eq=False)
class Route:
    """Hops of a message, one behind the other, as the search writes them and a book takes them.

    Of each there are four ``figures``: the row of its contact, when its bits begin to leave, when
    they have left, and when the last one is there. These are in ``arrival_s``, too.
    """

    figures: Any
    arrival_s: list[float]

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def columns(self) -> list[list[float]]:
        """The four figures of all hops."""
        columns: list[list[float]] = np.reshape(self.figures, (-1, HOP)).T.tolist()
        return columns

    def arriving(self, arrival_s: list[float]) -> Route:
        """Return the same hops with other arrivals."""
        self.figures[HOP - 1 :: HOP] = arrival_s
        return Route(self.figures, arrival_s)


class Hop(NamedTuple):
    """A message over one ``contact`` of a plan, from ``source`` to ``target``.

    Its bits leave from ``begin_s`` to ``sent_s``; the last one is there at ``arrival_s``.
    """

    contact: int
    source: int
    target: int
    begin_s: float
    sent_s: float
    arrival_s: float
