"""The log of legs: one record for each training or transfer, of which rows are made in blocks.

A record refers to the arrays (K,) of its leg. Rows of transfers, and events of training, transfers
and drops, are made of many records at once: when the log is long enough, when the trace is asked
for what it holds, and at the end. No other rows are of these kinds and name a contact's device, so
that the order of rows that tie, which is that in which they were written, does not depend on when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from learning.requests.facts import Cause
from sim.links.sharing import everywhere
from sim.trace.arrow import NOTHING, Coded
from sim.trace.directions import Topology, Way
from sim.trace.recorder import Trace

OUTCOMES = ("delivered", "carried", "dropped")
DELIVERED, CARRIED, DROPPED = range(3)

VERBS = {Way.TO_SERVER: "upload", Way.TO_CLIENT: "download"}

LEGS = 1000
"""Records of which rows are made together, at most."""
ROWS = 1 << 16
"""Devices of all records together, about, from which on rows are made of fewer records."""


class Moved(NamedTuple):
    """What the devices in ``who`` (K,) moved of a payload in a contact, until it was there.

    ``outcome`` is that of each, or of all. The record was written at ``now_s``. A neglected link
    takes no time: all of it is there ``at_once``.
    """

    cluster: str
    contact_id: int
    way: Way
    payload: str
    who: Mask
    version: Ints
    size: Floats
    bytes: Floats
    start_s: Floats
    end_s: Floats
    outcome: Ints | int
    now_s: float
    at_once: bool = False


class Trained(NamedTuple):
    """Rounds of the devices in ``who`` (K,), in a contact or, where that is None, in a gap."""

    cluster: str
    contact_id: int | None
    who: Mask
    rounds: Ints
    start_s: Floats
    end_s: Floats
    now_s: float


class Dropped(NamedTuple):
    """What devices (R,) had moved by ``time_s`` (R,), and is given up, or forgotten."""

    cluster: str
    contact_id: int
    who: Ints
    version: Ints
    time_s: Floats
    detail: str
    now_s: float
    cause: Cause | None = None


Record = Moved | Trained | Dropped
Edge = tuple[float, str, str, int, str]
"""When a contact opens or closes: time, kind of event, cluster, contact and satellite."""


@dataclass(frozen=True, eq=False)
class MovedRows:
    """Rows of transfers, and the record (``leg``) and ``device`` that each is of.

    ``first`` says where the rows of each record begin; the last one is how many there are. The
    ``directions`` of the records are those of the transfers table.
    """

    legs: Sequence[Moved]
    leg: Ints
    device: Ints
    version: Ints
    size: Floats
    bytes: Floats
    start_s: Floats
    end_s: Floats
    outcome: Ints
    first: Ints
    directions: Sequence[str]

    @classmethod
    def of(cls, legs: Sequence[Moved], topology: Topology) -> MovedRows:
        """Rows of records, one behind the other."""
        leg, device, some = _devices(legs)
        codes = [record.outcome for record in legs]
        if all(isinstance(code, int) for code in codes):
            outcome = np.array(codes)[leg]
        else:
            each = zip(codes, legs, strict=True)
            outcome = np.concatenate([np.broadcast_to(c, r.who.shape) for c, r in each])[some]
        return cls(
            legs,
            leg,
            device,
            version=_joined(record.version for record in legs)[some],
            size=_joined(record.size for record in legs)[some],
            bytes=_joined(record.bytes for record in legs)[some],
            start_s=_joined(record.start_s for record in legs)[some],
            end_s=_joined(record.end_s for record in legs)[some],
            outcome=outcome,
            first=np.searchsorted(leg, np.arange(len(legs) + 1)),
            directions=[topology.direction(record.way) for record in legs],
        )

    def of_leg(self, values: Sequence[Any]) -> np.ndarray:
        """A value of each record, for each of its rows."""
        return np.asarray(values)[self.leg]

    def text(self, field: str) -> Coded:
        """A text of each record, for each of its rows."""
        return _text([getattr(record, field) for record in self.legs], self.leg)

    @cached_property
    def delivered(self) -> Mask:
        """Which rows are the last of a payload that is through."""
        return self.outcome == DELIVERED

    def named(self, row: int) -> str:
        """Say which transfer a row is of."""
        leg, direction = self.legs[self.leg[row]], self.directions[self.leg[row]]
        return (
            f"{direction} of {leg.payload} by device {self.device[row]} of {leg.cluster} at "
            f"{self.start_s[row]:.3f} s to {self.end_s[row]:.3f} s"
        )


@dataclass(frozen=True, eq=False)
class TrainedRows:
    """Rows of training, and the record (``leg``) and ``device`` that each is of."""

    legs: Sequence[Trained]
    leg: Ints
    device: Ints
    rounds: Ints
    start_s: Floats
    end_s: Floats

    @classmethod
    def of(cls, legs: Sequence[Trained]) -> TrainedRows:
        """Rows of records, one behind the other."""
        leg, device, some = _devices(legs)
        return cls(
            legs,
            leg,
            device,
            rounds=_joined(record.rounds for record in legs)[some],
            start_s=_joined(record.start_s for record in legs)[some],
            end_s=_joined(record.end_s for record in legs)[some],
        )


def _joined(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The arrays (K,) of some records, one behind the other."""
    return np.concatenate(list(arrays))


