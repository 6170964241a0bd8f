"""Rows are dated in the run, and what takes time takes some."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.clock import MONOTONE
from sim.contacts import LAST_BITS_S
from sim.errors import violated
from sim.invariants.moved import Moved, everywhere, worst

DURATIONS = "no zero or non-finite durations"


class Times:
    """Looks at the times of rows when they are written, at ``now_s``.

    A row may be dated back, but not before the run. Only one that names a contact may be dated
    ahead, as a device begins when it can: to the end of the contact's session at most, of which
    ``latest_s`` knows. Rounds end behind their beginning, of which each device has one at a time.
    """

    def __init__(
        self,
        now_s: Callable[[], float],
        latest_s: Callable[[int], float],
        neglected: Callable[[int], bool],
    ) -> None:
        self._now_s = now_s
        self._latest_s = latest_s
        self._neglected = neglected
        self._began: dict[str, tuple[Ints, Floats]] = {}
        self._looked_at: tuple[Any, Any] = None, None

    def moved(self, rows: Moved) -> None:
        """Look at what was moved: a neglected downlink takes no time, all else some."""
        start_s, end_s, now_s = rows.start_s, rows.end_s, self._now_s()
        fine = end_s > start_s
        if not everywhere(fine) and self._takes_no_time(rows):
            fine = end_s == start_s
        if not everywhere(fine):
            raise violated(DURATIONS, f"{rows.named(worst(~fine))} has no duration")
        if not (rows.first_s >= 0.0 and rows.last_s <= now_s):
            wrong = ~((start_s >= 0.0) & (end_s <= now_s))
            raise violated(MONOTONE, f"{rows.named(worst(wrong))} was written at {now_s:.3f} s")
        self._looked_at = start_s, end_s

    def _takes_no_time(self, rows: Moved) -> bool:
        return rows.direction == "downlink" and self._neglected(rows.contact_id)

    def message(self, columns: Mapping[str, Any]) -> None:
        """Look at a message between devices."""
        start_s, end_s, now_s = columns["start_s"], columns["end_s"], self._now_s()
        what = f"the message {columns['payload']} at {start_s} s to {end_s} s"
        if not end_s > start_s:
            raise violated(DURATIONS, f"{what} has no duration")
        if not (start_s >= 0.0 and end_s <= now_s):
            raise violated(MONOTONE, f"{what} was written at {now_s:.3f} s")

    def dated(self, table: str, columns: Mapping[str, Any]) -> None:
        """Look at the times of rows of any other table."""
        time_s = columns["time_s"]
        if time_s is self._looked_at[0] or time_s is self._looked_at[1]:
            return
        kind = columns.get("kind", "row")
        first_s, last_s = _span_s(time_s)
        now_s = latest_s = self._now_s()
        contact_id = columns.get("contact_id")
        if last_s > now_s and contact_id is not None:
            latest_s = max(now_s, self._latest_s(contact_id) + LAST_BITS_S)
        if not (first_s >= 0.0 and last_s <= latest_s):
            at = first_s if not first_s >= 0.0 else last_s
            what = f"a {kind} of {columns.get('cluster')} is dated {at} s in {table}"
            raise violated(MONOTONE, f"{what}, written at {now_s:.3f} s")

    def begins(self, columns: Mapping[str, Any]) -> None:
        """Remember when devices of a cluster begin to train."""
        self._began[columns["cluster"]] = columns["device"], columns["time_s"]

    def ends(self, columns: Mapping[str, Any]) -> None:
        """Look at how long devices have trained of those that have begun last."""
        cluster, device, end_s = columns["cluster"], columns["device"], columns["time_s"]
        who, began_s = self._began.pop(cluster, (device[:0], end_s[:0]))
        if who is not device:
            began_s = _of(device, who, began_s)
        fine: Mask = end_s > began_s
        if not everywhere(fine):
            row = worst(~fine)
            span = f"from {began_s[row]} s to {end_s[row]} s"
            what = f"training of device {device[row]} of {cluster} {span}"
            raise violated(DURATIONS, f"{what} has no duration")


def _of(device: Ints, who: Ints, values: Floats) -> Floats:
    """Values of devices, out of those that are known of others; nan for who is not among them."""
    known: Floats = np.full(max(device.max(initial=0), who.max(initial=0)) + 1, np.nan)
    known[who] = values
    found: Floats = known[device]
    return found


def _span_s(time_s: Any) -> tuple[float, float]:
    """First and last of some times; nan where one is none."""
    if isinstance(time_s, np.ndarray):
        return float(time_s.min()), float(time_s.max())
    return time_s, time_s
