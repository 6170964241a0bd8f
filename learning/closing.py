"""Whom an aggregation waits for: all, a share of them, or whoever comes in time."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Closing:
    """When a chain with uploads ends, and a round that waits for clusters.

    ``quorum`` is the share of devices, or clusters, that is enough; ``deadline_s`` the longest that
    one lasts. By default neither is limited.
    """

    quorum: float = 1.0
    deadline_s: float = math.inf

    @property
    def waits_for_all(self) -> bool:
        """Whether nobody is ever left out."""
        return self.quorum == 1.0 and self.deadline_s == math.inf

    def enough(self, of: int) -> int:
        """How many of so many have to come; 0.7 of 10 are 7, whatever floats make of it."""
        return math.ceil(self.quorum * of - 1e-9)

    @property
    def reached(self) -> str:
        """Say what ended a wait that did not take until all were there."""
        return "quorum reached" if self.deadline_s == math.inf else "deadline reached"


WAITS_FOR_ALL = Closing()
"""Nobody is left out, and nothing is cut."""
