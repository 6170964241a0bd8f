"""Service: which contact has a beam when, by priority and handover, and what waits."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from math import inf
from typing import Literal

import numpy as np

from orbit.checks import BoolArray, FloatArray, IntArray, finite, whole
from orbit.windows import ContactWindows

Priority = Literal["least_recently_served", "highest_elevation"]
HandOver = Literal["longest_remaining", "highest_elevation"]
Elevation = Callable[[int, float], float]
"""Elevation (deg) of the satellite of a window, by index, at a time in seconds since the start."""


@dataclass(frozen=True, eq=False)
class Service:
    """Arrays over the windows (W,). start_s and end_s are nan where a window was not served.

    `waited_s` is how long the cluster was in view but had no beam of any satellite, from the rise
    to the start of service or to when the rest became too short; `wait_from_s` when that began,
    nan without a wait.
    """

    served: BoolArray
    start_s: FloatArray
    end_s: FloatArray
    waited_s: FloatArray
    wait_from_s: FloatArray


def serve(
    windows: ContactWindows,
    beams: int = 1,
    *,
    priority: Priority = "least_recently_served",
    hand_over: HandOver = "longest_remaining",
    min_contact_s: float = 0.0,
    elevation_deg: Elevation | None = None,
) -> Service:
    """Share out `beams` beams of every satellite; a site has one satellite at a time.

    Whenever a window opens or a service ends, each site without one chooses among the satellites
    in view that have a beam free and stay for at least `min_contact_s`: by `hand_over` the one that
    sets last or stands highest now (ties: the lower index). Of several sites the one whose last
    service ended earliest chooses first, or with `priority` highest_elevation the one that sees its
    choice highest (ties: the lower index).

    A service lasts to the set of its window, unless with `priority` least_recently_served a site
    finds all beams busy that has waited for longer than one of those served: its last service ended
    before the last but one of the other. It then takes over the beam, once the other has had it for
    `min_contact_s`. A window is served once: whoever gives up a beam goes to another satellite.

    Raises ValueError for less than one beam, another rule, a min_contact_s that is negative or not
    finite, or a rule by elevation without `elevation_deg`.
    """
    _check(beams, priority, hand_over, min_contact_s, elevation_deg)
    scheduler = _BeamScheduler(windows, beams, min_contact_s, priority == "least_recently_served")
    if elevation_deg is not None:
        elevation_deg = lru_cache(maxsize=10_000)(elevation_deg)
        if priority == "highest_elevation":
            scheduler.priority_key = lambda window, now_s: -elevation_deg(window, now_s)
        if hand_over == "highest_elevation":
            scheduler.handover_key = lambda window, now_s: -elevation_deg(window, now_s)
    scheduler.run()
    served = ~np.isnan(scheduler.start_s)
    latest_s = np.maximum(windows.set_s - min_contact_s, windows.rise_s)
    until_s = np.where(served, scheduler.start_s, latest_s)
    waited_s, wait_from_s = beam_waits_s(windows, scheduler.start_s, scheduler.end_s, until_s)
    return Service(served, scheduler.start_s, scheduler.end_s, waited_s, wait_from_s)


def _check(
    beams: int, priority: str, hand_over: str, min_contact_s: float, elevation: Elevation | None
) -> None:
    if whole(beams, "beams") < 1:
        raise ValueError(f"beams {beams} is too few; give 1 or more")
    if finite(min_contact_s, "min_contact_s", "give 0 or more seconds") < 0:
        raise ValueError(f"min_contact_s {min_contact_s} is not a time; give 0 or more seconds")
    rules = (
        ("priority", priority, ("least_recently_served", "highest_elevation")),
        ("hand_over", hand_over, ("longest_remaining", "highest_elevation")),
    )
    for what, value, known in rules:
        if value not in known:
            raise ValueError(f"{what} {value!r} is unknown; write {known[0]!r} or {known[1]!r}")
        if value == "highest_elevation" and elevation is None:
            raise ValueError(f"{what} {value!r} needs elevations; give elevation_deg")


class _BeamScheduler:
    """The state of all beams and sites, event by event."""

    def __init__(
        self, windows: ContactWindows, beams: int, min_contact_s: float, takes_over: bool
    ) -> None:
        self.start_s = np.full(len(windows), np.nan)
        self.end_s = np.full(len(windows), np.nan)
        self.priority_key: Elevation = lambda window, now_s: self._last_end_s[self._site[window]]
        self.handover_key: Elevation = lambda window, now_s: -self._set_s[window]
        self._windows, self._min_contact_s = windows, min_contact_s
        self._takes_over = takes_over
        self._site = windows.site.tolist()
        self._satellite = windows.satellite.tolist()
        self._set_s = windows.set_s.tolist()
        self._free: dict[int, int] = defaultdict(lambda: beams)
        self._in_view: dict[int, list[int]] = defaultdict(list)
        self._serving: dict[int, int] = {}
        self._last_end_s: dict[int, float] = defaultdict(lambda: -inf)
        self._before_s: dict[int, float] = {}
        self._events: list[float] = []

    def run(self) -> None:
        """Open the windows in order of time; at equal times services end first."""
        rise_s = self._windows.rise_s
        together = np.split(np.arange(len(rise_s)), np.flatnonzero(np.diff(rise_s)) + 1)
        for risen in together if len(rise_s) else []:
            now_s = float(rise_s[risen[0]])
            self._until(now_s)
            for window in risen.tolist():
                self._in_view[self._site[window]].append(window)
            self._share(now_s)
        self._until(inf)

    def _until(self, limit_s: float) -> None:
        while self._events and self._events[0] <= limit_s:
            now_s = heappop(self._events)
            for window in [w for w in self._serving.values() if self._set_s[w] <= now_s]:
                self._end(window, self._set_s[window])
            if now_s < limit_s:  # at the limit itself new windows take part
                self._share(now_s)

    def _share(self, now_s: float) -> None:
        """Let the sites without service choose, the most urgent one first."""
        while True:
            asking = [site for site in sorted(self._in_view) if site not in self._serving]
            for site in asking:
                self._in_view[site] = [w for w in self._in_view[site] if self._lasts(w, now_s)]
            choices = [self._choice(site, now_s) for site in asking]
            found = [window for window in choices if window is not None]
            if found:
                self._begin(
                    min(found, key=lambda w: (self.priority_key(w, now_s), self._site[w])), now_s
                )
            elif not (self._takes_over and self._take_over(asking, now_s)):
                return

    def _lasts(self, window: int, now_s: float) -> bool:
        left_s: float = self._set_s[window] - now_s
        return left_s > 0 and left_s >= self._min_contact_s

    def _choice(self, site: int, now_s: float) -> int | None:
        """The window of the site that it likes best among those with a free beam."""
        free = [w for w in self._in_view[site] if self._free[self._satellite[w]] > 0]
        ranks = [(self.handover_key(w, now_s), self._satellite[w], w) for w in free]
        return min(ranks)[-1] if ranks else None

    def _take_over(self, asking: list[int], now_s: float) -> bool:
        """Let the site that has waited longest have the beam of one that has not, if any.

        A beam that its holder has not had for long enough yet is looked at again later.
        """
        for site in sorted(asking, key=lambda site: (self._last_end_s[site], site)):
            wanted = {self._satellite[w] for w in self._in_view[site]}
            for holder in self._more_recent(wanted, self._last_end_s[site]):
                ripe_s = self.start_s[holder] + self._min_contact_s
                if now_s >= ripe_s and now_s > self.start_s[holder]:
                    self._end(holder, now_s)
                    return True
                if ripe_s > now_s:
                    heappush(self._events, float(ripe_s))
        return False

    def _more_recent(self, satellites: set[int], last_end_s: float) -> list[int]:
        """Windows served by these whose sites were served after `last_end_s`, latest first."""
        held = [w for w in self._serving.values() if self._satellite[w] in satellites]
        later = [w for w in held if self._before_s[w] > last_end_s]
        return sorted(later, key=lambda w: (-self._before_s[w], -self._site[w]))

    def _begin(self, window: int, now_s: float) -> None:
        site = self._site[window]
        self.start_s[window] = now_s
        self._in_view[site].remove(window)
        self._free[self._satellite[window]] -= 1
        self._serving[site] = window
        self._before_s[window] = self._last_end_s[site]
        heappush(self._events, self._set_s[window])

    def _end(self, window: int, now_s: float) -> None:
        site = self._site[window]
        self.end_s[window] = self._last_end_s[site] = now_s
        self._free[self._satellite[window]] += 1
        del self._serving[site], self._before_s[window]


def beam_waits_s(
    windows: ContactWindows, start_s: FloatArray, end_s: FloatArray, until_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How long, and from when, each window was open up to `until_s` without its site served."""
    waited_s, from_s = np.zeros(len(windows)), np.full(len(windows), np.nan)
    for site in np.unique(windows.site):
        mine = np.flatnonzero(windows.site == site)
        served = mine[~np.isnan(start_s[mine])]
        begins, ends = _merged(start_s[served], end_s[served])
        rise_s, last_s = windows.rise_s[mine], until_s[mine]
        busy_s = _covered(begins, ends, last_s) - _covered(begins, ends, rise_s)
        waited_s[mine] = np.maximum(last_s - rise_s - busy_s, 0.0)
        within = np.searchsorted(begins, rise_s, "right") - 1
        free_s = np.append(ends, -inf)[within]  # index -1: no service has begun by the rise
        from_s[mine] = np.maximum(rise_s, free_s)
    # Sums of times are right to about a microsecond over decades.
    waits = waited_s > 1e-6
    return np.where(waits, waited_s, 0.0), np.where(waits, from_s, np.nan)


