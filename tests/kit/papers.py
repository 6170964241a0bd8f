"""Inner names of ``sim`` that tests use: papers, their registry, and how entries are shown."""

from learning.registry import installed
from sim.papers.drawings import NARROW, predictions
from sim.papers.flyovers import flyovers, tallied
from sim.papers.forms import FORMS, PaperRun
from sim.papers.paper import VERDICTS, Predicted, read_paper
from sim.papers.registry import PAPERS, SHIPPED, paper_of
from sim.papers.reproducing import Reproduction
from sim.papers.visits import visits
