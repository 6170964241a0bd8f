"""Waits: contacts that wait for a beam, transfers that wait in a contact, and what closes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learning.requests.facts import Cause
from learning.requests.reasons import Reason
from sim.facts.events import Event, EventKind


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
