"""Payloads of a network study: when each is through, and how many services carried it.

Payloads arise at each satellite, or at each device of a cluster. They are sent in the order in
which they arise, in each service of the client, are cut where a service ends and go on in the next
one: exact by the curve of each link. Devices share sub-channels as in transfers of models: first
come, first served. Where clients share a link, traffic is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import nan
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from channel import joined
from learning.requests.cluster import Cluster
from orbit.windows import merged
from scenarios.scenario import Traffic
from sim.capacity.blocked_time import Spans
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
from statements.arrays import Floats, Ints, Mask

HOUR_S = 3_600.0
MOST_PAYLOADS = 10_000_000
"""Payloads of one kind, all clients together, up to which a study counts them."""
ROUNDING = 1e-12
"""Share of the bits of a queue by which an end of a service is missed by rounding alone."""


OVERLOADED = 2.0
"""Growth of the payloads waiting above which a kind is overloaded.

The growth is the mean over the second half of a study, divided by that over the first half. It is 1
for a steady queue, and 3 for one that grows from nothing by as much every day. A queue that is
offered just what its links carry grows with the square root of time, for which it is 1.8.
"""


class Queue(NamedTuple):
    """Payloads (P,) of one client in one direction, in the order in which they arise.

    ``device`` is the number of the device in a cluster, -1 for a satellite; ``kind`` that of the
    traffic. ``through_s`` is nan for those that are not through by the end; ``services`` have
    carried a part of each. ``spare_bits`` are those that the services could carry beyond what the
    payloads ask for; nan unless the client was served in both halves of the study: before its first
    service every queue grows.
    """

    client: str
    direction: str
    device: Ints
    kind: Ints
    ready_s: Floats
    through_s: Floats
    services: Ints
    spare_bits: float


def queues_of(world: World, plan: Plan) -> list[Queue]:
    """Return the queue of each client and direction that has traffic, by name of the client.

    Raises InputError for a direction that is neglected, which takes no time, and where clients
    share what carries payloads.
    """
    traffic = world.traffic
    if not traffic:
        return []
    if (refused := next(_not_queues(world, traffic), None)) is not None:
        raise InputError(refused)
    _check_count(plan, traffic)
    every = services_of(plan)
    if twice := _served_twice(every):
        text = f"is not known where a client has two services at a time, as {some(twice, 3)} here"
        raise InputError.of(Code.UNSUPPORTED, "traffic", text, Remove("traffic"))
    neglected = {one.direction for one in traffic} - {direction for _, direction in every}
    if every and neglected:
        number = next(n for n, one in enumerate(traffic) if one.direction in neglected)
        way = "uplink" if traffic[number].direction == "up" else "downlink"
        text = f"got {traffic[number].direction!r}, a direction that is neglected here, and takes "
        text += "no time"
        key = ("traffic", number, "direction")
        raise InputError.of(Code.CONFLICT, key, text, Give(f"link.{way}", like={}))
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
            raise InputError.of(Code.WRONG_VALUE, key, text, Raise(dotted(key)), payloads=count)


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
    return Queue(
        cluster.name,
        direction,
        device,
        kind,
        ready_s,
        through_s.ravel(),
        carried.ravel(),
        _spare_bits(services, bits.sum() * cluster.devices, stop_s),
    )


def _spare_bits(services: Services | None, asked_bits: float, stop_s: float) -> float:
    """Return the bits that the services could carry beyond those that all devices ask for.

    nan without a service in both halves of the study.
    """
    if services is None or not (services.start_s < stop_s / 2.0).any():
        return nan
    if not (services.end_s > stop_s / 2.0).any():
        return nan
    at_once = np.minimum(services.channels, services.bits.shape[1])
    return float((services.bits.mean(axis=1) * at_once).sum() - asked_bits)


def waiting_spans(queues: Sequence[Queue], stop_s: float) -> dict[str, Spans]:
    """Return when each client, by name, has something to send in any direction, in spans."""
    of_clients = defaultdict[str, list[Queue]](list)
    for queue in queues:
        of_clients[queue.client].append(queue)
    found = {}
    for client, own in of_clients.items():
        ready_s, through_s = (
            np.concatenate([getattr(queue, name) for queue in own])
            for name in ("ready_s", "through_s")
        )
        found[client] = merged(ready_s, np.where(np.isnan(through_s), stop_s, through_s))
    return found


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


def payload_figures(
    queues: Sequence[Queue], traffic: Sequence[Traffic], stop_s: float
) -> dict[str, float | None]:
    """Return the figures of each kind of payloads: hours to get through, and what never did.

    Hours are quantiles over all payloads: one that is still waiting at the end counts as one that
    takes longer than it has waited so far (Kaplan and Meier, 1958). They are None if too few are
    through for the quantile to be known; if the kind is overloaded, the share of the quantile has
    to be delivered. ``backlog_growth`` is None if the links could carry all that is asked for.
    """
    found: dict[str, float | None] = {}
    for number, kind in enumerate(traffic if queues else ()):
        own = [queue.kind == number for queue in queues]
        ready_s, through_s, services = (
            _joined(column[mine] for column, mine in zip(columns, own, strict=True))
            for columns in (
                [queue.ready_s for queue in queues],
                [queue.through_s for queue in queues],
                [queue.services for queue in queues],
            )
        )
        through = ~np.isnan(through_s)
        until_s = np.where(through, through_s, stop_s)
        share = float(through.mean())
        spare_bits = [queue.spare_bits for queue in queues if number in queue.kind]
        growth = _growth(ready_s, until_s, stop_s) if np.nansum(spare_bits) < 0.0 else None
        is_overloaded = growth is not None and growth > OVERLOADED
        hours = _quantiles((until_s - ready_s) / HOUR_S, ~through, QUANTILES.values())
        own_figures = {
            **{
                name: None if is_overloaded and share < quantile else hours[quantile]
                for name, quantile in QUANTILES.items()
            },
            "delivered_share": share,
            "one_service_share": float((through & (services == 1)).mean()),
            "undelivered": int((~through).sum()),
            "backlog_growth": growth,
        }
        found |= {f"{kind.name}.{name}": value for name, value in own_figures.items()}
    return found


QUANTILES = {"hours_median": 0.5, "hours_p90": 0.9}


def _quantiles(
    hours: Floats, is_censored: Mask, shares: Iterable[float]
) -> dict[float, float | None]:
    """Return the hours by which shares of payloads are through; None if that is not reached."""
    from scipy import stats  # takes longer to import than a short study takes

    sample = stats.CensoredData.right_censored(hours, is_censored)
    reached = stats.ecdf(sample).cdf
    found: dict[float, float | None] = {}
    for share in shares:
        place = int(np.searchsorted(reached.probabilities, share - ROUNDING))
        known = place < len(reached.probabilities)
        found[share] = float(reached.quantiles[place]) if known else None
    return found


def _growth(ready_s: Floats, until_s: Floats, stop_s: float) -> float | None:
    """Return the payloads waiting in the second half of a study over those in the first half.

    Each is a mean over time. None if nothing waited in the first half.
    """
    half_s = stop_s / 2.0
    first_s = float(np.maximum(np.minimum(until_s, half_s) - ready_s, 0.0).sum())
    second_s = float(np.maximum(until_s - np.maximum(ready_s, half_s), 0.0).sum())
    return second_s / first_s if first_s > 0.0 else None


def _not_queues(world: World, traffic: Sequence[Traffic]) -> Iterator[Statement]:
    """Yield why traffic is not known where clients share links."""
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
