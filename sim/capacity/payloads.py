"""Payloads of a network study: when each is through, and how many services carried it.

Payloads arise at each satellite, or at each device of a cluster. They are sent in the order in
which they arise, in each service of the client, are cut where a service ends and go on in the next
one: exact by the curve of each link. Devices share sub-channels as in transfers of models: first
come, first served. Where clients share a link, traffic is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from channel import joined
from learning.requests.cluster import Cluster
from scenarios.scenario import Traffic
from sim.capacity.volumes import BITS_PER_MB, Services, services_of
from sim.errors import InputError
from sim.facts.plan import PayloadRow
from sim.formatting import some
from sim.links.sharing import turns_of
from sim.plan.plan import Plan
from sim.trace.arrow import array, coded_text
from sim.trace.schema import table_of
from sim.world.world import World
from statements import Code, Give, Raise, Remove, Set, Statement, dotted
from statements.arrays import Floats, Ints

HOUR_S = 3_600.0
MOST_PAYLOADS = 10_000_000
"""Payloads of one kind, all clients together, up to which a study counts them."""
ROUNDING = 1e-12
"""Share of the bits of a queue by which an end of a service is missed by rounding alone."""


class Queue(NamedTuple):
    """Payloads (P,) of one client in one direction, in the order in which they arise.

    ``device`` is the number of the device in a cluster, -1 for a satellite; ``kind`` that of the
    traffic. ``through_s`` is nan for those that are not through by the end; ``services`` have
    carried a part of each.
    """

    client: str
    direction: str
    device: Ints
    kind: Ints
    ready_s: Floats
    through_s: Floats
    services: Ints


def queues_of(plan: Plan, traffic: Sequence[Traffic]) -> list[Queue]:
    """Return the queue of each client and direction that has traffic, by name of the client.

    Raises InputError for a direction that is neglected, which takes no time.
    """
    if not traffic:
        return []
    _check_count(plan, traffic)
    every = services_of(plan)
    if twice := _served_twice(every):
        text = f"is not known where a client has two services at a time, as {some(twice, 3)} here"
        raise InputError(Statement.of(Code.UNSUPPORTED, "traffic", text, Remove("traffic")))
    neglected = {one.direction for one in traffic} - {direction for _, direction in every}
    if every and neglected:
        number = next(n for n, one in enumerate(traffic) if one.direction in neglected)
        way = "uplink" if traffic[number].direction == "up" else "downlink"
        text = f"got {traffic[number].direction!r}, a direction that is neglected here, and takes "
        text += "no time"
        key = ("traffic", number, "direction")
        raise InputError(Statement.of(Code.CONFLICT, key, text, Give(f"link.{way}", like={})))
    found = []
    for cluster in sorted(plan.clusters, key=lambda cluster: cluster.name):
        for direction in ("down", "up"):
            kinds = [n for n, one in enumerate(traffic) if one.direction == direction]
            if kinds:
                queue = _queue(cluster, direction, every, traffic, kinds, plan.stop_s)
                if plan.topology.client != "cluster":
                    queue = queue._replace(device=np.full_like(queue.device, -1))
                found.append(queue)
    return found


def _check_count(plan: Plan, traffic: Sequence[Traffic]) -> None:
    """Raise InputError for more payloads than anybody looks at, before they take all memory."""
    for number, kind in enumerate(traffic):
        each = 1.0 if kind.every_hours is None else plan.stop_s / (kind.every_hours * HOUR_S)
        if (count := each * sum(cluster.devices for cluster in plan.clusters)) > MOST_PAYLOADS:
            key = ("traffic", number, "every_hours")
            text = f"makes {{payloads:,.0f}} payloads, which are more than {MOST_PAYLOADS:,}"
            raise InputError(
                Statement.of(Code.WRONG_VALUE, key, text, Raise(dotted(key)), payloads=count)
            )


def _queue(
    cluster: Cluster,
    direction: str,
    every: Mapping[tuple[str, str], Services],
    traffic: Sequence[Traffic],
    kinds: Sequence[int],
    stop_s: float,
) -> Queue:
    due = [(ready_s, n) for n in kinds for ready_s in _arising(traffic[n], stop_s)]
    due.sort()
    ready_s = np.array([ready_s for ready_s, _ in due])
    kind = np.array([n for _, n in due], np.int64)
    bits = np.array([traffic[n].payload_mb for _, n in due]) * BITS_PER_MB
    services, shape = every.get((cluster.name, direction)), (len(due), cluster.devices)
    if services is None:
        through_s, carried = np.full(shape, np.nan), np.zeros(shape, np.int64)
    elif (services.channels < cluster.devices).any():
        through_s, carried = _sent_in_turns(services, ready_s, bits)
    else:
        each = [sent(services, k, ready_s, bits) for k in range(cluster.devices)]
        through_s, carried = (np.stack(columns, axis=1) for columns in zip(*each, strict=True))
    through_s[through_s > stop_s] = np.nan
    device = np.tile(np.arange(cluster.devices), len(due))
    kind, ready_s = (np.repeat(column, cluster.devices) for column in (kind, ready_s))
    return Queue(cluster.name, direction, device, kind, ready_s, through_s.ravel(), carried.ravel())


def _arising(kind: Traffic, stop_s: float) -> list[float]:
    """Return when payloads of a kind arise at each client: those at the very end never could."""
    if kind.every_hours is None:
        return [0.0]
    times_s: list[float] = np.arange(0.0, stop_s, kind.every_hours * HOUR_S).tolist()
    return times_s


def sent(services: Services, device: int, ready_s: Floats, bits: Floats) -> tuple[Floats, Ints]:
    """Return when payloads (P,) of a device with a sub-channel of its own are through; nan if not.

    With that, how many services have carried a part of each. Payloads arise in this order, each of
    so many bits. In bits that the device could have sent since the start, a payload ends its own
    bits behind the end of the one before it, or behind what had gone by when it arose.
    """
    most = services.bits[:, device]
    ends = np.cumsum(most)
    starts = ends - most
    gone = _gone_by(services, device, starts, ready_s)
    total = np.cumsum(bits)
    # E_k = max(gone_k, E_(k-1)) + bits_k, without a loop
    until = np.maximum.accumulate(gone - (total - bits)) + total
    begun = until - bits
    last = np.searchsorted(ends, until * (1.0 - ROUNDING), side="left")
    first = np.searchsorted(ends, begun * (1.0 + ROUNDING), side="right")
    through_s = np.full(len(ready_s), np.nan)
    for number in np.unique(last[last < len(ends)]).tolist():
        mine = last == number
        left = np.minimum(until[mine] - starts[number], most[number])
        begin_s, end_s = float(services.start_s[number]), float(services.end_s[number])
        done_s = services.curves[number].device(device).completion_time_s(left, begin_s)
        through_s[mine] = np.minimum(done_s, end_s)
    carried = np.minimum(last, len(ends) - 1) - first + 1
    return through_s, np.maximum(carried, 0)


def _sent_in_turns(services: Services, ready_s: Floats, bits: Floats) -> tuple[Floats, Ints]:
    """Return as :func:`sent`, (P, K), where K devices wait for fewer sub-channels.

    The payloads (P,) are those of each device.
    """
    devices = services.bits.shape[1]
    shape = len(ready_s), devices
    left = np.repeat(bits, devices).reshape(shape)
    through_s, carried = np.full(shape, np.nan), np.zeros(shape, np.int64)
    first = [0] * devices

    def waiting(device: int) -> Iterator[tuple[float, int, float]]:
        for number in range(first[device], len(ready_s)):
            yield float(ready_s[number]), number * devices + device, float(left[number, device])

    spans_s = zip(services.start_s.tolist(), services.end_s.tolist(), strict=True)
    for curve, span_s, channels in zip(services.curves, spans_s, services.channels, strict=True):
        served = joined([curve], [span_s])
        every = [waiting(device) for device in range(devices)]
        for turn in turns_of(served, every, int(channels)):
            place = turn.number // devices, turn.device
            carried[place] += 1
            if turn.end_s < np.inf:
                through_s[place] = turn.end_s
                first[turn.device] += 1
            else:
                own = served.device(turn.device)
                gone = own.capacity_bits - own.delivered_bits(turn.begin_s)
                # What rounding leaves of a payload takes no time in the next service.
                left[place] = max(left[place] - gone, ROUNDING * left[place])
    return through_s, carried


def _gone_by(services: Services, device: int, starts: Floats, when_s: Floats) -> Floats:
    """Return the bits that a device could have sent by each time."""
    place = np.searchsorted(services.start_s, when_s, side="right") - 1
    gone = np.zeros(len(when_s))
    for number in np.unique(place[place >= 0]).tolist():
        mine = place == number
        curve = services.curves[number].device(device)
        begin_s, end_s = float(services.start_s[number]), float(services.end_s[number])
        by_then = curve.delivered_bits(np.minimum(when_s[mine], end_s))
        gone[mine] = starts[number] + by_then - curve.delivered_bits(begin_s)
    return gone


def payloads_table(queues: Sequence[Queue], traffic: Sequence[Traffic]) -> pa.Table:
    """Return all payloads as a table."""
    names = [kind.name for kind in traffic]
    counts = [len(queue.ready_s) for queue in queues]
    of_queue = np.repeat(np.arange(len(queues)), counts)
    through_s = _joined(queue.through_s for queue in queues)
    device = _joined(queue.device for queue in queues).astype(np.int64)
    return table_of(
        PayloadRow(
            name=coded_text(_joined(queue.kind for queue in queues).astype(np.int64), names),
            direction=coded_text(of_queue, [queue.direction for queue in queues]),
            client=coded_text(of_queue, [queue.client for queue in queues]),
            device=array(device, device < 0),
            ready_s=array(_joined(queue.ready_s for queue in queues)),
            through_s=array(through_s, np.isnan(through_s)),
            services=array(_joined(queue.services for queue in queues).astype(np.int64)),
        )
    )


def _joined(parts: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *parts])


def payload_figures(queues: Sequence[Queue], traffic: Sequence[Traffic]) -> dict[str, float | None]:
    """Return the figures of each kind of payloads: hours to get through, and what never did."""
    found: dict[str, float | None] = {}
    for number, kind in enumerate(traffic if queues else ()):
        own = [queue.kind == number for queue in queues]
        waits_s, services = (
            _joined(column[mine] for column, mine in zip(columns, own, strict=True))
            for columns in (
                [queue.through_s - queue.ready_s for queue in queues],
                [queue.services for queue in queues],
            )
        )
        through = ~np.isnan(waits_s)
        hours = waits_s[through] / HOUR_S
        found |= {
            f"{kind.name}.hours_median": float(np.median(hours)) if len(hours) else None,
            f"{kind.name}.hours_worst": float(hours.max()) if len(hours) else None,
            f"{kind.name}.one_service_share": float((through & (services == 1)).mean()),
            f"{kind.name}.undelivered": int((~through).sum()),
        }
    return found


def check_traffic(world: World, traffic: Sequence[Traffic]) -> None:
    """Raise InputError where clients share what carries payloads."""
    if traffic and (refused := next(_not_queues(world, traffic), None)) is not None:
        raise InputError(refused)


def _not_queues(world: World, traffic: Sequence[Traffic]) -> Iterator[Statement]:
    link = world.link
    alone = "is not known where clients share links: here each client is a queue of its own"
    if world.topology.mesh:
        text = f"{alone}, and link.isl.route 'earliest' lets them meet"
        # Devices reach stations over links alone: for them there is no other route.
        is_needed = world.topology.access and world.topology.server == "stations"
        direct = [] if is_needed else [Set("link.isl.route", "direct")]
        yield Statement.of(Code.UNSUPPORTED, "traffic", text, *direct, Remove("traffic"))
    used = {"uplink" if kind.direction == "up" else "downlink" for kind in traffic}
    for way in sorted(used):
        sharing = getattr(getattr(link, way, None), "sharing", None)
        if sharing == "equal_share" and world.topology.grounded == "cluster":
            text = f"{alone}; link.{way}.sharing is 'equal_share'"
            own = Set(f"link.{way}.sharing", "fixed_subchannel")
            yield Statement.of(Code.UNSUPPORTED, "traffic", text, own)


def _served_twice(services: Mapping[tuple[str, str], Services]) -> list[str]:
    """Return the clients with services that overlap, for whom a queue has two servers."""
    return sorted(
        {
            client
            for (client, _), own in services.items()
            if (own.start_s[1:] < own.end_s[:-1] - ROUNDING * own.end_s[:-1]).any()
        }
    )
