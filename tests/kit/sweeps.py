"""Inner names of ``sim`` that tests use: sweeps and the command line."""

from sim.cli import app, main, status
from sim.sweeps.dask_worker import run_point
from sim.sweeps.digest import digest_of
from sim.sweeps.engine import Outcome, Point
from sim.sweeps.lock import among, locked
from sim.sweeps.points import Plan
from sim.sweeps.rows import MACHINE_COLUMNS
from sim.sweeps.sampling import (
    combinations,
    combinations_count,
)
from sim.sweeps.spec import (
    Items,
    Span,
    Spec,
    read_pair,
    read_pairs,
    read_spec,
)
