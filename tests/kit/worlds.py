"""Functions of a world, called with a scenario."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from sim.advice import doubts, remedies, training
from sim.capacity import budget as link_budget
from sim.devices import compute
from sim.engine import learning_task, setup
from sim.execution import identity, ready
from sim.links import sidelinks
from sim.plan import radios, service
from sim.world.world import World


def _with_world(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes a scenario where ``function`` takes its world."""

    @wraps(function)
    def called(scenario: Any, *args: Any, **keywords: Any) -> Any:
        return function(World(scenario), *args, **keywords)

    return called


budget = _with_world(link_budget.budget)
compute_of = _with_world(compute.compute_of)
decisive = _with_world(identity.decisive)
ground_radios = _with_world(radios.ground_radios)
learner_of = _with_world(learning_task.learner_of)
lower_mask = _with_world(remedies.lower_mask)
make_plan = _with_world(ready.run_plan)
method_of = _with_world(setup.method_of)
one_pass = _with_world(link_budget.one_pass)
point_identity = _with_world(identity.point_identity)
portable = _with_world(identity.portable)
served_passes = _with_world(service.served_passes)
sidelinks_of = _with_world(sidelinks.sidelinks_of)


def device_sites(scenario: Any, index: int) -> Any:
    """Return the places of the devices of a cluster."""
    return World(scenario).sites.devices_of(index)


def ground_sites(scenario: Any) -> Any:
    """Return the places whose passes are searched."""
    return World(scenario).sites.of_passes


def satellites_of(scenario: Any) -> Any:
    """Return the satellites of a scenario."""
    return World(scenario).fleet.satellites


def flying_of(plan: Any) -> dict[str, Any]:
    """Return the satellites of a plan by name."""
    return dict(zip(plan.contacts.flyers.names, plan.contacts.satellites, strict=True))


def server_of(scenario: Any) -> Any:
    """Return the satellite that holds the server."""
    return World(scenario).fleet.server


def flying_and_server(scenario: Any) -> Any:
    """Return the satellites of a scenario, then the one that serves them."""
    return World(scenario).fleet.flying


def doubts_before(scenario: Any) -> Any:
    """Return all doubts about a scenario before it runs, as `leomix validate` finds them."""
    built = ready.build(scenario)
    lacking = training.missing_data(built.world, built.learner)
    tried = training.learning_doubts(built) if built.learner.trains and not lacking else []
    return [*doubts.doubts_before(built), *lacking, *tried]
