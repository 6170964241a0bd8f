"""Bytes: payloads offered and open, accounts, books that balance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from learning.requests.payload import Payload, TensorSize
from sim.links.sharing import everywhere
from sim.network.outcomes import Outcome
from sim.trace.directions import DIRECTIONS, Topology, Way


@dataclass
class Account:
    """Bytes in one direction: payloads offered and what became of them, and what was sent.

    ``sent_in_vain`` went over the link for payloads or attempts that were then given up.
    """

    offered: float = 0.0
    delivered: float = 0.0
    dropped: float = 0.0
    sent: float = 0.0
    sent_in_vain: float = 0.0


@dataclass
class _Entry:
    """One payload name that goes one way, for each device (K,); what is not ``open`` has 0 bytes
    through. Arrays are replaced, never changed. ``any_open`` says whether it is of anybody."""

    open: Mask
    version: Ints
    size: Floats
    through: Floats
    any_open: bool = False


@dataclass
class Ledger:
    """Open payloads of K devices by way and name, and the accounts of all of them.

    A payload is offered when a device first sends it (or asks for it) in a version; it is then
    open until it is delivered or given up. Payloads are booked by their way; the ``topology`` says
    in which direction of the transfers table that is.
    """

    devices: int
    topology: Topology = Topology.GROUND_CLIENTS
    accounts: dict[Way, Account] = field(default_factory=lambda: {way: Account() for way in Way})
    _entries: dict[tuple[Way, str], _Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._nobody: Mask = np.zeros(self.devices, bool)
        self._nobody.setflags(write=False)

    def offer(self, way: Way, name: str, version: Ints, size: Floats, who: Mask) -> Mask:
        """Open the payload for devices in ``who``; return those (K,) that forget part of another.

        A payload of another version or size that is still open is stale, and dropped.
        """
        entry = self._entries.get((way, name))
        if entry is None:
            none = np.zeros(self.devices)
            entry = _Entry(none.astype(bool), none.astype(np.int64), none, none.copy())
            self._entries[way, name] = entry
        account, new, forgotten = self.accounts[way], who, self._nobody
        if entry.any_open:
            stale = who & entry.open & ((entry.version != version) | (entry.size != size))
            account.dropped += float(entry.size[stale].sum())
            account.sent_in_vain += float(entry.through[stale].sum())
            forgotten = stale & (entry.through > 0)
            new = who & (stale | ~entry.open)
            entry.version = np.where(new, version, entry.version)
            entry.size = np.where(new, size, entry.size)
            entry.through = np.where(new, 0.0, entry.through)
            entry.open = entry.open | new
        else:
            entry.open, entry.version, entry.size = who, version, size
        entry.any_open = entry.any_open or bool(np.count_nonzero(who))
        account.offered += _sum_of(size, new)
        return forgotten

    def through(self, way: Way, name: str) -> Floats:
        """Bytes (K,) that are through of what is open; 0 where nothing is."""
        return self._entries[way, name].through

    def settle(
        self, way: Way, name: str, who: Mask, moved: Floats, outcome: Ints | Outcome
    ) -> Mask:
        """Book what ``who``, and nobody else, have ``moved`` (K,) of an open payload.

        ``outcome`` is that of each (K,), or of all of them. Returns who has given it up (K,).
        """
        entry, account = self._entries[way, name], self.accounts[way]
        account.sent += _sum_of(moved, who)
        through = entry.through + moved
        given_up = again = self._nobody
        done = who
        if not isinstance(outcome, Outcome):
            done = who & (outcome == Outcome.DELIVERED)
            given_up = who & ((outcome == Outcome.DROPPED) | (outcome == Outcome.CORRUPTED))
            again = who & (outcome == Outcome.RESTARTED)
            account.dropped += float(entry.size[given_up].sum())
            account.sent_in_vain += float(through[given_up | again].sum())
        account.delivered += _sum_of(entry.size, done)
        entry.open = entry.open & ~(done | given_up)
        entry.any_open = bool(np.count_nonzero(entry.open))
        entry.through = np.where(entry.open & ~again, through, 0.0)
        return given_up

    def accounts_in(self, direction: str) -> list[Account]:
        """Return the accounts of what goes in a direction of the transfers table."""
        return [
            account
            for way, account in self.accounts.items()
            if self.topology.direction(way) == direction
        ]

    def open_bytes(self, direction: str) -> tuple[float, float]:
        """Sizes of the payloads that are open, and what of them is through, all together."""
        entries = [
            entry
            for (way, _), entry in self._entries.items()
            if self.topology.direction(way) == direction
        ]
        whole = sum(float(entry.size[entry.open].sum()) for entry in entries)
        part = sum(float(entry.through[entry.open].sum()) for entry in entries)
        return whole, part


def _sum_of(values: Floats, which: Mask) -> float:
    return float(np.add.reduce(values if everywhere(which) else values[which]))


# The books of all bytes of a run, and whether they balance.


Books = dict[str, dict[str, float]]

TOLERANCE = 1e-9
"""Relative rounding of sums of bytes."""


class Booked(Protocol):
    """Where bytes are booked: accounts by direction of the table, and what is still open."""

    def accounts_in(self, direction: str) -> list[Account]:
        """Return the accounts of one direction."""

    def open_bytes(self, direction: str) -> tuple[float, float]:
        """Sizes of the payloads that are open, and what of them is through, all together."""


def books_of(ledgers: Iterable[Booked]) -> Books:
    """Return for each direction of the table the bytes offered, and what became of them.

    ``carried_bytes`` are those of payloads still open at the end, ``sent_bytes`` what went over the
    links, ``unfinished_bytes`` what of it belongs to open payloads and ``vain_bytes`` what belongs
    to attempts that were given up.
    """
    every = list(ledgers)
    return {direction: _account(every, direction) for direction in DIRECTIONS}


def _account(ledgers: list[Booked], direction: str) -> dict[str, float]:
    accounts = [account for ledger in ledgers for account in ledger.accounts_in(direction)]
    still_open = [ledger.open_bytes(direction) for ledger in ledgers]
    return {
        "offered_bytes": sum(account.offered for account in accounts),
        "delivered_bytes": sum(account.delivered for account in accounts),
        "carried_bytes": sum(whole for whole, _ in still_open),
        "dropped_bytes": sum(account.dropped for account in accounts),
        "sent_bytes": sum(account.sent for account in accounts),
        "unfinished_bytes": sum(part for _, part in still_open),
        "vain_bytes": sum(account.sent_in_vain for account in accounts),
    }


@dataclass
class Sums:
    """Bytes in one direction as the rows of the transfers table have them.

    All that was ``sent``, and the sizes of the payloads that were ``delivered``.
    """

    sent: float = 0.0
    delivered: float = 0.0


def check_balance(books: Mapping[str, Mapping[str, float]], rows: Mapping[str, Sums]) -> list[str]:
    """Return what does not add up in the books of each direction, or not with its rows."""
    return [line for way in DIRECTIONS for line in _faults(books[way], way, rows[way])]


def _faults(b: Mapping[str, float], direction: str, rows: Sums) -> Iterator[str]:
    fate = b["delivered_bytes"] + b["carried_bytes"] + b["dropped_bytes"]
    if not _equal(b["offered_bytes"], fate):
        yield f"{direction} offered {b['offered_bytes']} bytes, but {fate} have a fate"
    use = b["delivered_bytes"] + b["unfinished_bytes"] + b["vain_bytes"]
    if not _equal(b["sent_bytes"], use):
        yield f"{direction} sent {b['sent_bytes']} bytes, but {use} are accounted for"
    if not _equal(b["sent_bytes"], rows.sent):
        yield f"{direction} sent {b['sent_bytes']} bytes, but the rows have {rows.sent}"
    if not _equal(b["delivered_bytes"], rows.delivered):
        whole = f"{direction} delivered payloads of {b['delivered_bytes']} bytes"
        yield f"{whole}, but the rows those of {rows.delivered}"


def _equal(one: float, other: float) -> bool:
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=1e-3))


# What payloads of a run are made of, by direction, receiver and name.


@dataclass
class _Seen:
    """A payload as it was offered: its largest size with its tensors, and its versions."""

    bytes: float
    tensors: tuple[TensorSize, ...]
    first_version: int
    last_version: int


class PayloadList:
    """The payloads that methods have asked to carry."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], _Seen] = {}

    def add(self, direction: str, toward: str, payload: Payload, who: Mask) -> None:
        """Note a payload that the devices in ``who`` (K,) send or ask for.

        ``direction`` and ``toward`` are those of its rows in the transfers table.
        """
        if not np.count_nonzero(who):
            return
        (_, size), (first, last) = _range(payload.bytes, who), _range(payload.version, who)
        key = direction, toward, payload.name
        seen = self._seen.get(key)
        if seen is None:
            seen = _Seen(float(size), payload.tensors, int(first), int(last))
            self._seen[key] = seen
        if size > seen.bytes:
            seen.bytes, seen.tensors = float(size), payload.tensors
        seen.first_version = min(seen.first_version, int(first))
        seen.last_version = max(seen.last_version, int(last))

    def listed(self) -> list[dict[str, Any]]:
        """Return them as JSON, uplinks first, by name; where it is equal, the clients' first."""
        by_name = sorted(self._seen, key=lambda key: (DIRECTIONS.index(key[0]), key[2], key[1]))
        return [
            {
                "direction": direction,
                "toward": toward,
                "payload": name,
                **asdict(self._seen[direction, toward, name]),
            }
            for direction, toward, name in by_name
        ]


def _range(values: Any, who: Mask) -> tuple[float, float]:
    """Least and most of a number for each device (K,), or of one for all."""
    if np.ndim(values) == 0:
        return values, values
    some = values if everywhere(who) else np.broadcast_to(values, who.shape)[who]
    return np.minimum.reduce(some), np.maximum.reduce(some)
