"""Events: the base of all rows of the events table, and their kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from learning.requests.facts import Cause
from sim.facts.row import ColumnKind, Real, Row, Text, Whole, column, computed


class EventKind(StrEnum):
    """Kinds of events, in the order in which those of one instant are listed."""

    DISCONNECT = "disconnect"
    TRAIN_END = "train_end"
    CONNECT = "connect"
    WAIT = "wait"
    ASSIGN = "assign"
    UPLOAD_START = "upload_start"
    UPLOAD_END = "upload_end"
    AGGREGATE = "aggregate"
    DOWNLOAD_START = "download_start"
    DOWNLOAD_END = "download_end"
    TRAIN_START = "train_start"
    INFER = "infer"
    DROP = "drop"
    FAULT = "fault"
    EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event(Row):
    """Something that happened at a time: a row of the events table, or N rows.

    A class of events sets ``of_kind`` (and ``of_cause``, where one cause is that of all), or has
    properties ``kind`` and ``cause`` of its own. What it knows beside the columns of all events are
    fields, with a ``column`` where they are columns too. ``text`` says it all for people.
    """

    table: ClassVar[str] = "events"
    order: ClassVar[tuple[str, ...]] = (
        *("time_s", "kind", "cause"),
        *("cluster", "device", "contact_id"),
    )
    of_kind: ClassVar[EventKind]
    of_cause: ClassVar[Cause | None] = None

    time_s: Real = field(metadata=column("when it happened"))
    cluster: Text = field(default=None, metadata=column("of which client; null: of the server"))
    device: Whole = field(default=None, metadata=column("number of the device in its cluster"))
    contact_id: Whole = field(default=None, metadata=column("in which contact"))
    version: Whole = field(default=None, metadata=column("of the payload, or the server's model"))
    rounds: Whole = field(default=None, metadata=column("local rounds that were trained"))

    @computed(ColumnKind.TEXT, "what happened", behind="time_s")
    def kind(self) -> Text:
        """One of :class:`EventKind`; a method may note others."""
        return self.of_kind

    @computed(ColumnKind.TEXT, "all of it, for people", behind="rounds")
    def detail(self) -> Text:
        """The text; no part of the program reads it again."""
        return self.text()

    @computed(
        ColumnKind.TEXT,
        "why, in words to count by",
        behind="detail",
    )
    def cause(self) -> Text:
        """One of :class:`~learning.requests.facts.Cause`."""
        return self.of_cause

    def text(self) -> Text:
        """Return the column ``detail``: of one row, or of each."""
        return None
