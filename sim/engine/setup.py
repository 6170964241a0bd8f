"""Build: a scenario made ready, with its plan, devices, learner and method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from learning.learner import Learner
from learning.methods.base import (
    GlobalModelMethod,
    Method,
    MethodType,
    find_method,
)
from learning.methods.base import World as KnownWorld
from learning.methods.making import Made, made, own_part, try_hooks
from learning.methods.options import read_options
from learning.requests.cluster import Quorum
from sim.devices.battery import Power
from sim.devices.compute import Compute
from sim.devices.energy import Transmitter
from sim.engine.learning_task import learner_of
from sim.errors import as_input
from sim.links.sidelinks import Sidelinks
from sim.plan.plan import Plan
from sim.world.key_rules import refuse_for_method
from sim.world.world import World
from statements import Statement
from statements.arrays import Floats


@dataclass(frozen=True)
class Build:
    """A scenario made ready to run."""

    world: World
    plan: Plan
    compute: tuple[Compute, ...]
    transmitter: Transmitter
    learner: Learner
    method: MethodType
    options: Any
    sidelinks: Sidelinks | None = None
    supplies: Mapping[str, tuple[Power, Floats]] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """Complete cycles that the run can reach."""
        limit = self.world.stop.cycles
        return self.plan.cycles if limit is None else min(limit, self.plan.cycles)

    @property
    def known(self) -> KnownWorld:
        """What the method knows of the run."""
        waits = self.world.learning.aggregation
        return KnownWorld(
            clusters=self.plan.clusters,
            cycles=self.cycles,
            seed=self.world.seed,
            learner=self.learner,
            gate_tuning_cycles=self.world.learning.gate_tuning_cycles,
            closing=Quorum(
                1.0 if waits.quorum is None else waits.quorum,
                inf if waits.deadline_s is None else waits.deadline_s,
            ),
            rings=() if self.plan.isls is None else self.plan.isls.rings,
            over_mesh=self.plan.topology.over_mesh,
        )

    def try_hooks(self, of_run: Method | None = None) -> list[Statement]:
        """Try what a method of one's own adds; raise InputError with the hook that fails.

        One that learns by itself is rehearsed: that ``of_run``, else one that does not run. Returns
        what is doubtful.
        """
        if self.method.traits.own_learning and self.learner.measures:
            with as_input(origin=self.world):
                method = of_run or self.new_method()
                try:
                    return method.rehearse(self.plan.longest_gap_s)
                finally:
                    if method is not of_run:
                        method.dismiss()
        if issubclass(self.method, GlobalModelMethod) and self.learner.trains:
            # With values of its own: the run's are its own alone.
            known = replace(self.known, learner=Learner(self.learner.config))
            with as_input(origin=self.world):
                try_hooks(self._made(self.method, known))
        return []

    def new_method(self) -> Method:
        """Return the method with its server state as it is before the run."""
        return self._made(self.method, self.known)

    def _made(self, kind: type[Made], known: KnownWorld) -> Made:
        """Return the method in a world; raise InputError for one of the user's own that fails."""
        with as_input(origin=self.world):
            return made(kind, self.world.learning.method, known, self.options)


def method_of(world: World) -> tuple[MethodType, Any, Learner]:
    """Return a scenario's method with its options, and its learner: all but plan and links.

    Raises InputError with one line for what is wrong in ``learning``.
    """
    name = world.learning.method
    with as_input("learning.method"):
        method = find_method(name)
    with (
        as_input(),
        own_part(method, name, "has Options that cannot be made", method.Options, refuses=True),
        as_input(below="learning.options"),
    ):
        options = read_options(method.Options, world.learning.options)
    learner = learner_of(world)
    refuse_for_method(world, method, options, learner)
    with as_input(), own_part(method, name, "has a check that fails", method.check, refuses=True):
        method.check(learner.config)
    return method, options, learner
