"""HopLog: keeps messages under way over a mesh, and writes their hops down when somebody looks.

The hops of a message are booked as it sets off, and nothing changes them. So there is no event for
the end of a hop: all that have ended are written down together, in the order in which they ended.
Of hops that end together that of the older message comes first, so that the order does not depend
on when somebody looks.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from learning.requests.payload import Payload
from sim.facts.coded import Coded
from sim.facts.directions import TOWARD_PEER, Way
from sim.facts.stream import Facts
from sim.facts.transfers import Outcome
from sim.links.sharing import everywhere
from sim.mesh.contacts import Contacts, Route
from sim.network.books import Account, Booked, PayloadKey
from sim.network.hop_rows import OVER_LINK, SERVER_NAME, HopRows
from sim.network.payload_list import PayloadList
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.world.topology import Topology

HOPS = 1 << 16
"""Hops of which rows are made together, about: several over each link of a large mesh."""

ONE = np.ones(1, bool)
"""The only device of a satellite."""


class NewHops:
    """The hops that were booked last.

    They are kept as columns of numbers: Python looks for garbage among objects.
    """

    def __init__(self) -> None:
        self._columns = array("q"), array("q"), array("d"), array("d"), array("d")

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, of: int, route: Route) -> None:
        """Add the hops of a message."""
        message, row, begin_s, sent_s, end_s = self._columns
        message.extend([of] * len(route))
        row.extend(route.row)
        begin_s.extend(route.begin_s)
        sent_s.extend(route.sent_s)
        end_s.extend(route.arrival_s)

    def hops(self) -> BookedHops:
        """Return them."""
        return BookedHops._make(np.array(column) for column in self._columns)


class BookedHops(NamedTuple):
    """Columns (N,) of hops that are booked, each ``of`` a message; those of one are in order."""

    of: Ints
    row: Ints
    begin_s: Floats
    sent_s: Floats
    end_s: Floats

    def and_then(self, more: BookedHops) -> BookedHops:
        """Return these, and others behind them."""
        return BookedHops._make(map(np.concatenate, zip(self, more, strict=True)))

    def where(self, some: Mask | Ints) -> BookedHops:
        """Return some of the hops."""
        return BookedHops._make(column[some] for column in self)


NO_HOPS = NewHops().hops()


@dataclass(frozen=True, eq=False)
class MovedHops:
    """Hops (N,) of ``messages`` that have ended, or got so far by ``end_s``; each is ``of`` one.

    Bits have left from ``begin_s``, and the last ones leave at ``sent_s``.
    """

    messages: Sequence[MeshMessage]
    of: Ints
    contact: Ints
    source: Ints
    target: Ints
    begin_s: Floats
    sent_s: Floats
    end_s: Floats
    outcome: Outcome

    @classmethod
    def ended(
        cls, messages: Sequence[MeshMessage], hops: BookedHops, contacts: Contacts
    ) -> MovedHops:
        """Put hops over ``contacts`` that have ended in the order in which they did."""
        number = np.array([message.number for message in messages])
        of, row, begin_s, sent_s, end_s = hops.where(np.lexsort((number[hops.of], hops.end_s)))
        ends = _ends(row, contacts)
        return cls(messages, of, *ends, begin_s, sent_s, end_s, Outcome.DELIVERED)

    @classmethod
    def cut_off(
        cls, messages: Sequence[MeshMessage], hops: BookedHops, contacts: Contacts, end_s: float
    ) -> MovedHops:
        """Return hops over ``contacts`` on which messages are as the run ends."""
        of, row, begin_s, sent_s, _ = hops
        ends_s = np.full(len(of), end_s)
        ends = _ends(row, contacts)
        return cls(messages, of, *ends, begin_s, sent_s, ends_s, Outcome.CARRIED)

    @property
    def sending_s(self) -> Floats:
        """How long bits have left (N,)."""
        lasts_s: Floats = np.minimum(self.sent_s, self.end_s) - self.begin_s
        return lasts_s

    @property
    def size(self) -> Floats:
        """Bytes of the messages (N,)."""
        return np.array([message.size for message in self.messages])[self.of]

    @property
    def share(self) -> Floats:
        """How much of these has left (N,): all, unless the run has cut it off."""
        cut = self.sent_s > self.end_s
        share = np.ones(len(self.of))
        span_s = self.sent_s[cut] - self.begin_s[cut]
        share[cut] = (self.end_s[cut] - self.begin_s[cut]) / span_s
        return share


def _ends(row: Ints, contacts: Contacts) -> tuple[Ints, Ints, Ints]:
    """Return of rows (N,) of ``contacts`` their numbers, sources and targets."""
    return contacts.number[row], contacts.source[row], contacts.target[row]


class _Rows(NamedTuple):
    """Columns (N,) of rows that are still to be emitted; nodes by their numbers."""

    message: Ints
    source: Ints
    target: Ints
    contact_id: Ints
    key: Ints
    version: Ints
    size: Floats
    bytes: Floats
    start_s: Floats
    end_s: Floats
    outcome: Ints


class HopLog:
    """Writes the hops of messages down, and emits rows of many of them as one fact, now and then.

    They are over ``contacts``; what each is, ``kinds`` say; ``sent`` is called with all that are
    written down, in order.
    """

    def __init__(
        self,
        facts: Facts,
        payloads: PayloadList,
        topology: Topology,
        contacts: Contacts,
        kinds: HopKinds,
        sent: Callable[[MovedHops], None],
    ) -> None:
        self._facts = facts
        self._payloads = payloads
        self._topology = topology
        self._contacts = contacts
        self._kinds = kinds
        self._sent = sent
        # Messages that are not through, and their hops.
        self._messages: list[MeshMessage] = []
        self._under_way = NO_HOPS
        self._new = NewHops()
        self._looked_s = -np.inf
        self._added = 0
        self._rows: list[_Rows] = []
        self._keys: list[PayloadKey] = []
        # Of each kind of hop of each payload that was offered.
        self._numbers: dict[tuple[int, Way | None, str, int, float], int] = {}
        self._accounts: defaultdict[PayloadKey, Account] = defaultdict(Account)
        self._unfinished: defaultdict[PayloadKey, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, message: MeshMessage, route: Route) -> None:
        """Take a message that sets off now, with its hops."""
        self._new.add(len(self._messages), route)
        self._messages.append(message)
        self._added += len(route)
        self._looked_s = -np.inf  # a hop may take no time

    @property
    def is_long(self) -> bool:
        """Whether so many hops were booked since the last rows that it is time for others."""
        return self._added >= HOPS

    def look(self, now_s: float) -> None:
        """Write all hops down that have ended by now."""
        if now_s == self._looked_s:
            return
        self._looked_s = now_s
        if self._new:
            self._under_way = self._under_way.and_then(self._new.hops())
            self._new = NewHops()
        hops, messages = self._under_way, self._messages
        ended = hops.end_s <= now_s
        if not np.count_nonzero(ended):
            return
        left = hops.where(~ended)
        places, of = np.unique(left.of, return_inverse=True)
        self._messages = [messages[place] for place in places.tolist()]
        self._under_way = left._replace(of=of)
        self._write(MovedHops.ended(messages, hops.where(ended), self._contacts))

    def cut_off(self, end_s: float) -> list[MeshMessage]:
        """Write all down that is on a hop as the run ends; return the messages under way."""
        self.look(end_s)
        hops, messages = self._under_way, self._messages
        self._under_way, self._messages = NO_HOPS, []
        following = hops.where(np.unique(hops.of, return_index=True)[1])
        begun = following.where(following.begin_s < end_s)
        if len(begun.of):
            self._write(MovedHops.cut_off(messages, begun, self._contacts, end_s))
        return messages

    def flush(self) -> None:
        """Make rows of what was written down, and emit them."""
        self._added = 0
        if not self._rows:
            return
        rows = _Rows(*map(np.concatenate, zip(*self._rows, strict=True)))
        self._rows = []
        keys, key = np.unique(rows.key, return_inverse=True)
        nodes, ends = np.unique([rows.source, rows.target], return_inverse=True)
        source, target = ends.reshape(2, -1)
        words = [self._kinds.nodes[node] for node in nodes.tolist()]
        given = rows._asdict() | {
            "source": Coded(source, words),
            "target": Coded(target, words),
            "keys": [self._keys[number] for number in keys.tolist()],
            "key": key,
        }
        hops = HopRows(**given)
        for row in hops.rows():
            self._facts.emit(row)
        self._facts.emit(hops)

    def _write(self, hops: MovedHops) -> None:
        """Count hops in the accounts, and keep them for their rows."""
        self._sent(hops)
        kind = self._kinds.of(hops.contact, hops.source)
        key = self._keys_of(hops, kind)
        size = hops.size
        moved = size * hops.share
        for number in np.unique(key).tolist():
            mine = key == number
            self._book(self._keys[number], size[mine], moved[mine], hops.outcome)
        messages = hops.messages
        source, target = self._kinds.ends(hops.contact, hops.source, hops.target)
        rows = _Rows(
            message=np.array([message.number for message in messages], np.int64)[hops.of],
            source=source,
            target=target,
            contact_id=self._kinds.contact_ids(hops.contact),
            key=key,
            version=np.array([message.version for message in messages], np.int64)[hops.of],
            size=size,
            bytes=moved,
            start_s=hops.begin_s,
            end_s=hops.end_s,
            outcome=np.full(len(key), hops.outcome, np.int64),
        )
        some = moved > 0.0
        if not everywhere(some):
            rows = _Rows._make(column[some] for column in rows)
        if len(rows.key):  # else all are of payloads without bytes
            self._rows.append(rows)

    def _keys_of(self, hops: MovedHops, kind: Ints) -> Ints:
        """Return the number of the key that each hop (N,) is booked under; list new payloads.

        A message has hops of few kinds, and those of one kind have one key.
        """
        pairs, each = np.unique(hops.of * len(HopKind) + kind, return_inverse=True)
        numbers = []
        for pair in pairs.tolist():
            place, one = divmod(pair, len(HopKind))
            message = hops.messages[place]
            offered = one, message.way, message.payload.name, message.version, message.size
            number = self._numbers.get(offered)
            if number is None:
                number = self._numbers[offered] = self._listed(message, HopKind(one))
            numbers.append(number)
        return np.array(numbers, np.int64)[each]

    def _listed(self, message: MeshMessage, kind: HopKind) -> int:
        """List the payload of a message, for its hops of a kind; return the number of their key."""
        key = self._key(message.payload.name, message.way, kind)
        self._payloads.add(key.direction, key.toward, message.payload, ONE)
        if key not in self._keys:
            self._keys.append(key)
        return self._keys.index(key)

    def _key(self, name: str, way: Way | None, kind: HopKind) -> PayloadKey:
        """By which direction and receiver a hop is booked: that of a link, or of a pass."""
        if kind is HopKind.CONTACT and way is not None:
            return PayloadKey(self._topology.direction(way), way, name)
        if kind is HopKind.FROM_GATEWAY:
            return PayloadKey("uplink", TOWARD_PEER, name)
        if kind is HopKind.TO_GATEWAY:
            return PayloadKey("downlink", TOWARD_PEER, name)
        return PayloadKey("isl", TOWARD_PEER, name)

    def _book(self, key: PayloadKey, size: Floats, moved: Floats, outcome: Outcome) -> None:
        """Add hops (N,) of a key to its account."""
        account = self._accounts[key]
        account.offered = _added(account.offered, size)
        account.sent = _added(account.sent, moved)
        if outcome is Outcome.DELIVERED:
            account.delivered = _added(account.delivered, size)
        else:
            open_bytes, through = self._unfinished[key]
            self._unfinished[key] = [_added(open_bytes, size), _added(through, moved)]

    def booked(self) -> Iterator[Booked]:
        """Yield the account of each payload in each direction: every hop offers it anew.

        They come in the order of their keys, which does not depend on when somebody looked.
        """
        for key, account in sorted(self._accounts.items()):
            open_bytes, through = self._unfinished.get(key, (0.0, 0.0))
            yield Booked(key, account, open_bytes=open_bytes, unfinished_bytes=through)


def _added(before: float, more: Floats) -> float:
    """Add figures one after the other: so a sum does not depend on when somebody looks."""
    return float(np.add.accumulate(np.append(before, more))[-1])


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
        if self._feeder is not None:
            return np.zeros(len(contact), bool)
        return contact >= self._links

    def of(self, contact: Ints, source: Ints) -> Ints:
        """Return of which kind hops are."""
        over_link = contact < self._links
        if self._feeder is None:
            return np.where(over_link, HopKind.LINK, HopKind.CONTACT)
        from_gateway = source == self._server
        passes = np.where(from_gateway, HopKind.FROM_GATEWAY, HopKind.TO_GATEWAY)
        return np.where(over_link, HopKind.LINK, passes)

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
