"""The clock runs forward, nothing takes no time, and all is inside its contact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.checks.conservation import worst
from sim.errors import DURATIONS, MONOTONE, violated
from sim.facts.directions import Way
from sim.facts.row import single
from sim.facts.transfers import TransferRow
from sim.links.sharing import everywhere
from sim.network.hop_rows import HopRows
from sim.network.leg_log import MovedRows, TrainedRows
from sim.network.legs import Dropped
from sim.plan.contacts import LAST_BITS_S, PlannedContact
from sim.plan.plan import Plan


@dataclass(frozen=True)
class Times:
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

ROUNDING = 1e-9
"""Relative rounding of times: of a year it is 30 ms."""


class Contacts:
    """The plan's contacts by number; those that were cut into pieces stand in several places."""

    def __init__(self, plan: Plan) -> None:
        self._columns = plan.contacts
        self._places: defaultdict[int, list[int]] = defaultdict(list)
        if plan.contacts.given:  # with numbers of their own
            for place in np.flatnonzero(plan.contacts.served).tolist():
                self._places[plan.contacts[place].contact_id].append(place)

    def _pieces(self, contact_id: int) -> list[int]:
        """Return the places of a contact; raise InvariantError for one that is not served."""
        contacts = self._columns
        found = self._places.get(contact_id)
        if not contacts.given and 0 <= contact_id < len(contacts) and contacts.served[contact_id]:
            found = [contact_id]
        if found is None:
            raise violated(INSIDE, f"contact {contact_id} is not served, but something is in it")
        return found

    def places(self, contact_ids: Ints) -> Ints:
        """Return where contacts, or their first pieces, stand in the plan; errors as of one."""
        contacts = self._columns
        if not contacts.given:
            known = (contact_ids >= 0) & (contact_ids < len(contacts))
            if everywhere(known) and everywhere(contacts.served[contact_ids]):
                return contact_ids
        return np.array([self._pieces(number)[0] for number in contact_ids.tolist()], np.int64)

    def ends(self, contact_ids: Ints) -> list[tuple[str, str]]:
        """Return the names of the satellite and of the place of each contact."""
        return self._columns.ends(self.places(contact_ids))

    def of(self, contact_id: int) -> PlannedContact:
        """Return a contact, or its first piece."""
        return self._columns[self._pieces(contact_id)[0]]

    def session_end_s(self, contact_id: int) -> float:
        """Return when the session of a contact ends."""
        return float(self._columns.session_end_s[self._pieces(contact_id)[0]])

    def moved(self, rows: MovedRows) -> None:
        """Look at when something moved: its last bits may be on their way when service ends."""
        columns = self._columns
        places = self.places(np.array([leg.contact_id for leg in rows.legs], np.int64))
        names = [cluster.name for cluster in columns.clusters]
        for number, cluster in enumerate(columns.cluster[places].tolist()):
            if names[cluster] != rows.legs[number].cluster:
                what = f"{rows.named(int(rows.first[number]))} names a contact of"
                raise violated(INSIDE, f"{what} {names[cluster]}")
        in_pieces = []
        if columns.given:
            pieces_of = [self._pieces(leg.contact_id) for leg in rows.legs]
            in_pieces = [number for number, pieces in enumerate(pieces_of) if len(pieces) > 1]
        spans_s = np.stack([columns.start_s[places], columns.end_s[places]], axis=1)
        outside = ~_inside(rows, slice(None), spans_s, rows.leg)
        for number in in_pieces:
            mine = slice(*rows.first[number : number + 2].tolist())
            pieces = map(self._columns.__getitem__, self._pieces(rows.legs[number].contact_id))
            tried = [_inside(rows, mine, np.array([[p.start_s, p.end_s]]), 0) for p in pieces]
            outside[mine] = False if any(map(everywhere, tried)) else ~tried[-1]
        if np.count_nonzero(outside):
            row = worst(outside)
            leg = rows.legs[rows.leg[row]]
            span = "{:.3f} s to {:.3f} s".format(*spans_s[rows.leg[row]])
            if rows.leg[row] in in_pieces:
                span = "in pieces"
            raise violated(INSIDE, f"{rows.named(row)}, contact {leg.contact_id} is {span}")

    def connect(self, contact_ids: Ints) -> None:
        """Look at contacts that open: their service lasts."""
        places = self.places(contact_ids)
        if self._columns.given:
            pieces = (self._pieces(number) for number in contact_ids.tolist())
            places = np.array([place for each in pieces for place in each], np.int64)
        spans_s = self._columns.start_s[places], self._columns.end_s[places]
        short = ~(np.isfinite(spans_s[1]) & (spans_s[1] > spans_s[0]))
        if np.count_nonzero(short):
            piece = self._columns[int(places[worst(short)])]
            span = f"from {piece.start_s} s to {piece.end_s} s"
            raise violated(DURATIONS, f"contact {piece.contact_id} is served {span}")


def _inside(rows: MovedRows, some: slice, spans_s: Floats, number: Ints | int) -> Mask:
    """Rows within services ``spans_s`` (S, 2), by number; last bits may be on their way."""
    start_s, end_s = spans_s.T
    slack_s = ROUNDING * np.maximum(end_s, 1.0)
    last_s = np.where(rows.delivered[some], LAST_BITS_S, 0.0) + (end_s + slack_s)[number]
    begun = rows.start_s[some] >= (start_s - slack_s)[number]
    return begun & (rows.end_s[some] <= last_s)
