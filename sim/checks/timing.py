"""The clock runs forward, nothing takes no time, and all is inside its contact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from sim.checks.conservation import ROUNDING, worst
from sim.errors import DURATIONS, MONOTONE, violated
from sim.facts.directions import Way
from sim.facts.row import single
from sim.facts.transfers import Outcome, TransferRow
from sim.links.sharing import everywhere
from sim.network.legs import Dropped, HopRows, MovedRows, TrainedRows
from sim.plan.contacts import PlannedContact
from sim.plan.passes import LAST_BITS_S
from sim.plan.plan import Plan
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True)
class TimeCheck:
    """Looks at the times of rows, which were written at some time.

    A row may have an earlier time than now, but none before the run. Only a row that names a
    contact may have a later one, as a device begins when it can: ``latest_s`` is the end of the
    contact's session, the last time allowed. A round ends after its beginning.
    """

    _now_s: Callable[[], float]
    _latest_s: Callable[[int], float]

    def moved(self, rows: MovedRows) -> None:
        """Look at what was moved: a neglected downlink takes no time, all else some."""
        fine = rows.end_s > rows.start_s
        if not everywhere(fine):
            at_once = [leg.way is Way.TO_CLIENT and leg.at_once for leg in rows.legs]
            fine |= rows.of_leg(at_once) & (rows.end_s == rows.start_s)
            if not everywhere(fine):
                raise violated(DURATIONS, f"{rows.named(worst(~fine))} has no duration")
        now_s = rows.of_leg([leg.now_s for leg in rows.legs])
        fine = (rows.start_s >= 0.0) & (rows.end_s <= now_s)
        if not everywhere(fine):
            row = worst(~fine)
            raise violated(MONOTONE, f"{rows.named(row)} was written at {now_s[row]:.3f} s")

    def trained(self, rows: TrainedRows) -> None:
        """Look at when devices began to train, and ended."""
        ends = [self._latest(leg.contact_id, leg.now_s) for leg in rows.legs]
        fine = rows.end_s > rows.start_s
        if not everywhere(fine):
            at_once = np.array([leg.at_once for leg in rows.legs])[rows.leg]
            fine |= at_once & (rows.end_s == rows.start_s)
        if not everywhere(fine):
            row = worst(~fine)
            span = f"from {rows.start_s[row]} s to {rows.end_s[row]} s"
            who = f"device {rows.device[row]} of {rows.legs[rows.leg[row]].cluster}"
            raise violated(DURATIONS, f"training of {who} {span} has no duration")
        for kind, time_s in (("train_start", rows.start_s), ("train_end", rows.end_s)):
            fine = (time_s >= 0.0) & (time_s <= np.array(ends)[rows.leg])
            if not everywhere(fine):
                row = worst(~fine)
                leg = rows.legs[rows.leg[row]]
                self._dated("events", kind, leg.cluster, float(time_s[row]), leg.now_s)

    def dropped(self, record: Dropped) -> None:
        """Look at when something was dropped."""
        latest_s = self._latest(record.contact_id, record.now_s)
        fine = (record.time_s >= 0.0) & (record.time_s <= latest_s)
        if not everywhere(fine):
            at_s = float(record.time_s[worst(~fine)])
            self._dated("events", "drop", record.cluster, at_s, record.now_s)

    def message(self, row: TransferRow) -> None:
        """Look at a message between devices."""
        start_s = single(row.start_s)
        end_s = single(row.end_s)
        now_s = self._now_s()
        what = f"the message {row.payload} at {start_s} s to {end_s} s"
        if not end_s > start_s:
            raise violated(DURATIONS, f"{what} has no duration")
        if not (start_s >= 0.0 and end_s <= now_s):
            raise violated(MONOTONE, f"{what} was written at {now_s:.3f} s")

    def hops(self, rows: HopRows) -> None:
        """Look at hops of messages over a mesh."""
        now_s = self._now_s()
        for fine, name, what in (
            (rows.end_s > rows.start_s, DURATIONS, "has no duration"),
            ((rows.start_s >= 0.0) & (rows.end_s <= now_s), MONOTONE, f"was written at {now_s} s"),
        ):
            if not everywhere(fine):
                row = worst(~fine)
                span = f"{rows.start_s[row]} s to {rows.end_s[row]} s"
                raise violated(name, f"{rows.named(row)} at {span} {what}")

    def dated(self, row: Any) -> None:
        """Look at the time of any other row, or the times of many."""
        first_s = row.time_s
        now_s = self._now_s()
        last_s = first_s
        if isinstance(first_s, np.ndarray):
            first_s, last_s = first_s.min(), first_s.max()
        if first_s >= 0.0 and last_s <= now_s:
            return
        named: Any = getattr(row, "contact_id", None)  # of all, or each its own
        contact_ids = np.atleast_1d(named)
        latest_s = np.array([self._latest(number, now_s) for number in contact_ids.tolist()])
        time_s, latest_s = np.broadcast_arrays(row.time_s, latest_s)
        fine = (time_s >= 0.0) & (time_s <= latest_s)
        if not everywhere(fine):
            kind = getattr(row, "kind", "row")
            self._dated(row.table, kind, row.cluster, float(time_s[worst(~fine)]), now_s)

    def _latest(self, contact_id: int | None, now_s: float) -> float:
        """When a row at the latest is that was written at a time."""
        if contact_id is None:
            return now_s
        return max(now_s, self._latest_s(contact_id) + LAST_BITS_S)

    @staticmethod
    def _dated(table: str, kind: str, cluster: str | None, at_s: float, now_s: float) -> NoReturn:
        what = f"a {kind} of {cluster} is dated {at_s} s in {table}"
        raise violated(MONOTONE, f"{what}, written at {now_s:.3f} s")


INSIDE = "no transfer outside its contact"


class ServedContacts:
    """The plan's contacts by number."""

    def __init__(self, plan: Plan) -> None:
        self._columns = plan.contacts

    def _check_served(self, contact_id: int) -> None:
        """Raise InvariantError for a contact that is not served."""
        contacts = self._columns
        if not (0 <= contact_id < len(contacts) and contacts.served[contact_id]):
            raise violated(INSIDE, f"contact {contact_id} is not served, but something is in it")

    def _check_all_served(self, contact_ids: Ints) -> None:
        """Raise InvariantError where one of these is not served."""
        contacts = self._columns
        known = (contact_ids >= 0) & (contact_ids < len(contacts))
        if not (everywhere(known) and everywhere(contacts.served[contact_ids])):
            for number in contact_ids.tolist():
                self._check_served(number)

    def of(self, contact_id: int) -> PlannedContact:
        """Return a contact."""
        self._check_served(contact_id)
        return self._columns[contact_id]

    def session_end_s(self, contact_id: int) -> float:
        """Return when the session of a contact ends."""
        self._check_served(contact_id)
        return float(self._columns.session_end_s[contact_id])

    def moved(self, rows: MovedRows) -> None:
        """Look at when something moved: its last bits may be on their way when service ends."""
        columns = self._columns
        numbers = np.array([leg.contact_id for leg in rows.legs], np.int64)
        self._check_all_served(numbers)
        names = columns.clients
        for number, cluster in enumerate(columns.client[numbers].tolist()):
            if names[cluster] != rows.legs[number].cluster:
                what = f"{rows.named(int(rows.first[number]))} names a contact of"
                raise violated(INSIDE, f"{what} {names[cluster]}")
        spans_s = np.stack([columns.start_s[numbers], columns.end_s[numbers]], axis=1)
        outside = ~_inside(rows, spans_s)
        if np.count_nonzero(outside):
            row = worst(outside)
            leg = rows.legs[rows.leg[row]]
            span = "{:.3f} s to {:.3f} s".format(*spans_s[rows.leg[row]])
            raise violated(INSIDE, f"{rows.named(row)}, contact {leg.contact_id} is {span}")

    def connect(self, contact_ids: Ints) -> None:
        """Look at contacts that open: their service lasts."""
        self._check_all_served(contact_ids)
        start_s, end_s = self._columns.start_s[contact_ids], self._columns.end_s[contact_ids]
        short = ~(np.isfinite(end_s) & (end_s > start_s))
        if np.count_nonzero(short):
            row = worst(short)
            span = f"from {start_s[row]} s to {end_s[row]} s"
            raise violated(DURATIONS, f"contact {contact_ids[row]} is served {span}")


def _inside(rows: MovedRows, spans_s: Floats) -> Mask:
    """Rows within the services ``spans_s`` (S, 2) of their legs; last bits may be on their way.

    Those of one that is dropped may be, too: what is corrupted is refused when it is there.
    """
    start_s, end_s = spans_s.T
    slack_s = ROUNDING * np.maximum(end_s, 1.0)
    may_be_there = rows.outcome != Outcome.CARRIED
    last_s = np.where(may_be_there, LAST_BITS_S, 0.0) + (end_s + slack_s)[rows.leg]
    begun = rows.start_s >= (start_s - slack_s)[rows.leg]
    return begun & (rows.end_s <= last_s)
