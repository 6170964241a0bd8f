"""What must hold of every finished run. A run that contradicts itself fails."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from learning.requests.cluster import Floats
from sim.errors import InvariantError
from sim.plan.contacts import LAST_BITS_S
from sim.trace.arrow import array, as_numpy
from sim.trace.tables import grouped, numbers_of, says

TOLERANCE = 1e-9
"""Relative rounding of byte sums and times."""
SHOWN = 3
"""How many payloads with a wrong sum are named."""
OFFER = ("cluster", "device", "direction", "payload", "version")
"""What tells one payload of a device from another."""


def check(tables: dict[str, pa.Table]) -> None:
    """Raise InvariantError that names each invariant that a run's tables violate."""
    moved = tables["transfers"]
    direct = says(moved, "direction", "sidelink")
    over_contacts = {**tables, "transfers": moved.filter(array(~direct))}
    found = [
        *_clock(tables),
        *_transfers(over_contacts),
        *_bytes(over_contacts),
        *_messages(moved.filter(array(direct))),
        *_contacts(tables),
    ]
    if found:
        raise InvariantError("the run contradicts itself: " + "; ".join(found))


def _clock(tables: dict[str, pa.Table]) -> Iterator[str]:
    for name, column in (("events", "time_s"), ("metrics", "time_s"), ("transfers", "start_s")):
        time = _numbers(tables[name], column)
        if not np.isfinite(time).all():
            yield f"a time in {name} is not finite"
        elif (np.diff(time) < 0).any() or (time < 0).any():
            yield f"the clock of {name} runs backwards"


def _contacts(tables: dict[str, pa.Table]) -> Iterator[str]:
    served = tables["contacts"].filter(tables["contacts"].column("served"))
    start, end = _numbers(served, "service_start_s"), _numbers(served, "service_end_s")
    if not (end > start).all():
        yield "a served contact has no duration"


def _transfers(tables: dict[str, pa.Table]) -> Iterator[str]:
    contacts, moved = tables["contacts"], tables["transfers"]
    if not len(moved):
        return
    rows = _numbers(moved, "contact_id").astype(int)
    service_start = _numbers(contacts, "service_start_s")[rows]
    service_end = _numbers(contacts, "service_end_s")[rows]
    start, end = _numbers(moved, "start_s"), _numbers(moved, "end_s")
    slack = TOLERANCE * np.maximum(service_end, 1.0)
    if (start < service_start - slack).any() or (end > service_end + slack + LAST_BITS_S).any():
        yield "a transfer lies outside its contact"
    # A neglected downlink takes no time; everything else does.
    up = says(moved, "direction", "uplink")
    if (end < start).any() or (end == start)[up].any():
        yield "a transfer has no duration"


def _messages(moved: pa.Table) -> Iterator[str]:
    """Between devices there is no contact to go on in: a message arrives as a whole."""
    size, delivered = _numbers(moved, "payload_bytes"), _numbers(moved, "delivered_bytes")
    if not (_numbers(moved, "end_s") > _numbers(moved, "start_s")).all():
        yield "a message has no duration"
    through = says(moved, "outcome", "delivered")
    if not (moved.column("contact_id").null_count == len(moved) and (delivered > 0).all()):
        yield "a message over a sidelink has a contact, or carries nothing"
    if (delivered[through] != size[through]).any() or (delivered > size).any():
        yield "a message arrives with more bytes than it has, or with fewer"


def _bytes(tables: dict[str, pa.Table]) -> Iterator[str]:
    moved = tables["transfers"]
    size, delivered = _numbers(moved, "payload_bytes"), _numbers(moved, "delivered_bytes")
    if not ((delivered > 0) & (delivered <= size * (1 + TOLERANCE))).all():
        yield "a transfer carries more than its payload, or nothing"
    yield from _sums(moved, size, delivered)


def _sums(moved: pa.Table, size: Floats, delivered: Floats) -> Iterator[str]:
    """A payload's rows, from the first or the one after a lost one on, carry its size."""
    if not len(moved):
        return
    order, first = grouped([numbers_of(moved.column(key)) for key in OFFER])
    carried, through = (says(moved, "outcome", text)[order] for text in ("carried", "delivered"))
    begins = np.zeros(len(order), bool)
    begins[first] = True
    begins[1:] |= ~carried[:-1]
    part = np.cumsum(begins) - 1
    total = np.add.reduceat(delivered[order], np.flatnonzero(begins))[part]
    whole = size[order]
    wrong = np.flatnonzero(through & (np.abs(total - whole) > TOLERANCE * whole))
    for row in wrong[:SHOWN]:
        name = tuple(moved.column(key)[int(order[row])].as_py() for key in OFFER)
        yield f"{name}: {total[row]} bytes were sent of a delivered payload of {whole[row]}"
    if len(wrong) > SHOWN:
        yield f"{len(wrong) - SHOWN} more delivered payloads have too many bytes, or too few"


def _numbers(table: pa.Table, column: str) -> Floats:
    return as_numpy(table.column(column)).astype(float, copy=False)
