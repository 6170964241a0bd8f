"""Rows of transfers as they are written, and bytes that are conserved."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.errors import violated
from sim.links.sharing import everywhere
from sim.network.ledger import Sums, check_balance
from sim.trace.assembly import Coded
from sim.trace.schema import DIRECTIONS

BYTES = "bytes conserved"

ROUNDING = 1e-9
"""Relative rounding of sums of bytes."""


class _Open:
    """What is through of a payload that is carried over, for each device (K,)."""

    def __init__(self, devices: int) -> None:
        self.version: Ints = np.zeros(devices, np.int64)
        self.size: Floats = np.zeros(devices)
        self.through: Floats = np.zeros(devices)

    def before(self, rows: TransferRows) -> Floats:
        """What was through of the payload of each row; nothing of another version or size."""
        k = rows.device
        same = (self.version[k] == rows.version) & (self.size[k] == rows.size)
        return np.where(same, self.through[k], 0.0)

    def keep(self, rows: TransferRows, through: Floats) -> None:
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

    def moved(self, rows: TransferRows) -> None:
        """Add up what devices of a cluster moved."""
        key = rows.cluster, rows.direction, rows.payload
        on_its_way, sums = self._open.get(key), self.sums[rows.direction]
        # Nearly always it is all there at once, to the last bit.
        whole = on_its_way is None and rows.all_delivered
        whole = whole and rows.bytes.tobytes() == rows.size.tobytes()
        if whole and everywhere(rows.bytes > 0):
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
        self,
        key: tuple[str, str, str],
        on_its_way: _Open | None,
        rows: TransferRows,
        through: Floats,
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


def _said(rows: TransferRows, through: Floats, fine: Mask) -> str:
    row = worst(~fine)
    size, moved, total = rows.size[row], rows.bytes[row], through[row]
    outcome = "delivered" if rows.delivered[row] else "not delivered"
    return f"{rows.named(row)} moved {moved} bytes, {total} in all, of {size}, and is {outcome}"


# Rows of transfers as they are written: of one cluster, contact, direction and payload.


class TransferRows:
    """What devices (one a row) of a cluster moved of a payload in a contact, in one direction.

    ``bytes`` moved of ``size``. What several invariants ask of the rows is worked out once, and
    what only rare rows need not before they come.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.cluster: str = columns["cluster"]
        self.contact_id: int = columns["contact_id"]
        self.direction: str = columns["direction"]
        self.payload: str = columns["payload"]
        self.device: Ints = columns["device"]
        self.version: Ints = columns["version"]
        self.size: Floats = columns["payload_bytes"]
        self.bytes: Floats = columns["delivered_bytes"]
        self.start_s: Floats = columns["start_s"]
        self.end_s: Floats = columns["end_s"]
        self._outcome: Coded | str = columns["outcome"]
        self.first_s = float(self.start_s.min())
        self.last_s = float(self.end_s.max())

    @cached_property
    def delivered(self) -> Mask:
        """Which rows are the last of a payload that is through."""
        return self._are("delivered")

    @cached_property
    def carried(self) -> Mask:
        """Which rows are of a payload that goes on; others were given up."""
        return self._are("carried")

    @cached_property
    def all_delivered(self) -> bool:
        """Whether nothing was cut off."""
        said = self._outcome
        if isinstance(said, Coded) and said.words[0] == "delivered":
            return not np.count_nonzero(said.codes)
        return everywhere(self.delivered)

    def named(self, row: int) -> str:
        """Say which transfer a row is of."""
        return (
            f"{self.direction} of {self.payload} by device {self.device[row]} of {self.cluster} at "
            f"{self.start_s[row]:.3f} s to {self.end_s[row]:.3f} s"
        )

    def _are(self, word: str) -> Mask:
        said = self._outcome
        if isinstance(said, str):
            return np.full(len(self.device), said == word)
        code = said.words.index(word) if word in said.words else len(said.words)
        rows: Mask = np.asarray(said.codes) == code
        return rows


def worst(wrong: Mask) -> int:
    """Return the first row that is wrong."""
    return int(np.argmax(wrong))
