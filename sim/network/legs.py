"""Legs: what devices came to in a transfer or a training; and rows of these, and of hops.

A record refers to the arrays (K,) of its leg. Rows of transfers, and
events of training, transfers and drops, are made of many records at once: when the log is long
enough, before anybody reads the trace, and at the end. No other rows are of these kinds and name
a contact's device, so that the order of rows that tie, which is that in which they were written,
does not depend on when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from learning.requests.facts import Cause
from sim.facts.coded import Coded, coded_rows, concatenated, device_rows, optional_coded_rows
from sim.facts.directions import Way
from sim.facts.events import EventKind
from sim.facts.row import Fact, Row
from sim.facts.stream import Facts
from sim.facts.transfers import (
    OUTCOMES,
    Outcome,
    PartDropped,
    TrainingEnded,
    TrainingStarted,
    TransferEnded,
    TransferRow,
    TransferStarted,
)
from sim.links.sharing import everywhere
from sim.network.books import PayloadKey
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, slots=True, eq=False)
class Moved(Fact):
    """What the devices in ``who`` (K,) moved of a payload in a contact, until it was there.

    The ``key`` is that of the payload. ``outcome`` is that of each, or of all. The record was
    written at ``now_s``. A neglected link takes no time: all of it is there ``at_once``. The arrays
    are those of the leg. Over a mesh, ``message`` (K,) numbers the messages that it is a hop of. Of
    a broadcast, ``on_air`` (K,) are the bytes that no device before got from the same transmission;
    None where all were sent to one.
    """

    cluster: str
    contact_id: int
    key: PayloadKey
    who: Mask
    version: Ints
    size: Floats
    bytes: Floats
    start_s: Floats
    end_s: Floats
    outcome: Ints | int
    now_s: float
    at_once: bool = False
    message: Ints | None = None
    on_air: Floats | None = None

    @property
    def way(self) -> Way:
        """Who receives it."""
        return Way(self.key.toward)

    @property
    def payload(self) -> str:
        """The name of the payload."""
        return self.key.payload


@dataclass(frozen=True, slots=True, eq=False)
class Trained(Fact):
    """Rounds of the devices in ``who`` (K,), in a contact or, where that is None, in a gap.

    Those of no FLOPs take no time: they are trained ``at_once``.
    """

    cluster: str
    contact_id: int | None
    who: Mask
    rounds: Ints
    start_s: Floats
    end_s: Floats
    now_s: float
    at_once: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Dropped(Fact):
    """What devices (R,) had moved by ``time_s`` (R,), and is given up, or forgotten.

    ``detail`` names the payload and what becomes of it, for people.
    """

    cluster: str
    contact_id: int
    who: Ints
    version: Ints
    time_s: Floats
    detail: str
    now_s: float
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChainEnded(Fact):
    """A chain has ended for all devices of a cluster: its steps, and what each was replied.

    Its transfers are legs, or messages ``over_mesh``.
    """

    cluster: str
    steps: Sequence[Any]
    replies: Sequence[Any]
    over_mesh: bool = False


Leg = Moved | Trained | Dropped


LEGS = 4000
"""Records of which rows are made together, at most."""
ROWS = 1 << 16
"""Devices of all records together, about, from which on rows are made of fewer records."""


SERVER_NAME = ""
"""Stands for the server where satellites have passes over it."""

OVER_LINK = -1
"""Stands for the contact of a hop that goes over a link."""


class LegLog:
    """Emits each leg as a fact when it is written down, and rows of many legs now and then."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._legs: list[Leg] = []
        self._devices = 0
        self._hops: Callable[[], HopRows | None] = lambda: None

    def follow(self, hops: Callable[[], HopRows | None]) -> None:
        """Ask for the rows of hops that have ended whenever rows are made."""
        self._hops = hops

    def add(self, leg: Leg) -> None:
        """Write down what a leg came to, or what is dropped of one."""
        self._facts.emit(leg)
        self._legs.append(leg)
        self._devices += len(leg.who)
        if len(self._legs) >= LEGS or self._devices >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Make rows of what was written down, and emit them."""
        hops = self._hops()
        legs = self._legs
        if not legs and hops is None:
            return
        self._legs = []
        self._devices = 0
        moved = [leg for leg in legs if isinstance(leg, Moved)]
        in_contacts: list[Trained] = []
        in_gaps: list[Trained] = []
        for leg in legs:
            if isinstance(leg, Trained):
                (in_gaps if leg.contact_id is None else in_contacts).append(leg)
        many = LegRows(
            MovedRows.of(moved) if moved else None,
            [TrainedRows.of(trained) for trained in (in_contacts, in_gaps) if trained],
            [leg for leg in legs if isinstance(leg, Dropped)],
            hops,
        )
        for row in many.rows():
            self._facts.emit(row)
        self._facts.emit(many)


# The rows of many legs, put together.


STARTS = {Way.TO_SERVER: EventKind.UPLOAD_START, Way.TO_CLIENT: EventKind.DOWNLOAD_START}
ENDS = {Way.TO_SERVER: EventKind.UPLOAD_END, Way.TO_CLIENT: EventKind.DOWNLOAD_END}


@dataclass(frozen=True, eq=False)
class MovedRows:
    """Rows of transfers, and the record (``leg``) and ``device`` that each is of.

    ``first`` says where the rows of each record begin; the last one is how many there are. Each
    record has one of the ``keys``. Over a mesh, ``message`` numbers those that rows are part of.
    ``on_air`` are the bytes that were sent for a row.
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
    keys: Sequence[PayloadKey]
    on_air: Floats
    message: Ints | None = None

    @classmethod
    def of(cls, legs: Sequence[Moved]) -> MovedRows:
        """Rows of records, one behind the other."""
        leg, device, some = device_rows([record.who for record in legs])
        messages = [record.message for record in legs if record.message is not None]
        codes = [record.outcome for record in legs]
        if all(isinstance(code, int) for code in codes):
            outcome = np.array(codes)[leg]
        else:
            each = zip(codes, legs, strict=True)
            outcome = concatenated(
                np.full(len(record.who), code) if isinstance(code, int) else code
                for code, record in each
            )[some]
        moved = concatenated(record.bytes for record in legs)[some]
        on_air = moved
        if any(record.on_air is not None for record in legs):
            each_on_air = (r.bytes if r.on_air is None else r.on_air for r in legs)
            on_air = concatenated(each_on_air)[some]
        return cls(
            legs,
            leg,
            device,
            version=concatenated(record.version for record in legs)[some],
            size=concatenated(record.size for record in legs)[some],
            bytes=moved,
            start_s=concatenated(record.start_s for record in legs)[some],
            end_s=concatenated(record.end_s for record in legs)[some],
            outcome=outcome,
            first=np.searchsorted(leg, np.arange(len(legs) + 1)),
            keys=[record.key for record in legs],
            on_air=on_air,
            message=concatenated(messages)[some] if messages else None,
        )

    @property
    def key(self) -> Ints:
        """The number of the key of each row."""
        return self.leg

    def of_leg(self, values: Sequence[Any]) -> np.ndarray:
        """A value of each record, for each of its rows."""
        return np.asarray(values)[self.leg]

    @cached_property
    def delivered(self) -> Mask:
        """Which rows are the last of a payload that is through."""
        return self.outcome == Outcome.DELIVERED

    def named(self, row: int) -> str:
        """Say which transfer a row is of."""
        leg = self.legs[self.leg[row]]
        return (
            f"{leg.key.direction} of {leg.payload} by device {self.device[row]} of {leg.cluster} "
            f"at {self.start_s[row]:.3f} s to {self.end_s[row]:.3f} s"
        )

    def rows(self) -> Iterator[Row]:
        """Return the rows of transfers, and the events of their beginnings and ends."""
        cluster = coded_rows((leg.cluster for leg in self.legs), self.leg)
        contact_id = self.of_leg([leg.contact_id for leg in self.legs])
        payload = coded_rows((leg.payload for leg in self.legs), self.leg)
        ways = [leg.way for leg in self.legs]
        yield _transfer_row(
            self,
            contact_id=contact_id,
            cluster=cluster,
            device=self.device,
        )
        yield TransferStarted(
            time_s=self.start_s,
            cluster=cluster,
            device=self.device,
            contact_id=contact_id,
            version=self.version,
            kinds=coded_rows((STARTS[way] for way in ways), self.leg),
            payload=payload,
        )
        yield TransferEnded(
            time_s=self.end_s,
            cluster=cluster,
            device=self.device,
            contact_id=contact_id,
            version=self.version,
            kinds=coded_rows((ENDS[way] for way in ways), self.leg),
            payload=payload,
            outcome=self.outcome,
        )


