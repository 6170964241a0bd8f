"""Links between satellites over a run: windows, and rate and delay by the range in them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from heapq import heappop, heappush
from itertools import combinations, pairwise
from math import ceil, inf, tau
from typing import Any

import numpy as np

import channel
import orbit
import scenarios
from channel.link_curve import MOST_POINTS, bit_preserving
from learning.requests.cluster import Floats, Ints, Mask
from orbit.windows import groups
from scenarios import Scenario
from scenarios.link import Isl
from sim.devices.faults import Intervals
from sim.devices.satellites import flying_of
from sim.errors import InputError, as_input
from sim.links.beam import Beam, DeviceLinks
from sim.links.sidelinks import Opening
from sim.plan.service import pieces

SAMPLED_S = 1.0
"""Between two samples of a rate, which cells with their true bits then follow to microseconds."""
SAMPLES = 65
"""Of the range in a window of a file that says nothing of it."""


@dataclass(frozen=True, eq=False)
class IslPlan:
    """Arrays (M,) over windows in which a satellite can send to another, sorted by start.

    ``a`` and ``b`` count in ``names``. In either direction bits leave from ``start_s`` to
    ``end_s``, at ``rate_bps`` of the range then (km); ``range_km`` says what that is between two
    satellites at a time, or at times (T,). ``fixed_bps`` is a rate whatever the range is.
    ``within`` says that both are of one plane. ``rings`` are the names of each plane's ring,
    around; planes are in the order of their nodes.
    """

    names: tuple[str, ...]
    a: Ints
    b: Ints
    start_s: Floats
    end_s: Floats
    min_range_km: Floats
    max_range_km: Floats
    within: Mask
    range_km: Callable[[int, int, Any], Any]
    rate_bps: Callable[[Floats], Floats]
    fixed_bps: float | None = None
    rings: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.a)

    def where(self, keep: Mask | Ints) -> IslPlan:
        """Those windows for which ``keep`` is True, or that it names."""
        columns = ((n, own) for n, own in vars(self).items() if isinstance(own, np.ndarray))
        kept: dict[str, Any] = {name: own[keep] for name, own in columns}
        return replace(self, **kept)

    def windows(self, source: str, target: str) -> Ints:
        """Which windows a satellite has with another, in order; none for who is no satellite."""
        return self._of_pairs.get(frozenset((source, target)), _NO_WINDOWS)

    def openings(self, source: str, target: str, from_s: float) -> Iterator[Opening]:
        """Yield the windows of a pair that end later than a time, in order."""
        mine = self.windows(source, target)
        for window in mine[bisect_right(mine, from_s, key=self.end_s.__getitem__) :]:
            span_s = float(self.start_s[window]), float(self.end_s[window])
            yield Opening(*span_s, partial(self.sent, window), partial(self.delay_s, window))

    def sent(self, window: int, begin_s: float, bits: float) -> tuple[float, float]:
        """When so many bits have left that do so from a time on, inf for never; how many do leave.

        Under a budget it is as for contacts: the bits of a curve through rates at even times.
        """
        end_s = float(self.end_s[window])
        if self.fixed_bps is not None or not bits:
            fixed_bps = self.fixed_bps or inf  # no bits take no time
            sent_s = begin_s + bits / fixed_bps
            return (sent_s, bits) if sent_s <= end_s else (inf, (end_s - begin_s) * fixed_bps)
        span_s = 2.0 * bits / float(self._rates_bps(window, np.array([begin_s]))[0])
        while True:  # nearly always once: rates do not halve before a message is through
            latest_s = min(begin_s + span_s, end_s)
            curve = _curve(partial(self._rates_bps, window), begin_s, latest_s)
            sent_s = float(curve.completion_time_s(bits))
            if sent_s < inf or latest_s == end_s:
                return sent_s, float(curve.capacity_bits)
            span_s *= 2.0

    def delay_s(self, window: int, time_s: float) -> float:
        """How long a signal takes that leaves at a time."""
        range_km: float = self.range_km(int(self.a[window]), int(self.b[window]), float(time_s))
        return range_km * 1e3 / channel.SPEED_OF_LIGHT_M_S

    def _rates_bps(self, window: int, time_s: Floats) -> Floats:
        return self.rate_bps(self.range_km(int(self.a[window]), int(self.b[window]), time_s))

    @cached_property
    def _of_pairs(self) -> dict[frozenset[str], Ints]:
        of = groups(np.minimum(self.a, self.b) * len(self.names) + np.maximum(self.a, self.b))
        mine = (number for number in of if number.size)
        return {frozenset((self.names[self.a[n[0]]], self.names[self.b[n[0]]])): n for n in mine}

    def reach(self, source: str, time_s: float) -> Mask:
        """Whom a satellite (by name) can send to at a time (N,), itself too."""
        here = self.names.index(source)
        pairs = np.stack([self.a, self.b])[:, (self.start_s <= time_s) & (time_s < self.end_s)]
        seen: Mask = np.arange(len(self.names)) == here
        seen[pairs[:, (pairs == here).any(axis=0)]] = True
        return seen


_NO_WINDOWS: Ints = np.zeros(0, np.int64)


def isl_plan(
    scenario: Scenario,
    satellites: Sequence[orbit.Satellite],
    start: datetime,
    span_s: float,
    out: Sequence[Intervals],
) -> IslPlan | None:
    """Return the links of a scenario whose clients are these satellites; None without any.

    There are none to a satellite while it is ``out``.

    Raises InputError for a ring of one, or of neighbours that never see each other, and for what
    ``orbit.find_isls`` refuses.
    """
    isl = scenario.link.isl
    if isl is None or not isl.among_clients:
        return None
    pairs, within = isl_pairs(isl, satellites, start)
    values = isl.values()
    found = find_isls(scenario, isl, start, span_s, pairs)
    ring = np.zeros(len(satellites) ** 2, bool)
    ring[pairs[within] @ [len(satellites), 1]] = True
    number = found.a * len(satellites) + found.b
    if blind := set(np.flatnonzero(ring).tolist()) - set(number.tolist()):
        one, other = (satellites[k].name for k in divmod(min(blind), len(satellites)))
        raise InputError(
            f"link.isl.within_plane: {one!r} and {other!r} are neighbours in a ring and never in "
            "sight of each other; take more satellites per plane, lower grazing_km or raise "
            "max_range_km"
        )
    names = tuple(satellite.name for satellite in satellites)
    planes = _planes(satellites, start) if isl.within_plane == "ring" else []
    plan = IslPlan(
        names,
        found.a, found.b, found.start_s, found.end_s,
        found.min_range_km, found.max_range_km, ring[number],
        lambda a, b, time_s: orbit.pair_range_km(satellites[a], satellites[b], start, time_s),
        partial(_rates_bps, values),
        None if values["rate_mbps"] is None else values["rate_mbps"] * 1e6,
        tuple(tuple(names[k] for k in plane) for plane in planes),
    )  # fmt: skip
    turns = ~found.clipped_start
    for end in ("a", "b") if any(len(spells.begin_s) for spells in out) else ():
        of, begin_s, end_s = pieces(plan.start_s, plan.end_s, getattr(plan, end), out)
        turns = turns[of] | (begin_s > plan.start_s[of])
        plan, order = replace(plan.where(of), start_s=begin_s, end_s=end_s), np.argsort(begin_s)
        plan, turns = plan.where(order), turns[order]
    served = _served(plan, isl, turns)
    if isl.between_planes != "none" and served.within.all():
        raise InputError(
            "link.isl.between_planes: no link to another plane ever opens; give more terminals "
            "than the rings use, lower grazing_km or acquisition_s, or raise max_range_km"
        )
    return served


def _curve(rate_bps: Callable[[Floats], Floats], from_s: float, to_s: float) -> channel.LinkCurve:
    """The curve of rates at times (T,), through even times and with their true bits."""
    points = max(MOST_POINTS, ceil((to_s - from_s) / SAMPLED_S)) + 1
    time_s = np.linspace(from_s, to_s, points)
    return channel.LinkCurve(time_s, bit_preserving(rate_bps(time_s), np.array([points])))


def relayed_links(
    isl: Isl,
    server: orbit.Satellite,
    client: orbit.Satellite,
    start: datetime,
    rise_s: float,
    set_s: float,
) -> DeviceLinks:
    """Both directions of a window of a client and the satellite that serves it."""

    def range_km(time_s: Floats) -> Floats:
        return orbit.pair_range_km(client, server, start, time_s)  # type: ignore[return-value]

    values = isl.values()
    if values["rate_mbps"] is not None:
        rate_bps = np.array([values["rate_mbps"] * 1e6])
        curve = channel.LinkCurve.constant(rate_bps, rise_s, set_s)
    else:
        one = _curve(lambda time_s: _rates_bps(values, range_km(time_s)), rise_s, set_s)
        curve = channel.LinkCurve(one.time_s[None], one.rate_bps[None])
    return DeviceLinks(Beam(curve), Beam(curve), range_m=lambda time_s: range_km(time_s) * 1e3)


def find_isls(
    scenario: Scenario, isl: Isl, start: datetime, span_s: float, pairs: Ints
) -> orbit.IslWindows:
    """Find the windows of pairs (P, 2), or read them where the scenario has a file of them.

    Pairs count in the satellites that fly, the one that serves the others behind them. Raises
    InputError for what `orbit.find_isls` refuses, and a file without any of their windows.
    """
    satellites = flying_of(scenario)
    if (text := scenarios.isl_windows(scenario)) is not None:
        return _of_file(orbit.parse_isl_windows(*text, start), satellites, span_s, pairs)
    range_km, end = isl.values()["max_range_km"], start + timedelta(seconds=span_s)
    try:
        return orbit.find_isls(satellites, start, end, pairs.tolist(), isl.grazing_km, range_km)
    except orbit.ElementError:
        raise
    except ValueError as error:
        raise InputError(f"link.isl.{error}") from None


def _of_file(
    file: orbit.IslFile, satellites: Sequence[orbit.Satellite], span_s: float, pairs: Ints
) -> orbit.IslWindows:
    """The windows of pairs (P, 2) in a file until the end; ranges that it lacks are sampled."""
    number = {satellite.name: k for k, satellite in enumerate(satellites)}
    if unknown := sorted(set(file.satellites) - number.keys()):
        raise InputError(
            f"link.isl.windows: {unknown[0]!r} is none of the {len(number)} satellites, the first "
            f"of which is {satellites[0].name!r}; name them as there"
        )
    index, w = np.array([number[name] for name in file.satellites]), file.windows
    ends = np.sort(index[np.stack([w.a, w.b], axis=1)], axis=1)
    wanted = np.isin(ends @ [len(number), 1], pairs @ [len(number), 1]) & (w.start_s < span_s)
    if not wanted.any():
        one, other = (satellites[k].name for k in pairs[0])
        raise InputError(
            f"link.isl.windows: none is between satellites that are to be linked, like {one!r} and "
            f"{other!r}, within {span_s / 86_400:g} days from {file.start:%Y-%m-%dT%H:%M:%SZ}"
        )
    kept = replace(w, a=ends[:, 0], b=ends[:, 1]).where(wanted)
    for k in np.flatnonzero(np.isnan(kept.min_range_km + kept.max_range_km)):
        one, other = satellites[kept.a[k]], satellites[kept.b[k]]
        time_s = np.linspace(kept.start_s[k], min(kept.end_s[k], span_s), SAMPLES)
        range_km = np.asarray(orbit.pair_range_km(one, other, file.start, time_s))
        kept.min_range_km[k], kept.max_range_km[k] = range_km.min(), range_km.max()
    over = kept.end_s > span_s
    return replace(kept, end_s=np.minimum(kept.end_s, span_s), clipped_end=kept.clipped_end | over)


def _rates_bps(values: dict[str, float | None], range_km: Floats) -> Floats:
    """Shannon's rate of the budget over distances."""
    known = {key: value for key, value in values.items() if value is not None}
    bandwidth_hz = known["bandwidth_mhz"] * 1e6
    signal_db = channel.carrier_to_noise_db(
        channel.eirp_dbw(known["tx_power_dbm"], known["gain_dbi"]),
        known["gain_dbi"] - 10.0 * np.log10(known["noise_temperature_k"]),
        bandwidth_hz,
        known["frequency_ghz"] * 1e9,
        range_km * 1e3,
    )
    return bandwidth_hz * channel.shannon_capacity(10.0 ** (signal_db / 10.0))


