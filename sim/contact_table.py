"""The contacts table: the plan as rows, the same for every method."""

from __future__ import annotations

import math
from datetime import datetime

import pyarrow as pa

from sim.plan import Plan, PlannedContact
from sim.trace import COLUMNS


def contacts_table(plan: Plan) -> pa.Table:
    """Return the contacts table of a plan."""
    schema = pa.schema(list(COLUMNS["contacts"].items()))
    return pa.Table.from_pylist([_row(plan, contact) for contact in plan.contacts], schema=schema)


def _row(
    plan: Plan, contact: PlannedContact
) -> dict[str, str | int | float | bool | datetime | None]:
    return {
        "contact_id": contact.contact_id,
        "satellite": contact.satellite,
        "norad_id": contact.norad_id,
        "cluster": contact.cluster.name,
        "rise_utc": plan.utc(contact.rise_s),
        "culminate_utc": plan.utc(contact.culminate_s),
        "set_utc": plan.utc(contact.set_s),
        "rise_s": contact.rise_s,
        "set_s": contact.set_s,
        "duration_s": contact.set_s - contact.rise_s,
        "max_elevation_deg": contact.max_elevation_deg,
        "min_slant_range_km": _known(contact.min_slant_range_km),
        "uplink_capacity_bytes_per_device": float(contact.links.capacity_bytes.min()),
        "served": contact.served,
        "service_start_s": _known(contact.start_s),
        "service_end_s": _known(contact.end_s),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
