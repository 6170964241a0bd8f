from .recipe import LocalRounds as LocalRounds
from .recipe import Recipe as Recipe
from .recipe import TrainedPart as TrainedPart
from .recipe import Weighing as Weighing
from .start import build_task as build_task
from .task import Task as Task