# Which satellites have links to each other.


def isl_pairs(
    isl: Isl, satellites: Sequence[orbit.Satellite], start: datetime
) -> tuple[Ints, Mask]:
    """Return pairs (P, 2) of satellites by index, and which of them are of one plane."""
    planes = _planes(satellites, start)
    ring: list[tuple[int, int]] = []
    for plane in planes if isl.within_plane == "ring" else ():
        if len(plane) < 2:
            raise InputError(
                f"link.isl.within_plane: {satellites[plane[0]].name!r} is alone in its plane; a "
                "ring needs two satellites or more"
            )
        ring += [*pairwise(plane), *([(plane[-1], plane[0])] if len(plane) > 2 else ())]
    across: list[tuple[int, int]] = []
    for one, other in combinations(range(len(planes)), 2):
        apart = min(other - one, len(planes) - other + one)
        if isl.between_planes == "all" or (isl.between_planes == "neighbours" and apart == 1):
            across += [(a, b) for a in planes[one] for b in planes[other]]
    if isl.among_clients and not ring + across:
        raise InputError(f"link.isl.between_planes: all {len(satellites)} satellites share a plane")
    pairs = np.sort(np.array(ring + across, np.int64).reshape(-1, 2), axis=1)
    return pairs, np.arange(len(pairs)) < len(ring)


