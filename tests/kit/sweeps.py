"""Inner names of ``sim`` that tests use: sweeps and the command line."""

from learning.hardware import only
from sim.cli.app import app, status
from sim.execution.identity import digest_of
from sim.sweep.answers import answers
from sim.sweep.figures import MACHINE_COLUMNS
from sim.sweep.local_engine import LocalEngine, run_point
from sim.sweep.locks import among, locked
from sim.sweep.point import Outcome, Point
from sim.sweep.points import SweepPlan
from sim.sweep.progress import SweepProgress
from sim.sweep.sampling import combinations, combinations_count
from sim.sweep.specs import read_pairs, read_spec
from sim.sweep.worker_process import Holds
