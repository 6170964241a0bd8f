from .learning_task import Task as Task
from .start import build_task as build_task