def _planes(satellites: Sequence[orbit.Satellite], start: datetime) -> list[list[int]]:
    """Satellites of each plane in the order of their places in it; planes by their nodes."""
    with as_input("link.isl: "):
        _, plane = np.unique(orbit.planes(satellites), return_inverse=True)
    angles = np.empty((2, len(satellites)))
    for angle, satellite in zip(angles.T, satellites, strict=True):
        model, minutes = satellite.model, (start - satellite.epoch).total_seconds() / 60
        angle[0] = model.nodeo + model.nodedot * minutes
        angle[1] = model.argpo + model.mo + (model.argpdot + model.no_kozai) * minutes
    node, place = angles % tau
    # A node next to 0 may lie on either side of it within one plane.
    by_node = sorted(groups(plane), key=lambda mine: float(np.median(node[mine])))
    return [mine[np.argsort(place[mine], kind="stable")].tolist() for mine in by_node]


# Terminals: which windows a satellite uses at a time.


def _served(plan: IslPlan, isl: Isl, turns: Mask) -> IslPlan:
    """The windows as far as there are ``terminals`` for them, behind their acquisition.

    Rings have theirs all the time. Of the others who is in sight first comes first, and who waits
    gets a terminal when one is free at both ends. Only a window that ``turns`` up in the run, or
    that has waited, is acquired in it.
    """
    begin_s = plan.start_s.copy()
    if isl.terminals is not None:
        ring = np.unique(np.stack([plan.a, plan.b, plan.within]), axis=1)
        free = np.full(len(plan.names), isl.terminals)
        for end in ring[:2, ring[2] == 1]:
            np.subtract.at(free, end, 1)
        begin_s = np.where(plan.within, begin_s, _assigned(plan, free))
        turns = turns | (begin_s > plan.start_s)
    begin_s = begin_s + np.where(turns, isl.acquisition_s, 0.0)
    keep = np.flatnonzero(begin_s < plan.end_s)
    keep = keep[np.argsort(begin_s[keep], kind="stable")]
    return replace(plan, start_s=begin_s).where(keep)


def _assigned(plan: IslPlan, free: Ints) -> Floats:
    """Return when each window between planes gets its terminals (M,); inf where it never does.

    So many are ``free`` (N,) at first.
    """
    begin_s, waiting = np.full(len(plan), inf), list[int]()
    begins = ((float(plan.start_s[w]), True, w) for w in np.flatnonzero(~plan.within).tolist())
    events = list(begins)  # in order of time, as windows are; one that ends comes first
    while events:
        now_s, begins_now, window = heappop(events)
        if not begins_now:
            free[[plan.a[window], plan.b[window]]] += 1
            waiting = [w for w in waiting if plan.end_s[w] > now_s]
        for w in [window] if begins_now else list(waiting):
            if free[plan.a[w]] > 0 and free[plan.b[w]] > 0:
                free[[plan.a[w], plan.b[w]]] -= 1
                begin_s[w] = now_s
                heappush(events, (float(plan.end_s[w]), False, w))
                waiting = [other for other in waiting if other != w]
            elif begins_now:
                waiting.append(w)
    return begin_s
