"""Rules between keys: what each section allows by itself but a scenario as a whole does not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.errors import Problem
from scenarios.link_values import link_problems

if TYPE_CHECKING:
    from scenarios.orbit_section import TleOrbit
    from scenarios.scenario import Compute, Scenario


def contradictions(scenario: "Scenario") -> Iterator[Problem]:
    """Yield everything that does not fit together, in the order of the sections."""
    yield from _stop(scenario)
    if scenario.orbit.source == "tle":
        yield from _elements(scenario.orbit)
    elif scenario.orbit.source == "circular":
        yield from _start(scenario)
    else:
        yield from _slot_count(scenario)
    yield from _places(scenario)
    yield from link_problems(scenario.link, geometry=scenario.orbit.source != "slots")
    yield from _compute(scenario.compute)
    yield from _experts(scenario)


def _stop(scenario: "Scenario") -> Iterator[Problem]:
    source = scenario.orbit.source
    if source == "slots" and scenario.stop.cycles is None:
        yield Problem(
            ("stop",), "cycles is missing; source 'slots' runs a number of cycles, like cycles: 40"
        )
    if source != "slots" and scenario.stop.days is None:
        yield Problem(
            ("stop",), f"days is missing; source {source!r} finds contacts over them, like days: 14"
        )


def _elements(orbit: "TleOrbit") -> Iterator[Problem]:
    if orbit.path is None and orbit.elements is None:
        text = "is missing; give the element file, or elements with the lines"
        yield Problem(("orbit", "path"), text)
    if orbit.path is not None and orbit.elements is not None:
        yield Problem(("orbit", "elements"), "cannot stand beside orbit.path; keep one of the two")


def _start(scenario: "Scenario") -> Iterator[Problem]:
    if scenario.start is None:
        text = "is missing; source 'circular' has no epoch, so write it like 2026-08-22T00:00:00Z"
        yield Problem(("start",), text)


def _slot_count(scenario: "Scenario") -> Iterator[Problem]:
    clusters = len(scenario.ground.clusters)
    count = scenario.orbit.slots.count if scenario.orbit.source == "slots" else None
    if count not in (None, clusters):
        text = f"got {count}; must be the number of clusters, {clusters} (or leave it out)"
        yield Problem(("orbit", "slots", "count"), text)


def _places(scenario: "Scenario") -> Iterator[Problem]:
    source = scenario.orbit.source
    for index, cluster in enumerate(scenario.ground.clusters):
        for key in ("latitude_deg", "longitude_deg"):
            if source != "slots" and getattr(cluster, key) is None:
                text = f"is missing for cluster {cluster.name!r}; source {source!r} needs its place"
                yield Problem(("ground", "clusters", index, key), text)


def _compute(compute: "Compute") -> Iterator[Problem]:
    if compute.seconds_per_round is not None and compute.tflops is not None:
        text = "cannot stand beside compute.seconds_per_round; keep one and set the other to null"
        yield Problem(("compute", "tflops"), text)


def _experts(scenario: "Scenario") -> Iterator[Problem]:
    model = scenario.learning.model
    if model.top_k > model.experts:
        text = f"got {model.top_k}; must be at most learning.model.experts, {model.experts}"
        yield Problem(("learning", "model", "top_k"), text)
