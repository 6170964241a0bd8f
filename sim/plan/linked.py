"""Who is linked to whom as time goes by: the links of a mesh that are open."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from sim.plan.isl import IslPlan


class LinkedSatellites:
    """Satellites by number, and the links between them that are open at a time.

    The times that are asked for may not fall: each window opens and closes once.
    """

    def __init__(self, isls: IslPlan) -> None:
        self._pairs = list(zip(isls.a.tolist(), isls.b.tolist(), strict=True))
        self._start_s = isls.start_s.tolist()
        self._end_s = isls.end_s.tolist()
        self._to_open = np.argsort(-isls.start_s, kind="stable").tolist()
        self._to_close = np.argsort(-isls.end_s, kind="stable").tolist()
        self._open: list[dict[int, int]] = [{} for _ in isls.names]
        self._latest: Set[int] = frozenset()  # who was linked, while the same links are open

    def among(self, satellite: int, time_s: float) -> Set[int]:
        """Return who is linked to a satellite at a time, over any number of links; it is too."""
        if self._pass_to(time_s) or satellite not in self._latest:
            self._latest = self._linked_to(satellite)
        return self._latest

    def _linked_to(self, satellite: int) -> Set[int]:
        linked = {satellite}
        ahead = [satellite]
        while ahead and len(linked) < len(self._open):
            for other in self._open[ahead.pop()]:
                if other not in linked:
                    linked.add(other)
                    ahead.append(other)
        return linked

    def _pass_to(self, time_s: float) -> bool:
        """Open the windows that begin by a time, and close those that end before it.

        Return whether there were any.
        """
        left = len(self._to_open), len(self._to_close)
        while self._to_open and self._start_s[self._to_open[-1]] <= time_s:
            window = self._to_open.pop()
            one, other = self._pairs[window]
            self._open[one][other] = self._open[other][one] = window
        while self._to_close and self._end_s[self._to_close[-1]] < time_s:
            window = self._to_close.pop()
            one, other = self._pairs[window]
            if self._open[one].get(other) == window:  # else the next one of the pair is open
                del self._open[one][other], self._open[other][one]
        return left != (len(self._to_open), len(self._to_close))
