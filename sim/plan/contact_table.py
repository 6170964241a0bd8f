"""Contacts, and windows of links: the plan as rows, the same for every method."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sim.facts.directions import Way
from sim.facts.plan import ContactRow, FeederWindowRow, IslWindowRow
from sim.links.beam import PassFigures
from sim.plan.feeder import FeederPlan
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.trace.arrow import array, coded_text
from sim.trace.instants import utc
from sim.trace.schema import TEXT, table_of


def contacts_table(plan: Plan, end_s: float) -> pa.Table:
    """Return the contacts table of a run that ended at ``end_s``; what came later was not served.

    The capacity is that of the device with the poorest link, while a beam served the cluster; for
    a contact that was not served, that of the whole window. ``max_doppler_hz`` is the largest shift
    of the carrier over the cluster's centre, ``residual_doppler_hz`` what is left for the worst
    device where the centre's is compensated; null without geometry. In a constellation most
    contacts are not served, and their links not worth computing: all three are null. With
    satellites as clients, or planes of them, ``station`` names the access point. The capacity is
    toward the server whoever that is: it is in the column of ``capacity_direction``, its direction
    by geometry, and the columns of the other directions are null.
    """
    contacts = plan.contacts
    windows = contacts.windows
    served = contacts.served & (contacts.start_s < end_s)
    part = served & ((contacts.start_s > contacts.rise_s) | contacts.cut_short)
    part |= served & contacts.cut_by_stop
    # In a constellation the links of what is not served are not worth computing.
    known = contacts.served | (not contacts.constellation)
    if plan.topology.grounded != "cluster":
        known = served
    numbers = np.flatnonzero(known)
    figures = PassFigures(*(np.full(len(contacts), np.nan) for _ in PassFigures._fields))
    for column, of_known in zip(figures, contacts.links.figures(numbers), strict=True):
        column[numbers] = of_known
    capacity = np.where(part, figures.least_in_service_bytes, figures.least_bytes)
    shift_hz = figures.doppler_hz
    residual_hz = figures.residual_doppler_hz
    norad_ids = contacts.norad_ids
    range_km = windows.min_slant_range_km
    to_server = plan.topology.direction(Way.TO_SERVER)
    nobody = np.ones(len(contacts), bool)
    capacities = {
        direction: array(capacity, ~known if direction == to_server else nobody)
        for direction in ("uplink", "downlink", "isl")
    }
    rows = ContactRow(
        contact_id=array(np.arange(len(contacts))),
        satellite=coded_text(contacts.flyer, contacts.flyers.names),
        norad_id=array(norad_ids, norad_ids == 0),
        cluster=coded_text(contacts.client, contacts.clients),
        capacity_direction=coded_text(np.zeros(len(contacts), np.int64), [to_server]),
        station=(
            pa.nulls(len(contacts), TEXT)
            if plan.topology.grounded == "cluster"
            else coded_text(contacts.ground, contacts.grounded.names)
        ),
        rise_utc=array(utc(plan.start, contacts.rise_s)),
        culminate_utc=array(utc(plan.start, windows.culminate_s)),
        set_utc=array(utc(plan.start, contacts.set_s)),
        rise_s=array(contacts.rise_s),
        set_s=array(contacts.set_s),
        duration_s=array(contacts.set_s - contacts.rise_s),
        max_elevation_deg=array(windows.max_elevation_deg),
        min_slant_range_km=array(range_km, np.isnan(range_km)),
        uplink_capacity_bytes_per_device=capacities["uplink"],
        downlink_capacity_bytes_per_device=capacities["downlink"],
        isl_capacity_bytes_per_device=capacities["isl"],
        served=array(served),
        service_start_s=array(contacts.start_s, ~served),
        service_end_s=array(np.minimum(contacts.end_s, end_s), ~served),
        max_doppler_hz=array(shift_hz, np.isnan(shift_hz)),
        residual_doppler_hz=array(residual_hz, np.isnan(residual_hz)),
    )
    return table_of(rows).combine_chunks()


def isl_table(isls: IslPlan, end_s: float) -> pa.Table:
    """Return the isl_windows table: the windows between satellites that began by ``end_s``."""
    began = isls.where(isls.start_s < end_s)
    return table_of(
        IslWindowRow(
            a=coded_text(began.a, isls.names),
            b=coded_text(began.b, isls.names),
            start_s=array(began.start_s),
            end_s=array(np.minimum(began.end_s, end_s)),
            min_range_km=array(began.min_range_km),
            max_range_km=array(began.max_range_km),
        )
    )


def feeder_table(feeder: FeederPlan, end_s: float) -> pa.Table:
    """Return the feeder_windows table: the passes over gateways that began by ``end_s``."""
    began = np.flatnonzero(feeder.start_s < end_s)
    return table_of(
        FeederWindowRow(
            satellite=coded_text(feeder.satellite[began], feeder.satellites),
            station=coded_text(feeder.station[began], feeder.stations),
            start_s=array(feeder.start_s[began]),
            end_s=array(np.minimum(feeder.end_s[began], end_s)),
            max_elevation_deg=array(feeder.max_elevation_deg[began]),
            min_range_km=array(feeder.min_range_km[began]),
        )
    )