@dataclass(frozen=True, slots=True, eq=False)
class HopRows:
    """Hops (N,) of messages, in the order in which they end, and what each is a row of.

    ``keys`` are directions, receivers and names of payloads, one for each row by its ``key``.
    ``source`` and ``target`` have the same words. ``is_over`` marks the last hop of a message from
    one client to another, of which nothing more is told.
    """

    message: Ints
    source: Coded
    target: Coded
    contact_id: Ints
    keys: Sequence[PayloadKey]
    key: Ints
    version: Ints
    size: Floats
    bytes: Floats
    start_s: Floats
    end_s: Floats
    outcome: Ints
    is_over: Mask

    def __len__(self) -> int:
        return len(self.message)

    @property
    def delivered(self) -> Mask:
        """Which rows are hops that have ended."""
        return self.outcome == Outcome.DELIVERED

    @property
    def on_air(self) -> Floats:
        """Bytes that were sent for each row: no hop has several receivers."""
        return self.bytes

    def where(self, some: Mask) -> HopRows:
        """Return some of the rows."""
        return HopRows(
            message=self.message[some],
            source=Coded(self.source.codes[some], self.source.words),
            target=Coded(self.target.codes[some], self.target.words),
            contact_id=self.contact_id[some],
            keys=self.keys,
            key=self.key[some],
            version=self.version[some],
            size=self.size[some],
            bytes=self.bytes[some],
            start_s=self.start_s[some],
            end_s=self.end_s[some],
            outcome=self.outcome[some],
            is_over=self.is_over[some],
        )

    def named(self, row: int) -> str:
        """Say which message a row is of, and from where it was sent."""
        source = self.source.words[self.source.codes[row]]
        return hop_named(int(self.message[row]), self.keys[self.key[row]].payload, source)

    def rows(self) -> Iterator[Row]:
        """Return the rows of transfers: those over links, and those over passes."""
        over_links = self.contact_id == OVER_LINK
        for some, through_passes in ((over_links, False), (~over_links, True)):
            if some.any():
                mine = self if everywhere(some) else self.where(some)
                yield self._transfers(mine, through_passes=through_passes)

    @staticmethod
    def _transfers(rows: HopRows, *, through_passes: bool) -> TransferRow:
        """Return rows of the transfers table, of which all or none are over passes."""
        cluster = rows.source
        peer = None
        if through_passes:
            flies = np.array([word != SERVER_NAME for word in cluster.words], bool)
            codes = np.where(flies[cluster.codes], cluster.codes, rows.target.codes)
            cluster = Coded(codes, cluster.words)
        else:
            peer = Coded(rows.target.codes, [f"{word}/0" for word in rows.target.words])
        return _transfer_row(
            rows,
            contact_id=rows.contact_id if through_passes else None,
            cluster=cluster,
            device=0,
            peer=peer,
        )


