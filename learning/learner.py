"""The learner of one run: the operations on models that methods compose, all of them lazy.

An operation is a function by its place, called with the run's task when its value is needed.
"""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property, partial
from inspect import signature
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from learning.architecture.costs import Architecture, architecture, sized_by
from learning.architecture.kinds import resolved, resolved_task
from learning.files import Fingerprints, fingerprints_under
from learning.hardware import compute_device, give_memory_back, keep_few_kernels
from learning.losses import find_loss
from learning.metrics import place_outside
from learning.own.replies import Replies
from learning.provenance import environment, gpu_name, source_digest
from learning.requests.cluster import Cost
from learning.settings import LearningConfig, ModelConfig
from learning.values.lazy import Handle, Values, arguments_in, found_at, place_of
from learning.values.store import Tensors
from statements.arrays import Mask

if TYPE_CHECKING:
    from learning.metrics import Score
    from learning.training.task import Task


class Learner:
    """Makes and trains models for the clusters of ``config``; with ``train=False`` keys alone.

    It ``measures`` where there is anything to be measured, and ``trains`` where it is what learns:
    not for a method that does its ``own_learning``, which keeps its results in ``replies``.

    Models are :class:`~learning.values.lazy.Handle`; what devices hold is a
    :class:`~learning.clients.device_state.DeviceState`. ``metrics`` are names of figures that are
    measured beside accuracy and loss. Where changes go down cut to ranks, ``cut_to_ranks`` has the
    model that they add up to, by server model and rank.

    Bytes, FLOPs and memory of devices are those of ``architecture``: of the model of ``config``, or
    of the one ``sized_as`` that it stands in for, and ``sized_by`` is the task with that model.
    Devices would compute that one ``counted_micro_batch`` samples at a time, None for as the model.
    Results of training, and their keys, are those of ``config`` alone.
    """

    def __init__(
        self,
        config: LearningConfig,
        *,
        train: bool = True,
        sized_as: ModelConfig | None = None,
        counted_micro_batch: int | None = None,
        metrics: tuple[str, ...] = (),
        own_learning: bool = False,
    ) -> None:
        self.config = resolved_task(config)
        self.sized_by = sized_by(self.config, sized_as, counted_micro_batch)
        self.measures = train
        self.trains = train and not own_learning
        self.metrics = metrics
        self.architecture: Architecture = architecture(self.sized_by)
        self._shared_files: Fingerprints | None = None
        self.cut_to_ranks: WeakKeyDictionary[Handle, dict[int, Handle]] = WeakKeyDictionary()

    @cached_property
    def values(self) -> Values:
        """Results by key, of which leomix's source and the configuration are part."""
        about = [source_digest(), dataclasses.asdict(self._placed())] if self.trains else []
        context = json.dumps(about, sort_keys=True)
        with_task = partial(apply, lambda: self.task)
        values = Values(with_task, context, keep=self.trains, trains=TRAINS)
        values.known = lambda: dict(self.task.initial)
        return values

    @cached_property
    def replies(self) -> Replies:
        """Results of a method that does its own learning, by key."""
        return Replies(self.values.reuse)

    @property
    def stand_in(self) -> dict[str, Any] | None:
        """What is trained and what is counted in its place, as JSON; None where both are one.

        Without training (``trains`` false) the former is what a run with training would train.
        """
        trained = self.config.model.kind
        counted = self.sized_by.model.kind
        if self.sized_by.model is self.config.model:
            return None
        return {
            "trained": trained,
            "trained_parameters": architecture(self.config).parameters,
            "sized_as": counted,
            "parameters": self.architecture.parameters,
            "experts": self.architecture.experts,
            "named_experts": resolved(self.sized_by.model).experts,
            "trains": self.trains,
            "expert_upload_bytes": self.architecture.upload_bytes([0], gate=False),
        }

    @cached_property
    def task(self) -> Task:
        """Model skeleton and data, built at first use (imports torch)."""
        from learning.models.interface import MODELS

        config = self._placed()
        files = fingerprints_under(config.named)
        if self._shared_files not in (None, files):
            raise ValueError("a file that is learnt from has changed since the run began; run anew")
        code = MODELS.find(config.model.kind), config.loss and find_loss(config.loss)
        return built_task(config, code, files)

    def _placed(self) -> LearningConfig:
        """Return the configuration with the device that computes; timing-only runs need none."""
        if not self.trains:
            return self.config
        return dataclasses.replace(self.config, device=compute_device(self.config.device))

    def forget_tasks(self) -> None:
        """Let no other run of this process find what this one was given: it may be damaged."""
        TASKS.clear()

    @property
    def alone(self) -> tuple[str, str]:
        """Why the model, and why its loss, keeps devices from being trained at once; or "".

        That is "" too where it is asked for.
        """
        if "task" not in vars(self):
            return "", ""
        return self.task.traits.alone, self.task.traits.loss_alone

    @property
    def has_accuracy(self) -> bool:
        """Whether outputs are right or wrong."""
        return bool(self.number("learning.training.task:has_accuracy"))

    @property
    def device(self) -> str | None:
        """The device that computes tensors, a GPU by its name; None in a timing-only run."""
        if not self.trains:
            return None
        device = self._placed().device
        return device if device == "cpu" else f"{device}: {gpu_name(device)}"

    def build(self) -> list[list[int]]:
        """Build the task, unless a run with the same files has built it before.

        Returns which device holds how many samples of which class, as four columns of numbers:
        cluster, device, class, samples. Raises ValueError for data or weights that do not do.
        """
        return list(self.number("learning.training.task:holdings"))

    def made_by_code(self) -> dict[str, str]:
        """Return digests of the data and start weights that custom code makes.

        They are by what is made, like ``weights of net:Net``: {} until the task is built, and
        where all is leomix's own.
        """
        if "task" not in vars(self):
            return {}
        return self._made_by_code

    @cached_property
    def _made_by_code(self) -> dict[str, str]:
        from learning.training.start import made_by_code

        return made_by_code(self.task)

    def test_labels(self) -> dict[str, Any]:
        """Return between how many ``choices`` a guess is made, and the test ``samples`` by class.

        Of texts whose next tokens are learnt there are no classes, and no counts.
        """
        return dict(self.number("learning.training.task:test_labels"))

    def environment(self) -> dict[str, Any]:
        """Return what all results depend on beside what names them, as JSON."""
        found = environment(self._placed())
        self._shared_files = found["files"]
        return found

    def make(
        self,
        function: str | Callable[..., Any],
        *parents: Handle,
        **arguments: Any,
    ) -> Handle:
        """Return the value of a ``function`` on ``parents``: for methods with their own maths.

        It is a function of a module, or the place of one (``MODULE:FUNCTION``). It is called as
        ``function(task, *tensors, **arguments)`` with the parents' tensors by name, and returns
        tensors by name. Arguments are JSON, arrays, and frozen dataclasses of these.
        """
        return self.values.make(place_of(function), parents, arguments)

    def force(self, handle: Handle) -> Tensors:
        """Compute ``handle`` now. For use inside of a :class:`~learning.requests.Measure` only."""
        return self.values.force(handle)

    def number(
        self,
        function: str | Callable[..., Any],
        *parents: Handle,
        **arguments: Any,
    ) -> Any:
        """Return the JSON value that ``function`` takes out of ``parents``: for use as ``force``.

        Runs share it, other than a value that a method computes from forced tensors itself.
        """
        return self.values.number(place_of(function), parents, arguments)

    def round_cost(
        self, trained: Sequence[int], held: Sequence[int], *, gate: bool, copies: int = 0
    ) -> Cost:
        """Cost of one local round that trains ``trained`` with the experts ``held`` loaded.

        A method keeps so many ``copies`` of what is trained beside it.
        """
        samples = self.config.steps_per_round * self.config.batch_size
        return self.architecture.round_cost(
            trained, held, gate=gate, samples=samples, copies=copies
        )

    def start(self) -> Handle:
        """Return the server's model before any federated round."""
        return self.make("learning.training.start:start_model")

    def zeros(self, server: Handle, devices: int | None = None) -> Handle:
        """Return zeros like the tensors of ``server``, (K, ...) for each of so many devices."""
        return self.make("learning.training.aggregation:zeros", server, devices=devices)

    def select(self, who: Mask, new: Handle, old: Handle) -> Handle:
        """Rows of ``new`` for the devices in ``who``, rows of ``old`` for the others."""
        return self.make("learning.training.sync:select", new, old, who=who)

    def not_finite(self, state: Handle) -> list[int]:
        """Return the devices whose tensors in ``state`` are not all finite. Forces ``state``."""
        return list(self.number("learning.training.state:not_finite", state))

    def samples(self) -> list[list[int]]:
        """Return each device's number of training samples n_k, cluster by cluster."""
        return list(self.number("learning.training.task:samples"))

    def relevance(self, server: Handle) -> list[list[float]]:
        """Expert relevance (29) on every cluster's trial data, (C, E). Forces ``server``."""
        return list(self.number("learning.training.evaluation:trial_relevance", server))

    def evaluate(self, server: Handle, own: Sequence[Handle] = ()) -> list[Score]:
        """Test every cluster: accuracy, loss, ``metrics``, samples. Forces ``server``.

        Where clients are tested for themselves, each device is, with ``own`` tensors (K, ...) of
        each cluster by stored name in the place of the server's.
        """
        how = {"metrics": list(self.metrics)} if self.metrics else {}
        calls = place_outside(self.metrics)
        evaluate = "learning.training.evaluation:" + ("evaluate_clients" if own else "evaluate")
        return list(self.values.number(evaluate, (server, *own), how, calls))

    def final(self, server: Handle) -> Handle:
        """Return all weights of the model, backbone included."""
        return self.make("learning.training.evaluation:final_tensors", server)


