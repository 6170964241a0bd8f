"""A task ready for training: model skeleton, samples, and the shards of the devices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from learning.architecture.footprint import LARGEST_OF_BLOCKS, rows_at_once
from learning.architecture.kinds import kind_of, trains_blocks
from learning.data.samples import InputSpec, SampleArrays, are_classes
from learning.losses import is_own
from learning.models.build import fill, skeleton, torch_dtype
from learning.models.interface import MODELS, Names, Parameter, expert_of, is_gate, is_of, model_of
from learning.models.moe import Residency, factored_in
from learning.models.objective import Objective
from learning.models.stacked import Shared, Tensors, bytes_of, with_tensors
from learning.settings import LearningConfig, Optimizer, Schedule


def before_rounds(config: LearningConfig) -> LearningConfig:
    """Return the settings without those that count from the first local round on."""
    return replace(
        config,
        step_size=1.0,
        gate_step_size_ratio=1.0,
        steps_per_round=1,
        optimizer=Optimizer(),
        schedule=Schedule(),
        clip_norm=None,
    )


class Samples(NamedTuple):
    """Features (n, ...), targets (n, ...), and the domain (n,) that each came from."""

    x: Tensor
    y: Tensor
    domain: Tensor

    def at(self, rows: Tensor | slice) -> Samples:
        """Return the samples at ``rows``."""
        return Samples(self.x[rows], self.y[rows], self.domain[rows])


@dataclass(frozen=True)
class Shards:
    """One cluster's local data: ``samples`` of all devices, those of device k from ``starts[k]``.

    ``sizes`` (K,) are the devices' numbers of samples n_k.
    """

    samples: Samples
    sizes: tuple[int, ...]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Row of each device's first sample."""
        return tuple(accumulate(self.sizes[:-1], initial=0))

    def of(self, device: int) -> Samples:
        """Return the samples of one device."""
        start = self.starts[device]
        return self.samples.at(slice(start, start + self.sizes[device]))


