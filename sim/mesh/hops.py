"""HopsUnderWay: keeps hops of messages over a mesh, and makes rows of those that have ended.

The hops of a message are booked as it sets off, and nothing changes them. So there is no event for
the end of a hop: all that have ended are written down together, in the order in which they ended.
Of hops that end together that of the older message comes first, so that the order does not depend
on when somebody looks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from learning.requests.payload import Payload
from sim.facts.coded import Coded
from sim.facts.directions import TOWARD_PEER, Way
from sim.facts.transfers import Outcome
from sim.links.sidelinks import share_sent
from sim.mesh.contacts import Contacts, Route
from sim.network.books import PayloadKey
from sim.network.endpoint import Shared
from sim.network.legs import OVER_LINK, SERVER_NAME, HopRows
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from statements.arrays import Floats, Ints, Mask

HOPS = 1 << 16
"""Hops that are booked until somebody looks, about: several over each link of a large mesh."""

ONE = np.ones(1, bool)
"""The only device of a satellite."""


class Hops(NamedTuple):
    """Columns (N,) of hops, each ``of`` a message and over the contact of a ``row``.

    Bits leave from ``begin_s`` to ``sent_s``; the last one is there at ``end_s``. With the last of
    its hops (``is_last``) a message has arrived.
    """

    of: Ints
    row: Ints
    begin_s: Floats
    sent_s: Floats
    end_s: Floats
    is_last: Mask

    def where(self, some: Mask | Ints) -> Hops:
        """Return some of the hops."""
        return Hops._make(column[some] for column in self)

    @property
    def sending_s(self) -> Floats:
        """How long bits have left (N,)."""
        lasts_s: Floats = np.minimum(self.sent_s, self.end_s) - self.begin_s
        return lasts_s


NO_HOPS = Hops._make(np.zeros(0, kind) for kind in (np.int64, np.int64, float, float, float, bool))


def _new() -> Any:
    """Return columns to which hops can be added."""
    return Hops._make(array(kind) for kind in "qqdddb")


class HopsUnderWay:
    """Keeps the hops of messages that are under way, and writes those down that have ended.

    They are over ``contacts``; what each is, ``kinds`` say; ``sent`` is called with all that are
    written down, in order. ``law`` says when bits have left over a contact, from one of its ends,
    from a time on.
    """

    def __init__(
        self,
        shared: Shared,
        contacts: Contacts,
        kinds: HopKinds,
        sent: Callable[[Hops], None],
        law: Callable[[int, int, float, float], tuple[float, float]],
    ) -> None:
        self._law = law
        self._books = shared.books
        self._topology = shared.topology
        self._contacts = contacts
        self._kinds = kinds
        self._sent = sent
        # Messages that are not through, and their hops.
        self._messages: list[MeshMessage] = []
        self._under_way = NO_HOPS
        # The columns of those that were booked last: Python looks for garbage among objects.
        self._new = _new()
        self._looked_s = -np.inf
        self._added = 0
        self._written: list[tuple[np.ndarray, ...]] = []
        self._keys: dict[PayloadKey, int] = {}

    def add(self, message: MeshMessage, route: Route) -> None:
        """Take a message that sets off now, with its hops."""
        of = len(self._messages)
        is_last = (number == len(route) - 1 for number in range(len(route)))
        times_s = route.begin_s, route.sent_s, route.arrival_s
        hops = repeat(of, len(route)), route.row, *times_s, is_last
        for column, values in zip(self._new, hops, strict=True):
            column.extend(values)
        self._messages.append(message)
        self._added += len(route)
        self._looked_s = -np.inf  # a hop may take no time

    @property
    def is_long(self) -> bool:
        """Whether so many hops were booked since rows were made that it is time to make some."""
        return self._added >= HOPS

    def look(self, now_s: float) -> None:
        """Write all hops down that have ended by now."""
        if now_s == self._looked_s:
            return
        self._looked_s = now_s
        if self._new.of:
            both = zip(self._under_way, map(np.array, self._new), strict=True)
            self._under_way = Hops._make(map(np.concatenate, both))
            self._new = _new()
        hops, messages = self._under_way, self._messages
        ended = hops.end_s <= now_s
        if not np.count_nonzero(ended):
            return
        left = hops.where(~ended)
        places, of = np.unique(left.of, return_inverse=True)
        self._messages = [messages[place] for place in places.tolist()]
        self._under_way = left._replace(of=of)
        hops = hops.where(ended)
        number = np.array([message.number for message in messages])
        hops = hops.where(np.lexsort((number[hops.of], hops.end_s)))
        self._write(messages, hops, Outcome.DELIVERED)

    def cut_off(self, end_s: float) -> None:
        """Write all down that is on a hop as the run ends."""
        self.look(end_s)
        hops, messages = self._under_way, self._messages
        self._under_way, self._messages = NO_HOPS, []
        following = hops.where(np.unique(hops.of, return_index=True)[1])
        begun = following.where(following.begin_s < end_s)
        if len(begun.of):
            begun = begun._replace(end_s=np.full(len(begun.of), end_s))
            self._write(messages, begun, Outcome.CARRIED)

    def _write(self, messages: Sequence[MeshMessage], hops: Hops, outcome: Outcome) -> None:
        """Add hops to the accounts, and write them down: every hop offers its payload anew."""
        self._sent(hops)
        contacts = self._contacts
        contact = contacts.number[hops.row]
        ends = contacts.source[hops.row], contacts.target[hops.row]
        key = self._keys_of(messages, hops.of, self._kinds.of(contact, ends[0]))
        number, version, size = (
            np.array([getattr(message, name) for message in messages])[hops.of]
            for name in ("number", "version", "size")
        )
        moved = size * self._shares(hops, contact, ends[0], size)
        keys = list(self._keys)
        for each in np.unique(key).tolist():
            mine = key == each
            account = self._books.account(keys[each])
            account.add(size[mine], moved[mine], whole=outcome is Outcome.DELIVERED)
        some = np.flatnonzero(moved > 0.0)
        if not len(some):  # all are of payloads without bytes
            return
        source, target = self._kinds.ends(contact, *ends)
        between_clients = np.array([message.way is None for message in messages])[hops.of]
        is_over = between_clients & hops.is_last.astype(bool)
        self._written.append(
            (
                number[some],
                source[some],
                target[some],
                self._kinds.contact_ids(contact)[some],
                key[some],
                version[some],
                size[some],
                moved[some],
                hops.begin_s[some],
                hops.end_s[some],
                np.full(len(some), outcome, np.int64),
                is_over[some],
            )
        )

    def _shares(self, hops: Hops, contact: Ints, source: Ints, size: Floats) -> Floats:
        """Return how much of each message has left (N,): all, unless the run has cut it off."""
        share = np.ones(len(hops.of))
        for hop in np.flatnonzero(hops.sent_s > hops.end_s).tolist():
            begin_s, sent_s, end_s = (
                float(column[hop]) for column in (hops.begin_s, hops.sent_s, hops.end_s)
            )
            over = partial(self._law, int(contact[hop]), int(source[hop]), begin_s)
            share[hop] = share_sent(over, begin_s, sent_s, 8.0 * float(size[hop]), end_s)
        return share

    def rows(self) -> HopRows | None:
        """Return the rows of what was written down since they were made last; None for none."""
        self._added = 0
        written, self._written = self._written, []
        if not written:
            return None
        columns = map(np.concatenate, zip(*written, strict=True))
        message, source, target, contact_id, key, *numbers = columns
        keys, key = np.unique(key, return_inverse=True)
        nodes, codes = np.unique((source, target), return_inverse=True)
        words = [self._kinds.nodes[node] for node in nodes.tolist()]
        sent, received = (Coded(code, words) for code in codes.reshape(2, -1))
        known = list(self._keys)
        listed = [known[number] for number in keys.tolist()]
        return HopRows(message, sent, received, contact_id, listed, key, *numbers)

    def _keys_of(self, messages: Sequence[MeshMessage], of: Ints, kind: Ints) -> Ints:
        """Return the number of the key that each hop (N,) is booked under; list new payloads.

        A message has hops of few kinds, and those of one kind have one key.
        """
        pairs, each = np.unique(of * len(HopKind) + kind, return_inverse=True)
        numbers = []
        for pair in pairs.tolist():
            at, of_kind = divmod(pair, len(HopKind))
            message = messages[at]
            key = self._key(message.payload.name, message.way, HopKind(of_kind))
            self._books.enlist(key, message.payload, ONE)
            numbers.append(self._keys.setdefault(key, len(self._keys)))
        return np.array(numbers, np.int64)[each]

    def _key(self, name: str, way: Way | None, kind: HopKind) -> PayloadKey:
        """By which direction and receiver a hop is booked: that of a link, or of a pass."""
        if kind is HopKind.CONTACT and way is not None:
            return PayloadKey(self._topology.direction(way), way, name)
        if kind is HopKind.FROM_GATEWAY:
            return PayloadKey("uplink", TOWARD_PEER, name)
        if kind is HopKind.TO_GATEWAY:
            return PayloadKey("downlink", TOWARD_PEER, name)
        return PayloadKey("isl", TOWARD_PEER, name)


@dataclass(slots=True, eq=False)
class MeshMessage:
    """A message: who is the client, and what is sent.

    Its ``way`` is None between clients. It has ``size`` bytes of one ``version``.
    """

    number: int
    client: str
    way: Way | None
    payload: Payload
    device: int = 0
    size: float = field(init=False)
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = float(_first(self.payload.bytes))
        self.version = int(_first(self.payload.version))


def _first(values: Any) -> Any:
    """Return what the first device has of a figure of each, or the one of all."""
    return values.item(0) if isinstance(values, np.ndarray) else values


class HopKind(IntEnum):
    """What a hop goes over."""

    LINK = 0
    CONTACT = 1
    """A contact of a client with the server."""
    TO_GATEWAY = 2
    FROM_GATEWAY = 3


class HopKinds:
    """Tells hops (N,) apart by the number of their ``contact``: links first, then passes.

    ``nodes`` are the names of satellites, that of the server, and those of gateways.
    """

    def __init__(self, plan: Plan, isls: IslPlan) -> None:
        self._links = len(isls)
        self._server = len(isls.names)
        self._feeder = plan.feeder
        gateways = () if plan.feeder is None else plan.feeder.stations
        self.nodes = (*isls.names, SERVER_NAME, *gateways)

    def is_with_server(self, contact: Ints) -> Mask:
        """Return which hops go over a contact of a client with the server."""
        return (contact >= self._links) & (self._feeder is None)

    def of(self, contact: Ints, source: Ints) -> Ints:
        """Return of which kind hops are."""
        from_gateway = source == self._server
        passes = np.where(from_gateway, HopKind.FROM_GATEWAY, HopKind.TO_GATEWAY)
        passes = np.where(self.is_with_server(contact), HopKind.CONTACT, passes)
        return np.where(contact < self._links, HopKind.LINK, passes)

    def ends(self, contact: Ints, source: Ints, target: Ints) -> tuple[Ints, Ints]:
        """Return which ``nodes`` hops join; one to the ground or from there has its gateway."""
        if self._feeder is None:
            return source, target
        over_pass = contact >= self._links
        gateway = np.zeros_like(contact)
        gateway[over_pass] = self._feeder.station[contact[over_pass] - self._links]
        gateway += self._server + 1
        return (
            np.where(over_pass & (source == self._server), gateway, source),
            np.where(over_pass & (target == self._server), gateway, target),
        )

    def contact_ids(self, contact: Ints) -> Ints:
        """Return the number of each hop's contact with the server, or ``OVER_LINK``."""
        ids = np.full(len(contact), OVER_LINK)
        passes = self.is_with_server(contact)
        ids[passes] = contact[passes] - self._links
        return ids
