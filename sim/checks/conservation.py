"""Bytes are conserved: what the rows of transfers add up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sim.errors import violated
from sim.facts.row import single
from sim.facts.transfers import OUTCOMES, Outcome, TransferRow
from sim.links.sharing import everywhere
from sim.network.legs import HopRows, MovedRows
from statements.arrays import Floats, Ints, Mask

BYTES = "bytes conserved"

ROUNDING = 1e-9
"""Relative rounding of sums of bytes, and of times: of a year it is 30 ms."""


class _Open:
    """What is through of a payload that is carried over, for each device (K,)."""

    def __init__(self, devices: int) -> None:
        self._version: Ints = np.zeros(devices, np.int64)
        self._size: Floats = np.zeros(devices)
        self.through: Floats = np.zeros(devices)

    def before(self, device: Ints, version: Ints, size: Floats) -> Floats:
        """What was through of the payload of each row; nothing of another version or size."""
        same = (self._version[device] == version) & (self._size[device] == size)
        return np.where(same, self.through[device], 0.0)

    def keep(self, device: Ints, version: Ints, size: Floats, through: Floats) -> None:
        """Remember what goes on."""
        self._version[device], self._size[device] = version, size
        self.through[device] = through


class Payloads:
    """Adds up the rows of payloads that are on their way.

    A payload is one of a cluster's device, in one direction, under one name, in one version. Its
    rows sum to its size when it is delivered, whatever lies between them, and never to more. What
    is given up begins anew; so does what is offered in another version.
    """

    def __init__(self, devices: Mapping[str, int]) -> None:
        self._devices = devices
        self._open: dict[tuple[str, str, str], _Open] = {}
        self._messages: dict[tuple[Any, ...], float] = {}

    def moved(self, rows: MovedRows) -> None:
        """Add up what devices moved."""
        # Nearly always it is all there at once, to the last bit.
        whole = rows.delivered & (rows.bytes == rows.size) & (rows.bytes > 0)
        if self._open or not everywhere(whole):
            parts = set(np.unique(rows.leg[~whole]).tolist())
            for number, leg in enumerate(rows.legs):
                key = leg.cluster, leg.way, leg.payload
                if number in parts or key in self._open:
                    self._part(key, rows, slice(*rows.first[number : number + 2].tolist()))

    def _part(self, key: tuple[str, str, str], rows: MovedRows, leg: slice) -> None:
        """Add up the rows of one leg, of a payload that is not through at once."""
        device = rows.device[leg]
        version = rows.version[leg]
        size = rows.size[leg]
        delivered = rows.delivered[leg]
        moved = rows.bytes[leg]
        on_its_way = self._open.get(key)
        through = moved
        if on_its_way is not None:
            through = moved + on_its_way.before(device, version, size)
        slack = ROUNDING * size
        fine = (moved > 0) & (through <= size + slack)
        fine &= ~delivered | (through >= size - slack)
        if not everywhere(fine):
            row = worst(~fine)
            name = rows.named(leg.start + row)
            outcome = "" if delivered[row] else "not "
            all_of_it = f"{through[row]} in all, of {size[row]}, and is {outcome}delivered"
            raise violated(BYTES, f"{name} moved {moved[row]} bytes, {all_of_it}")
        carried = rows.outcome[leg] == Outcome.CARRIED
        if on_its_way is None:
            if not carried.any():
                return
            on_its_way = self._open[key] = _Open(self._devices[key[0]])
        on_its_way.keep(device, version, size, np.where(carried, through, 0.0))
        if not on_its_way.through.any():
            del self._open[key]

    @staticmethod
    def hops(rows: HopRows) -> None:
        """Look at hops of messages over a mesh: each moves all of it, unless the run ends."""
        slack = ROUNDING * rows.size
        fine = (rows.bytes > 0.0) & (rows.bytes <= rows.size + slack)
        fine &= ~rows.delivered | (rows.bytes >= rows.size - slack)
        if not everywhere(fine):
            row = worst(~fine)
            moved = f"{rows.bytes[row]} bytes of {rows.size[row]}"
            word = OUTCOMES[rows.outcome[row]]
            raise violated(BYTES, f"{rows.named(row)} moved {moved} over a hop, {word}")

    def message(self, row: TransferRow) -> None:
        """Add up a message between peers, of which a window may have carried a part."""
        size = single(row.payload_bytes)
        moved = single(row.delivered_bytes)
        key = row.cluster, row.device, row.peer, row.payload, row.version
        through = moved + self._messages.pop(key, 0.0)
        delivered = row.outcome == "delivered"
        if row.outcome == "carried":
            self._messages[key] = through
        slack = ROUNDING * size
        if not 0.0 < moved <= through <= size + slack or (delivered and through < size - slack):
            what = f"{moved} bytes, {through} in all, of {size}, {row.outcome}"
            raise violated(BYTES, f"the message {row.payload} moved {what}")


def worst(wrong: Mask) -> int:
    """Return the first row that is wrong."""
    return int(np.argmax(wrong))
