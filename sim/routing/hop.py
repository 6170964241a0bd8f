"""Route: the hops of a message over rows of a book; Hop: one of them over a contact of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

HOP = 4
"""Figures of a hop."""


@dataclass(slots=True, eq=False)
class Route:
    """Hops of a message, one behind the other: columns.

    Each goes over the contact in a ``row`` of a book; its bits begin to leave, have left, and the
    last one is there. ``figures`` are these four of one hop after the other, as the search writes
    them and a book takes them.
    """

    figures: Any
    row: list[int]
    begin_s: list[float]
    sent_s: list[float]
    arrival_s: list[float]

    @classmethod
    def of(cls, figures: Any) -> Route:
        """Return the hops with such figures: a list, or an array where the search is compiled."""
        values = figures.tolist() if isinstance(figures, np.ndarray) else figures
        row = list(map(int, values[::HOP]))
        return cls(figures, row, values[1::HOP], values[2::HOP], values[3::HOP])

    def __len__(self) -> int:
        return len(self.row)

    def hops(self) -> Iterator[tuple[int, float, float, float]]:
        """Go through the columns, hop by hop."""
        return zip(self.row, self.begin_s, self.sent_s, self.arrival_s, strict=True)


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
