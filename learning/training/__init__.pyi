from .start import build_task as build_task
from .task import Task as Task
