"""Inner names of ``sim`` that tests use: plan, links, transfers, faults, clock."""

from sim import contact_listing, finding
from sim.beam import Beam, Radio
from sim.build import build, portable
from sim.clock import Clock
from sim.compute import compute_of
from sim.contact_links import (
    FARTHEST_KM,
    GRID_S_PER_KM,
    DeviceLinks,
    Pass,
    links_of,
)
from sim.contact_table import contacts_table
from sim.contacts import Antenna
from sim.course import Course
from sim.devices import Compute, Devices, whole_rounds
from sim.energy import Transmitter, energy_of
from sim.errors import (
    InputError,
    Interrupted,
    SimulationError,
)
from sim.faults.drawing import Faults
from sim.faults.link_faults import (
    LinkFaults,
    sent_again,
    sent_to_all,
)
from sim.faults.outages import cut
from sim.faults.presence import Presence
from sim.faults.spells import NO_SPELLS, Spells, drawn_spells
from sim.finding import Sought, find
from sim.fluid import Stretch, shared
from sim.ground import (
    cluster_sites,
    clusters_of,
    device_sites,
    distance_km,
)
from sim.jumps import (
    HALVINGS,
    crossings,
    find_jumps,
    turns,
)
from sim.ledger import CutTransfers, Ledger
from sim.legs import Training
from sim.link_command import budget, one_pass
from sim.links_ahead import LinksAhead
from sim.payloads import PayloadList
from sim.plan import Plan
from sim.planned_contact import ContactLinks, PlannedContact
from sim.planned_session import PlannedSession
from sim.planning import make_plan
from sim.radios import Radios, cluster_radios
from sim.rows import Rows
from sim.rowwise import along
from sim.running import Run
from sim.satellites import satellites_of
from sim.session_beam import SessionBeam
from sim.sharing import queued, seconds, span_s
from sim.sidelinks import sidelinks_of
from sim.simulation import Simulation
from sim.sources import view_of
from sim.synchronisation import Synchronisation
from sim.task import learner_of
from sim.transfers import Link
