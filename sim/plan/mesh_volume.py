"""What a mesh carries: the largest message that gets through, and bytes per hour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from math import inf

import numpy as np

from learning.requests.cluster import Cluster, Floats
from sim.plan.contact_columns import PlannedSessions
from sim.plan.feeder import FeederPlan
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.trace.directions import Way

SPARED = 2.0
"""By how much a shorter pass may carry more than the longest one, as it is nearer."""


def largest_message_bytes(plan: Plan, way: Way, *, in_parts: bool = False) -> dict[str, float]:
    """Return for each client the most that one message can be that goes one way, at any time.

    A message goes in one piece over each link and pass; ``in_parts``, devices on the ground send
    and get it over several passes. Whether those of a path come one after the other is not looked
    at: what is larger never gets through.
    """
    passes = {
        cluster.name: size
        for cluster in plan.clusters
        if (size := _pass_bytes(plan, way, cluster)) is not None
    }
    if plan.topology.clients_fly:
        return _widest(plan, passes.items())
    ends = [(plan.server, inf)] if plan.feeder is None else _gateways(plan.feeder)
    over_links = _widest(plan, ends)
    largest: dict[str, float] = {}
    for cluster in plan.clusters:
        own = plan.sessions(cluster)
        satellites = {own.named(place)[1] for place in range(len(own))}
        most = max(over_links.get(satellite, 0.0) for satellite in satellites)
        largest[cluster.name] = most if in_parts else min(most, passes[cluster.name])
    return largest


def gets_through(plan: Plan, way: Way, size_bytes: float) -> bool:
    """Return whether one message of a size gets one way to, or from, each client that flies.

    As of :func:`largest_message_bytes`; but it looks at no more passes than it has to.
    """
    assert plan.isls is not None  # the plan of a mesh has links
    wide = {
        here: [other for other, most_bytes in others.items() if most_bytes >= size_bytes]
        for here, others in _link_bytes(plan.isls).items()
    }
    reached: set[str] = set()
    for cluster in plan.clusters:
        if cluster.name in reached:
            continue
        most_bytes = _pass_bytes(plan, way, cluster)
        if most_bytes is None or most_bytes < size_bytes:
            continue
        ahead = [cluster.name]
        while ahead:
            name = ahead.pop()
            if name not in reached:
                reached.add(name)
                ahead += wide.get(name, [])
    return all(cluster.name in reached for cluster in plan.clusters)


def _widest(plan: Plan, begins: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return for each satellite the bytes of the widest path to it, from any that it ``begins`` at.

    These are names, and what such a path carries there.
    """
    isls = plan.isls
    assert isls is not None  # the plan of a mesh has links
    windows = _link_bytes(isls)
    widest: dict[str, float] = {}
    ahead = [(-size, name) for name, size in begins]
    ahead.sort()
    while ahead:
        minus, name = heappop(ahead)
        if name in widest:
            continue
        widest[name] = -minus
        for other, size in windows.get(name, {}).items():
            if other not in widest:
                heappush(ahead, (max(minus, -size), other))
    return widest


def _gateways(feeder: FeederPlan) -> Iterator[tuple[str, float]]:
    """Yield each satellite that passes over a station, with what its longest pass carries."""
    for number, name in enumerate(feeder.satellites):
        starts_s, ends_s = map(np.array, feeder.windows(number))
        if len(starts_s):
            yield name, float((ends_s - starts_s).max()) * feeder.rate_bps / 8.0


def _link_bytes(isls: IslPlan) -> dict[str, dict[str, float]]:
    """Return what the best window of each pair carries, by both names."""
    lasts_s = isls.end_s - isls.start_s
    rate_bps: Floats | float = isls.fixed_bps or 0.0
    if isls.budget is not None:
        rate_bps = isls.budget.rate_bps(isls.min_range_km)
    found: dict[str, dict[str, float]] = {}
    sizes = (lasts_s * rate_bps / 8.0).tolist()
    for a, b, size in zip(isls.a.tolist(), isls.b.tolist(), sizes, strict=True):
        for here, there in ((a, b), (b, a)):
            others = found.setdefault(isls.names[here], {})
            name = isls.names[there]
            others[name] = max(others.get(name, 0.0), size)
    return found


def _pass_bytes(plan: Plan, way: Way, cluster: Cluster) -> float | None:
    """Return what a pass of a client carries one way at most; None for a client without any."""
    own = plan.passes(cluster) if plan.topology.clients_fly else plan.sessions(cluster)
    if not len(own):
        return None
    longest = max(range(len(own)), key=lambda n: own.end_s(n) - own.start_s(n))
    bits = float(np.min(own.carried_bits(longest, way, own.start_s(longest))))
    own.close(longest)
    return (SPARED if np.isfinite(bits) else 1.0) * bits / 8.0


def bytes_per_hour(plan: Plan) -> Mapping[Way, float]:
    """Return what all passes carry each way in an hour, as passes of median length do."""
    total = dict.fromkeys(Way, 0.0)
    for cluster in plan.clusters:
        own = plan.passes(cluster)
        if len(own):
            usual = _usual(own)
            for way in Way:
                bits = float(np.min(own.carried_bits(usual, way, own.start_s(usual))))
                total[way] += bits / 8.0 * len(own) if bits < inf else inf
            own.close(usual)
    hours = plan.stop_s / 3600.0
    return {way: size / hours for way, size in total.items()}


def _usual(sessions: PlannedSessions) -> int:
    """Return the place of the session of median length."""
    order = sorted(range(len(sessions)), key=lambda n: sessions.end_s(n) - sessions.start_s(n))
    return order[len(order) // 2]
