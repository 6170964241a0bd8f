"""Books: what all payloads of a run are made of, what became of them, and whether that balances.

Whoever carries payloads takes an account here for each, and adds to it what is offered, sent,
delivered and dropped: nobody else sums bytes. A ledger says which payloads of one client's devices
are open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from learning.requests.cluster import Cluster
from learning.requests.payload import Payload, TensorSize
from sim.facts.directions import DIRECTIONS, Way
from sim.facts.transfers import Outcome
from sim.world.topology import Topology
from statements.arrays import Floats, Ints, Mask

Totals = dict[str, dict[str, float]]
"""Sums of bytes, of each direction or payload."""

TOLERANCE = 1e-9
"""Relative rounding of sums of bytes."""


StillOpen = Callable[[], tuple[float, float]]
"""Bytes of the payloads of an account that are open now, and what of them is through."""


class PayloadKey(NamedTuple):
    """A payload by its direction, its receiver and its name, as the transfers table has them."""

    direction: str
    toward: str
    payload: str

    def __str__(self) -> str:
        return f"{self.direction} of {self.payload} to the {self.toward}"


@dataclass
class Account:
    """Bytes of payloads of a ``key`` that were offered and what became of them, and what was sent.

    It is that of one client's devices, or of all clients together. ``sent_in_vain`` went over the
    link for payloads or attempts that were then given up. What is ``sent`` is counted for each
    receiver: ``heard_again`` is the part of it that was on the air for another receiver of the same
    broadcast. Payloads that are still open have ``open_bytes``, of which ``unfinished_bytes`` are
    through: they are added to the account, or ``still_open`` is asked for them.
    """

    key: PayloadKey
    offered: float = 0.0
    delivered: float = 0.0
    dropped: float = 0.0
    sent: float = 0.0
    sent_in_vain: float = 0.0
    heard_again: float = 0.0
    open_bytes: float = 0.0
    unfinished_bytes: float = 0.0
    still_open: StillOpen | None = None

    @property
    def now(self) -> Account:
        """The account with what is open now, where somebody is asked for that."""
        if self.still_open is None:
            return self
        open_bytes, unfinished_bytes = self.still_open()
        return replace(self, open_bytes=open_bytes, unfinished_bytes=unfinished_bytes)

    def add(self, size: Floats, moved: Floats, *, whole: bool) -> None:
        """Add payloads (N,) of which so much has moved: all of them, or they are still open.

        They are added one after the other: so a sum does not depend on when somebody looks.
        """
        self.offered = _added(self.offered, size)
        self.sent = _added(self.sent, moved)
        if whole:
            self.delivered = _added(self.delivered, size)
        else:
            self.open_bytes = _added(self.open_bytes, size)
            self.unfinished_bytes = _added(self.unfinished_bytes, moved)


def _added(before: float, more: Floats) -> float:
    return float(np.add.accumulate(np.append(before, more))[-1])


@dataclass
class _Listed:
    """A payload as it was offered: its largest size with its tensors, and its versions."""

    bytes: float
    tensors: tuple[TensorSize, ...]
    first_version: int
    last_version: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON, without copies of shapes: there are many."""
        return vars(self) | {"tensors": [vars(tensor) for tensor in self.tensors]}


