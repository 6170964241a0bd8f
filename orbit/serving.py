"""Who is served when: clusters in view of one satellite share its beams."""

from collections import defaultdict
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from operator import index

import numpy as np

from orbit.arrays import BoolArray, FloatArray
from orbit.windows import ContactWindows


@dataclass(frozen=True, eq=False)
class Service:
    """Arrays over the windows. start_s and end_s are nan where the window was not served.

    waited_s counts from the rise to the start of service, or to the set where there was none.
    """

    served: BoolArray
    start_s: FloatArray
    end_s: FloatArray
    waited_s: FloatArray


def serve(windows: ContactWindows, beams: int = 1) -> Service:
    """Share out `beams` beams of every satellite, first come first served and no pre-emption.

    A cluster that rises while a beam is free keeps it to its set; otherwise it waits. A beam that
    falls free goes to the waiting cluster, still in view, whose last service (by any satellite)
    ended earliest; one that was never served comes first, and ties go to the lower site index. At
    equal times sets come first, then waiting clusters, then new ones. Raises ValueError for less
    than one beam.
    """
    if index(beams) < 1:
        raise ValueError(f"beams {beams} is too few; give 1 or more")
    desk = _Desk(windows, beams)
    rises = np.split(np.arange(len(windows)), np.flatnonzero(np.diff(windows.rise_s)) + 1)
    for together in rises if len(windows) else []:
        now_s = float(windows.rise_s[together[0]])
        desk.release_until(now_s)
        desk.arrive(now_s, together.tolist())
    desk.release_until(inf)
    start_s = desk.start_s
    served = ~np.isnan(start_s)
    end_s = np.where(served, windows.set_s, np.nan)
    waited_s = np.where(served, start_s, windows.set_s) - windows.rise_s
    return Service(served, start_s, end_s, waited_s)


class _Desk:
    """The state of all satellites' beams while time goes on."""

    def __init__(self, windows: ContactWindows, beams: int) -> None:
        self.start_s = np.full(len(windows), np.nan)
        self._site = windows.site.tolist()
        self._satellite = windows.satellite.tolist()
        self._set_s = windows.set_s.tolist()
        self._free: dict[int, int] = defaultdict(lambda: beams)
        self._waiting: dict[int, list[int]] = defaultdict(list)
        self._last_end_s: dict[int, float] = defaultdict(lambda: -inf)
        self._ends: list[tuple[float, int]] = []

    def release_until(self, limit_s: float) -> None:
        """Let services end, in order of time, and give their beams to who waits."""
        while self._ends and self._ends[0][0] <= limit_s:
            now_s = self._ends[0][0]
            freed = set()
            while self._ends and self._ends[0][0] == now_s:
                _, satellite = heappop(self._ends)
                self._free[satellite] += 1
                freed.add(satellite)
            for satellite in sorted(freed):
                self._share(now_s, satellite)

    def arrive(self, now_s: float, risen: list[int]) -> None:
        """Windows that open now: each gets a free beam of its satellite or waits."""
        for window in risen:
            self._waiting[self._satellite[window]].append(window)
        for satellite in sorted({self._satellite[window] for window in risen}):
            self._share(now_s, satellite)

    def _share(self, now_s: float, satellite: int) -> None:
        """Give free beams to those who wait, the least recently served first."""
        in_view = [w for w in self._waiting[satellite] if self._set_s[w] > now_s]
        in_view.sort(key=lambda w: (self._last_end_s[self._site[w]], self._site[w]))
        free = self._free[satellite]
        self._waiting[satellite] = in_view[free:]
        for window in in_view[:free]:
            self._free[satellite] -= 1
            self.start_s[window] = now_s
            end_s, site = self._set_s[window], self._site[window]
            self._last_end_s[site] = max(self._last_end_s[site], end_s)
            heappush(self._ends, (end_s, satellite))
