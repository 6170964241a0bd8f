"""Inner names of ``sim`` that tell what a run takes before it."""

from sim.engine.cost import cost_of, pace_of
from sim.engine.rehearsal import rehearsed
from sim.engine.setup import build
