from .recipe import Recipe as Recipe
from .rounds import LocalRounds as LocalRounds
from .rounds import TrainedPart as TrainedPart
from .start import build_task as build_task
from .task import Task as Task
from .weighing import Weighing as Weighing