def hop_named(message: int, payload: str, source: str) -> str:
    """Say which message a hop is of, and from where it was sent."""
    return f"message {message}, {payload} from {source or 'the server'}"


def _transfer_row(rows: MovedRows | HopRows, **where: Any) -> TransferRow:
    """Return rows of the transfers table, and ``where`` they were sent."""
    return TransferRow(
        direction=Coded(rows.key, [each.direction for each in rows.keys]),
        toward=Coded(rows.key, [each.toward for each in rows.keys]),
        payload=Coded(rows.key, [each.payload for each in rows.keys]),
        version=rows.version,
        payload_bytes=rows.size,
        delivered_bytes=rows.bytes,
        start_s=rows.start_s,
        end_s=rows.end_s,
        outcome=Coded(rows.outcome, OUTCOMES),
        message=rows.message,
        on_air_bytes=rows.on_air,
        **where,
    )


@dataclass(frozen=True, eq=False)
class TrainedRows:
    """Rows of training, and the record (``leg``) and ``device`` that each is of.

    All of them are in contacts, or all in gaps.
    """

    legs: Sequence[Trained]
    leg: Ints
    device: Ints
    rounds: Ints
    start_s: Floats
    end_s: Floats

    @classmethod
    def of(cls, legs: Sequence[Trained]) -> TrainedRows:
        """Rows of records, one behind the other."""
        leg, device, some = device_rows([record.who for record in legs])
        return cls(
            legs,
            leg,
            device,
            rounds=concatenated(record.rounds for record in legs)[some],
            start_s=concatenated(record.start_s for record in legs)[some],
            end_s=concatenated(record.end_s for record in legs)[some],
        )

    def rows(self) -> Iterator[Row]:
        """Return the events of beginnings and ends."""
        contacts = [leg.contact_id for leg in self.legs]
        cluster = coded_rows((leg.cluster for leg in self.legs), self.leg)
        contact_id = None if contacts[0] is None else np.array(contacts)[self.leg]
        yield TrainingStarted(
            time_s=self.start_s,
            cluster=cluster,
            device=self.device,
            contact_id=contact_id,
            rounds=self.rounds,
        )
        yield TrainingEnded(
            time_s=self.end_s,
            cluster=cluster,
            device=self.device,
            contact_id=contact_id,
            rounds=self.rounds,
        )


@dataclass(frozen=True, slots=True, eq=False)
class LegRows(Fact):
    """Rows of many legs with the legs that they are of; nothing where there were none of a kind.

    It follows its rows, for who looks at them with what only the legs state.
    """

    moved: MovedRows | None
    trained: Sequence[TrainedRows]
    dropped: Sequence[Dropped]
    hops: HopRows | None = None

    def rows(self) -> Iterator[Row]:
        """Return the rows of transfers, and of events."""
        if self.moved is not None:
            yield from self.moved.rows()
        for trained in self.trained:
            yield from trained.rows()
        if self.dropped:
            yield _dropped_rows(self.dropped)
        if self.hops is not None:
            yield from self.hops.rows()


def _dropped_rows(records: Sequence[Dropped]) -> PartDropped:
    leg = np.repeat(np.arange(len(records)), [len(record.who) for record in records])
    return PartDropped(
        time_s=concatenated(record.time_s for record in records),
        cluster=coded_rows((record.cluster for record in records), leg),
        device=concatenated(record.who for record in records),
        contact_id=np.array([record.contact_id for record in records])[leg],
        version=concatenated(record.version for record in records),
        reasons=coded_rows((record.detail for record in records), leg),
        causes=optional_coded_rows([record.cause for record in records], leg),
    )
