"""What a mesh did not bring to its end: why no update, or no model, arrived over links."""

from __future__ import annotations

from sim.advice.remedies import faster_mesh, less_to_carry, longer_run
from sim.engine.setup import Build
from sim.facts.directions import Way
from sim.formatting import counted, data_size
from sim.mesh.messages import Shortfall
from statements import Code, Statement


def name_of(way: Way) -> str:
    """Return what a message of one way is called."""
    return "upload" if way is Way.TO_SERVER else "download"


def why_none_arrived(built: Build, way: Way, missing: Shortfall) -> Statement | None:
    """Say how many messages of one way had no route, or were under way at the end, if any."""
    if not missing.messages:
        return None
    name = name_of(way)
    direction = built.plan.topology.direction(way)
    parts = []
    if missing.no_route:
        parts.append(f"{counted(missing.no_route, name)} found no route before the end")
    if missing.under_way:
        verb = "was" if missing.under_way == 1 else "were"
        parts.append(f"{counted(missing.under_way, name)} {verb} under way at the end")
    return Statement.doubt(
        Code.NOTHING_ARRIVED,
        "",
        f"{' and '.join(parts)}, of {data_size(missing.largest_bytes)} at most",
        *longer_run(built.world),
        *faster_mesh(built.world, direction, feeder=built.plan.feeder is not None),
        *less_to_carry(built.world, built.learner.config.model.lora, way),
        no_route=missing.no_route,
        under_way=missing.under_way,
        largest_bytes=missing.largest_bytes,
    )
