"""Inner names of ``sim`` that tests use: plan, links, transfers, faults, clock."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "orbit.windows": "cut",
        "sim.cli.contact_list": "contact_listing=.",
        "sim.clock": "Clock",
        "sim.devices.battery": "Battery Power",
        "sim.devices.compute": "Compute",
        "sim.devices.devices": "Devices",
        "sim.devices.energy": "energy=.",
        "sim.devices.faults": "Faults Presence",
        "sim.devices.outages": "Intervals NO_INTERVALS Outages drawn_intervals union",
        "sim.engine.clients": "Clients",
        "sim.advice.doubts": "doubts_of",
        "sim.errors": "InputError SimulationError",
        "sim.execution.identity": "NamedBuild",
        "sim.execution.run_cache": "RunCache",
        "sim.execution.running": "Run",
        "sim.links.beam": "Beam DeviceLinks Radio RangeGrid RateSegment",
        "sim.links.rate_points": "HALVINGS crossings find_jumps turns",
        "sim.links.pass_geometry": "pass_geometry=.",
        "sim.links.link_table": "plan_links=.",
        "sim.links.sharing": "queued shared",
        "sim.mesh.book": "Book ContactGraph",
        "sim.mesh.contacts": "ContactPlan Contacts Hop Rates Route",
        "sim.mesh.messages": "MeshReach",
        "sim.network.books": "Books LedgerEntry PayloadKey",
        "sim.network.endpoint": "CutTransfers Shared",
        "sim.network.legs": "LegLog",
        "sim.network.chains": "ServiceLink",
        "sim.network.sessions": "ClusterSessions",
        "sim.plan.contacts": "ContactTable PlannedContact planning=.",
        "sim.plan.isl_planning": "ring_planes",
        "sim.plan.passes": "PassEnd WindowQuery finding=.",
        "sim.plan.plan": "Plan",
        "sim.plan.service": "session_numbers",
        "sim.execution.ready": "Plans build",
        "sim.world.sites": "distances_km",
        "sim.world.world": "World",
        "sim.world.topology": "Topology",
    },
)


def _world(scenario: Any) -> Any:
    from sim.world.world import World

    return World(scenario)


def _of(module: str, name: str) -> Callable[..., Any]:
    """What takes a scenario in place of its world, imported when it is called."""

    def called(scenario: Any, *args: Any, **keywords: Any) -> Any:
        return getattr(import_module(module), name)(_world(scenario), *args, **keywords)

    return called


budget = _of("sim.capacity.budget", "budget")
compute_of = _of("sim.devices.compute", "compute_of")
ground_radios = _of("sim.plan.radios", "ground_radios")
learner_of = _of("sim.engine.learning_task", "learner_of")
lower_mask = _of("sim.advice.remedies", "lower_mask")
make_plan = _of("sim.execution.ready", "run_plan")
method_of = _of("sim.engine.setup", "method_of")
one_pass = _of("sim.capacity.budget", "one_pass")
served_passes = _of("sim.plan.service", "served_passes")
sidelinks_of = _of("sim.links.sidelinks", "sidelinks_of")
decisive = _of("sim.execution.identity", "decisive")
portable = _of("sim.execution.identity", "portable")


def device_sites(scenario: Any, index: int) -> Any:
    return _world(scenario).sites.devices_of(index)


def ground_sites(scenario: Any) -> Any:
    return _world(scenario).sites.of_passes


def satellites_of(scenario: Any) -> Any:
    return _world(scenario).fleet.satellites


def flying_of(plan: Any) -> dict[str, Any]:
    """The satellites of a plan by name."""
    return dict(zip(plan.contacts.flyers.names, plan.contacts.satellites, strict=True))


def server_of(scenario: Any) -> Any:
    return _world(scenario).fleet.server
