"""Inner names of ``sim`` that tests use: sweeps, exports and the command line."""

from learning.hardware import only
from scenarios import Scenario
from sim.cli.app import command_line, status
from sim.errors import Interrupted
from sim.execution import identity
from sim.export.formats import FORMATS
from sim.process.installation import HOME, PACKAGES
from sim.sweep import local_engine
from sim.sweep.answers import answers
from sim.sweep.answers_text import first_lines, sweep_headline, sweep_limits, sweep_lines
from sim.sweep.engine import Outcome, Point
from sim.sweep.folder import among, locked
from sim.sweep.local_engine import LocalEngine, run_point
from sim.sweep.points import SweepPlan, combinations, combinations_count
from sim.sweep.progress import SweepProgress
from sim.sweep.rows import MACHINE_COLUMNS, missing_status, rows_table
from sim.sweep.specs import read_pairs, read_spec
from sim.sweep.text import no_room
from sim.sweep.tuning import Candidate, Tried, Tuning
from sim.sweep.variants import Axes
from sim.sweep.worker_process import Holds
from sim.world.world import World


def point_identity(scenario: Scenario) -> identity.PointIdentity:
    """What tells a scenario's run from others."""
    return identity.point_identity(World(scenario))