@dataclass(frozen=True)
class Traits:
    """How a model is trained.

    ``batched``: over all devices at once; ``draws``: its forward draws random numbers of torch in
    training, as dropout does; ``tied``: it has parameters that go by several paths; ``alone``: why
    its devices are trained one after another although it does not ask for that, and ``loss_alone``
    why its loss keeps them from it. ``rewrites`` are the stored names of the parameters that its
    forward changes in place, as an embedding with a largest norm does.
    """

    batched: bool = True
    draws: bool = False
    tied: bool = False
    alone: str = ""
    loss_alone: str = ""
    rewrites: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Task:
    """Everything that training needs besides server models and device states.

    ``shards``, ``trial``, ``test`` and ``validation`` are by cluster name. Clusters that share test
    or validation samples hold the same ``x``; nothing may be set aside for validation.
    ``client_test`` and ``client_validation`` are those of each device, where these are tested for
    themselves. ``initial``
    are the weights before anything is tuned, by stored name: backbone, and experts and gates as far
    as there are any.
    ``traits`` say how the model is trained, the ``objective`` by which loss. ``buffers`` are the
    stored names of what forward changes in place and no gradient moves, ``frozen`` those of
    parameters that nothing moves, ``personal`` those of tensors that each device keeps and trains
    for itself.
    ``start`` is the server's model at time 0 if a run has made it and it is small, else empty;
    ``embedded``
    are the samples of a cluster as a frozen backbone gives them, by its name, from when they are
    first needed. All of these are ``lent`` to the runs of a process.
    """

    config: LearningConfig
    names: Names
    spec: InputSpec
    shards: Mapping[str, Shards]
    trial: Mapping[str, Samples]
    test: Mapping[str, Samples]
    initial: Mapping[str, Tensor]
    traits: Traits
    objective: Objective
    buffers: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()
    personal: frozenset[str] = frozenset()
    validation: Mapping[str, Samples] = field(default_factory=dict)
    client_test: Mapping[str, Shards] = field(default_factory=dict)
    client_validation: Mapping[str, Shards] = field(default_factory=dict)
    start: dict[str, Tensor] = field(default_factory=dict, init=False, compare=False)
    _shapes: dict[Residency, nn.Module] = field(default_factory=dict, init=False, compare=False)
    _filled: dict[Residency, nn.Module] = field(default_factory=dict, init=False, compare=False)
    embedded: dict[str, tuple[Tensor, ...]] = field(default_factory=dict, init=False, compare=False)
    lent: Shared = field(default_factory=Shared, init=False, compare=False)

    def __post_init__(self) -> None:
        """Lend what it has from the start."""
        self.lent.add(self.initial)
        for part in (*self._samples, *self.validation.values()):
            self.lent.add(part._asdict())

    def under(self, config: LearningConfig) -> Task:
        """Return the task under other settings, with all that these do not change.

        What was made before time began is shared where they differ in rounds alone.
        """
        if config == self.config:
            return self
        other = replace(self, config=config)
        if before_rounds(config) == before_rounds(self.config):
            vars(other).update(start=self.start, embedded=self.embedded, lent=self.lent)
        return other

    def tested_in(self, cluster: str) -> Task:
        """Return the task of one cluster alone, with what was made of its samples before."""
        other = replace(self, config=replace(self.config, clusters=(cluster,)))
        vars(other).update(embedded=self.embedded, lent=self.lent)
        return other

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return torch.device(self.config.device)

    @cached_property
    def bytes(self) -> int:
        """Memory of its samples and initial weights."""
        tensors = [*self.initial.values(), *(tensor for part in self._samples for tensor in part)]
        return sum(tensor.nbytes for tensor in tensors)

    @property
    def _samples(self) -> list[Samples]:
        by_device = (self.shards, self.client_test, self.client_validation)
        held = [shards.samples for own in by_device for shards in own.values()]
        return [*held, *self.trial.values(), *self.test.values()]

    @cached_property
    def dtype(self) -> torch.dtype:
        """Number format of weights that are frozen, in which the model is run."""
        return torch_dtype(self.config)

    def as_run(self, tensor: Tensor) -> Tensor:
        """Return a tensor in the format that the model is run in; counts as they are.

        What is trained and what the server has added to is kept in single precision at least.
        """
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    @cached_property
    def is_text(self) -> bool:
        """Whether the model is a mixture over tokens of text."""
        return kind_of(self.config.model.kind).is_text

    @cached_property
    def trains_blocks(self) -> bool:
        """Whether more than the head of a text model's backbone is trained."""
        return trains_blocks(self.config)

    @property
    def all_experts(self) -> tuple[int, ...]:
        """Every expert's index."""
        return tuple(range(self.config.model.experts))

    def is_shared(self, name: str) -> bool:
        """Whether the stored tensor is sent with the gate: gates, a backbone that is trained."""
        if name in self.personal:
            return False
        if is_gate(name):
            return True
        trained = self.config.trains_backbone and name not in self.frozen
        return trained and expert_of(name) is None

    def goes_with_gate(self, name: str) -> bool:
        """Whether the stored tensor is trained with the gate: what is shared, or personal."""
        return name in self.personal or self.is_shared(name)

    def moves(self, key: Parameter | None, experts: Collection[int], *, gate: bool) -> bool:
        """Whether training ``experts``, and with ``gate`` what is shared, moves a tensor.

        None stands for the base of a state, which nothing moves.
        """
        if key is None:
            return False
        of_gate = gate and not key.factor and self.goes_with_gate(key.stored)
        return of_gate or is_of(key.stored, experts)

    @cached_property
    def backbone(self) -> dict[str, Tensor]:
        """The frozen tensors: neither experts nor what is trained with the gate."""
        return {
            name: tensor
            for name, tensor in self.initial.items()
            if expert_of(name) is None and not self.goes_with_gate(name)
        }

    @cached_property
    def factored(self) -> frozenset[str]:
        """Stored names of the experts' matrices that are trained through low-rank factors."""
        model = self.shapes(Residency(held=self.all_experts, tuned=self.all_experts))
        return frozenset(map(self.names.stored, factored_in(model)))

    def path(self, key: Parameter) -> str:
        """Return where a tensor belongs in the model."""
        return self.names.path(f"{key.matrix}.{key.factor}" if key.factor else key.stored)

    def devices(self, cluster: str) -> int:
        """Return how many devices ``cluster`` has."""
        return len(self.shards[cluster].sizes)

    def skeleton(self, here: Residency) -> nn.Module:
        """Return a new model without memory (device "meta")."""
        return skeleton(self.config, self.spec, here)

    def shapes(self, here: Residency) -> nn.Module:
        """Return a :meth:`skeleton` made once, to be run with tensors given and never changed.

        A module of one's own is in training mode where its backbone is trained: else its backbone
        does what it did before.
        """
        if here not in self._shapes:
            trains = self.is_own and self.config.trains_backbone
            self._shapes[here] = self.skeleton(here).train(trains)
        return self._shapes[here]

    @property
    def is_own(self) -> bool:
        """Whether the model is a module of one's own, and no shipped kind."""
        return self.config.model.kind not in MODELS.shipped

    def model(self, server: Mapping[str, Tensor], held: tuple[int, ...] | None = None) -> nn.Module:
        """Return the model with the server's tensors; ``held`` masks the gate to those experts.

        The next call may give the same object other tensors.
        """
        held = self.all_experts if held is None else held
        known = model_of({**self.backbone, **server})
        added = {expert_of(key.stored) for key in known if key.factor}
        here = Residency(held, tuple(expert for expert in held if expert in added))
        tensors = {
            self.path(key): self.as_run(tensor)
            for key, tensor in known.items()
            if (expert := expert_of(key.stored)) is None or expert in here.held
        }
        shapes = self.shapes(here)
        factors = {f"{path}.{factor}" for path in factored_in(shapes) for factor in ("a", "b")}
        for path, parameter in shapes.named_parameters():
            if path in tensors:
                continue
            if path in factors:
                if self.is_own:
                    tensors[path] = torch.zeros_like(parameter)
            else:
                raise ValueError(
                    f"the server's model lacks {self.names.stored(path)!r}; what makes it must "
                    "return all of its tensors"
                )
        if not self.is_own:
            parameters = {path: nn.Parameter(tensor) for path, tensor in tensors.items()}
            return with_tensors(shapes, parameters)
        # A module of one's own may refer to its parts anywhere: there is one, filled anew. What it
        # changes in place are copies.
        if here not in self._filled:
            self._filled[here] = self.skeleton(here)
        fill(self._filled[here], {path: tensor.clone() for path, tensor in tensors.items()})
        return self._filled[here]