class LocalLoss:
    """A term that a method adds to the loss of every minibatch of local training.

    ``function(step, *memories, **arguments)`` is called for one device and returns a number. It is
    a function of a module. ``step`` (:class:`~learning.training.local_loss.Step`) has what the loss
    sees: ``weights``, ``server``, ``inputs``, ``targets``, ``outputs``, ``answers(weights)`` and
    ``generator``. Each of the ``memories`` is a dictionary of tensors by name: the device's own
    values, or one of the server's.

    FedProx: ``LocalLoss(proximal, mu=0.1)`` with

    >>> def proximal(step, *, mu):
    ...     apart = (step.weights[n] - step.server[n] for n in step.weights)
    ...     return mu / 2 * sum(tensor.square().sum() for tensor in apart)
    """

    def __init__(self, function: Callable[..., Any], *memories: Handle, **arguments: Any) -> None:
        self.place = place_of(function)
        try:
            signature(function).bind(None, *memories, **arguments)
        except TypeError as error:
            raise TypeError(
                f"{self.place} {error}: it is called for one device, with a step (step.weights, "
                "step.server, step.outputs, ...), the memories and the arguments"
            ) from None
        self.memories = memories
        self.arguments = arguments


# The tasks of a process, and what is called with one.

TRAINS = {
    "learning.training.local:train",
    "learning.training.baselines:pooled_rounds",
    "learning.training.start:start_model",
}
"""Places of functions that take gradient steps: their results are counted, and kept for other runs.

Methods behind a door add theirs where they are imported.
"""

KEPT_BYTES = 1 << 26
"""Up to which size tasks are kept; the last one is, however large it is."""


TASKS: OrderedDict[Hashable, Task] = OrderedDict()
"""The last tasks of this process by what they depend on, for points of a sweep."""


def built_task(config: LearningConfig, code: Any, files: Fingerprints) -> Task:
    """Build a task once for runs of one process that differ in their rounds alone.

    They have the model and the loss (``code``), the samples and the files in common.
    """
    from learning.training.start import build_task
    from learning.training.task import before_rounds, use_one_thread

    key = before_rounds(config), code, files
    task = TASKS.get(key)
    if task is not None and task.lent.changed:  # by code of one's own
        TASKS.clear()
        task = None
    if task is None:
        keep_few_kernels()
        use_one_thread(config.device)
        task = TASKS[key] = build_task(config)
    TASKS.move_to_end(key)
    while len(TASKS) > 1 and sum(kept.bytes for kept in TASKS.values()) > KEPT_BYTES:
        TASKS.popitem(last=False)
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
        if task.is_text:  # what it freed is of all sizes
            give_memory_back()
