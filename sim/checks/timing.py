"""The clock runs forward, nothing takes no time, and all is inside its contact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.checks.conservation import TransferRows, worst
from sim.errors import DURATIONS, MONOTONE, violated
from sim.links.sharing import everywhere
from sim.plan.contacts import LAST_BITS_S, PlannedContact
from sim.plan.plan import Plan


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

    def moved(self, rows: TransferRows) -> None:
        """Look at what was moved: a neglected downlink takes no time, all else some."""
        start_s, end_s, now_s = rows.start_s, rows.end_s, self._now_s()
        fine = end_s > start_s
        downlink = rows.direction == "downlink"
        if not everywhere(fine) and downlink and self._neglected(rows.contact_id):
            fine = end_s == start_s
        if not everywhere(fine):
            raise violated(DURATIONS, f"{rows.named(worst(~fine))} has no duration")
        if not (rows.first_s >= 0.0 and rows.last_s <= now_s):
            wrong = ~((start_s >= 0.0) & (end_s <= now_s))
            raise violated(MONOTONE, f"{rows.named(worst(wrong))} was written at {now_s:.3f} s")
        self._looked_at = start_s, end_s

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
        several = isinstance(time_s, np.ndarray)
        first_s, last_s = (time_s.min(), time_s.max()) if several else (time_s, time_s)
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
            began_s = _values_of(device, who, began_s)
        fine: Mask = end_s > began_s
        if not everywhere(fine):
            row = worst(~fine)
            span = f"from {began_s[row]} s to {end_s[row]} s"
            what = f"training of device {device[row]} of {cluster} {span}"
            raise violated(DURATIONS, f"{what} has no duration")


def _values_of(device: Ints, who: Ints, values: Floats) -> Floats:
    """Values of devices, out of those that are known of others; nan for who is not among them."""
    known: Floats = np.full(max(device.max(initial=0), who.max(initial=0)) + 1, np.nan)
    known[who] = values
    found: Floats = known[device]
    return found


# What moves, moves in the contact that it names, while that is served.


INSIDE = "no transfer outside its contact"

ROUNDING = 1e-9
"""Relative rounding of times: of a year it is 30 ms."""


class Contacts:
    """The plan's contacts by number; those that were cut into pieces have one number or several."""

    def __init__(self, plan: Plan) -> None:
        self._pieces: defaultdict[int, list[PlannedContact]] = defaultdict(list)
        self._sessions: defaultdict[tuple[str, int], float] = defaultdict(float)
        for number in np.flatnonzero(plan.contacts.served).tolist():
            contact = plan.contacts[number]
            self._pieces[contact.contact_id].append(contact)
            session = contact.cluster.name, contact.session
            self._sessions[session] = max(self._sessions[session], contact.end_s)

    def of(self, contact_id: int) -> PlannedContact:
        """Return a contact; raise InvariantError for one that is not served."""
        if contact_id not in self._pieces:
            raise violated(INSIDE, f"contact {contact_id} is not served, but something is in it")
        return self._pieces[contact_id][0]

    def session_end_s(self, contact_id: int) -> float:
        """Return when the session of a contact ends."""
        contact = self.of(contact_id)
        return self._sessions[contact.cluster.name, contact.session]

    def neglected(self, contact_id: int) -> bool:
        """Return whether a contact's downlink is neglected."""
        return self.of(contact_id).downlink is None

    def moved(self, rows: TransferRows) -> None:
        """Look at when something moved: its last bits may be on their way when service ends."""
        contact = self.of(rows.contact_id)
        if contact.cluster.name != rows.cluster:
            raise violated(INSIDE, f"{rows.named(0)} names a contact of {contact.cluster.name}")
        for piece in self._pieces[rows.contact_id]:
            slack_s = ROUNDING * max(piece.end_s, 1.0)
            if rows.first_s >= piece.start_s - slack_s and rows.last_s <= piece.end_s + slack_s:
                return
            starts = rows.start_s >= piece.start_s - slack_s
            last_s = np.where(rows.delivered, LAST_BITS_S, 0.0) + piece.end_s + slack_s
            inside = starts & (rows.end_s <= last_s)
            if inside.all():
                return
        one_piece = len(self._pieces[rows.contact_id]) == 1
        span = f"{contact.start_s:.3f} s to {contact.end_s:.3f} s" if one_piece else "in pieces"
        what = f"{rows.named(worst(~inside))}, contact {rows.contact_id} is {span}"
        raise violated(INSIDE, what)

    def connects(self, columns: Mapping[str, Any]) -> None:
        """Look at a contact that opens: its service lasts."""
        for piece in self._pieces[self.of(columns["contact_id"]).contact_id]:
            if not (np.isfinite(piece.end_s) and piece.end_s > piece.start_s):
                span = f"from {piece.start_s} s to {piece.end_s} s"
                raise violated(DURATIONS, f"contact {piece.contact_id} is served {span}")
