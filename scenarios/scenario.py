"""The scenario as a whole: what a file says, with defaults filled in and contradictions refused."""

from pathlib import Path

from pydantic import Field, PrivateAttr, model_validator

from scenarios.compute_section import Compute
from scenarios.consistency import contradictions
from scenarios.errors import ProblemsFound
from scenarios.faults_section import Faults
from scenarios.ground_section import Ground
from scenarios.learning_section import Learning
from scenarios.link_section import Link
from scenarios.orbit_section import Orbit
from scenarios.section import Instant, Positive, Section


class Stop(Section):
    """When the run ends: at the first of these that is reached."""

    cycles: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="complete cycles; needed with orbit source slots",
    )
    days: Positive = Field(
        default=None,
        le=36_525,
        description="simulated days; needed with orbits, null to the last of ready windows",
    )
    accuracy: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="test accuracy to stop at, 0 to 1; beside cycles or days",
    )


class Scenario(Section):
    """One simulation: orbit, ground, link, compute and learning, in user units.

    Two scenarios are equal if they say the same, whatever file they were read from.
    """

    description: str = Field(default="", description="one line on what the scenario shows")
    seed: int = Field(default=1, ge=0, le=2**63 - 1, description="seed of every random stream")
    start: Instant = Field(
        default=None,
        description="start of the simulation, UTC; null for the elements' epoch or the first rise",
    )
    stop: Stop = Field(description="end of the run: cycles or days, and accuracy if wanted")
    orbit: Orbit = Field(discriminator="source", description="the satellites")
    ground: Ground = Field(description="the clusters of devices")
    link: Link = Field(default=Link(), description="the radio link")
    compute: Compute = Field(default=Compute(), description="the devices' computing")
    learning: Learning = Field(default=Learning(), description="the federated learning")
    faults: Faults = Field(default=Faults(), description="what goes wrong by chance")

    _source_path: Path | None = PrivateAttr(default=None)

    @property
    def source_path(self) -> Path | None:
        """The file that the scenario was read from, if any; neither compared nor stored."""
        return self._source_path

    def __eq__(self, other: object) -> bool:
        """Compare what the scenarios say."""
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    @model_validator(mode="after")
    def _sections_agree(self) -> "Scenario":
        problems = tuple(contradictions(self))
        if problems:
            raise ProblemsFound(problems)
        return self
