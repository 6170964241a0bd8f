"""What computes on a task: the tasks of this process, and trainings that are stacked in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from learning.architecture.kinds import kind_of
from learning.files import Fingerprints
from learning.hardware import give_memory_back, keep_few_kernels
from learning.recent import Recent
from learning.settings import LearningConfig
from learning.values.handle import Handle
from learning.values.operation import Operation
from learning.values.store import Tensors

if TYPE_CHECKING:
    from learning.training.task import Task


TRAIN = "learning.training.local:train"
"""Place of the operation that can be stacked."""

TASKS: Recent[Task] = Recent(lambda task: task.bytes)
"""The tasks of this process."""


def built_task(config: LearningConfig, maker: Any, files: Fingerprints) -> Task:
    """Build a task once for runs of one process that differ in their rounds alone.

    They have the model, the samples and the files in common.
    """
    from learning.training.task import before_rounds, use_one_thread

    def build() -> Task:
        from learning.training.start import build_task

        keep_few_kernels()
        use_one_thread(config.device)
        return build_task(config)

    key = before_rounds(config), maker, files
    task = TASKS.get(key, build)
    if not task.lent.are_intact:  # by code of one's own
        TASKS.forget()
        task = TASKS.get(key, build)
    return task.under(config)


@dataclass(frozen=True, eq=False)
class TaskApply:
    """Applies operations to a task, which is made when one is needed."""

    task_of: Callable[[], Task]

    def __call__(
        self, operation: Operation, parents: list[Tensors], arguments: dict[str, Any]
    ) -> Any:
        """Return what an operation makes of its parents' tensors."""
        task = self.ready_task()
        parents = self.placed(parents)
        try:
            if not operation.guarded:
                return operation(task, parents, arguments)
            from learning.training.guards import guarded

            return guarded(operation, task, parents, arguments)
        finally:
            if kind_of(task.config.model.kind).is_text:  # what it freed is of all sizes
                give_memory_back()

    def ready_task(self) -> Task:
        """Return the task to compute with: code of one's own may have set torch's threads."""
        from learning.training.task import use_one_thread

        task = self.task_of()
        use_one_thread(task.config.device)
        return task

    def placed(self, parents: list[Tensors]) -> list[Tensors]:
        """Return tensors on the task's device: those that were read from disk are on the CPU."""
        device = self.task_of().config.device
        if device == "cpu":
            return parents
        return [{n: t.to(device) for n, t in tensors.items()} for tensors in parents]


class Stacking:
    """Trainings of :mod:`learning.training.joint`, of one run."""

    def joins(self, handle: Handle, needed: Handle) -> bool:
        """Whether a training is of a small model, with no term added, and as long as the needed.

        A shorter one can wait for others that are as short: those are worth more together.
        """
        from learning.training.joint import is_stackable

        if not isinstance(handle.apply, TaskApply) or handle.operation.place != TRAIN:
            return False
        if max(handle.arguments["rounds"]) != max(needed.arguments["rounds"]):
            return False
        return "local_loss" not in handle.arguments and is_stackable(handle.apply.task_of())

    def compute(self, handles: Sequence[Handle]) -> list[Tensors]:
        """Return what was made of trainings whose parents are computed."""
        from learning.training.joint import Request, train_all

        requests = []
        for handle in handles:
            assert isinstance(handle.apply, TaskApply)  # or it would not join
            tensors = handle.apply.placed([p.value for p in handle.parents if p.value is not None])
            task = handle.apply.ready_task()
            requests.append(Request(handle.operation, task, tensors, handle.arguments))
        return train_all(requests)
