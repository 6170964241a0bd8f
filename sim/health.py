"""What a user should know of a run that is formally in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sim.summary import own_mass

if TYPE_CHECKING:
    from sim.build import Build

LOW_MASS = 0.8
"""Own gate mass below which a cluster's data mostly goes to experts that others train."""


def warnings_of(tables: dict[str, pa.Table], built: Build) -> list[str]:
    """Return one line for each doubt about a finished run."""
    mass = _mass(tables["assignments"]) if built.learner.trains else ()
    return [*mass, *built.plan.doubts, *_cut(tables), *_faults(tables["events"])]


def _mass(assignments: pa.Table) -> Iterator[str]:
    mass = own_mass(assignments)
    if mass is not None and min(mass.values()) < LOW_MASS:
        yield (
            f"own gate mass {mass['start']:.2f} at the start, {mass['end']:.2f} at the end: the "
            "gate sends much of a cluster's data to experts that others train, so that EMS-FL has "
            "little to gain over the synchronous baseline here"
        )


def _cut(tables: dict[str, pa.Table]) -> Iterator[str]:
    for direction in ("uplink", "downlink"):
        column = tables["transfers"].column("direction")
        rows = tables["transfers"].filter(pc.equal(column, direction))
        outcomes = rows.column("outcome").to_pylist()
        cut = sum(outcome != "delivered" for outcome in outcomes)
        if cut > len(outcomes) / 2:
            yield (
                f"{cut} of {len(outcomes)} {direction} transfers were cut by the end of their "
                "contact: the payload is large for these passes"
            )


def _faults(events: pa.Table) -> Iterator[str]:
    faults = events.filter(pc.equal(events.column("kind"), "fault"))
    details = faults.column("detail").to_pylist()
    for detail in sorted(set(details)):
        yield f"{details.count(detail)} times: {detail}"
