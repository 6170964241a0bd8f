"""Inner names of ``sim.fly`` that tests use."""

from sim.fly.baton import Baton, Pool, Stuck, runner_here, wait_for
from sim.fly.project import check_project
from sim.fly.simulated_time import replace_time
from sim.fly.trees import arrays_of, mean
from sim.fly.unrepeatable import writing
from sim.process.garbage import Traffic