def _merged(begins: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Services of one site, which never overlap, with those that follow at once made one."""
    order = np.argsort(begins)
    begins, ends = begins[order], ends[order]
    apart = begins[1:] > ends[:-1]
    return begins[np.append(True, apart)[: len(begins)]], ends[np.append(apart, True)[: len(ends)]]


def _covered(begins: FloatArray, ends: FloatArray, time_s: FloatArray) -> FloatArray:
    """How much of the intervals lies before each time."""
    edges = np.stack([begins, ends], axis=1).ravel()
    total = np.stack([np.zeros(len(begins)), ends - begins], axis=1).ravel().cumsum()
    return np.interp(time_s, edges, total) if len(edges) else np.zeros(len(time_s))


def session_numbers(
    windows: ContactWindows, service: Service, gap_s: float | None = 0.0
) -> IntArray:
    """Number the sessions of each site from 0; -1 for windows that were not served.

    A session is a site's services whose gaps are at most `gap_s` (None: every service is one).
    """
    numbers = np.full(len(windows), -1, dtype=np.int64)
    for site in np.unique(windows.site):
        mine = np.flatnonzero((windows.site == site) & service.served)
        mine = mine[np.argsort(service.start_s[mine], kind="stable")]
        gaps_s = service.start_s[mine][1:] - service.end_s[mine][:-1]
        parted = np.ones(len(gaps_s), dtype=bool) if gap_s is None else gaps_s > gap_s
        numbers[mine] = np.append(0, np.cumsum(parted))[: len(mine)]
    return numbers