def _devices(legs: Sequence[Moved | Trained]) -> tuple[Ints, Ints, Ints | slice]:
    """Record and device of each row, and which of all devices of the records have one."""
    who = _joined(record.who for record in legs)
    counts = np.array([len(record.who) for record in legs])
    leg = np.repeat(np.arange(len(legs)), counts)
    device = np.arange(len(leg)) - np.repeat(np.cumsum(counts) - counts, counts)
    if everywhere(who):
        return leg, device, slice(None)
    some = np.flatnonzero(who)
    return leg[some], device[some], some


def _text(words: Iterable[str], leg: Ints) -> Coded:
    """The text of each record, for each of its rows."""
    known: dict[str, int] = {}
    codes = np.array([known.setdefault(word, len(known)) for word in words])
    return Coded(codes[leg], list(known))


def _optional_text(words: Sequence[str | None], leg: Ints) -> Coded | None:
    """The text of each record that has one, for each of its rows; None where none has."""
    known = list(dict.fromkeys(word for word in words if word is not None))
    if not known:
        return None
    codes = np.array([NOTHING if word is None else known.index(word) for word in words])
    return Coded(codes[leg], known)


Watch = Callable[["Block"], None]


class Block(NamedTuple):
    """Rows that were made together; None or nothing where there were no records of a kind."""

    moved: MovedRows | None
    trained: Sequence[TrainedRows]
    dropped: Sequence[Dropped]
    contacts: Sequence[Edge]


