"""What moves, moves in the contact that it names, while that is served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from sim.contacts import LAST_BITS_S
from sim.errors import violated
from sim.invariants.moved import Moved, worst
from sim.invariants.times import DURATIONS
from sim.plan import Plan
from sim.planned_contact import PlannedContact

INSIDE = "no transfer outside its contact"

ROUNDING = 1e-9
"""Relative rounding of times: of a year it is 30 ms."""


class Contacts:
    """The plan's contacts by number; those that were cut into pieces have one number or several."""

    def __init__(self, plan: Plan) -> None:
        self._pieces: defaultdict[int, list[PlannedContact]] = defaultdict(list)
        self._sessions: defaultdict[tuple[str, int], float] = defaultdict(float)
        for contact in plan.contacts:
            if contact.served:
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

    def moved(self, rows: Moved) -> None:
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
