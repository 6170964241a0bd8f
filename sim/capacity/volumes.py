"""Volumes: the bits that the links of a plan carry, whole or in pieces, in each direction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import ceil, floor, inf, nan
from typing import Any, NamedTuple

import numpy as np

from channel import LinkCurve
from sim.facts.directions import Way
from sim.links.beam import served_bits
from sim.plan.contacts import PlannedContact, PlannedSessions
from sim.plan.feeder import FeederPlan
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from statements.arrays import Floats, Ints

Edges = Callable[[float, float], Floats]
"""Times (E,), in order, at which a span from a time to another one is cut; none leave it out."""


def uncut(start_s: float, end_s: float) -> Floats:
    """Return the edges of a span that is one piece."""
    return np.array([start_s, end_s])


def whole_seconds(start_s: float, end_s: float, longest_s: int | None = None) -> Floats:
    """Return the edges of the whole seconds in a span: one piece, or several of ``longest_s``.

    The last one may be shorter. There are no edges where there is no whole second.
    """
    first, last = ceil(start_s), floor(end_s)
    if last <= first:
        return np.zeros(0)
    return np.append(np.arange(first, last, longest_s or last - first), last).astype(np.float64)


class SessionVolume(NamedTuple):
    """What one session carries each way if the client is alone; nan where that link is neglected.

    Over a mesh that is what its pass carries while it lasts and, to the satellite that has the
    pass, a link.
    """

    client: str
    session: int
    contacts: int
    start_s: float
    end_s: float
    to_server_bits: float
    to_client_bits: float


class Piece(NamedTuple):
    """What a piece of a link carries in one direction: a row of :class:`LinkVolumes`."""

    number: int
    direction: str
    source: int
    target: int
    start_s: float
    end_s: float
    bits: float
    delay_s: float
    link: str


@dataclass(frozen=True, eq=False, kw_only=True)
class LinkVolumes:
    """Arrays (N,): pieces of links in each direction, in the order of their starts.

    ``link`` is contact, isl or feeder, and ``number`` that of the contact or the window. ``source``
    and ``target`` are indices in ``nodes``: satellites, and behind them what they have contacts
    with, and gateways.
    From ``start_s`` to ``end_s`` a piece carries ``bits``; a signal takes ``delay_s`` at the
    longest. Of several devices both are those of the one that can transfer least in the contact.
    ``neglected`` are directions that take no time: they have no volume.
    """

    nodes: tuple[str, ...]
    number: Ints
    direction: Any
    source: Ints
    target: Ints
    start_s: Floats
    end_s: Floats
    bits: Floats
    delay_s: Floats
    link: Any
    neglected: tuple[str, ...]

    def __len__(self) -> int:
        """The number of pieces."""
        return len(self.number)


SAMPLES_S = 60.0
"""How far samples of the range of two satellites are apart at most."""

TYPES = {"number": np.int64, "source": np.int64, "target": np.int64}


def link_volumes(plan: Plan, edges: Edges = uncut) -> LinkVolumes:
    """Return what a plan's contacts carry while they are served, and the links of its satellites.

    Each link is cut at its ``edges``.
    """
    pieces: list[Piece] = []
    neglected: set[str] = set()
    for contact in served_in_order(plan):
        pieces += _of_contact(plan, contact, edges)
        if contact.links.to_client is None:
            neglected.add(plan.topology.direction(Way.TO_CLIENT))
    if plan.isls is not None:
        pieces += _of_isls(plan.isls, plan.contacts.flyers.names, edges)
    if plan.feeder is not None:
        pieces += _of_feeder(plan.feeder, nodes_of(plan), edges)
    pieces.sort(key=lambda piece: (piece.start_s, piece.end_s, piece.source, piece.target))
    columns = zip(*pieces, strict=True) if pieces else ((),) * len(Piece._fields)
    return LinkVolumes(
        nodes=nodes_of(plan),
        neglected=tuple(neglected),
        **{
            name: np.array(column, TYPES.get(name))
            for name, column in zip(Piece._fields, columns, strict=True)
        },
    )


def nodes_of(plan: Plan) -> tuple[str, ...]:
    """Return the names of the satellites, and behind them of what they have contacts with.

    Behind those are the gateways, if there are any.
    """
    gateways = () if plan.feeder is None else plan.feeder.stations
    return (*plan.contacts.flyers.names, *plan.contacts.grounded.names, *gateways)


def session_volumes(plan: Plan) -> list[SessionVolume]:
    """Return what the sessions of all clients carry, by their start."""
    of_clients = [plan.sessions(cluster) for cluster in plan.clusters]
    # Over a mesh all clients share the passes: the links of each are made once.
    of_contacts: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for client, sessions in enumerate(of_clients):
        for place in range(len(sessions)):
            of_contacts[sessions.contact_id(sessions.edges[place])].append((client, place))
    found = []
    for number in sorted(of_contacts, key=plan.contacts.start_s.__getitem__):
        of_contact = of_contacts[number]
        for client, place in of_contact:
            volume = _of_session(plan.clusters[client].name, of_clients[client], place)
            found.append((volume.start_s, client, place, volume))
        for client, place in of_contact:
            of_clients[client].close(place)
    return [volume for *_, volume in sorted(found)]


def served_in_order(plan: Plan) -> Iterator[PlannedContact]:
    """Yield the contacts that are served by their start, with links that are let go behind each.

    They are made together with the next.
    """
    of_clients = [plan.contacts.services(cluster.name) for cluster in plan.clusters]
    numbers = np.concatenate([*of_clients, np.zeros(0, np.int64)])
    for number in numbers[np.argsort(plan.contacts.start_s[numbers], kind="stable")].tolist():
        yield plan.contacts[number]
        plan.contacts[number].close()


def _of_session(client: str, sessions: PlannedSessions, place: int) -> SessionVolume:
    start_s = sessions.starts_s[place]
    least_bits = [float(np.min(sessions.carried_bits(place, way, start_s))) for way in Way]
    to_server_bits, to_client_bits = (nan if bits == inf else bits for bits in least_bits)
    return SessionVolume(
        client=client,
        session=place,
        contacts=sessions.edges[place + 1] - sessions.edges[place],
        start_s=start_s,
        end_s=sessions.ends_s[place],
        to_server_bits=to_server_bits,
        to_client_bits=to_client_bits,
    )


def _of_contact(plan: Plan, contact: PlannedContact, edges: Edges) -> Iterator[Piece]:
    """Yield the pieces of a contact in both directions."""
    cuts = edges(contact.start_s, contact.end_s)
    if not len(cuts):
        return
    contacts, number = plan.contacts, contact.contact_id
    below = len(contacts.flyers.names) + int(contacts.ground[number])
    client, server = plan.topology.client_and_server(int(contacts.flyer[number]), below)
    longest_s: dict[int, list[float]] = {}  # by device: both directions have the same delays
    for way, beam in contact.links.beams:
        if beam is None:
            continue
        ends = (client, server) if way is Way.TO_SERVER else (server, client)
        device = int(served_bits(beam.curve, contact.start_s, contact.end_s).argmin())
        if device not in longest_s:
            delay_s = partial(_delay_s, contact, len(beam.curve.time_s), device)
            longest_s[device] = _longest(delay_s, cuts)
        bits = np.diff(beam.curve.device(device).delivered_bits(cuts)).tolist()
        direction = plan.topology.direction(way)
        yield from _pieces(number, direction, ends, cuts, bits, longest_s[device], link="contact")


def _delay_s(contact: PlannedContact, devices: int, device: int, time_s: float) -> float:
    """Return how long a signal takes between a device and the satellite at a time."""
    return float(contact.links.delay_s(np.full(devices, time_s))[device])


def _pieces(
    number: int,
    direction: str,
    ends: tuple[int, int],
    cuts: Floats,
    bits: Sequence[float],
    delays_s: Sequence[float],
    *,
    link: str,
) -> Iterator[Piece]:
    """Yield the pieces between cuts (E,), of which each carries bits and has a longest delay."""
    spans = pairwise(cuts.tolist())
    for span, carried, delay_s in zip(spans, bits, delays_s, strict=True):
        yield Piece(number, direction, *ends, *span, carried, delay_s, link)


def _longest(delay_s: Callable[[float], float], cuts: Floats) -> list[float]:
    """Return the longest delay of each piece (E - 1,), of those at its ends and in its middle.

    In a pass over a place, that is the longest one: satellites come nearer, and go away again.
    """
    times_s = np.sort(np.append(cuts, (cuts[1:] + cuts[:-1]) / 2.0))
    each = np.array([delay_s(time_s) for time_s in times_s.tolist()])
    longest: list[float] = np.maximum.reduce([each[:-2:2], each[1:-1:2], each[2::2]]).tolist()
    return longest


def _longest_anywhere(delays_s: Callable[[Floats], Floats], cuts: Floats) -> list[float]:
    """Return the longest delay at any time of each piece (E - 1,).

    Two satellites may be farthest from each other several times in a revolution. Samples of a piece
    are a minute apart at most; a parabola through three of them says what is between them.
    """
    times_s = [
        np.linspace(start_s, end_s, 1 + max(2, ceil((end_s - start_s) / SAMPLES_S)))
        for start_s, end_s in pairwise(cuts.tolist())
    ]
    behind = np.cumsum([len(piece) for piece in times_s])
    return [_peak(piece) for piece in np.split(delays_s(np.concatenate(times_s)), behind[:-1])]


def _peak(samples: Floats) -> float:
    """Return the maximum of a curve by equally spaced samples (T,)."""
    top = int(samples.argmax())
    most = float(samples[top])
    if 0 < top < len(samples) - 1:
        before, after = float(samples[top - 1]), float(samples[top + 1])
        bend = 2.0 * most - before - after
        if bend > 0.0:
            most += (after - before) ** 2 / (8.0 * bend)
    return most


def _of_isls(isls: IslPlan, satellites: Sequence[str], edges: Edges) -> Iterator[Piece]:
    """Yield the pieces of links between satellites, both ways."""
    place = {name: node for node, name in enumerate(satellites)}
    node = np.array([place[name] for name in isls.names])
    for window in range(len(isls)):
        one, other = int(node[isls.a[window]]), int(node[isls.b[window]])
        cuts = edges(float(isls.start_s[window]), float(isls.end_s[window]))
        if not len(cuts):
            continue
        bits = isls.carried_bits(window, cuts).tolist()
        longest_s = _longest_anywhere(partial(isls.delays_s, window), cuts)
        for ends in ((one, other), (other, one)):
            yield from _pieces(window, "isl", ends, cuts, bits, longest_s, link="isl")


def _of_feeder(feeder: FeederPlan, nodes: Sequence[str], edges: Edges) -> Iterator[Piece]:
    """Yield the pieces of links between satellites and gateways, both ways."""
    node = {name: number for number, name in enumerate(nodes)}
    for number in range(len(feeder)):
        satellite, station = (node[name] for name in feeder.ends(number))
        cuts = edges(float(feeder.start_s[number]), float(feeder.end_s[number]))
        if not len(cuts):
            continue
        bits = (feeder.rate_bps * np.diff(cuts)).tolist()
        longest_s = _longest(partial(feeder.delay_s, number), cuts)
        for direction, ends in (
            ("downlink", (satellite, station)),
            ("uplink", (station, satellite)),
        ):
            yield from _pieces(number, direction, ends, cuts, bits, longest_s, link="feeder")


# Services of a plan, by client and direction, with the link curve that each may be sent over.


@dataclass(frozen=True, eq=False)
class Services:
    """Services (N,) of one client in one direction, by their start.

    ``number`` is that of the contact. A device alone can send ``bits`` (N, K) in a service, by its
    row of the service's curve. So many devices as there are ``channels`` (N,) send at a time.
    """

    number: Ints
    start_s: Floats
    end_s: Floats
    bits: Floats
    curves: Sequence[LinkCurve]
    channels: Ints


def services_of(plan: Plan) -> dict[tuple[str, str], Services]:
    """Return the services of each client, by its name and ``down`` or ``up``.

    A direction that is neglected is left out.
    """
    found = defaultdict[tuple[str, str], list[tuple[Any, ...]]](list)
    for contact in served_in_order(plan):
        span_s = contact.start_s, contact.end_s
        for way, beam in contact.links.beams:
            if beam is None:
                continue
            devices = len(beam.curve.time_s)
            channels = devices if beam.radio is None else min(beam.radio.channels, devices)
            key = contact.cluster.name, "down" if plan.topology.is_down(way) else "up"
            bits = served_bits(beam.curve, *span_s)
            found[key].append((contact.contact_id, *span_s, bits, beam.curve, channels))
    services = {}
    for key, rows in found.items():
        number, start_s, end_s, carried, curves, at_a_time = zip(*rows, strict=True)
        services[key] = Services(
            np.array(number),
            np.array(start_s),
            np.array(end_s),
            np.array(carried),
            curves,
            np.array(at_a_time),
        )
    return services


BITS_PER_MB = 8e6


class Alone(NamedTuple):
    """What a payload takes in one ``direction`` that begins with a service, and has it for itself.

    So many of the ``services`` carry it ``whole``, in so many seconds at best and in the median of
    these; None where none does. Of those that carry anything the worst carries ``worst_mb``, so
    that a payload takes ``worst_services`` like it; it is the contact ``worst_contact``. Those that
    carry nothing are ``silent``. The ``cut`` ones are left out: those that the start or the end of
    the plan cuts, unless all are.
    """

    direction: str
    services: int
    whole: int
    share: float
    best_s: float | None
    median_s: float | None
    worst_mb: float | None
    worst_services: int | None
    worst_contact: int | None
    silent: int
    cut: int


def alone(plan: Plan, every: Mapping[tuple[str, str], Services], bits: float) -> list[Alone]:
    """Return what a payload of so many bits takes each way, by :func:`services_of` a plan."""
    found = []
    for direction in ("up", "down"):
        own = [services for (_, way), services in every.items() if way == direction]
        if own:
            found.append(_alone(plan, direction, own, bits))
    return found


def _alone(plan: Plan, direction: str, own: Sequence[Services], bits: float) -> Alone:
    number, start_s, end_s = (
        np.concatenate([getattr(services, name) for services in own])
        for name in ("number", "start_s", "end_s")
    )
    carried = np.concatenate([services.bits.min(axis=1) for services in own])
    # A contact counts as that of its device that can transfer least.
    weakest = np.concatenate([services.bits.argmin(axis=1) for services in own]).tolist()
    curves = [curve for services in own for curve in services.curves]
    by_start = (start_s == 0.0) & bool(
        plan.contacts.places
    )  # slots and files have whole ones there
    by_end = (end_s >= plan.stop_s) & plan.contacts.cut_by_stop[number]
    kept = np.flatnonzero(~(by_start | by_end))
    if not len(kept):  # contact lasts all the time
        kept = np.arange(len(number))
    whole = kept[carried[kept] >= bits]
    took_s = [
        float(curves[n].device(weakest[n]).completion_time_s(bits, start_s[n]) - start_s[n])
        for n in whole
    ]
    some = kept[carried[kept] > 0.0]
    worst = int(some[carried[some].argmin()]) if len(some) else None
    return Alone(
        direction=direction,
        services=len(kept),
        whole=len(whole),
        share=len(whole) / len(kept),
        best_s=min(took_s, default=None),
        median_s=float(np.median(took_s)) if took_s else None,
        worst_mb=None if worst is None else float(carried[worst]) / BITS_PER_MB,
        worst_services=None if worst is None else ceil(bits / float(carried[worst])),
        worst_contact=None if worst is None else int(number[worst]),
        silent=len(kept) - len(some),
        cut=len(number) - len(kept),
    )
