"""A scenario resolved: who flies, who is on the ground, when it starts, by which radios."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import scenarios
from scenarios import Scenario
from scenarios.orbit import WithService
from sim.world.fleet import FileWindows, Fleet, Flyers, flyers_of, given_start
from sim.world.sites import Sites
from sim.world.topology import Topology
from statements import KeyPath, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenarios.compute import Compute
    from scenarios.faults import Faults
    from scenarios.ground import Ground
    from scenarios.learning import Learning
    from scenarios.link import Link
    from scenarios.orbit import OrbitSource
    from scenarios.scenario import Stop, Traffic


@dataclass(frozen=True)
class Slots:
    """The cycle of an idealised satellite: a slot for each of the clusters, then idle ones."""

    clusters: int
    idle: int
    seconds: float

    def cycles_s(self, count: float) -> float:
        """Return how long so many cycles last, in seconds."""
        return count * (self.clusters + self.idle) * self.seconds


@dataclass(frozen=True, eq=False)
class World:
    """What a scenario means: each part is made when it is first asked for, and once.

    Files that it names are read then. Sections of the scenario are here by their names.
    """

    scenario: Scenario

    @cached_property
    def flyers(self) -> Flyers | None:
        """Who flies, whatever is known of it; None in the idealised cycle, where nobody does."""
        return flyers_of(self.scenario)

    @property
    def fleet(self) -> Fleet:
        """The satellites on orbits, of a source that has geometry."""
        assert isinstance(self.flyers, Fleet)
        return self.flyers

    @property
    def windows(self) -> FileWindows:
        """The windows of a file, of a source that has them ready."""
        assert isinstance(self.flyers, FileWindows)
        return self.flyers

    @property
    def service(self) -> WithService:
        """The rules by which clients are served; the idealised cycle has none."""
        source = self.scenario.orbit
        assert isinstance(source, WithService)
        return source

    @cached_property
    def sites(self) -> Sites:
        """Clients, and the places on the ground."""
        return Sites(self.scenario, self.flyers)

    @cached_property
    def given_start(self) -> datetime | None:
        """The start that is given or drawn, UTC; None if the elements' epoch counts."""
        return given_start(self.scenario.start, self.scenario.seed)

    @cached_property
    def topology(self) -> Topology:
        """Who the clients are, who the server is, and by which route they reach each other."""
        roles = self.scenario.roles
        server = "satellite" if roles.server_satellite else roles.server
        return Topology(roles.clients, server, self.link.route)

    @cached_property
    def slots(self) -> Slots | None:
        """The cycle in which clusters are served; None where satellites come into view."""
        cycle = self.orbit.cycle
        if cycle is None:
            return None
        return Slots(len(self.ground.clusters), cycle.idle, cycle.seconds)

    @cached_property
    def isl_windows(self) -> tuple[str, str] | None:
        """The text of given windows between satellites, and its name; ScenarioError for none."""
        return scenarios.isl_windows(self.scenario)

    def local_path(self, name: str) -> str:
        """Return a path that a key names: beside the scenario's file, else in this folder."""
        return scenarios.local_path(self.scenario, name)

    @property
    def is_shipped(self) -> bool:
        """Whether the scenario came with leomix."""
        source = self.scenario.source_path
        return source is not None and scenarios.is_shipped(source)

    def place_of(self, path: KeyPath) -> Place | None:
        """Return where a key was given, as errors name it; None where it was not."""
        return self.scenario.place_of(path)

    def changed(self, **sections: Any) -> World:
        """Return the world with other sections."""
        return World(self.scenario.model_copy(update=sections))

    @cached_property
    def resolved_link(self) -> Any:
        """Both directions of the link with every value filled in, as a mapping."""
        return scenarios.resolved_link(self.scenario)

    # The sections of the scenario.

    @property
    def orbit(self) -> OrbitSource:
        """The section on the satellites, by the facts that are known of any source."""
        return self.scenario.orbit

    @property
    def ground(self) -> Ground:
        """The section on the places."""
        return self.scenario.ground

    @property
    def link(self) -> Link:
        """The section on the radio links."""
        return self.scenario.link

    @property
    def stop(self) -> Stop:
        """The section on when the run ends."""
        return self.scenario.stop

    @property
    def compute(self) -> Compute:
        """The section on the devices' computing."""
        return self.scenario.compute

    @property
    def learning(self) -> Learning:
        """The section on the federated learning; a network study, which has none, never asks."""
        learning = self.scenario.learning
        assert learning is not None
        return learning

    @property
    def faults(self) -> Faults:
        """The section on what goes wrong, by chance or on a date."""
        return self.scenario.faults

    @property
    def traffic(self) -> Sequence[Traffic]:
        """The payloads of a network study."""
        return self.scenario.traffic

    @property
    def seed(self) -> int:
        """The seed of every random stream."""
        return self.scenario.seed
