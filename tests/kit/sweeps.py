"""Inner names of ``sim`` that tests use: sweeps and the command line."""

from learning.hardware import only
from sim.cli.app import app, status
from sim.execution.identity import digest_of
from sim.sweep.answers import answers
from sim.sweep.engine import Holds, LocalEngine, Outcome, Point, run_point
from sim.sweep.folder import MACHINE_COLUMNS, among, locked
from sim.sweep.points import Plan, combinations, combinations_count, read_pairs, read_spec
from sim.sweep.text import SweepProgress
