"""Service: which contact has a beam when, by priority and handover, and what waits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from math import inf, nan
from typing import Literal, get_args

import numpy as np

from orbit.checks import finite, whole
from orbit.windows import ContactWindows, groups, merged
from statements.arrays import Floats, Mask

Priority = Literal["least_recently_served", "highest_elevation", "longest_waiting"]
HandOver = Literal["longest_remaining", "highest_elevation"]
Elevation = Callable[[int, float], float]
"""Elevation (deg) of the satellite of a window, by index, at a time in seconds since the start."""
_Asking = tuple[float, int, int]
"""When the last service of a site ended, the site, and the window for which it asks a beam."""


@dataclass(frozen=True, eq=False)
class Service:
    """Arrays over the windows (W,). start_s and end_s are nan where a window was not served.

    From start_s on bits flow: a beam has then acquired the site, for `setup_s`
    from when the site got it (nan as start_s). `waited_s` is how
    long the cluster was in view but had no beam of any satellite, from the rise to when one turned
    to it or to when the rest became too short; `wait_from_s` when that began, nan without a wait.
    """

    served: Mask
    start_s: Floats
    end_s: Floats
    waited_s: Floats
    wait_from_s: Floats
    setup_s: Floats


def serve(
    windows: ContactWindows,
    beams: int | Sequence[int | None] | None = 1,
    *,
    priority: Priority = "least_recently_served",
    hand_over: HandOver = "longest_remaining",
    min_contact_s: float = 0.0,
    elevation_deg: Elevation | None = None,
    acquisition_s: float | Sequence[float] = 0.0,
) -> Service:
    """Share out `beams` beams of every satellite; a site has one satellite at a time.

    `beams` may be a sequence of one number for each satellite. With None they are unlimited and
    every pass counts by itself: it is served from its rise to its set if it lasts for
    `min_contact_s`, whatever else the site has. With the columns `satellite` and `site` exchanged
    these are the antennas of stations, and a satellite has one station at a time.

    Whenever a window opens or a service ends, each site without one chooses among the satellites
    in view that have a beam free and stay for at least `min_contact_s`: by `hand_over` the one that
    sets last or stands highest now (ties: the lower index). Of several sites the one whose last
    service ended earliest chooses first, or with `priority` highest_elevation the one that sees its
    choice highest (ties: the lower index).

    Once a beam is pointed at a site, `acquisition_s` (of each satellite, or one for all) passes to
    the first bit, and the service begins then; a window that is open at the start of the plan has
    been acquired. What lasts for `min_contact_s` is the rest after that.

    A service lasts to the set of its window, unless with `priority` least_recently_served (and not
    with longest_waiting, which has the same order) a site finds all beams busy that has waited for
    longer than one of those served: its last service ended before the last but one of the other. It
    then takes over the beam, once the other has had it for `min_contact_s`. A window is served
    once: whoever gives up a beam goes to another satellite.

    Raises ValueError for less than one beam, another rule, a min_contact_s or acquisition_s that is
    negative or not finite, or a rule by elevation without `elevation_deg`.
    """
    _check(priority, hand_over, min_contact_s, elevation_deg)
    limits = _limits(windows, beams)
    setup_s = _acquisition_s(windows, acquisition_s, len(limits))
    opening_s = np.where(windows.clipped_start, 0.0, setup_s)
    by_itself = np.array([limit is None for limit in limits], np.bool_)[windows.satellite]
    left_s = windows.set_s - windows.rise_s - opening_s
    by_itself &= (left_s >= min_contact_s) & (left_s > 0.0)
    begun_s, end_s = (np.where(by_itself, at, nan) for at in (windows.rise_s, windows.set_s))
    start_s = begun_s + opening_s
    shared = np.flatnonzero([limit is not None for limit in limits])
    some = np.flatnonzero(np.isin(windows.satellite, shared))
    if some.size:
        takes_over = priority == "least_recently_served"
        part = windows if len(some) == len(windows) else windows.where(some)
        scheduler = _BeamScheduler(
            part, limits, min_contact_s, setup_s[some], takes_over=takes_over
        )
        if elevation_deg is not None:
            elevation = lru_cache(maxsize=10_000)(elevation_deg)
            if priority == "highest_elevation":
                scheduler.priority_key = lambda window, now_s: -elevation(int(some[window]), now_s)
            if hand_over == "highest_elevation":
                scheduler.handover_key = lambda window, now_s: -elevation(int(some[window]), now_s)
        scheduler.run()
        begun_s[some] = scheduler.begun_s
        start_s[some] = scheduler.start_s
        end_s[some] = scheduler.end_s
    served = ~np.isnan(start_s)
    latest_s = np.maximum(windows.set_s - setup_s - min_contact_s, windows.rise_s)
    waits = beam_waits_s(windows, begun_s, end_s, np.where(served, begun_s, latest_s))
    return Service(served, start_s, end_s, *waits, start_s - begun_s)


def _limits(
    windows: ContactWindows, beams: int | Sequence[int | None] | None
) -> Sequence[int | None]:
    """Beams of each satellite, checked."""
    many = int(windows.satellite.max(initial=-1)) + 1
    limits = beams if isinstance(beams, Sequence) else [beams] * max(many, 1)
    for limit in set(limits):
        if limit is not None and whole(limit, "beams") < 1:
            raise ValueError(f"beams {limit} is too few; give 1 or more")
    if len(limits) < many:
        raise ValueError(f"beams of {len(limits)} satellites are too few; give those of {many}")
    return limits


def _acquisition_s(
    windows: ContactWindows, acquisition_s: float | Sequence[float], satellites: int
) -> Floats:
    """Seconds from a beam that is pointed to the first bit in each window (W,), checked."""
    each = acquisition_s if isinstance(acquisition_s, Sequence) else [acquisition_s] * satellites
    for one_s in set(each):
        if finite(one_s, "acquisition_s", "give 0 or more seconds") < 0:
            raise ValueError(f"acquisition_s {one_s} is not a time; give 0 or more seconds")
    return np.array(each, np.float64)[windows.satellite]


def _check(
    priority: str, hand_over: str, min_contact_s: float, elevation: Elevation | None
) -> None:
    if finite(min_contact_s, "min_contact_s", "give 0 or more seconds") < 0:
        raise ValueError(f"min_contact_s {min_contact_s} is not a time; give 0 or more seconds")
    for name, value, rules in (
        ("priority", priority, Priority),
        ("hand_over", hand_over, HandOver),
    ):
        known = get_args(rules)
        if value not in known:
            words = " or ".join(map(repr, known))
            raise ValueError(f"{name} {value!r} is unknown; write {words}")
        if value == "highest_elevation" and elevation is None:
            raise ValueError(f"{name} {value!r} needs elevations; give elevation_deg")


class _BeamScheduler:
    """The state of all beams and sites, event by event.

    Between two events no site that asks sees a free beam, and none may take one over. An event
    therefore concerns the satellites alone that it changes: by a rise, a set or another end of
    service, or a holder that has had its beam for long enough. Of the sites that ask for one of
    these, only the first can get it: by the end of its last service, then by its index.
    """

    def __init__(
        self,
        windows: ContactWindows,
        beams: Sequence[int | None],
        min_contact_s: float,
        setup_s: Floats,
        *,
        takes_over: bool,
    ) -> None:
        self.begun_s = [nan] * len(windows)
        self.start_s = [nan] * len(windows)
        self.end_s = [nan] * len(windows)
        self.priority_key: Elevation | None = None
        self.handover_key: Elevation = self._last_to_set
        self._setup_s = setup_s.tolist()
        self._serves_at_once = not setup_s.any()
        self._open_at_start = windows.clipped_start.tolist()
        self._min_contact_s = min_contact_s
        self._takes_over = takes_over
        sites, site = np.unique(windows.site, return_inverse=True)
        satellites, satellite = np.unique(windows.satellite, return_inverse=True)
        self._site = site.tolist()
        self._satellite = satellite.tolist()
        self._rise_s = windows.rise_s.tolist()
        self._set_s = windows.set_s.tolist()
        self._free = [beams[satellite] or 0 for satellite in satellites]
        self._held: list[list[int]] = [[] for _ in satellites]
        self._asking: list[list[_Asking]] = [[] for _ in satellites]
        self._in_view: list[list[int]] = [[] for _ in sites]
        self._serving: list[int | None] = [None] * len(sites)
        self._last_end_s = [-inf] * len(sites)
        self._before_s: dict[int, float] = {}
        self._events: list[tuple[float, int]] = []

    def run(self) -> None:
        """Go through all events in order of time; at equal times services end first."""
        risen = 0
        rises = [*self._rise_s, inf]
        while risen < len(self._rise_s) or self._events:
            now_s = min(rises[risen], self._events[0][0] if self._events else inf)
            changed = set()
            while self._events and self._events[0][0] <= now_s:
                window = heappop(self._events)[1]
                changed.add(self._satellite[window])
                if window == self._serving[self._site[window]] and self._set_s[window] <= now_s:
                    self._end(window, now_s, changed)
            while rises[risen] <= now_s:
                self._in_view[self._site[risen]].append(risen)
                if self._serving[self._site[risen]] is None:
                    self._ask(risen, changed)
                risen += 1
            self._share(now_s, changed)

    def _share(self, now_s: float, changed: set[int]) -> None:
        """Let the sites that ask choose among the changed satellites, the most urgent one first."""
        while True:
            window = self._most_urgent(now_s, changed)
            if window is not None:
                self._begin(window, now_s)
                continue
            holder = self._to_take_over(now_s, changed) if self._takes_over else None
            if holder is None:
                return
            self._end(holder, now_s, changed)

    def _most_urgent(self, now_s: float, changed: set[int]) -> int | None:
        """The choice of the site that may choose first, if there is a free beam for any."""
        free = [satellite for satellite in changed if self._free[satellite]]
        if self.priority_key is None:
            first = [ask for satellite in free if (ask := self._first_of(satellite, now_s))]
            return self._choice(min(first)[1], now_s) if first else None
        asking = {ask[1] for satellite in free for ask in self._all_of(satellite, now_s)}
        choices = [self._choice(site, now_s) for site in asking]
        ranks = [(self.priority_key(w, now_s), self._site[w], w) for w in choices]
        return min(ranks)[-1] if ranks else None

    def _last_to_set(self, window: int, now_s: float) -> float:
        """Order windows by their sets, the last one first, at whatever time."""
        return -self._set_s[window]

    def _choice(self, site: int, now_s: float) -> int:
        """The window that a site likes best of those with a free beam, of which it has one."""
        in_view = [w for w in self._in_view[site] if self._lasts(w, now_s)]
        self._in_view[site] = in_view
        ranks = [
            (self.handover_key(w, now_s), self._satellite[w], w)
            for w in in_view
            if self._free[self._satellite[w]]
        ]
        return min(ranks)[-1]

    def _to_take_over(self, now_s: float, changed: set[int]) -> int | None:
        """The window whose beam goes to the site that has waited longest, if any.

        Of those served by the satellites that the site sees, its own site was served last.
        """
        pairs = [
            (*ask[:2], -self._before_s[holder], -self._site[holder], holder)
            for satellite in changed
            if (ask := self._first_of(satellite, now_s))
            for holder in self._held[satellite]
            if self._before_s[holder] > ask[0]
            and self.start_s[holder] < now_s
            and self.start_s[holder] + self._min_contact_s <= now_s
            and self._reaches(ask[2], now_s)
        ]
        return min(pairs)[-1] if pairs else None

    def _lasts(self, window: int, now_s: float) -> bool:
        from_s = now_s if self._serves_at_once else self._first_bit_s(window, now_s)
        left_s: float = self._set_s[window] - from_s
        return left_s > 0 and left_s >= self._min_contact_s

    def _first_bit_s(self, window: int, now_s: float) -> float:
        """When bits would flow in a window if a beam were pointed at it now."""
        if self._open_at_start[window] and now_s <= self._rise_s[window]:
            return now_s
        return now_s + float(self._setup_s[window])

    def _reaches(self, window: int, now_s: float) -> bool:
        """Whether enough of a window is left once the beam of another has acquired it."""
        left_s: float = self._set_s[window] - now_s - self._setup_s[window]
        return left_s > 0 and left_s >= self._min_contact_s

    def _ask(self, window: int, changed: set[int]) -> None:
        site = self._site[window]
        satellite = self._satellite[window]
        heappush(self._asking[satellite], (self._last_end_s[site], site, window))
        changed.add(satellite)

    def _asks(self, ask: _Asking, now_s: float) -> bool:
        """Whether the site has not been served since it asked, and the window still lasts."""
        asked_s, site, window = ask
        waits = self._serving[site] is None and self._last_end_s[site] == asked_s
        return waits and self._lasts(window, now_s)

    def _first_of(self, satellite: int, now_s: float) -> _Asking | None:
        """Who asks for a satellite and was served before all others that do."""
        asking = self._asking[satellite]
        while asking and not self._asks(asking[0], now_s):
            heappop(asking)
        return asking[0] if asking else None

    def _all_of(self, satellite: int, now_s: float) -> list[_Asking]:
        """All sites that ask for a satellite."""
        # In no order, which a priority_key does not need.
        asking = [ask for ask in self._asking[satellite] if self._asks(ask, now_s)]
        self._asking[satellite] = asking
        return asking

    def _begin(self, window: int, now_s: float) -> None:
        site = self._site[window]
        satellite = self._satellite[window]
        self.begun_s[window] = now_s
        self.start_s[window] = self._first_bit_s(window, now_s)
        self._in_view[site].remove(window)
        self._free[satellite] -= 1
        self._held[satellite].append(window)
        self._serving[site] = window
        self._before_s[window] = self._last_end_s[site]
        heappush(self._events, (self._set_s[window], window))
        if self._takes_over and self._min_contact_s > 0:
            heappush(self._events, (self.start_s[window] + self._min_contact_s, window))

    def _end(self, window: int, now_s: float, changed: set[int]) -> None:
        site = self._site[window]
        satellite = self._satellite[window]
        self.end_s[window] = self._last_end_s[site] = now_s
        self._free[satellite] += 1
        self._held[satellite].remove(window)
        self._serving[site] = None
        del self._before_s[window]
        changed.add(satellite)
        self._in_view[site] = [w for w in self._in_view[site] if self._lasts(w, now_s)]
        for other in self._in_view[site]:
            self._ask(other, changed)


def beam_waits_s(
    windows: ContactWindows, start_s: Floats, end_s: Floats, until_s: Floats
) -> tuple[Floats, Floats]:
    """How long, and from when, each window was open up to `until_s` without its site served."""
    waited_s = np.zeros(len(windows))
    from_s = np.full(len(windows), np.nan)
    for of_site in groups(windows.site):
        served = of_site[~np.isnan(start_s[of_site])]
        begins, ends = merged(start_s[served], end_s[served])
        rise_s = windows.rise_s[of_site]
        last_s = until_s[of_site]
        busy_s = _covered(begins, ends, last_s) - _covered(begins, ends, rise_s)
        waited_s[of_site] = np.maximum(last_s - rise_s - busy_s, 0.0)
        within = np.searchsorted(begins, rise_s, "right") - 1
        free_s = np.append(ends, -inf)[within]  # index -1: no service has begun by the rise
        from_s[of_site] = np.maximum(rise_s, free_s)
    # Sums of times are right to about a microsecond over decades.
    waits = waited_s > 1e-6
    return np.where(waits, waited_s, 0.0), np.where(waits, from_s, np.nan)


def _covered(begins: Floats, ends: Floats, time_s: Floats) -> Floats:
    """How much of the intervals lies before each time."""
    edges = np.stack([begins, ends], axis=1).ravel()
    total = np.stack([np.zeros(len(begins)), ends - begins], axis=1).ravel().cumsum()
    return np.interp(time_s, edges, total) if len(edges) else np.zeros(len(time_s))
