"""Ledger: which payloads of one client's devices are open, and the account of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.facts.directions import Way
from sim.facts.transfers import Outcome
from sim.links.sharing import everywhere
from sim.network.books import Account, Booked, PayloadKey
from sim.world.topology import GROUND_CLIENTS, Topology


@dataclass
class _Entry:
    """One payload name that goes one way, for each device (K,); what is not ``open`` has 0 bytes
    through. Arrays are replaced, never changed. ``any_open`` says whether it is of anybody."""

    open: Mask
    version: Ints
    size: Floats
    through: Floats
    account: Account
    any_open: bool = False


@dataclass
class Ledger:
    """Open payloads of K devices by way and name, and the account of each.

    A payload is offered when a device first sends it (or asks for it) in a version; it is then
    open until it is delivered or given up. Payloads are booked by their way; the ``topology`` says
    in which direction of the transfers table that is.
    """

    devices: int
    topology: Topology = GROUND_CLIENTS
    _entries: dict[tuple[Way, str], _Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._nobody: Mask = np.zeros(self.devices, bool)
        self._nobody.setflags(write=False)
        self._nothing: Floats = np.zeros(self.devices)
        self._nothing.setflags(write=False)

    def offer(self, way: Way, name: str, version: Ints, size: Floats, who: Mask) -> Mask:
        """Open the payload for devices in ``who``; return those (K,) that forget part of another.

        A payload of another version or size that is still open is stale, and dropped.
        """
        entry = self._entry(way, name)
        account = entry.account
        new = who
        forgotten = self._nobody
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

    def is_open(self, way: Way, name: str) -> bool:
        """Whether the payload is open of any device."""
        entry = self._entries.get((way, name))
        return entry is not None and entry.any_open

    def left(self, way: Way, name: str, version: Ints, size: Floats) -> Floats:
        """Return the bytes (K,) that are still to go of a payload, if it is offered now."""
        entry = self._entries.get((way, name))
        if entry is None or not entry.any_open:
            return size
        same = entry.open & (entry.version == version) & (entry.size == size)
        return np.where(same, size - entry.through, size)

    def settle_whole(self, way: Way, name: str, size: float) -> None:
        """Book a payload of the only device that was offered, sent and delivered in one piece."""
        account = self._entry(way, name).account
        account.offered += size
        account.sent += size
        account.delivered += size

    def _entry(self, way: Way, name: str) -> _Entry:
        """Return the entry of a payload, a new one of which nothing is open if there is none."""
        entry = self._entries.get((way, name))
        if entry is None:
            none = np.zeros(self.devices)
            entry = _Entry(none.astype(bool), none.astype(np.int64), none, none.copy(), Account())
            self._entries[way, name] = entry
        return entry

    def through(self, way: Way, name: str) -> Floats:
        """Bytes (K,) that are through of what is open; 0 where nothing is."""
        return self._entries[way, name].through

    def settle(
        self, way: Way, name: str, who: Mask, moved: Floats, outcome: Ints | Outcome
    ) -> Mask:
        """Book what ``who``, and nobody else, have ``moved`` (K,) of an open payload.

        ``outcome`` is that of each (K,), or of all of them. Returns who has given it up (K,).
        """
        entry = self._entries[way, name]
        account = entry.account
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
        entry.through = self._nothing
        if entry.any_open:
            entry.through = np.where(entry.open & ~again, through, 0.0)
        return given_up

    def heard_again(self, way: Way, name: str, size: float) -> None:
        """Book bytes of a broadcast that others had got from the same transmission before."""
        self._entry(way, name).account.heard_again += size

    def booked(self) -> Iterator[Booked]:
        """Yield the account of each payload, and what is open of it."""
        for (way, name), entry in self._entries.items():
            yield Booked(
                PayloadKey(self.topology.direction(way), way, name),
                entry.account,
                open_bytes=float(entry.size[entry.open].sum()),
                unfinished_bytes=float(entry.through[entry.open].sum()),
            )


def _sum_of(values: Floats, which: Mask) -> float:
    return float(np.add.reduce(values if everywhere(which) else values[which]))
