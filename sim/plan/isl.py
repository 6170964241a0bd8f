"""Links between satellites over a run: windows, and when bits that are sent in them arrive."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import ceil, inf
from typing import Any

import numpy as np

import channel
from channel.link_curve import MOST_POINTS, bit_preserving
from learning.requests.peers import LinkWindow, NextLink, Node
from scenarios.link import Isl
from sim.links.sidelinks import Opening
from statements import Statement
from statements.arrays import Floats, Ints, Mask

SAMPLED_S = 1.0
"""Time between two samples of a rate; cells then keep their true bits to microseconds."""


@dataclass(frozen=True, kw_only=True)
class IslBudget:
    """Shannon's rate of equal terminals in free space."""

    frequency_hz: float
    bandwidth_hz: float
    eirp_dbw: float
    g_over_t_db_k: float

    def rate_bps(self, range_km: Floats) -> Floats:
        """Return the rates over distances."""
        signal_db = channel.carrier_to_noise_db(
            self.eirp_dbw, self.g_over_t_db_k, self.bandwidth_hz, self.frequency_hz, range_km * 1e3
        )
        return self.bandwidth_hz * channel.shannon_capacity(10.0 ** (signal_db / 10.0))


def fixed_isl_rate_bps(isl: Isl) -> float | None:
    """Return the rate of ``link.isl`` that does not depend on the range; None under a budget."""
    return None if isl.rate_mbps is None else isl.rate_mbps * 1e6


def budget_of(isl: Isl) -> IslBudget | None:
    """Return the budget of ``link.isl`` in SI units; None where the rate is fixed."""
    if fixed_isl_rate_bps(isl) is not None:
        return None
    known: Any = dict(isl)  # the schema asks for all of it
    gain_dbi = known["gain_dbi"]
    return IslBudget(
        frequency_hz=known["frequency_ghz"] * 1e9,
        bandwidth_hz=known["bandwidth_mhz"] * 1e6,
        eirp_dbw=float(channel.eirp_dbw(known["tx_power_dbm"], gain_dbi)),
        g_over_t_db_k=float(gain_dbi - 10.0 * np.log10(known["noise_temperature_k"])),
    )


def rate_curve(
    rate_bps: Callable[[Floats], Floats], from_s: float, until_s: float, end_s: float = inf
) -> channel.LinkCurve:
    """Return the curve of rates at times (T,): even points, with the true bits between them.

    After ``end_s`` it goes on only as far as the bits until then need points.
    """
    points = max(MOST_POINTS, ceil((until_s - from_s) / SAMPLED_S)) + 1
    step_s = (until_s - from_s) / (points - 1)
    time_s = np.linspace(from_s, until_s, points)
    if end_s < until_s:
        points = min(points, max(0, ceil((end_s - from_s) / step_s)) + MOST_POINTS)
        time_s = time_s[:points]
    return channel.LinkCurve(time_s, bit_preserving(rate_bps(time_s), np.array([points])))


def joined_parts(nodes: int, a: Ints, b: Ints) -> Ints:
    """Return a number from 0 on for each node (N,), the same for those that links (L,) join."""
    # Commands that search no links start without scipy.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(a)), (a, b)), shape=(nodes, nodes))
    _, part = connected_components(links, directed=False)
    numbers: Ints = part
    return numbers


