"""The bytes of every payload, added up row by row and apart from the ledgers' own books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.books import Sums, check_balance
from sim.errors import violated
from sim.invariants.moved import Moved, everywhere, worst
from sim.ledger import DIRECTIONS

BYTES = "bytes conserved"

ROUNDING = 1e-9
"""Relative rounding of sums of bytes."""


class _Open:
    """What is through of a payload that is carried over, for each device (K,)."""

    def __init__(self, devices: int) -> None:
        self.version: Ints = np.zeros(devices, np.int64)
        self.size: Floats = np.zeros(devices)
        self.through: Floats = np.zeros(devices)

    def before(self, rows: Moved) -> Floats:
        """What was through of the payload of each row; nothing of another version or size."""
        k = rows.device
        same = (self.version[k] == rows.version) & (self.size[k] == rows.size)
        return np.where(same, self.through[k], 0.0)

    def keep(self, rows: Moved, through: Floats) -> None:
        """Remember what goes on."""
        k = rows.device
        self.version[k], self.size[k] = rows.version, rows.size
        self.through[k] = np.where(rows.carried, through, 0.0)


class Payloads:
    """Adds up the rows of payloads that are on their way, and of all directions.

    A payload is one of a cluster's device, in one direction, under one name, in one version. Its
    rows sum to its size when it is delivered, whatever lies between them, and never to more. What
    is given up begins anew; so does what is offered in another version.
    """

    def __init__(self, devices: Mapping[str, int]) -> None:
        self._devices = devices
        self._open: dict[tuple[str, str, str], _Open] = {}
        self.sums = {direction: Sums() for direction in DIRECTIONS}

    def moved(self, rows: Moved) -> None:
        """Add up what devices of a cluster moved."""
        key = rows.cluster, rows.direction, rows.payload
        on_its_way, sums = self._open.get(key), self.sums[rows.direction]
        if on_its_way is None and rows.all_delivered and _whole(rows):
            # Nearly always it is all there at once.
            moved = float(rows.bytes.sum())
            sums.sent, sums.delivered = sums.sent + moved, sums.delivered + moved
            return
        through = rows.bytes
        if on_its_way is not None:
            through = through + on_its_way.before(rows)
        slack = ROUNDING * rows.size
        fine = (rows.bytes > 0) & (through <= rows.size + slack)
        fine &= ~rows.delivered | (through >= rows.size - slack)
        if not everywhere(fine):
            raise violated(BYTES, _said(rows, through, fine))
        sums.sent += float(rows.bytes.sum())
        sums.delivered += float(rows.size[rows.delivered].sum())
        self._keep(key, on_its_way, rows, through)

    def _keep(
        self, key: tuple[str, str, str], on_its_way: _Open | None, rows: Moved, through: Floats
    ) -> None:
        if on_its_way is None:
            if not rows.carried.any():
                return
            on_its_way = self._open[key] = _Open(self._devices[rows.cluster])
        on_its_way.keep(rows, through)
        if not on_its_way.through.any():
            del self._open[key]

    def message(self, columns: Mapping[str, Any]) -> None:
        """Add up a message between devices: there is no contact to go on in, so it is whole."""
        size, moved = columns["payload_bytes"], columns["delivered_bytes"]
        delivered = columns["outcome"] == "delivered"
        if not 0.0 < moved <= size or (delivered and moved != size):
            what = f"{moved} of {size} bytes, {columns['outcome']}"
            raise violated(BYTES, f"the message {columns['payload']} moved {what}")
        self.sums["sidelink"].sent += moved
        self.sums["sidelink"].delivered += size * delivered

    def conclude(self, books: Mapping[str, Mapping[str, float]]) -> None:
        """Hold the books of the whole run against what the rows say."""
        if found := check_balance(books, self.sums):
            raise violated(BYTES, "the bytes of the run do not add up: " + "; ".join(found))


def _whole(rows: Moved) -> bool:
    """Whether each row has all bytes of its payload, to the last bit."""
    return rows.bytes.tobytes() == rows.size.tobytes() and everywhere(rows.bytes > 0)


def _said(rows: Moved, through: Floats, fine: Mask) -> str:
    row = worst(~fine)
    size, moved, total = rows.size[row], rows.bytes[row], through[row]
    outcome = "delivered" if rows.delivered[row] else "not delivered"
    return f"{rows.named(row)} moved {moved} bytes, {total} in all, of {size}, and is {outcome}"
