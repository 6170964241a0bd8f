"""What a user should know of a run that is formally in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.grouping import grouped, numbers_of, says
from sim.summary import density_ratio, own_mass

if TYPE_CHECKING:
    from sim.build import Build
    from sim.plan import Plan

LOW_MASS = 0.8
"""Own gate mass below which a cluster's data mostly goes to experts that others train."""

UNIFORM = 0.25
"""How far from 1 (uniform data) towards C (all at home) the mean density ratio has to lie.

On the digits of docs/results.md EMS-FL loses below it, with 40 % of the data at home in four
clusters, and still gains above it, with 70 %.
"""

OFFER = ("cluster", "device", "payload", "version")
"""What tells one payload of a device from another, in one direction."""


def warnings_of(tables: dict[str, pa.Table], built: Build) -> list[str]:
    """Return one line for each doubt about a finished run."""
    splits = built.learner.trains and built.method.splits_experts
    return [
        *(_conditions(tables["assignments"]) if splits else ()),
        *_diverged(tables["metrics"]),
        *_refused(tables["events"]),
        *built.plan.doubts,
        *_cut(tables["transfers"], built.plan),
        *_silent(tables, built.plan),
        *_faults(tables["events"]),
    ]


def _conditions(assignments: pa.Table) -> Iterator[str]:
    """Whether the conditions for a gain over the synchronous baseline are there."""
    mass, ratios = own_mass(assignments), density_ratio(assignments)
    if mass is not None and min(mass.values()) < LOW_MASS:
        yield (
            f"own gate mass {mass['start']:.2f} at the start, {mass['end']:.2f} at the end: the "
            "gate sends much of a cluster's data to experts that others train, so that EMS-FL has "
            "little to gain over the synchronous baseline here"
        )
    known = [ratio for ratio in (ratios or {}).values() if ratio is not None]
    if ratios and known and np.mean(known) < 1 + UNIFORM * (len(ratios) - 1):
        each = ", ".join(f"{name} {_figure(ratio)}" for name, ratio in ratios.items())
        yield (
            "data related to a cluster's experts are hardly denser with it than elsewhere: ratio "
            f"{each} (1 is uniform, {len(ratios)} all at home), so that the synchronous baseline "
            "may be as fast as EMS-FL or faster"
        )


def _figure(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _diverged(metrics: pa.Table) -> Iterator[str]:
    """Since when the server's model has had no loss, though every update to it was finite."""
    lost = pc.invert(pc.is_finite(metrics.column("loss")))
    for row in metrics.filter(pc.fill_null(lost, False)).slice(0, 1).to_pylist():
        yield (
            f"the loss of the server's model is not finite from cycle {row['cycle']} on: "
            "lower learning.step_size"
        )


def _refused(events: pa.Table) -> Iterator[str]:
    """Updates that the server did not merge."""
    told = pc.match_substring(pc.fill_null(events.column("detail"), ""), "refused: not finite")
    if count := pc.sum(told).as_py():
        yield f"{count} updates refused by the server, not finite: lower learning.step_size"


def _cut(transfers: pa.Table, plan: Plan) -> Iterator[str]:
    """Payloads that did not get through in the session in which they were sent."""
    sessions = np.array([contact.session for contact in plan.contacts], np.int64)
    through = says(transfers, "outcome", "delivered")
    for direction in ("uplink", "downlink"):
        rows = np.flatnonzero(says(transfers, "direction", direction))
        if not len(rows):
            continue
        contacts = numbers_of(transfers.column("contact_id"))[rows]
        keys = [numbers_of(transfers.column(key))[rows] for key in OFFER]
        order, first = grouped([*keys, sessions[contacts]])
        done = np.logical_or.reduceat(through[rows][order], first)
        cut = int((~done).sum())
        if cut > len(done) / 2:
            yield (
                f"{cut} of {len(done)} {direction} transfers were cut by the end of their "
                "contact: the payload is large for these passes"
            )


def _silent(tables: dict[str, pa.Table], plan: Plan) -> Iterator[str]:
    """Devices that sent nothing in the whole run, while others of their cluster did.

    Those that do not train for want of memory are told of as faults.
    """
    transfers, faults = tables["transfers"], faulty(tables["events"])
    up = says(transfers, "direction", "uplink")
    device = numbers_of(transfers.column("device"))
    for cluster in plan.clusters:
        mine = up & says(transfers, "cluster", cluster.name)
        heard_of = np.union1d(device[mine], faults.get(cluster.name, []))
        silent = np.setdiff1d(np.arange(cluster.devices), heard_of)
        if 0 < len(silent) < cluster.devices:
            yield (
                f"{len(silent)} of the {cluster.devices} devices of {cluster.name} sent nothing, "
                f"device {silent[0]} for one: they may never see a satellite above their mask"
            )


def faulty(events: pa.Table) -> dict[str, list[int]]:
    """Devices with a fault of their own, by cluster."""
    rows = events.filter(
        pc.and_(pc.equal(events.column("kind"), "fault"), pc.is_valid(events.column("device")))
    )
    found: dict[str, list[int]] = {}
    for row in rows.select(["cluster", "device"]).to_pylist():
        found.setdefault(row["cluster"], []).append(row["device"])
    return found


def _faults(events: pa.Table) -> Iterator[str]:
    details = events.column("detail").filter(pc.equal(events.column("kind"), "fault"))
    for entry in sorted(pc.value_counts(details).to_pylist(), key=lambda entry: entry["values"]):
        yield f"{entry['counts']} times: {entry['values']}"
