"""Details of events: how each is written, and the pattern by which it is read again.

The column ``detail`` of the events table is text for people. Summaries, warnings, the critical path
and an invariant also read some of it: what they look for stands here beside what is written, so
that neither changes without the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from learning.requests.cluster import CORRUPTED

# Faults that the scenario asked for (`faults:`).

INJECTED = "injected: "
"""How the details of all faults begin that the scenario asked for."""

UPLOAD_CORRUPTED = f"refused: {CORRUPTED}"
"""What is said of a payload that arrived with a wrong checksum."""

FAULTS = {
    "satellite outages": INJECTED + "satellite {} out until {:.3f} s",
    "absences of devices": INJECTED + "away until {:.3f} s",
    "slow devices": INJECTED + "{:g} times as slow",
    "transfers with packets sent again": INJECTED + "{} of {} packets of {} sent again",
    "corrupted uploads": "{} " + UPLOAD_CORRUPTED,
    "updates that were not finite": INJECTED + "update of device {} is not finite",
    "late uploads": INJECTED + "upload of {} late by {:.1f} s",
}
"""What is written of a fault, by its kind."""

FAULT_KINDS = {kind: f"^{re.sub('{.*?}', '.*', text)}$" for kind, text in FAULTS.items()}
"""Faults by kind, and the pattern of the rows that each is counted by."""


def fault(kind: str, *what: object) -> str:
    """Write a fault of this kind: of whom, how much, or until when."""
    return FAULTS[kind].format(*what)


# Updates that the server refuses, and devices that do not train.

NOT_FINITE = "not finite; lower"
"""Part of :func:`update_refused` for an update that no scenario spoilt."""


def update_refused(device: int, spoilt: bool) -> str:
    """The server refuses an update; the remedy is left out where the scenario ``spoilt`` it."""
    remedy = "" if spoilt else "; lower learning.step_size if this goes on"
    return f"update of device {device} refused: not finite{remedy}"


EXCLUDED = "does not train"
"""How :func:`excluded` begins."""


def excluded(needed: str, size: str) -> str:
    """A device lacks the memory for what it was to train."""
    return f"{EXCLUDED}: needs {needed} of memory, has {size}"


NO_CONTACTS_LEFT = "no contacts left: "
"""How the detail begins of who still waits for others when a run is over."""


# Counts of an aggregation, of which an invariant reads the staleness.

STALENESS = re.compile(r"\bstaleness:(-?\d+)(?:-(-?\d+))?")
"""The lowest and, if they differ, the highest staleness of an aggregation's updates."""


def described(name: str, values: NDArray[np.int64]) -> str:
    """Write ``name:value``, or ``name:low-high`` where the values differ."""
    each: list[int] = values.tolist()  # of some devices: quicker than numpy
    low, high = min(each), max(each)
    return f"{name}:{low}" if low == high else f"{name}:{low}-{high}"


# What is sent and aggregated, by its parts.


def parts_named(experts: Iterable[int], *, gate: bool = False) -> str:
    """Name parts of a model: ``experts:0,2``, ``gate``, or both."""
    listed = ",".join(map(str, experts))
    return " ".join([*([f"experts:{listed}"] if listed else []), *(["gate"] if gate else [])])


# Experts that change hands: rows are ordered so that one who gives comes before one who takes.

GIVES, TAKES = "gives", "takes"

# Waits for a beam, and for the server's state on its way to a satellite.

BEAM = "beam"
"""How the details of waits for a beam begin."""

BEAM_TAKEN_OVER = f"{BEAM} taken over by a cluster that waited"


SYNCHRONISATION = r"^synchronisation: until (?P<until>[0-9.]+) s$"
"""When the satellite will know the server's state."""


def synchronisation(until_s: float) -> str:
    """A download waits for the server's state to reach the satellite."""
    return f"synchronisation: until {until_s:.3f} s"