class Books:
    """The accounts of a run, and the list of its payloads.

    Each of the ``clients`` has accounts of its own. Messages, which are of no client alone, have
    one for each payload.
    """

    def __init__(self, clients: Sequence[str] = ()) -> None:
        self._of_clients: dict[str, dict[PayloadKey, Account]] = {name: {} for name in clients}
        self._of_messages: dict[PayloadKey, Account] = {}
        self._listed: dict[PayloadKey, _Listed] = {}

    def account(
        self, key: PayloadKey, client: str | None = None, still_open: StillOpen | None = None
    ) -> Account:
        """Return an account of a client, or of messages; it begins when it is first asked for."""
        accounts = self._of_messages if client is None else self._of_clients[client]
        if key not in accounts:
            accounts[key] = Account(key, still_open=still_open)
        return accounts[key]

    def booked(self) -> Iterator[Account]:
        """Yield all accounts with what is open now: those of clients, and those of messages.

        The latter come in the order of their keys, which does not depend on when somebody looked.
        """
        for accounts in self._of_clients.values():
            for account in accounts.values():
                yield account.now
        for _, account in sorted(self._of_messages.items()):
            yield account.now

    def enlist(self, key: PayloadKey, payload: Payload, who: Mask) -> None:
        """List a payload that the devices in ``who`` (K,) send or ask for."""
        if not who.any():
            return
        (_, size), (first, last) = _range(payload.bytes, who), _range(payload.version, who)
        listed = self._listed.get(key)
        if listed is None:
            listed = _Listed(float(size), payload.tensors, int(first), int(last))
            self._listed[key] = listed
        if size > listed.bytes:
            listed.bytes = float(size)
            listed.tensors = payload.tensors
        listed.first_version = min(listed.first_version, int(first))
        listed.last_version = max(listed.last_version, int(last))

    def listed(self) -> list[dict[str, Any]]:
        """Return the payloads as JSON, uplinks first, by name; of one name the clients' first."""
        in_order = sorted(
            self._listed, key=lambda key: (DIRECTIONS.index(key.direction), key.payload, key.toward)
        )
        return [key._asdict() | self._listed[key].as_json() for key in in_order]


def _range(values: Any, who: Mask) -> tuple[float, float]:
    """Least and most of a number for each device (K,), or of one for all."""
    some = np.broadcast_to(values, who.shape)[who]
    return some.min(), some.max()


def books_of(booked: Iterable[Account]) -> Totals:
    """Return for each direction of the table the bytes offered, and what became of them.

    ``carried_bytes`` are those of payloads still open at the end, ``sent_bytes`` what all receivers
    got, ``unfinished_bytes`` what of it belongs to open payloads and ``vain_bytes`` what belongs to
    attempts that were given up. ``on_air_bytes`` is the traffic: a broadcast counts once.
    """
    every = list(booked)
    return {
        direction: _sums([one for one in every if one.key.direction == direction])
        for direction in DIRECTIONS
    }


def books_by_payload(booked: Iterable[Account]) -> Totals:
    """Return the same by payload, named as messages name them."""
    by_key: dict[PayloadKey, list[Account]] = {}
    for one in booked:
        by_key.setdefault(one.key, []).append(one)
    return {str(key): _sums(some) for key, some in by_key.items()}


def _sums(booked: Iterable[Account]) -> dict[str, float]:
    every = list(booked)
    return {
        "offered_bytes": sum(one.offered for one in every),
        "delivered_bytes": sum(one.delivered for one in every),
        "carried_bytes": sum(one.open_bytes for one in every),
        "dropped_bytes": sum(one.dropped for one in every),
        "sent_bytes": sum(one.sent for one in every),
        "unfinished_bytes": sum(one.unfinished_bytes for one in every),
        "vain_bytes": sum(one.sent_in_vain for one in every),
        "on_air_bytes": sum(one.sent - one.heard_again for one in every),
    }


@dataclass
class Sums:
    """Bytes in one direction, or of one payload, as the rows of the transfers table have them.

    All that was ``sent`` to each receiver, the sizes of the payloads that were ``delivered``, what
    was ``on_air``, and the ``largest`` of all sizes.
    """

    sent: float = 0.0
    delivered: float = 0.0
    on_air: float = 0.0
    largest: float = 0.0


def check_balance(books: Mapping[str, Mapping[str, float]], rows: Mapping[str, Sums]) -> list[str]:
    """Return what does not add up in the books of a direction or payload, or not with its rows."""
    nothing = Sums()
    faults = [
        line for name in books for line in _faults(books[name], name, rows.get(name, nothing))
    ]
    return faults + [f"{name} has rows, but no books" for name in rows if name not in books]


