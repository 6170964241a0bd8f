"""What must hold of the tables of every finished run, by code that no run goes through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from sim.errors import InvariantError
from sim.plan.passes import LAST_BITS_S

TOLERANCE = 1e-9
"""Relative rounding of byte sums and times."""
SHOWN = 3
"""How many payloads with a wrong sum are named."""
OFFER = ["cluster", "device", "direction", "payload", "version"]
"""What tells one payload of a device from another."""


def check(tables: Mapping[str, pa.Table]) -> None:
    """Raise InvariantError that names each invariant that a run's tables violate."""
    moved, contacts = (tables[name].to_pandas() for name in ("transfers", "contacts"))
    direct = moved.peer.notna()  # to a server that is a satellite, links are contacts
    over = moved[~direct]
    wrong = _transfers(over, contacts) | _messages(moved[direct])
    served = contacts[contacts.served]
    wrong["a served contact has no duration"] = ~(served.service_end_s > served.service_start_s)
    texts = (text for text, rows in wrong.items() if rows.any())
    found = [*_clock(tables), *texts, *wrong_sums(over)]
    if found:
        raise InvariantError("the run contradicts itself: " + "; ".join(found))


def _clock(tables: Mapping[str, pa.Table]) -> Iterator[str]:
    for name, column in (("events", "time_s"), ("metrics", "time_s"), ("transfers", "start_s")):
        time = tables[name].column(column).to_pandas()
        if not np.isfinite(time).all():
            yield f"a time in {name} is not finite"
        elif (time.diff() < 0).any() or (time < 0).any():
            yield f"the clock of {name} runs backwards"


def _transfers(moved: pd.DataFrame, contacts: pd.DataFrame) -> dict[str, pd.Series]:
    """Return which rows of transfers over contacts are wrong, by what is."""
    span = contacts[["service_start_s", "service_end_s"]].iloc[moved.contact_id.astype(int)]
    begins, ends = span.to_numpy().T
    slack = TOLERANCE * np.maximum(ends, 1.0)
    early = moved.start_s < begins - slack
    late = moved.end_s > ends + slack + LAST_BITS_S
    # A neglected downlink takes no time; everything else does.
    at_once = (moved.end_s == moved.start_s) & (moved.direction == "uplink")
    size = moved.payload_bytes
    delivered = moved.delivered_bytes
    some = (delivered > 0) & (delivered <= size * (1 + TOLERANCE))
    return {
        "a transfer lies outside its contact": early | late,
        "a transfer has no duration": (moved.end_s < moved.start_s) | at_once,
        "a transfer carries more than its payload, or nothing": ~some,
    }


def _messages(moved: pd.DataFrame) -> dict[str, pd.Series]:
    """Between devices there is no contact to go on in: a message arrives as a whole."""
    size = moved.payload_bytes
    delivered = moved.delivered_bytes
    other = (moved.outcome == "delivered") & (delivered != size)
    return {
        "a message has no duration": ~(moved.end_s > moved.start_s),
        "a message over a sidelink has a contact, or carries nothing": moved.contact_id.notna()
        | ~(delivered > 0),
        "a message arrives with more bytes than it has, or with fewer": other | (delivered > size),
    }


def wrong_sums(moved: pd.DataFrame) -> Iterator[str]:
    """A payload's rows, from the first or the one after a lost one on, carry its size."""
    lost = (moved.outcome != "carried").groupby([moved[key] for key in OFFER])
    part = lost.cumsum() - (moved.outcome != "carried")
    total = moved.delivered_bytes.groupby([*(moved[key] for key in OFFER), part]).cumsum()
    apart = (total - moved.payload_bytes).abs() > TOLERANCE * moved.payload_bytes
    wrong = moved.assign(total=total)[(moved.outcome == "delivered") & apart]
    for *name, size, sent in wrong[[*OFFER, "payload_bytes", "total"]].head(SHOWN).to_numpy():
        yield f"{(*name,)}: {sent} bytes were sent of a delivered payload of {size}"
    if len(wrong) > SHOWN:
        yield f"{len(wrong) - SHOWN} more delivered payloads have too many bytes, or too few"
