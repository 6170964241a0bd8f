"""Straight routes: those of the fewest hops, over one pass and links, and what could be earlier.

Links of a mesh hardly differ, and passes do. So a message mostly goes to the pass over which it is
at the ground first, or comes from there, by one of the shortest ways over links. These are all that
a straight search looks at. It notes how early a message could be at its target by any other way: if
that is not before, there is no need to look for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil, floor, inf, log2, nextafter
from typing import NamedTuple

from sim.network.contact_bands import Band, ContactBands, Found, Hop
from sim.network.horizon import Ahead, Horizon, LinkHops
from sim.network.transit import Least, MessageToRoute, Transits

HORIZON = 128.0
"""How many hops a horizon lasts at least. Passes that are over as much later are not looked at.

It is to be longer than the ways of a large constellation: shells of 72 planes have some of 40 hops.
"""
LEAST_HORIZON_S = 32.0
"""For hops that take hardly any time: windows of links last for minutes."""
HORIZONS_KEPT = 16
"""Horizons that are remembered: messages at about the same time share one."""
PARTS_KEPT = 1024
"""For as many horizons it is remembered which satellites links join: many messages wait long."""


class Straight(NamedTuple):
    """A straight route, and whether it ``is_best``: no other is earlier, or as early but shorter.

    That there is none at all, now or later, is known where no pass is left: ``hops`` are None.
    Nothing is at the target before ``earliest_s``; a route that is there no later than this one has
    at least the hops ``ahead`` of it.
    """

    hops: list[Hop] | None
    is_best: bool
    earliest_s: float
    ahead: Ahead


NO_ROUTE = Straight(None, is_best=True, earliest_s=inf, ahead=Ahead((), 0.0))


class _OverLinks(NamedTuple):
    """The earliest of the shortest routes over links; no longer one arrives before ``others_s``."""

    hops: list[Hop]
    others_s: float


class _Through(NamedTuple):
    """The straight route over some passes of a satellite.

    By any longer way over links a message is at the satellite at ``others_s`` or later.
    """

    hops: list[Hop]
    bands: Sequence[Band]
    others_s: float


class _Pass(NamedTuple):
    """A pass, and the time at which a message is through over it, or a lower bound of that."""

    band: Band
    at_least_s: float

    def satellite(self, hub: int) -> int:
        """Return the node that is not the hub."""
        return self.band.target if self.band.source == hub else self.band.source


class _Passes(NamedTuple):
    """Passes of satellites that links join to the other end of a message, and those ``aside``.

    A message is through over any other one not before ``later_s``.
    """

    leading: list[_Pass]
    aside: list[_Pass]
    later_s: float


class _FromHub(NamedTuple):
    """Passes from the hub for so many bits at a time, and what each was ``found`` to do when asked.

    Downloads that set off at one time share them.
    """

    bits: float
    ready_s: float
    passes: _Passes
    found: Sequence[Found | None]


class StraightRoutes:
    """Searches straight routes over ``bands`` between so many nodes.

    How long contacts take at ``least`` bounds what any other route could do.
    """

    def __init__(self, nodes: int, bands: ContactBands, transits: Transits, least: Least) -> None:
        self._nodes = nodes
        self._bands = bands
        self._transits = transits
        self._least = least
        self._horizon = lru_cache(HORIZONS_KEPT)(self._horizon_of)
        self._link_hops = lru_cache(HORIZONS_KEPT)(_none_counted)
        self._parts = lru_cache(PARTS_KEPT)(self._parts_of)
        # Whether links once led from no pass to the other end: then this is looked at first.
        self._in_parts = False
        self._no_pass: dict[bool, tuple[float, float]] = {}
        self._shared: _FromHub | None = None
        self._has_passes = bands.any_of(least.hub)

    def find(self, message: MessageToRoute) -> Straight | None:
        """Return a straight route of a message; None where there is none, or no bound is known."""
        hub = self._least.hub
        if message.avoid not in (None, hub):
            return None
        if message.source == hub:
            return self._from_hub(message)
        if message.target == hub:
            return self._to_hub(message)
        if message.avoid == hub or not self._has_passes:
            return self._between(message)
        return None

    def _between(self, message: MessageToRoute) -> Straight | None:
        """Return the straight route of a message that goes over links alone."""
        horizon = self._horizon_at(message.ready_s, HORIZON * message.least_s)
        found = self._over_links(message, horizon, message.source, message.target, message.ready_s)
        if found is None:
            return None
        ahead = Ahead(horizon.hops_to(message.target), message.spared_s)
        is_best = found.others_s >= found.hops[-1].arrival_s
        return Straight(found.hops, is_best, message.ready_s, ahead)

    def _from_hub(self, message: MessageToRoute) -> Straight | None:
        """Return the route over the pass behind which links would bring it to its target first."""
        passes = self._passes_from_hub(message)
        if not passes.leading:
            return None if passes.aside else NO_ROUTE
        first_s = min(one.at_least_s for one in passes.leading)
        horizon = self._horizon_at(first_s, HORIZON * message.least_s)
        ahead = Ahead(horizon.hops_to(message.target), message.spared_s)
        there_s = [one.at_least_s + ahead.left_s(one.band.target) for one in passes.leading]
        earliest_s = min(there_s)
        if earliest_s == inf and not self._in_parts:
            self._in_parts = True
            return self._from_hub(message)
        found = self._by_passes(message, horizon, passes.leading, there_s)
        if found is None:
            return None
        hops, others_s = found
        arrival_s = hops[-1].arrival_s
        is_best = min(others_s, passes.later_s) > arrival_s
        earliest_s = min(earliest_s, passes.later_s)
        if passes.aside:
            earliest_s = message.ready_s
            is_best &= not self._may_lead(passes.aside, message, arrival_s)
            if not is_best:
                horizon = self._horizon_at(message.ready_s, arrival_s - message.ready_s)
                ahead = Ahead(horizon.hops_to(message.target), message.spared_s)
        return Straight(hops, is_best, earliest_s, ahead)

    def _by_passes(
        self,
        message: MessageToRoute,
        horizon: Horizon,
        passes: Sequence[_Pass],
        there_s: Sequence[float],
    ) -> tuple[list[Hop], float] | None:
        """Return the first route from the hub over one of some passes, and when others arrive.

        Passes are tried in the order of ``there_s``, before which they do not bring the message to
        its target, until none could be first any more. None where links do not lead on from one of
        them. No other route arrives before the time.
        """
        best: list[Hop] = []
        first_s = others_s = inf
        for number in sorted(range(len(passes)), key=there_s.__getitem__):
            if there_s[number] > first_s or there_s[number] == inf:
                break
            band = passes[number].band
            first = self._transits.hop(message, band, message.ready_s, inf)
            if first is None:
                return None
            found = self._over_links(
                message, horizon, first.target, message.target, first.arrival_s
            )
            if found is None:
                return None
            hops = [first, *found.hops]
            arrival_s = hops[-1].arrival_s
            others_s = min(others_s, found.others_s, max(arrival_s, first_s))
            if arrival_s < first_s:
                best = hops
                first_s = arrival_s
        return (best, others_s) if best else None

    def _to_hub(self, message: MessageToRoute) -> Straight | None:
        """Return the route to the pass over which it would be at the hub first."""
        hub = message.target
        passes = self._passes(message, coming=True)
        if not passes.leading:
            return None if passes.aside else NO_ROUTE
        spans_s = passes.later_s - message.ready_s + HORIZON * message.least_s
        horizon = self._horizon_at(message.ready_s, spans_s)
        at_least_s = self._over_passes_s(message, horizon, passes.leading)
        earliest_s = min(at_least_s)
        if earliest_s == inf and not self._in_parts:
            self._in_parts = True
            return self._to_hub(message)
        found = self._by_satellites(message, horizon, passes.leading, at_least_s)
        if found is None:
            return None
        best, is_best = found
        arrival_s = best.hops[-1].arrival_s
        is_best &= passes.later_s > arrival_s
        earliest_s = min(earliest_s, passes.later_s)
        if passes.aside:
            earliest_s = message.ready_s
            is_best &= not self._may_lead(passes.aside, message, arrival_s)
        ahead = Ahead((), 0.0)
        if not is_best:
            ahead = Ahead(horizon.hops_to(hub), message.spared_s, passes=1)
        return Straight(best.hops, is_best, earliest_s, ahead)

    def _by_satellites(
        self,
        message: MessageToRoute,
        horizon: Horizon,
        passes: Sequence[_Pass],
        at_least_s: Sequence[float],
    ) -> tuple[_Through, bool] | None:
        """Return the first route to the hub over one of some passes, and whether it is the best.

        Satellites are tried in the order in which a message could be through over their passes,
        until none could be first any more. None where one of them has no straight route, or none
        ends within the horizon.
        """
        tried: dict[int, _Through] = {}
        best: _Through | None = None
        first_s = inf
        for number in sorted(range(len(passes)), key=at_least_s.__getitem__):
            if at_least_s[number] > first_s or at_least_s[number] == inf:
                break
            satellite = passes[number].band.source
            if satellite in tried:
                continue
            through = self._by_satellite(message, horizon, passes, satellite)
            if through is None:
                return None
            tried[satellite] = through
            if through.hops[-1].arrival_s < first_s:
                best = through
                first_s = through.hops[-1].arrival_s
        if best is None or first_s > horizon.until_s:
            return None
        others = [through for through in tried.values() if through is not best]
        ties_s = nextafter(first_s, inf)
        is_best = (
            all(through.hops[-1].arrival_s > first_s for through in others)
            and not self._has_longer(message, best, first_s)
            and not any(self._has_longer(message, through, ties_s) for through in others)
        )
        return best, is_best

    def _by_satellite(
        self, message: MessageToRoute, horizon: Horizon, passes: Sequence[_Pass], satellite: int
    ) -> _Through | None:
        """Return the straight route to the hub over passes of a satellite; None where none is."""
        found = self._over_links(message, horizon, message.source, satellite, message.ready_s)
        if found is None:
            return None
        bands = [one.band for one in passes if one.band.source == satellite]
        at_pass_s = found.hops[-1].arrival_s if found.hops else message.ready_s
        last = self._transits.soonest_of(message, bands, at_pass_s, inf)
        return None if last is None else _Through([*found.hops, last], bands, found.others_s)

    def _has_longer(self, message: MessageToRoute, through: _Through, before_s: float) -> bool:
        """Whether a longer way to the same passes may be at the hub before a time."""
        if through.others_s >= before_s or len(through.hops) == 1:
            return False
        *_, at_pass, last = through.hops
        if through.others_s >= at_pass.arrival_s and before_s <= last.arrival_s:
            return False  # who is there later is not through earlier
        soonest = self._transits.soonest_of(message, through.bands, through.others_s, before_s)
        return soonest is not None

    def _over_passes_s(
        self, message: MessageToRoute, horizon: Horizon, passes: Sequence[_Pass]
    ) -> list[float]:
        """Return a lower bound of the time at which a message is through over each pass to the hub.

        It has to go to the pass first. Passes over which it could be first are asked.
        """
        spared_s = message.spared_s
        at_pass_s: list[float] = []
        at_least_s: list[float] = []
        for one in passes:
            hops = horizon.hops_to(one.band.source)[message.source]
            there_s = inf if hops == inf else message.ready_s + hops * spared_s
            at_pass_s.append(there_s)
            at_least_s.append(max(one.at_least_s, there_s))
        earliest_s = inf
        for number in sorted(range(len(passes)), key=at_least_s.__getitem__):
            if at_least_s[number] >= earliest_s:
                break
            hop = self._transits.hop(message, passes[number].band, at_pass_s[number], inf)
            at_least_s[number] = inf if hop is None else hop.arrival_s
            earliest_s = min(earliest_s, at_least_s[number])
        return at_least_s

    def _may_lead(self, aside: Sequence[_Pass], message: MessageToRoute, by_s: float) -> bool:
        """Whether links may join a pass to the other end of a message, both by a time."""
        hub = self._least.hub
        parts = self._parts_at(message.ready_s, by_s - message.ready_s)
        end = message.target if message.source == hub else message.source
        return any(
            one.at_least_s <= by_s and parts[one.satellite(hub)] == parts[end] for one in aside
        )

    def _passes_from_hub(self, message: MessageToRoute) -> _Passes:
        """Return the passes from the hub over which a message may be first.

        They are those of a message of as many bits that set off at the same time, if there was one.
        What has been booked since makes passes later, so that all bounds still hold; those that it
        concerns are asked anew. All are looked for again where half of their time is over.
        """
        shared = self._shared
        if (
            shared is not None
            and not self._in_parts
            and shared.ready_s == message.ready_s
            and shared.bits == message.bits
        ):
            later_s = shared.passes.later_s
            leading = [
                one if one.band.found is found else self._asked(message, one.band, later_s)
                for one, found in zip(shared.passes.leading, shared.found, strict=True)
            ]
            first_s = min([one.at_least_s for one in leading], default=inf)
            if first_s < inf and first_s + HORIZON / 2 * message.least_s <= later_s:
                return self._share(message, _Passes(leading, [], later_s))
        return self._share(message, self._passes(message, coming=False))

    def _share(self, message: MessageToRoute, passes: _Passes) -> _Passes:
        """Return passes from the hub, and keep them for the next message."""
        found = [one.band.found for one in passes.leading]
        self._shared = _FromHub(message.bits, message.ready_s, passes, found)
        return passes

    def _passes(self, message: MessageToRoute, *, coming: bool) -> _Passes:
        """Return the passes over which a message may be first, from the hub or to it.

        All passes from the hub are asked when the message is through. Passes to the hub are asked
        until one leads, which tells how far to look; of the others only a lower bound is known, as
        the message has to go to them first.
        """
        hub = self._least.hub
        most_bits, from_s = self._no_pass.get(coming, (inf, inf))
        if message.bits >= most_bits and message.ready_s >= from_s:
            return _Passes([], [], inf)
        spans_s = HORIZON * message.least_s
        leading: list[_Pass] = []
        aside: list[_Pass] = []
        later_s = inf
        for begins_s, bands in self._bands.ahead(hub, message.ready_s, coming=coming):
            if begins_s >= later_s:
                break
            at_least_s = [
                self._transits.at_least_s(message, band, message.ready_s) for band in bands
            ]
            for number in sorted(range(len(bands)), key=at_least_s.__getitem__):
                if at_least_s[number] >= later_s:
                    break
                one = _Pass(bands[number], at_least_s[number])
                if later_s == inf or not coming:
                    one = self._asked(message, one.band, later_s)
                if one.at_least_s == inf:
                    continue
                if self._leads(message, one, coming=coming):
                    leading.append(one)
                    later_s = min(later_s, one.at_least_s + spans_s)
                else:
                    aside.append(one)
        if not leading and not aside:
            self._no_pass[coming] = message.bits, message.ready_s
        return _Passes(
            [one for one in leading if one.at_least_s < later_s],
            [one for one in aside if one.at_least_s < later_s],
            later_s,
        )

    def _leads(self, message: MessageToRoute, one: _Pass, *, coming: bool) -> bool:
        """Whether links may join a pass to the other end of a message soon, as is known."""
        if not self._in_parts:
            return True
        from_s = message.ready_s if coming else one.at_least_s
        parts = self._parts_at(from_s, HORIZON * message.least_s)
        end = message.source if coming else message.target
        return parts[one.satellite(self._least.hub)] == parts[end]

    def _asked(self, message: MessageToRoute, band: Band, later_s: float) -> _Pass:
        """Return a pass and when a message is through over it; inf if that is not before a time."""
        hop = self._transits.hop(message, band, message.ready_s, later_s)
        return _Pass(band, inf if hop is None else hop.arrival_s)

    def _over_links(
        self, message: MessageToRoute, horizon: Horizon, source: int, target: int, ready_s: float
    ) -> _OverLinks | None:
        """Return the earliest of the shortest routes over links that are open; None for none.

        Each of its rounds goes on from nodes that are reached to those that are one hop nearer.
        """
        if source == target:
            return _OverLinks([], inf)
        hub = self._least.hub
        hops_to = horizon.hops_to(target)
        fewest = hops_to[source]
        if fewest == inf:
            return None
        there_s = [horizon.until_s] * self._nodes
        there_s[source] = ready_s
        there_s[hub] = -inf
        others_s = inf
        rounds: list[dict[int, Band]] = []
        reached = [(source, ready_s)]
        for left in range(int(fewest) - 1, -1, -1):
            over, aside_s = self._nearer(message, horizon, reached, there_s, hops_to, left)
            rounds.append(over)
            others_s = min(others_s, aside_s)
            # By number, so that of hops that are there at the same time always the same is taken.
            reached = [(node, there_s[node]) for node in sorted(over)]
        if not reached:
            return None
        return _OverLinks(self._along(message, rounds, target, ready_s), others_s)

    def _nearer(
        self,
        message: MessageToRoute,
        horizon: Horizon,
        reached: Sequence[tuple[int, float]],
        there_s: list[float],
        hops_to: Sequence[float],
        left: int,
    ) -> tuple[dict[int, Band], float]:
        """Go from nodes that are reached on to those from which so many hops are left.

        Note in ``there_s`` when it is there. Return over which band it is there first, and a lower
        bound of its arrival at the target over any other band.
        """
        over: dict[int, Band] = {}
        others_s = inf
        for node, time_s in reached:
            for band in horizon.leaving(node):
                other = band.target
                before_s = there_s[other]
                if before_s <= time_s or band.closes_s < time_s:
                    continue
                if hops_to[other] == left:
                    arrival_s = self._transits.arrival_s(message, band, time_s, before_s)
                    if arrival_s < before_s:
                        there_s[other] = arrival_s
                        over[other] = band
                    continue
                aside_s = self._aside_s(message, band, time_s, hops_to[other])
                if aside_s < others_s:
                    others_s = aside_s
        return over, others_s

    @staticmethod
    def _aside_s(message: MessageToRoute, band: Band, time_s: float, hops_behind: float) -> float:
        """Return a lower bound of its arrival over a band, with so many hops behind that."""
        begins_s = band.starts_s[0]
        if begins_s < time_s:
            begins_s = time_s
        return begins_s + (1 + hops_behind) * message.spared_s

    def _along(
        self,
        message: MessageToRoute,
        rounds: Sequence[Mapping[int, Band]],
        target: int,
        ready_s: float,
    ) -> list[Hop]:
        """Return the hops to a target over the bands of each round that led on soonest."""
        way: list[Band] = []
        node = target
        for over in reversed(rounds):
            way.append(over[node])
            node = way[-1].source
        hops: list[Hop] = []
        for band in reversed(way):
            hop = self._transits.hop(message, band, ready_s, inf)
            assert hop is not None  # it was found before
            hops.append(hop)
            ready_s = hop.arrival_s
        return hops

    def _horizon_at(self, from_s: float, spans_s: float) -> Horizon:
        """Return a horizon that lasts so long at least from a time on, the same for many times."""
        return self._horizon(*_around(from_s, spans_s))

    def _parts_at(self, from_s: float, spans_s: float) -> list[int]:
        """Return a number for each node (N,), the same for those that links may join in that."""
        return self._parts(*_around(from_s, spans_s))

    def _horizon_of(self, from_s: float, until_s: float) -> Horizon:
        hub = self._least.hub
        bands = self._bands.within(from_s, until_s)
        links = tuple([band for band in bands if hub not in (band.source, band.target)])
        return Horizon(self._nodes, hub, bands, until_s, self._link_hops(links))

    def _parts_of(self, from_s: float, until_s: float) -> list[int]:
        return self._bands.parts(self._least.hub, from_s, until_s)


def _none_counted(_links: tuple[Band, ...]) -> LinkHops:
    return {}


def _around(from_s: float, spans_s: float) -> tuple[float, float]:
    """Return begin and end of a horizon that spans so much from a time on, one of few."""
    lasts_s = LEAST_HORIZON_S
    if spans_s > lasts_s:
        lasts_s = 2.0 ** ceil(log2(spans_s))
    begin_s = floor(from_s / lasts_s) * lasts_s
    return begin_s, begin_s + 2.0 * lasts_s
