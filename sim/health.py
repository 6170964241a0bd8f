"""What a user should know of a run that is formally in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sim.summary import own_mass

if TYPE_CHECKING:
    from sim.build import Build
    from sim.plan import Plan

LOW_MASS = 0.8
"""Own gate mass below which a cluster's data mostly goes to experts that others train."""


def warnings_of(tables: dict[str, pa.Table], built: Build) -> list[str]:
    """Return one line for each doubt about a finished run."""
    mass = _mass(tables["assignments"]) if built.learner.trains else ()
    return [
        *mass,
        *built.plan.doubts,
        *_cut(tables["transfers"], built.plan),
        *_silent(tables["transfers"], built.plan),
        *_faults(tables["events"]),
    ]


def _mass(assignments: pa.Table) -> Iterator[str]:
    mass = own_mass(assignments)
    if mass is not None and min(mass.values()) < LOW_MASS:
        yield (
            f"own gate mass {mass['start']:.2f} at the start, {mass['end']:.2f} at the end: the "
            "gate sends much of a cluster's data to experts that others train, so that EMS-FL has "
            "little to gain over the synchronous baseline here"
        )


def _cut(transfers: pa.Table, plan: Plan) -> Iterator[str]:
    """Payloads that did not get through in the session in which they were sent."""
    keys = ("cluster", "device", "payload", "version", "contact_id")
    for direction in ("uplink", "downlink"):
        rows = transfers.filter(pc.equal(transfers.column("direction"), direction)).to_pylist()
        through: dict[tuple[object, ...], bool] = {}
        for row in rows:
            *what, contact_id = (row[key] for key in keys)
            offer = (*what, plan.contacts[contact_id].session)
            through[offer] = through.get(offer, False) or row["outcome"] == "delivered"
        cut = sum(not done for done in through.values())
        if cut > len(through) / 2:
            yield (
                f"{cut} of {len(through)} {direction} transfers were cut by the end of their "
                "contact: the payload is large for these passes"
            )


def _silent(transfers: pa.Table, plan: Plan) -> Iterator[str]:
    """Devices that sent nothing in the whole run, while others of their cluster did."""
    up = transfers.filter(pc.equal(transfers.column("direction"), "uplink"))
    sent = zip(up.column("cluster").to_pylist(), up.column("device").to_pylist(), strict=True)
    heard = set(sent)
    for cluster in plan.clusters:
        silent = [k for k in range(cluster.devices) if (cluster.name, k) not in heard]
        if silent and len(silent) < cluster.devices:
            yield (
                f"{len(silent)} of the {cluster.devices} devices of {cluster.name} sent nothing, "
                f"device {silent[0]} for one: they may never see a satellite above their mask"
            )


def _faults(events: pa.Table) -> Iterator[str]:
    faults = events.filter(pc.equal(events.column("kind"), "fault"))
    details = faults.column("detail").to_pylist()
    for detail in sorted(set(details)):
        yield f"{details.count(detail)} times: {detail}"
