from .journal import Journal as Journal
from .learning_task import learner_of as learner_of
from .memory import counts_of as counts_of
from .memory import needs_of as needs_of
from .setup import Build as Build
from .setup import build as build
from .setup import method_of as method_of
from .simulation import Simulation as Simulation