def to_tensors(arrays: SampleArrays, config: LearningConfig) -> Samples:
    """Return samples as tensors on the device, features in the number format of the weights.

    Targets that are no labels are in single precision at least.
    """
    x, y, domain = (torch.from_numpy(array).to(config.device) for array in arrays)
    dtype = torch_dtype(config)
    if y.is_floating_point():
        y = y.to(torch.promote_types(dtype, torch.float32))
    return Samples(x.to(dtype) if x.is_floating_point() else x, y, domain)


def in_batches(x: Tensor) -> tuple[Tensor, ...]:
    """Split samples into batches for evaluation: fewer samples where each has many tokens."""
    return torch.split(x, rows_like(x))


def rows_like(x: Tensor) -> int:
    """Return how many samples like ``x`` (n, ...) are evaluated at once."""
    return rows_at_once(1 if x.is_floating_point() else x[0].numel())


def use_one_thread(device: str = "cpu") -> None:
    """Let torch compute the same numbers in each run: one thread, whose sums need no core count.

    On CUDA it takes the operations that are the same each time, and warns of those that are not.
    """
    torch.set_num_threads(1)
    if device != "cpu":
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
        torch.backends.cudnn.benchmark = False


def pool(parts: Mapping[str, Samples]) -> Samples:
    """Concatenate the clusters' samples."""
    x, y, domain = (torch.cat(tensors) for tensors in zip(*parts.values(), strict=True))
    return Samples(x, y, domain)


# Samples as what comes before the first layer of experts makes of them, kept once.


LARGEST_BYTES = 1 << 26
"""Most that is kept of some embedded samples of a small model."""


def embedded(
    task: Task, model: nn.Module, backbone: Tensors, name: str, x: Tensor, drawn: int = 0
) -> tuple[Tensor, ...]:
    """Return samples ``x`` of this ``name`` as what comes before the experts makes of them.

    ``model`` is run with the tensors of the ``backbone``, by path. Samples are returned as they are
    where that is trained, where it is computed for fewer of them (``drawn``) in a round, and where
    too much would have to be kept.
    """
    if name in task.embedded:
        return task.embedded[name]
    always = getattr(model, "embeds_always", False)
    if task.trains_blocks or not hasattr(model, "before_experts"):
        return (x,)
    if drawn < len(x) and not always:
        return (x,)
    run: Any = with_tensors(model, backbone)
    made = _made(run.before_experts, x, LARGEST_OF_BLOCKS if always else LARGEST_BYTES)
    if made is None:
        task.embedded[name] = (x,)
    else:
        task.embedded[name] = made
        task.lent.add(dict(enumerate(made)))
    return task.embedded[name]


