"""What is through of every payload of a cluster's devices, and the books of all bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask

CutTransfers = Literal["resume", "restart", "drop"]
Fate = Literal["", "given up", "begins anew"]
DIRECTIONS = ("uplink", "downlink", "sidelink")


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
    """One payload name in one direction, for each device (K,)."""

    open: Mask
    version: Ints
    size: Floats
    through: Floats

    @classmethod
    def empty(cls, devices: int) -> _Entry:
        none = np.zeros(devices)
        return cls(none.astype(bool), none.astype(np.int64), none, none.copy())


@dataclass
class Ledger:
    """Open payloads of K devices by direction and name, and the accounts of all of them.

    A payload is offered when a device first sends it (or asks for it) in a version; it is then
    open until it is delivered or dropped. ``cut_transfers`` says what becomes of one that a pass
    cuts off: it goes on where it was, begins again, or is given up.
    """

    devices: int
    cut_transfers: CutTransfers = "resume"
    accounts: dict[str, Account] = field(
        default_factory=lambda: {direction: Account() for direction in DIRECTIONS}
    )
    _entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)

    def offer(self, direction: str, name: str, version: Ints, size: Floats, who: Mask) -> Mask:
        """Open the payload for devices in ``who``; return those (K,) that forget part of another.

        A payload of another version or size that is still open is stale, and dropped.
        """
        entry = self._entries.setdefault((direction, name), _Entry.empty(self.devices))
        account = self.accounts[direction]
        stale = who & entry.open & ((entry.version != version) | (entry.size != size))
        account.dropped += float(entry.size[stale].sum())
        account.sent_in_vain += float(entry.through[stale].sum())
        forgotten: Mask = stale & (entry.through > 0)
        new = who & (stale | ~entry.open)
        account.offered += float(size[new].sum())
        entry.open = entry.open | new
        entry.version = np.where(new, version, entry.version)
        entry.size = np.where(new, size, entry.size)
        entry.through = np.where(new, 0.0, entry.through)
        return forgotten

    def through(self, direction: str, name: str) -> Floats:
        """Bytes (K,) that are through of what is open; 0 where nothing is."""
        entry = self._entries[direction, name]
        return np.where(entry.open, entry.through, 0.0)

    def settle(
        self,
        direction: str,
        name: str,
        who: Mask,
        done: Mask,
        moved: Floats,
        carry: bool,
        fate: Fate,
        refused: Mask | None = None,
    ) -> Mask:
        """Book what ``who`` have sent of an open payload; return who has given it up (K,).

        ``fate`` is that of those who are not ``done`` and have begun: of others nothing has been
        cut off. What is not to be carried over meets it in any case. What is ``refused`` (K,) was
        sent as a whole, and is given up.
        """
        entry, account = self._entries[direction, name], self.accounts[direction]
        account.sent += float(moved[who].sum())
        account.delivered += float(entry.size[done].sum())
        through = np.where(who, entry.through + moved, entry.through)
        cut = who & ~done & ((through > 0) | (not carry))
        given_up, again = cut & (fate == "given up"), cut & (fate == "begins anew")
        if refused is not None:
            given_up, again = given_up | refused, again & ~refused
        account.dropped += float(entry.size[given_up].sum())
        account.sent_in_vain += float(through[given_up | again].sum())
        entry.open = entry.open & ~(done | given_up)
        entry.through = np.where(entry.open & ~again, through, 0.0)
        return given_up

    def fate(self, carry: bool) -> Fate:
        """Say what becomes of a transfer that is cut off; empty if it goes on where it was."""
        if not carry or self.cut_transfers == "drop":
            return "given up"
        return "begins anew" if self.cut_transfers == "restart" else ""

    def open_bytes(self, direction: str) -> tuple[float, float]:
        """Sizes of the payloads that are open, and what of them is through, all together."""
        entries = [entry for (way, _), entry in self._entries.items() if way == direction]
        whole = sum(float(entry.size[entry.open].sum()) for entry in entries)
        part = sum(float(entry.through[entry.open].sum()) for entry in entries)
        return whole, part
