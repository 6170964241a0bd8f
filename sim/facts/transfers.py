"""Contacts as they open and close, what devices move and train in them, and who waits there."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

import numpy as np

from learning.requests.facts import Cause
from learning.requests.reasons import Reason
from sim.facts.coded import Coded
from sim.facts.events import Event, EventKind
from sim.facts.row import Real, Row, Text, Whole, column
from statements.arrays import Ints


class Outcome(IntEnum):
    """What becomes of a transfer of one device when its chain, or the run, is over.

    It is delivered; goes on in a later session where it was (carried), or from the beginning
    (restarted); or is given up, because it was cut off (dropped) or refused (corrupted).
    """

    DELIVERED = 0
    CARRIED = 1
    DROPPED = 2
    RESTARTED = 3
    CORRUPTED = 4

    @property
    def word(self) -> str:
        """What the transfers table says."""
        return OUTCOMES[min(self, LAST_IN_TABLES)]


LAST_IN_TABLES = Outcome.DROPPED
"""The last outcome that tables have: what else was sent in vain is dropped there too."""
OUTCOMES = tuple(outcome.name.lower() for outcome in Outcome if outcome <= LAST_IN_TABLES)
"""What tables say of outcomes, by their numbers."""


def in_tables(outcome: Ints) -> Ints:
    """Return outcomes (K,) as the transfers table has them."""
    return np.minimum(outcome, LAST_IN_TABLES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransferRow(Row):
    """What a device moved of a payload in one contact, or of a message in one window."""

    table: ClassVar[str] = "transfers"
    order: ClassVar[tuple[str, ...]] = ("start_s", "cluster", "device", "end_s", "contact_id")

    transfer_id: Whole = field(default=None, metadata=column("number of the row"))
    contact_id: Whole = field(default=None, metadata=column("contact; null between clients"))
    cluster: Text = field(metadata=column("whose device"))
    device: Whole = field(metadata=column("number of the device in its cluster"))
    peer: Text = field(default=None, metadata=column("receiver of a message, CLUSTER/DEVICE"))
    direction: Text = field(metadata=column("by geometry: uplink, downlink, sidelink or isl"))
    toward: Text = field(metadata=column("receiver: server, client or peer"))
    payload: Text = field(metadata=column("name of the payload"))
    version: Whole = field(metadata=column("version of the payload"))
    payload_bytes: Real = field(metadata=column("size of the whole payload"))
    delivered_bytes: Real = field(metadata=column("moved in this row"))
    start_s: Real = field(metadata=column("when sending began"))
    end_s: Real = field(metadata=column("when the last bit arrived, or sending ended"))
    outcome: Text = field(metadata=column("delivered, carried or dropped"))
    message: Whole = field(
        default=None,
        metadata=column("message over the mesh; its rows are its hops"),
    )
    on_air_bytes: Real = field(
        metadata=column(
            "sent for this row; of a broadcast with one of its receivers, 0 with the others",
        ),
    )

    @property
    def stream(self) -> str:
        """Messages are digested as they come; hops, and what moved in contacts, apart from them."""
        if self.contact_id is not None:
            return "moved"
        return "hops" if isinstance(self.message, np.ndarray) else ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Connected(Event):
    """Contacts with satellites open."""

    of_kind: ClassVar[EventKind] = EventKind.CONNECT

    satellite: Text

    @property
    def stream(self) -> str:
        """Its kind."""
        return self.of_kind

    def text(self) -> Text:
        """Name the satellite of each."""
        return self.satellite


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Disconnected(Connected):
    """Contacts with satellites close."""

    of_kind: ClassVar[EventKind] = EventKind.DISCONNECT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingStarted(Event):
    """Devices begin the ``rounds`` of one training, in a contact or, all of them, in a gap."""

    of_kind: ClassVar[EventKind] = EventKind.TRAIN_START

    @property
    def stream(self) -> str:
        """Its kind, and whether it is in gaps or contacts."""
        return f"{self.of_kind} {'gap' if self.contact_id is None else 'contact'}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingEnded(TrainingStarted):
    """Devices have ended the ``rounds`` of one training."""

    of_kind: ClassVar[EventKind] = EventKind.TRAIN_END


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransferStarted(Event):
    """N devices begin to send or get a payload, each an upload or a download: ``kinds`` (N,)."""

    kinds: Coded
    payload: Coded

    @property
    def kind(self) -> Coded:
        """Upload or download, of each row."""
        return self.kinds

    @property
    def stream(self) -> str:
        """That of beginnings."""
        return "start"

    def text(self) -> Coded:
        """Name the payload of each row."""
        return self.payload


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransferEnded(TransferStarted):
    """N devices end sending or getting a payload in a contact; ``outcome`` (N,) in ``OUTCOMES``."""

    outcome: Ints

    @property
    def stream(self) -> str:
        """That of ends."""
        return "end"

    def text(self) -> Coded:
        """Name payload and outcome of each row."""
        ended = [f"{word} {outcome}" for word in self.payload.words for outcome in OUTCOMES]
        return Coded(self.payload.codes * len(OUTCOMES) + self.outcome, ended)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartDropped(Event):
    """What N devices had moved of a payload is given up, or forgotten, each for a reason (N,)."""

    of_kind: ClassVar[EventKind] = EventKind.DROP

    reasons: Coded
    causes: Coded | None

    @property
    def cause(self) -> Coded | None:
        """The cause of each row that has one."""
        return self.causes

    @property
    def stream(self) -> str:
        """Its kind."""
        return self.of_kind

    def text(self) -> Coded:
        """Name the payload of each row, and what becomes of it."""
        return self.reasons


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MessageLost(Event):
    """A message to the client ``target`` will never arrive."""

    of_kind: ClassVar[EventKind] = EventKind.DROP

    payload: str
    target: str
    reason: Reason

    def text(self) -> str:
        """Say which message, and why."""
        return f"{self.payload} to {self.target}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waited(Event):
    """Somebody waits."""

    of_kind: ClassVar[EventKind] = EventKind.WAIT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeamBusy(Waited):
    """A contact waits for a beam, and is ``served_from_s`` a time, or not at all (None)."""

    of_cause: ClassVar[Cause | None] = Cause.WAITS_FOR_BEAM

    served_from_s: float | None

    def text(self) -> str:
        """Say from when it is served."""
        if self.served_from_s is None:
            return "beam busy: not served"
        return f"beam busy: served from {self.served_from_s:.3f} s"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeamTakenOver(Waited):
    """A contact gives its beam to a cluster that has waited."""

    of_cause: ClassVar[Cause | None] = Cause.WAITS_FOR_BEAM

    def text(self) -> str:
        """Say who has the beam."""
        return "beam taken over by a cluster that waited"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubChannelBusy(Waited):
    """So many ``devices`` wait for a sub-channel to send or get a payload, the last so long."""

    payload: str
    devices: int
    longest_s: float

    def text(self) -> str:
        """Say how many, and how long the last one."""
        most = f"{self.devices} devices, up to {self.longest_s:.3f} s"
        return f"sub-channel busy: {self.payload}: {most}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainClosed(Waited):
    """A chain of transfers was closed for a ``reason``, and cut off so many ``devices``."""

    reason: Reason
    devices: int

    def text(self) -> str:
        """Say why, and how many."""
        return f"{self.reason}: {self.devices} devices cut"
