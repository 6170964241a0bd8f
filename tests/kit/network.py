"""Inner names of ``sim`` that tests use: plan, links, transfers, faults, clock."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from scenarios import Scenario
from sim.cli import contact_listing
from sim.clock import Clock, Moment
from sim.devices import compute, energy
from sim.devices.battery import Battery, Power
from sim.devices.chance import drawn_intervals
from sim.devices.compute import Compute
from sim.devices.devices import Devices
from sim.devices.energy import Transmitter, energy_of
from sim.devices.faults import Faults, Presence
from sim.devices.intervals import NO_INTERVALS, Intervals, union
from sim.devices.outages import NO_OUTAGES
from sim.devices.phase import Computing
from sim.engine import learning_task, setup
from sim.engine.clients import Clients
from sim.engine.doubts import doubts_of
from sim.engine.setup import build
from sim.engine.simulation import Simulation
from sim.errors import InputError, SimulationError
from sim.execution import identity
from sim.execution.identity import BuildSequence
from sim.execution.run_cache import RunCache
from sim.execution.running import Run
from sim.facts.directions import Way
from sim.facts.transfers import Outcome
from sim.links import pass_geometry, plan_links, sidelinks
from sim.links.beam import Beam, Radio
from sim.links.device_links import DeviceLinks, PlainRange, RangeGrid
from sim.links.jumps import HALVINGS, crossings, find_jumps, turns
from sim.links.plain_curve import PlainCurve
from sim.links.processor_sharing import RateSegment, shared
from sim.links.session_beam import SessionBeam
from sim.links.sharing import queued
from sim.links.steady_way import SteadyWay
from sim.network.direct import DirectTransfer
from sim.network.direct_training import DirectTraining
from sim.network.edges import Edges
from sim.network.endpoint import Endpoint, Shared
from sim.network.hop_kinds import HopKinds
from sim.network.hop_log import HopLog
from sim.network.ledger import Ledger, LedgerEntry
from sim.network.leg_log import LegLog
from sim.network.link_faults import sent_again, sent_to_all
from sim.network.mesh_message import MeshMessage
from sim.network.mesh_reach import MeshReach
from sim.network.mesh_timetable import MeshTimetable
from sim.network.outcomes import CutTransfers, outcomes_of
from sim.network.payload_list import PayloadList
from sim.network.rules import Rules
from sim.network.service_link import ServiceLink
from sim.network.sessions import ClusterSessions
from sim.network.synchronisation import Synchronisation
from sim.network.training import Training
from sim.plan import budget as budgets
from sim.plan import contact_columns as planning
from sim.plan import plan as plans
from sim.plan import radios, remedies, service
from sim.plan import windows as finding
from sim.plan.contact_columns import ContactColumns
from sim.plan.contacts import ContactLinks, PlannedContact, PlannedSession
from sim.plan.isl_pairs import ring_planes
from sim.plan.mesh_limits import too_large
from sim.plan.mesh_volume import SAMPLED, bytes_per_hour
from sim.plan.outage_cuts import cut
from sim.plan.plan import Plan
from sim.plan.service import session_numbers
from sim.plan.shared_plans import Plans
from sim.plan.windows import WindowQuery
from sim.routing.book import Book, Contacts, Curve, Rates
from sim.routing.carrier import Carrier, Least
from sim.routing.compiled import can_compile
from sim.routing.graph import ContactGraph, ContactPlan
from sim.routing.hop import Hop, Route
from sim.world.sites import distance_km
from sim.world.topology import GROUND_CLIENTS, Topology
from sim.world.world import World


def _of(function: Callable[..., Any]) -> Callable[..., Any]:
    """What takes a scenario in place of its world."""

    @wraps(function)
    def called(scenario: Scenario, *args: Any, **keywords: Any) -> Any:
        return function(World(scenario), *args, **keywords)

    return called


budget = _of(budgets.budget)
compute_of = _of(compute.compute_of)
ground_radios = _of(radios.ground_radios)
learner_of = _of(learning_task.learner_of)
lower_mask = _of(remedies.lower_mask)
make_plan = _of(plans.make_plan)
method_of = _of(setup.method_of)
one_pass = _of(budgets.one_pass)
served_passes = _of(service.served_passes)
sidelinks_of = _of(sidelinks.sidelinks_of)
decisive = _of(identity.decisive)
portable = _of(identity.portable)
device_sites = _of(lambda world, index: world.sites.devices_of(index))
ground_sites = _of(lambda world: world.sites.of_passes)
satellites_of = _of(lambda world: world.fleet.satellites)
server_of = _of(lambda world: world.fleet.server)
