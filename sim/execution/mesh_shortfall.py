"""What a mesh did not bring to its end: why no update, or no model, arrived over links."""

from __future__ import annotations

from sim.engine.setup import Build
from sim.facts.directions import Way
from sim.formatting import counted, data_size
from sim.network.mesh import Shortfall
from sim.plan.remedies import less_to_carry


def name_of(way: Way) -> str:
    """Return what a message of one way is called."""
    return "upload" if way is Way.TO_SERVER else "download"


def why_none_arrived(built: Build, way: Way, missing: Shortfall) -> str:
    """Say how many messages of one way found no route or were under way at the end; "" for none."""
    if not missing.messages:
        return ""
    name = name_of(way)
    parts = []
    if missing.no_route:
        parts.append(f"{counted(missing.no_route, name)} found no route before the end")
    if missing.under_way:
        verb = "was" if missing.under_way == 1 else "were"
        parts.append(f"{counted(missing.under_way, name)} {verb} under way at the end")
    said = " and ".join(parts)
    feeder = "" if built.plan.feeder is None else ", link.feeder.rate_mbps"
    return (
        f"{said}, of {data_size(missing.largest_bytes)} at most: raise stop.days, "
        f"link.isl.rate_mbps{feeder} or the rates of the passes, or "
        f"{less_to_carry(built.world, built.learner.config.model.lora, way)}"
    )
