"""The scenario as a whole: what a file says, with defaults filled in and contradictions refused."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, PrivateAttr, model_validator

from scenarios.errors import Origin, Problem, refuse
from scenarios.faults import Faults
from scenarios.ground import Compute, Ground, ground_problems, rate_problems
from scenarios.learning import Learning
from scenarios.link import Link
from scenarios.link_rules import (
    ResolvedLink,
    isl_problems,
    link_problems,
    link_values,
    sidelink_problems,
    sidelink_values,
)
from scenarios.orbit import Orbit, orbit_problems
from scenarios.roles import Roles, battery_problems, roles_problems
from scenarios.section import Instant, Positive, Section, setting


class Stop(Section):
    """When the run ends: at the first of these that is reached."""

    cycles: int | None = setting(
        None, "complete cycles; needed with orbit source slots", ge=1, le=1_000_000_000
    )
    days: Positive = setting(
        None, "simulated days; needed with orbits, null to the last of ready windows", le=36_525
    )
    rounds: int | None = setting(
        None,
        "aggregations to stop at, of whatever method; beside cycles or days",
        ge=1,
        le=1_000_000_000,
    )
    accuracy: float | None = setting(
        None, "test accuracy to stop at, 0 to 1; beside cycles or days", ge=0, le=1
    )


class Scenario(Section):
    """One simulation: orbit, ground, link, compute and learning, in user units.

    Two scenarios are equal if all their keys are, whatever file they were read from.
    """

    description: str = setting("", "one line on what the scenario shows")
    seed: int = setting(1, "seed of every random stream", ge=0, le=2**63 - 1)
    start: Instant = setting(
        None, "start of the simulation, UTC; null for the elements' epoch or the first rise"
    )
    stop: Stop = Field(description="end of the run: cycles or days, and accuracy if wanted")
    roles: Roles = setting(Roles(), "who holds the data and who the model")
    orbit: Orbit = Field(discriminator="source", description="the satellites")
    ground: Ground = Field(description="the clusters of devices, or the stations")
    link: Link = setting(Link(), "the radio link")
    compute: Compute = setting(Compute(), "the devices' computing")
    learning: Learning = setting(Learning(), "the federated learning")
    faults: Faults = setting(Faults(), "what goes wrong by chance")

    _source_path: Path | None = PrivateAttr(default=None)
    _origin: Origin = PrivateAttr(default=Origin())

    @property
    def source_path(self) -> Path | None:
        """The file that the scenario was read from, if any; neither compared nor stored."""
        return self._source_path

    def located(self, text: str) -> str:
        """Return ``key: what is wrong`` with the file and line of the key, where it is known."""
        return self._origin.located(text)

    def __eq__(self, other: object) -> bool:
        """Compare all keys."""
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    @model_validator(mode="after")
    def _sections_agree(self) -> "Scenario":
        refuse(contradictions(self))
        return self


def contradictions(scenario: "Scenario") -> Iterator[Problem]:
    """Yield everything that does not fit together, in the order of the sections."""
    source, geometry = scenario.orbit.source, scenario.orbit.has_geometry
    yield from _stop(scenario)
    clusters = len(scenario.ground.clusters)
    roles = scenario.roles
    yield from roles_problems(roles, scenario.orbit, scenario.ground, scenario.link)
    yield from orbit_problems(scenario.orbit, scenario.start, clusters, roles.stations_serve)
    yield from ground_problems(scenario.ground, source, geometry)
    yield from link_problems(scenario.link, source, geometry)
    yield from sidelink_problems(scenario.link.sidelink, scenario.ground, source, geometry)
    yield from isl_problems(scenario.link.isl, roles.stations_serve, geometry)
    yield from rate_problems(("compute",), scenario.compute)
    yield from battery_problems(roles, scenario.compute, scenario.faults, geometry)
    yield from _model(scenario)


def _stop(scenario: "Scenario") -> Iterator[Problem]:
    source = scenario.orbit.source
    if source == "slots" and scenario.stop.cycles is None:
        text = "is missing; source 'slots' runs a number of cycles, like 40"
        yield Problem(("stop", "cycles"), text)
    if scenario.orbit.has_geometry and scenario.stop.days is None:
        text = f"is missing; source {source!r} finds contacts over so many days, like 14"
        yield Problem(("stop", "days"), text)


def _model(scenario: "Scenario") -> Iterator[Problem]:
    learning, model = scenario.learning, scenario.learning.model
    if learning.sized_as is not None and not learning.train:
        text = "is not used with train false; set it to null, learning.model to its architecture"
        yield Problem(("learning", "sized_as"), text)
    # Networked experts are one per device, whatever the value of this key.
    if model.top_k > model.experts and not model.kind.endswith("-nmoe"):
        text = f"got {model.top_k}; must be at most learning.model.experts, {model.experts}"
        yield Problem(("learning", "model", "top_k"), text)


def resolved_link(scenario: Scenario) -> ResolvedLink:
    """Return the link's values in user units; see :func:`scenarios.link_rules.link_values`."""
    return link_values(scenario.link, scenario.orbit.source, scenario.orbit.has_geometry)


def resolved_sidelink(scenario: Scenario) -> dict[str, float] | None:
    """Return the values of the sidelink in user units, None without one."""
    return sidelink_values(scenario.link.sidelink)
