"""What computes on a task, and the tasks of this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from learning.architecture.kinds import kind_of
from learning.files import Fingerprints
from learning.hardware import give_memory_back, keep_few_kernels
from learning.settings import LearningConfig
from learning.values.lazy import arguments_in, found_at
from learning.values.store import Tensors

if TYPE_CHECKING:
    from learning.training.task import Task


TRAINS = {
    "learning.training.local:train",
    "learning.training.references:pooled_rounds",
    "learning.training.start:start_model",
}
"""Places of functions that take gradient steps: their results are counted, and kept for other runs.

Methods behind a door add theirs where they are imported.
"""

KEPT_BYTES = 1 << 26
"""Up to which size tasks are kept that nobody uses; the last one is, however large it is."""


class Tasks:
    """Tasks by what they depend on, those in use and the last ones, for points of a sweep."""

    def __init__(self) -> None:
        self._in_use: WeakValueDictionary[Hashable, Task] = WeakValueDictionary()
        self._last: OrderedDict[Hashable, Task] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Task]) -> Task:
        """Return the task of a key; ``make`` makes it where there is none."""
        found = self._in_use.get(key)
        if found is None:
            found = self._in_use[key] = make()
        self._last[key] = found
        self._last.move_to_end(key)
        while len(self._last) > 1 and sum(t.bytes for t in self._last.values()) > KEPT_BYTES:
            self._last.popitem(last=False)
        return found

    def forget(self) -> None:
        """Keep nothing; what is in use is made anew for whoever asks next."""
        self._in_use.clear()
        self._last.clear()


TASKS = Tasks()
"""The tasks of this process."""


def built_task(config: LearningConfig, code: Any, files: Fingerprints) -> Task:
    """Build a task once for runs of one process that differ in their rounds alone.

    They have the model and the loss (``code``), the samples and the files in common.
    """
    from learning.training.task import before_rounds, use_one_thread

    def build() -> Task:
        from learning.training.start import build_task

        keep_few_kernels()
        use_one_thread(config.device)
        return build_task(config)

    key = before_rounds(config), code, files
    task = TASKS.get(key, build)
    if task.lent.changed:  # by code of one's own
        TASKS.forget()
        task = TASKS.get(key, build)
    return task.under(config)


def apply(
    task_of: Callable[[], Task], place: str, parents: list[Tensors], arguments: dict[str, Any]
) -> Any:
    """Return what the function at a place makes of its parents' tensors, with the task."""
    from learning.training.task import use_one_thread

    task = task_of()
    device = task.config.device
    use_one_thread(device)  # code of one's own may have set torch's threads
    if device != "cpu":  # what was read from disk is on the CPU
        parents = [{n: t.to(device) for n, t in tensors.items()} for tensors in parents]
    try:
        return found_at(place)(task, *parents, **arguments_in(arguments))
    finally:
        if kind_of(task.config.model.kind).is_text:  # what it freed is of all sizes
            give_memory_back()
