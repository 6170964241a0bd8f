"""Rules between keys: what each section allows by itself but a scenario as a whole does not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.errors import Problem
from scenarios.ground_rules import ground_problems, pace_problems
from scenarios.link_rules import link_problems
from scenarios.orbit_rules import orbit_problems
from scenarios.serving_keys import Seen
from scenarios.sidelink_rules import sidelink_problems

if TYPE_CHECKING:
    from scenarios.scenario import Scenario


def contradictions(scenario: "Scenario") -> Iterator[Problem]:
    """Yield everything that does not fit together, in the order of the sections."""
    source, geometry = scenario.orbit.source, isinstance(scenario.orbit, Seen)
    yield from _stop(scenario)
    yield from orbit_problems(scenario)
    yield from ground_problems(scenario.ground, source, geometry)
    yield from link_problems(scenario.link, source, geometry)
    yield from sidelink_problems(scenario.link.sidelink, scenario.ground, source, geometry)
    yield from pace_problems(("compute",), scenario.compute)
    yield from _experts(scenario)


def _stop(scenario: "Scenario") -> Iterator[Problem]:
    source = scenario.orbit.source
    if source == "slots" and scenario.stop.cycles is None:
        yield Problem(
            ("stop",), "cycles is missing; source 'slots' runs a number of cycles, like cycles: 40"
        )
    if isinstance(scenario.orbit, Seen) and scenario.stop.days is None:
        yield Problem(
            ("stop",), f"days is missing; source {source!r} finds contacts over them, like days: 14"
        )


def _experts(scenario: "Scenario") -> Iterator[Problem]:
    model = scenario.learning.model
    # Networked experts are one a device, whatever this key says.
    if model.top_k > model.experts and not model.kind.endswith("-nmoe"):
        text = f"got {model.top_k}; must be at most learning.model.experts, {model.experts}"
        yield Problem(("learning", "model", "top_k"), text)
