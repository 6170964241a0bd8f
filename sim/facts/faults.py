"""Faults: what fails in a run, as the scenario asks for or for want of memory and contacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from learning.requests.facts import Cause, injected_text
from sim.facts.coded import Coded
from sim.facts.events import Event, EventKind
from sim.formatting import data_size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fault(Event):
    """Something fails."""

    of_kind: ClassVar[EventKind] = EventKind.FAULT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SatelliteOut(Fault):
    """A ``satellite`` is out of service until ``end_s``."""

    of_cause: ClassVar[Cause | None] = Cause.OUTAGE

    satellite: str
    end_s: float

    def text(self) -> str:
        """Say which one, and until when."""
        return injected_text(Cause.OUTAGE, self.satellite, self.end_s)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutAsPlanned(Fault):
    """The scenario plans that ``who`` is out until ``end_s``: a kind and a name, in words."""

    of_cause: ClassVar[Cause | None] = Cause.PLANNED

    who: str
    end_s: float

    def text(self) -> str:
        """Say who, and until when."""
        return injected_text(Cause.PLANNED, self.who, self.end_s)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeviceAway(Fault):
    """A device is away until ``end_s``."""

    of_cause: ClassVar[Cause | None] = Cause.ABSENCE

    end_s: float

    def text(self) -> str:
        """Say until when."""
        return injected_text(Cause.ABSENCE, self.end_s)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeviceSlow(Fault):
    """From now on a device is so many ``times`` as slow as the scenario's compute."""

    of_cause: ClassVar[Cause | None] = Cause.SLOW

    times: float

    def text(self) -> str:
        """Say how slow."""
        return injected_text(Cause.SLOW, self.times)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PacketsResent(Fault):
    """Of the ``packets`` of a payload or message so many were sent ``again``."""

    of_cause: ClassVar[Cause | None] = Cause.RESENT

    payload: str
    again: int
    packets: int

    def text(self) -> str:
        """Say how many."""
        return injected_text(Cause.RESENT, self.again, self.packets, self.payload)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemoryLacks(Fault):
    """N devices do not train: a round needs ``needed_bytes`` (N,) and they have ``held_bytes``."""

    of_cause: ClassVar[Cause | None] = Cause.MEMORY

    needed_bytes: np.ndarray
    held_bytes: np.ndarray

    def text(self) -> Coded:
        """Say of each device how much it needs and has."""
        both = np.stack([self.needed_bytes, self.held_bytes])
        figures, which = np.unique(both, axis=1, return_inverse=True)
        sizes = [(data_size(needed), data_size(held)) for needed, held in figures.T.tolist()]
        texts = [f"does not train: needs {needed} of memory, has {held}" for needed, held in sizes]
        return Coded(which, texts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoContactsLeft(Fault):
    """Some still wait at a meeting, and the plan holds no contact for who is missing."""

    of_cause: ClassVar[Cause | None] = Cause.NO_CONTACT_LEFT

    waiting: str

    def text(self) -> str:
        """Say who waits."""
        return f"no contacts left: {self.waiting}"