class LegLog:
    """Records of a run's legs, until rows are made of them and added to ``trace``.

    ``watch`` is called with each block of rows when all of it is in the trace. ``transfers`` counts
    the records of transfers so far. ``topology`` says which directions these have in tables.
    """

    def __init__(self, trace: Trace, topology: Topology = Topology.GROUND_CLIENTS) -> None:
        self.watch: Watch | None = None
        self.transfers = 0
        self._trace = trace
        self._topology = topology
        self._records: list[Record] = []
        self._contacts: list[Edge] = []
        self._devices = 0
        trace.before_reading = self.flush

    def add(self, record: Record) -> None:
        """Write down a leg, or what is dropped of one."""
        self._records.append(record)
        self.transfers += isinstance(record, Moved)
        self._devices += len(record.who)
        if len(self._records) >= LEGS or self._devices >= ROWS:
            self.flush()

    def contact(self, edge: Edge) -> None:
        """Write down that a contact opens or closes."""
        self._contacts.append(edge)
        if len(self._contacts) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Make rows of what was written down, and look at them."""
        records, self._records, self._devices = self._records, [], 0
        contacts, self._contacts = self._contacts, []
        if not records and not contacts:
            return
        moved = [record for record in records if isinstance(record, Moved)]
        trained = [record for record in records if isinstance(record, Trained)]
        # Rows of one block all have a contact, or none.
        kinds = ([t for t in trained if (t.contact_id is None) is gap] for gap in (False, True))
        block = Block(
            MovedRows.of(moved, self._topology) if moved else None,
            [TrainedRows.of(some) for some in kinds if some],
            [record for record in records if isinstance(record, Dropped)],
            contacts,
        )
        if block.moved is not None:
            self._transfers(block.moved)
        for rows in block.trained:
            self._training(rows)
        if block.dropped:
            self._drops(block.dropped)
        if contacts:
            time_s, kind, cluster, contact_id, satellite = zip(*contacts, strict=True)
            columns = {"kind": list(kind), "cluster": list(cluster), "detail": list(satellite)}
            numbers = {"time_s": np.array(time_s), "contact_id": np.array(contact_id)}
            self._trace.add_block("events", len(contacts), "contact", **columns, **numbers)
        if self.watch is not None:
            self.watch(block)

    def _transfers(self, rows: MovedRows) -> None:
        shared: dict[str, Any] = {
            "cluster": rows.text("cluster"),
            "device": rows.device,
            "contact_id": rows.of_leg([leg.contact_id for leg in rows.legs]),
            "version": rows.version,
        }
        payload, ways = rows.text("payload"), [leg.way for leg in rows.legs]
        add = self._trace.add_block
        add(
            "transfers",
            len(rows.leg),
            "moved",
            direction=_text(rows.directions, rows.leg),
            toward=_text(ways, rows.leg),
            payload=payload,
            payload_bytes=rows.size,
            delivered_bytes=rows.bytes,
            start_s=rows.start_s,
            end_s=rows.end_s,
            outcome=Coded(rows.outcome, OUTCOMES),
            **shared,
        )
        ended = [f"{word} {outcome}" for word in payload.words for outcome in OUTCOMES]
        details = Coded(payload.codes * len(OUTCOMES) + rows.outcome, ended)
        verbs = [VERBS[way] for way in ways]
        edges = ("start", rows.start_s, payload), ("end", rows.end_s, details)
        for edge, time_s, detail in edges:
            kind = _text((f"{verb}_{edge}" for verb in verbs), rows.leg)
            add("events", len(rows.leg), edge, time_s=time_s, kind=kind, detail=detail, **shared)

    def _training(self, rows: TrainedRows) -> None:
        contacts = [leg.contact_id for leg in rows.legs]
        shared: dict[str, Any] = {
            "cluster": _text((leg.cluster for leg in rows.legs), rows.leg),
            "device": rows.device,
            "contact_id": None if contacts[0] is None else np.array(contacts)[rows.leg],
            "rounds": rows.rounds,
        }
        where = "gap" if contacts[0] is None else "contact"
        for kind, time_s in (("train_start", rows.start_s), ("train_end", rows.end_s)):
            stream = f"{kind} {where}"
            self._trace.add_block(
                "events", len(rows.leg), stream, time_s=time_s, kind=kind, **shared
            )

    def _drops(self, records: Sequence[Dropped]) -> None:
        leg = np.repeat(np.arange(len(records)), [len(record.who) for record in records])
        self._trace.add_block(
            "events",
            len(leg),
            "drop",
            time_s=_joined(record.time_s for record in records),
            kind="drop",
            cluster=_text((record.cluster for record in records), leg),
            device=_joined(record.who for record in records),
            contact_id=np.array([record.contact_id for record in records])[leg],
            version=_joined(record.version for record in records),
            detail=_text((record.detail for record in records), leg),
            cause=_optional_text([record.cause for record in records], leg),
        )
