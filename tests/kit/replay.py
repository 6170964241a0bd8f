"""Inner names of ``sim`` that tests of replays use."""

from sim.analysis.thinning import joined
from sim.files import packaged
from sim.plots.canvas import data_behind
from sim.replay import scene as scenes
from sim.replay import traffic
from sim.replay.orbits import MOST_OFF_DEG, apart_deg, arcs_of, numbers_of
from sim.replay.packing import packed, steps
from sim.replay.replay import Replay
from sim.replay.scene import scene, share_sky
from sim.replay.still import sun_below_deg
