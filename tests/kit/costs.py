"""Inner names of ``sim`` that tell what a run takes before it."""

from scenarios.scenario import Stop
from sim.cli.estimate import estimated_s
from sim.engine.cost import Cost, Pace, Took, cost_of, kinds_of, pace_of
from sim.engine.cost import _timed as timed
from sim.engine.rehearsal import rehearsed
from sim.engine.setup import build
from sim.sweep.engine import Point
from sim.sweep.worker import _Watch as Watch
from sim.sweep.worker_process import tried
