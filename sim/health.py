"""What a user should know of a run that is formally in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.faults.counts import INJECTED
from sim.offers import cut_lines
from sim.summary import density_ratio, own_mass
from sim.tables import pieces_of

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


class Faults(NamedTuple):
    """How often each fault occurred, and the devices that had one: cluster and number."""

    details: Counter[str]
    devices: set[tuple[str, int]]


def warnings_of(tables: Mapping[str, pa.Table], built: Build) -> list[str]:
    """Return one line for each doubt about a finished run.

    Events and transfers are read piece by piece, and only the columns that count.
    """
    splits = built.learner.trains and built.method.splits_experts
    faults = _faults(tables)
    return [
        *(_conditions(tables["assignments"]) if splits else ()),
        *_diverged(tables["metrics"]),
        *_refused(tables),
        *built.plan.doubts,
        *cut_lines(tables, built.plan),
        *_silent(tables, built.plan, faults.devices),
        *(f"{count} times: {detail}" for detail, count in sorted(faults.details.items())),
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


def _refused(tables: Mapping[str, pa.Table]) -> Iterator[str]:
    """Updates that the server did not merge, but for those that the scenario spoils itself."""
    count = 0
    for events in pieces_of(tables, "events", ["detail"]):
        told = pc.match_substring(pc.fill_null(events.column("detail"), ""), "not finite; lower")
        count += pc.sum(told).as_py() or 0
    if count:
        yield f"{count} updates refused by the server, not finite: lower learning.step_size"


def _silent(
    tables: Mapping[str, pa.Table], plan: Plan, faulty: Collection[tuple[str, int]]
) -> Iterator[str]:
    """Devices that sent nothing in the whole run, while others of their cluster did.

    Those that are ``faulty`` are told of already.
    """
    heard = {cluster.name: np.zeros(cluster.devices, bool) for cluster in plan.clusters}
    for cluster, device in faulty:
        heard[cluster][device] = True
    for transfers in pieces_of(tables, "transfers", ["cluster", "device", "direction"]):
        up = transfers.filter(pc.equal(transfers.column("direction"), "uplink"))
        pairs = up.group_by(["cluster", "device"]).aggregate([])
        for cluster, device in zip(*pairs.to_pydict().values(), strict=True):
            heard[cluster][device] = True
    for name, there in heard.items():
        silent = np.flatnonzero(~there)
        if 0 < len(silent) < len(there):
            yield (
                f"{len(silent)} of the {len(there)} devices of {name} sent nothing, "
                f"device {silent[0]} for one: they may never see a satellite above their mask"
            )


def _faults(tables: Mapping[str, pa.Table]) -> Faults:
    """How often each fault occurred that the scenario did not ask for, and to which devices."""
    details: Counter[str] = Counter()
    devices: set[tuple[str, int]] = set()
    for events in pieces_of(tables, "events", ["kind", "cluster", "device", "detail"]):
        rows = events.filter(pc.equal(events.column("kind"), "fault"))
        details.update(text for text in _said(rows) if not text.startswith(INJECTED))
        mine = rows.filter(pc.is_valid(rows.column("device"))).select(["cluster", "device"])
        devices.update(map(tuple, map(dict.values, mine.to_pylist())))
    return Faults(details, devices)


def _said(rows: pa.Table) -> list[str]:
    said: list[str] = rows.column("detail").drop_null().to_pylist()
    return said