def in_parts(given: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """Split what :func:`embedded` returns into batches for evaluation."""
    rows = rows_like(given[-1])
    return list(zip(*(torch.split(part, rows) for part in given), strict=True))


def trial_of(task: Task, model: nn.Module, cluster: str) -> tuple[Tensor, ...]:
    """Return a cluster's trial samples as :func:`embedded` does, for a model that is whole."""
    return embedded(task, model, {}, f"trial of {cluster}", task.trial[cluster].x)


def _made(
    run: Callable[[Tensor], tuple[Tensor, ...] | None], x: Tensor, largest: int
) -> tuple[Tensor, ...] | None:
    """Return what a model makes of samples before its experts; None for more bytes than that."""
    made: list[tuple[Tensor, ...]] = []
    with torch.inference_mode(mode=False), torch.no_grad():  # tensors that training may use
        for part in in_batches(x):
            found = run(part)
            if found is None or sum(t.nbytes for t in found) * len(x) > largest * len(part):
                return None
            made.append(found)
    return tuple(map(torch.cat, zip(*made, strict=True)))


# What is known of the task itself, as operations by name.


def holdings(task: Task) -> list[list[int]]:
    """Return cluster, device, class and number of samples of each class that a device holds.

    They are four columns of as many rows, in this order; clusters are numbered as configured. What
    has no class (floats, a label per pixel, a label left out) counts as class -1.
    """
    found = []
    for number, name in enumerate(task.config.clusters):
        shards = task.shards[name]
        y = shards.samples.y.cpu().numpy()
        own = np.maximum(y, -1) if are_classes(y) else np.full(len(y), -1)
        device = np.repeat(np.arange(len(shards.sizes)), shards.sizes)
        each = int(own.max(initial=-1)) + 2
        cell, count = np.unique(device * each + own + 1, return_counts=True)
        devices, classes = np.divmod(cell, each)
        found.append((np.full(len(cell), number), devices, classes - 1, count))
    return [np.concatenate(column).tolist() for column in zip(*found, strict=True)]


def has_accuracy(task: Task) -> bool:
    """Return whether outputs are right or wrong."""
    return task.objective.classifies


def test_labels(task: Task) -> dict[str, Any]:
    """Return what a guess has to go by: ``choices``, and the test ``samples`` of each class (C,).

    ``constant`` counts the samples that the best constant answers are right about: one answer for
    all, or where clients are tested with models of their own, one for each client. ``distinct``
    counts what several clusters are tested on once; samples of clients are of one client each.
    Where each next token is learnt, the choices are the vocabulary, and there are no classes: [].
    So it is of a label per pixel. Where nothing is right or wrong, or the loss is the user's own,
    nothing is returned.
    """
    if not task.objective.classifies or is_own(task.config.loss):
        return {}
    if task.spec.form == "next_token":
        return {"choices": task.spec.vocabulary, "samples": []}
    classes = task.spec.outputs
    sets = [*task.test.values()]
    if task.config.tests_clients:
        parts = task.client_test
        sets = [parts[name].of(k) for name in parts for k in range(task.devices(name))]
    counts = np.zeros((len(sets), classes), np.int64)
    apart: dict[tuple[bytes, ...], int] = {}
    for count, test in zip(counts, sets, strict=True):
        labels = test.y.cpu().numpy()
        if not are_classes(labels):
            return {"choices": classes, "samples": []}
        known = labels[labels >= 0]
        count += np.bincount(known, minlength=classes)
        # The first and the last sample tell an order of pixels, or a domain, from another one.
        ends = (bytes_of(test.x[place]).cpu().numpy().tobytes() for place in (0, -1) if len(labels))
        apart[labels.tobytes(), *ends] = len(known)
    of_classes = counts.sum(axis=0)
    own = task.config.tests_clients
    return {
        "choices": classes,
        "samples": of_classes.tolist(),
        "constant": int(counts.max(axis=1).sum() if own else of_classes.max()),
        "distinct": int(counts.sum()) if own else sum(apart.values()),
    }


def samples(task: Task) -> list[list[int]]:
    """Return each device's number of training samples, cluster by cluster."""
    return [list(task.shards[name].sizes) for name in task.config.clusters]
