"""Ledger: which payloads of one client's devices are open, by way and name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Cluster
from sim.facts.directions import Way
from sim.facts.transfers import Outcome
from sim.links.sharing import everywhere
from sim.network.books import Account, Books, PayloadKey
from sim.world.topology import Topology
from statements.arrays import Floats, Ints, Mask


@dataclass
class LedgerEntry:
    """One payload name that goes one way, for each device (K,), and its account.

    A device has it open from when it is offered until it is delivered or given up; of what is not
    ``open`` 0 bytes are ``through``. Arrays are replaced, never changed. ``any_open`` says whether
    it is of anybody; an entry begins with nobody and nothing.
    """

    open: Mask
    version: Ints
    size: Floats
    through: Floats
    account: Account
    any_open: bool = False

    def __post_init__(self) -> None:
        self._nobody = self.open
        self._nothing = self.through

    def offer(self, version: Ints, size: Floats, who: Mask) -> Mask:
        """Open the payload for devices in ``who``; return those (K,) that forget part of another.

        A payload of another version or size that is still open is stale, and dropped.
        """
        account = self.account
        new = who
        forgotten = self._nobody
        if self.any_open:
            stale = who & self.open & ((self.version != version) | (self.size != size))
            account.dropped += float(self.size[stale].sum())
            account.sent_in_vain += float(self.through[stale].sum())
            forgotten = stale & (self.through > 0)
            new = who & (stale | ~self.open)
            self.version = np.where(new, version, self.version)
            self.size = np.where(new, size, self.size)
            self.through = np.where(new, 0.0, self.through)
            self.open = self.open | new
        else:
            self.open, self.version, self.size = who, version, size
        self.any_open = self.any_open or bool(np.count_nonzero(who))
        account.offered += _sum_of(size, new)
        return forgotten

    def settle(self, who: Mask, moved: Floats, outcome: Ints | Outcome) -> Mask:
        """Book what ``who``, and nobody else, have ``moved`` (K,) of the payload that is open.

        ``outcome`` is that of each (K,), or of all of them. Returns who has given it up (K,).
        """
        account = self.account
        account.sent += _sum_of(moved, who)
        through = self.through + moved
        given_up = again = self._nobody
        done = who
        if not isinstance(outcome, Outcome):
            done = who & (outcome == Outcome.DELIVERED)
            given_up = who & ((outcome == Outcome.DROPPED) | (outcome == Outcome.CORRUPTED))
            again = who & (outcome == Outcome.RESTARTED)
            account.dropped += float(self.size[given_up].sum())
            account.sent_in_vain += float(through[given_up | again].sum())
        account.delivered += _sum_of(self.size, done)
        self.open = self.open & ~(done | given_up)
        self.any_open = bool(np.count_nonzero(self.open))
        self.through = self._nothing
        if self.any_open:
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
        if entry is None or not entry.any_open:
            return size
        same = entry.open & (entry.version == version) & (entry.size == size)
        return np.where(same, size - entry.through, size)


def _sum_of(values: Floats, which: Mask) -> float:
    return float(np.add.reduce(values if everywhere(which) else values[which]))