@dataclass(frozen=True, eq=False)
class IslPlan:
    """Arrays (M,) over windows in which a satellite can send to another, sorted by start.

    ``a`` and ``b`` are indices in ``names``. In either direction bits leave from ``start_s`` to
    ``end_s``, at ``fixed_bps`` or by the ``budget``: one of the two is given. ``range_km`` returns
    the range between two satellites at a time, or at times (T,). ``within`` marks pairs of one
    plane. ``rings`` are the names of each plane's ring, around; planes are in the order of their
    nodes. ``doubts`` are on what became of windows. Those that are open at ``stop_s`` go on.
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
    fixed_bps: float | None = None
    budget: IslBudget | None = None
    rings: tuple[tuple[str, ...], ...] = ()
    doubts: tuple[Statement, ...] = ()
    stop_s: float = inf

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.a)

    @property
    def least_bps(self) -> float:
        """The rate of any of them, or at its longest range under a budget."""
        if self.fixed_bps is not None:
            return self.fixed_bps
        assert self.budget is not None  # one of the two is given
        return float(self.budget.rate_bps(np.array([self.max_range_km.max(initial=1.0)]))[0])

    def where(self, keep: Mask | Ints) -> IslPlan:
        """Return those windows for which ``keep`` is True, or whose numbers it holds."""
        return replace(
            self,
            a=self.a[keep],
            b=self.b[keep],
            start_s=self.start_s[keep],
            end_s=self.end_s[keep],
            min_range_km=self.min_range_km[keep],
            max_range_km=self.max_range_km[keep],
            within=self.within[keep],
        )

    def parts(self) -> Ints:
        """Return how many satellites each part has (P,) that no window ever links to another."""
        part = joined_parts(len(self.names), self.a, self.b)
        sizes: Ints = np.bincount(part)
        return sizes

    def windows(self, source: str, target: str) -> Ints:
        """Return the numbers of a pair's windows, in order; none for an unknown name."""
        places = self._places.get(source), self._places.get(target)
        if None in places:
            return _NO_WINDOWS
        pairs, windows = self._by_pair
        first, last = np.searchsorted(pairs, self._pair(*places) + np.arange(2))
        return windows[first:last]

    def openings(self, source: str, target: str, from_s: float) -> Iterator[Opening]:
        """Yield the windows of a pair that end later than a time, in order."""
        windows = self.windows(source, target)
        for window in windows[bisect_right(windows, from_s, key=self.end_s.__getitem__) :]:
            yield Opening(
                start_s=float(self.start_s[window]),
                end_s=float(self.end_s[window]),
                sent=partial(self.sent, window),
                delay_s=partial(self.delay_s, window),
            )

    def next_window(self, asked: NextLink, now_s: float) -> LinkWindow | None:
        """Return the first window between two groups of satellites; None where none is left."""
        number = {name: k for k, name in enumerate(self.names)}
        asked_for = np.zeros((2, len(number)), bool)
        for group, nodes in zip(asked_for, (asked.sources, asked.targets), strict=True):
            group[[number[node.cluster] for node in nodes]] = True
        sources, targets = asked_for
        forth = sources[self.a] & targets[self.b]
        back = sources[self.b] & targets[self.a]
        later = (self.start_s > asked.after_s) & (self.start_s >= now_s)
        found = np.flatnonzero((forth | back) & later & (self.end_s - self.start_s > asked.lasts_s))
        if not len(found):
            return None
        first = found[0]
        one, other = (Node(self.names[ends[first]], 0) for ends in (self.a, self.b))
        source, target = (one, other) if forth[first] else (other, one)
        return LinkWindow(source, target, float(self.start_s[first]), float(self.end_s[first]))

    def sent(self, window: int, begin_s: float, bits: float) -> tuple[float, float]:
        """Return when bits that leave from a time on have left (inf: never), and how many do.

        Under a budget they follow a curve through rates at even times, as in contacts.
        """
        end_s = float(self.end_s[window])
        if self.fixed_bps is not None or not bits:
            fixed_bps = self.fixed_bps or inf  # no bits take no time
            sent_s = begin_s + bits / fixed_bps
            return (sent_s, bits) if sent_s <= end_s else (inf, (end_s - begin_s) * fixed_bps)
        span_s = 2.0 * bits / float(self._rates_bps(window, np.array([begin_s]))[0])
        goes_on = end_s >= self.stop_s  # its points must not depend on when the run stops
        while True:  # nearly always once: rates do not halve before a message is through
            latest_s = begin_s + span_s if goes_on else min(begin_s + span_s, end_s)
            curve = rate_curve(partial(self._rates_bps, window), begin_s, latest_s, end_s)
            sent_s = float(curve.completion_time_s(bits))
            if sent_s <= end_s:
                return sent_s, float(curve.capacity_bits)
            if latest_s >= end_s:
                return inf, float(curve.delivered_bits(end_s))
            span_s *= 2.0

    def carried_bits(self, window: int, time_s: Floats) -> Floats:
        """Return the bits that a window carries from each time in it (T,) to the next (T - 1,)."""
        if self.fixed_bps is not None:
            return np.diff(time_s) * self.fixed_bps
        curve = rate_curve(partial(self._rates_bps, window), time_s[0], time_s[-1])
        return np.diff(curve.delivered_bits(time_s))

    def delays_s(self, window: int, time_s: Floats) -> Floats:
        """How long signals take that leave at times (T,)."""
        range_km: Floats = self.range_km(int(self.a[window]), int(self.b[window]), time_s)
        return range_km * 1e3 / channel.SPEED_OF_LIGHT_M_S

    def delay_s(self, window: int, time_s: float) -> float:
        """How long a signal takes that leaves at a time."""
        one, other = self._ends[window]
        range_km: float = self.range_km(one, other, float(time_s))
        return range_km * 1e3 / channel.SPEED_OF_LIGHT_M_S

    def _rates_bps(self, window: int, time_s: Floats) -> Floats:
        assert self.budget is not None  # where the rate is not fixed
        return self.budget.rate_bps(self.range_km(int(self.a[window]), int(self.b[window]), time_s))

    def _pair(self, one: Any, other: Any) -> Any:
        """Return the number of a pair of satellites, by index, whichever comes first."""
        return np.minimum(one, other) * len(self.names) + np.maximum(one, other)

    @cached_property
    def _ends(self) -> list[tuple[int, int]]:
        """Both satellites of each window, as plain numbers."""
        return list(zip(self.a.tolist(), self.b.tolist(), strict=True))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def _by_pair(self) -> tuple[Ints, Ints]:
        """Pairs of all windows, sorted, and the number of each: of one pair in order."""
        pairs: Ints = self._pair(self.a, self.b)
        windows = np.argsort(pairs, kind="stable")
        return pairs[windows], windows

    def reach(self, source: str, time_s: float) -> Mask:
        """Return which satellites one (by name) can send to at a time (N,), itself too."""
        sender = self.names.index(source)
        pairs = np.stack([self.a, self.b])[:, (self.start_s <= time_s) & (time_s < self.end_s)]
        reached: Mask = np.arange(len(self.names)) == sender
        reached[pairs[:, (pairs == sender).any(axis=0)]] = True
        return reached


_NO_WINDOWS: Ints = np.zeros(0, np.int64)
