"""The contacts table: the plan as rows, the same for every method."""

from __future__ import annotations

import math
from datetime import datetime

import pyarrow as pa

from sim.plan.contacts import PlannedContact
from sim.plan.plan import Plan
from sim.trace.schema import COLUMNS

AT_ONCE = 1 << 10
"""Rows that are Python objects at the same time: these take ten times as much memory."""


def contacts_table(plan: Plan, end_s: float) -> pa.Table:
    """Return the contacts table of a run that ended at ``end_s``; what came later was not served.

    The capacity is that of the device with the poorest link, while a beam served the cluster; for
    a contact that was not served, that of the whole window. ``max_doppler_hz`` is the largest shift
    of the carrier over the cluster's centre, ``residual_doppler_hz`` what is left for the worst
    device where the centre's is compensated; null without geometry. In a constellation most
    contacts are not served, and their links not worth computing: all three are null.
    """
    schema = pa.schema(list(COLUMNS["contacts"].items()))
    pieces = [schema.empty_table()]
    for at in range(0, len(plan.contacts), AT_ONCE):
        rows = [_row(plan, contact, end_s) for contact in plan.contacts[at : at + AT_ONCE]]
        pieces.append(pa.Table.from_pylist(rows, schema=schema))
    return pa.concat_tables(pieces).combine_chunks()


def _row(
    plan: Plan, contact: PlannedContact, end_s: float
) -> dict[str, str | int | float | bool | datetime | None]:
    served = contact.served and contact.start_s < end_s
    part = served and (contact.start_s > contact.rise_s or contact.cut_short)
    # In a constellation the links of what is not served are not worth computing.
    known = contact.served or not plan.constellation
    shift_hz, residual_hz = (contact.links.doppler_hz if known else None) or (None, None)
    range_km = contact.min_slant_range_km
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
        "min_slant_range_km": None if math.isnan(range_km) else range_km,
        "uplink_capacity_bytes_per_device": contact.links.least_bytes[1 if part else 0]
        if known
        else None,
        "served": served,
        "service_start_s": contact.start_s if served else None,
        "service_end_s": min(contact.end_s, end_s) if served else None,
        "max_doppler_hz": shift_hz,
        "residual_doppler_hz": residual_hz,
    }