def _faults(b: Mapping[str, float], name: str, rows: Sums) -> Iterator[str]:
    fate = b["delivered_bytes"] + b["carried_bytes"] + b["dropped_bytes"]
    if not _equal(b["offered_bytes"], fate):
        yield f"{name} offered {b['offered_bytes']} bytes, but {fate} have a fate"
    use = b["delivered_bytes"] + b["unfinished_bytes"] + b["vain_bytes"]
    if not _equal(b["sent_bytes"], use):
        yield f"{name} sent {b['sent_bytes']} bytes, but {use} are accounted for"
    if not _equal(b["sent_bytes"], rows.sent):
        yield f"{name} sent {b['sent_bytes']} bytes, but the rows have {rows.sent}"
    if not _equal(b["on_air_bytes"], rows.on_air):
        sent = f"{name} sent {b['on_air_bytes']} bytes on the air"
        yield f"{sent}, but the rows have {rows.on_air}"
    if not _equal(b["delivered_bytes"], rows.delivered):
        whole = f"{name} delivered payloads of {b['delivered_bytes']} bytes"
        yield f"{whole}, but the rows those of {rows.delivered}"


def _equal(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=1e-3))


@dataclass
class LedgerEntry:
    """One payload name that goes one way, for each device (K,), and its account.

    A device has it open from when it is offered until it is delivered or given up; of what is not
    ``open`` 0 bytes are ``through``. Arrays are replaced, never changed.
    """

    open: Mask
    version: Ints
    size: Floats
    through: Floats
    account: Account

    def offer(self, version: Ints, size: Floats, who: Mask) -> Mask:
        """Open the payload for devices in ``who``; return those (K,) that forget part of another.

        A payload of another version or size that is still open is stale, and dropped.
        """
        account = self.account
        stale = who & self.open & ((self.version != version) | (self.size != size))
        account.dropped += float(self.size[stale].sum())
        account.sent_in_vain += float(self.through[stale].sum())
        forgotten = stale & (self.through > 0)
        new = who & (stale | ~self.open)
        self.version = np.where(new, version, self.version)
        self.size = np.where(new, size, self.size)
        self.through = np.where(new, 0.0, self.through)
        self.open = self.open | new
        account.offered += float(size[new].sum())
        return forgotten

    def settle(self, who: Mask, moved: Floats, outcome: Ints | Outcome) -> Mask:
        """Book what ``who``, and nobody else, have ``moved`` (K,) of the payload that is open.

        ``outcome`` is that of each (K,), or of all of them. Returns who has given it up (K,).
        """
        account = self.account
        account.sent += float(moved[who].sum())
        through = self.through + moved
        done = who & np.equal(outcome, Outcome.DELIVERED)
        given_up = who & np.isin(outcome, (Outcome.DROPPED, Outcome.CORRUPTED))
        again = who & np.equal(outcome, Outcome.RESTARTED)
        account.dropped += float(self.size[given_up].sum())
        account.sent_in_vain += float(through[given_up | again].sum())
        account.delivered += float(self.size[done].sum())
        self.open = self.open & ~(done | given_up)
        self.through = np.where(self.open & ~again, through, 0.0)
        return given_up

    def still_open(self) -> tuple[float, float]:
        """Return the bytes of all that is open now, and what of them is through."""
        return float(self.size[self.open].sum()), float(self.through[self.open].sum())


class Ledger:
    """Open payloads of a cluster's devices (K) by way and name, with their accounts in the books.

    Payloads are booked by their way; the ``topology`` says in which direction of the transfers
    table that is.
    """

    def __init__(self, cluster: Cluster, topology: Topology, books: Books) -> None:
        self._client = cluster.name
        self._topology = topology
        self._books = books
        self._entries: dict[tuple[Way, str], LedgerEntry] = {}
        k = cluster.devices
        self._empty = np.zeros(k, bool), np.zeros(k, np.int64), np.zeros(k), np.zeros(k)
        for values in self._empty:
            values.setflags(write=False)

    def entry(self, way: Way, name: str) -> LedgerEntry:
        """Return the entry of a payload, a new one of which nothing is open if there is none."""
        entry = self._entries.get((way, name))
        if entry is None:
            key = PayloadKey(self._topology.direction(way), way, name)
            entry = LedgerEntry(*self._empty, self._books.account(key, self._client))
            entry.account.still_open = entry.still_open
            self._entries[way, name] = entry
        return entry

    def left(self, way: Way, name: str, version: Ints, size: Floats) -> Floats:
        """Return the bytes (K,) that are still to go of a payload, if it is offered now."""
        entry = self._entries.get((way, name))
        if entry is None:
            return size
        same = entry.open & (entry.version == version) & (entry.size == size)
        return np.where(same, size - entry.through, size)
