"""What local rounds begin with: a model's parts, moved, frozen and shared, and what is minimised.

It is made once for the rounds of a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from learning.models.interface import expert_of, is_gate, is_of
from learning.models.moe import Residency
from learning.models.objective import Objective
from learning.models.stacked import Tensors, in_single, with_tensors
from learning.settings import MASKS
from learning.training import sgd
from learning.training.device_state import (
    as_remembered,
    delta_of,
    experts_held,
    is_frozen,
    remembered_of,
)
from learning.training.embedding import embedded
from learning.training.local_loss import AddedLoss, Term
from learning.training.recipe import Counts, LocalRounds, Recipe, TrainedPart
from learning.training.state import Parameter, State, pair_of
from learning.training.task import Task
from statements.arrays import Mask


@dataclass(frozen=True, eq=False)
class Descent:
    """What local rounds begin with, by the paths of a model with the experts that are in memory.

    ``begin`` is what is trained (K, ...), under the name that each path stands for in ``moved``,
    and ``memory`` what the optimiser remembers of it.
    """

    problem: sgd.Problem
    begin: dict[str, Tensor]
    moved: Mapping[Parameter, str]
    memory: Mapping[str, Tensors]

    def run(self, recipe: Recipe, rounds: Counts, first_round: Counts) -> State:
        """Train for ``rounds`` (K,) from ``first_round`` (K,) on; return what was trained."""
        trained = sgd.train(self.begin, self.problem, recipe, rounds, first_round, self.memory)
        after = {key: trained.tensors[path] for key, path in self.moved.items()}
        return State(after, optimizer=as_remembered(trained.memory, self.moved))


def descent_of(
    task: Task, state: State, local: LocalRounds, part: TrainedPart, term: Term | None = None
) -> Descent:
    """Return what local rounds begin with: a ``term`` is added to the loss.

    Raises ValueError for experts that are not held, and for an unmasked gate on devices that do not
    hold every expert.
    """
    parts = _parts_of(task, state, part)
    shared, own = _apart(task, parts, part, local.rounds)
    buffers = [path for key, path in parts.moved.items() if key.stored in task.buffers]
    added = None
    if term is not None:
        free = {key: path for key, path in parts.moved.items() if key.stored not in task.buffers}
        added = AddedLoss(task, state, free, buffers, term)
        own |= added.frozen
    draws = task.traits.draws or (term is not None and term.draws)
    together = task.traits.batched and not draws
    samples, loss = _loss_of_samples(task, parts, shared, local.cluster, added, together=together)
    problem = sgd.Problem(
        sgd.draw_of(
            task, local.cluster, *samples, task.shards[local.cluster].samples.y, draws=draws
        ),
        loss,
        together,
        own,
        buffers=buffers,
        gates=[path for key, path in parts.moved.items() if is_gate(key.stored)],
        # All of them: a product over tensors that devices share may round by their number.
        devices=range(task.devices(local.cluster)),
    )
    begin = {path: state.trained[key] for key, path in parts.moved.items()}
    begin |= {path: in_single(t) for path, t in begin.items() if path not in problem.buffers}
    memory = remembered_of(state.optimizer, parts.moved)
    return Descent(problem, begin, parts.moved, memory)


def _loss_of_samples(
    task: Task,
    parts: _Parts,
    shared: Tensors,
    cluster: str,
    added: AddedLoss | None,
    *,
    together: bool,
) -> tuple[tuple[Tensor, ...], sgd.Loss]:
    """Return a cluster's samples, maybe embedded, and their loss beside tensors that are shared."""
    model = task.shapes(parts.here)
    x = task.shards[cluster].samples.x
    drawn = task.devices(cluster) * task.recipe.steps_per_round * task.recipe.batch_size
    samples = embedded(task, model, shared, cluster, x, drawn)
    is_embedded = len(samples) > 1
    as_run = _as_run(task, parts.beside)
    loss = loss_of(
        model,
        lambda tensors: {**shared, **as_run(tensors)},
        objective=task.objective,
        together=together,
        own=task.is_own,
        tied=task.traits.tied,
        embedded=is_embedded,
        added=added,
    )
    behind = is_embedded and (added is not None or task.objective.takes_inputs)
    return ((*samples, x) if behind else samples), loss


Beside = Mapping[str, Sequence[tuple[Tensor, Tensor]]]
"""Pairs of frozen factors (K, r, in), (K, out, r) by the matrix that they are added to."""


class _Parts(NamedTuple):
    """What a model is made of in local rounds, as a state of devices has it.

    The experts that are ``here``; what is ``moved``, with its paths; what is ``frozen`` (K, ...)
    and what of that are ``factors``, by path; and the factors that run ``beside`` a matrix.
    """

    here: Residency
    moved: Mapping[Parameter, str]
    frozen: Tensors
    factors: Tensors
    beside: Beside


def _parts_of(task: Task, state: State, part: TrainedPart) -> _Parts:
    """Return what the model is made of; raise ValueError for experts that are not held."""
    routed = task.all_experts if part.mask is None else tuple(sorted(part.experts))
    if task.all_experts:
        _check_experts(state, part, routed)
    moved = _moved(task, state, part)
    beside = {} if task.traits.batched else _beside(state, routed, moved)
    return _Parts(
        _residency(task, part, routed, beside),
        moved,
        _frozen(task, state, routed, moved),
        _frozen_factors(task, state, moved, beside),
        beside,
    )


def _apart(
    task: Task, parts: _Parts, part: TrainedPart, rounds: Counts
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what stands still, by path: what all devices share, and each device's own (K, ...)."""
    frozen = dict(parts.frozen)
    if part.reach is not None:
        frozen |= _reachable(task, part.reach, rounds)
    shared, own = _shared_rows(frozen) if task.traits.batched else ({}, frozen)
    backbone = {task.names.path(name): tensor for name, tensor in task.backbone.items()}
    return {**shared, **backbone}, {**own, **parts.factors}


def _residency(
    task: Task, part: TrainedPart, routed: Sequence[int], beside: Iterable[str]
) -> Residency:
    """Return which experts are in memory, and which of them have factors."""
    frozen = {expert for matrix in beside if (expert := expert_of(matrix)) is not None}
    return Residency(
        tuple(routed),
        tuple(sorted({*part.experts, *frozen})),
        dense=task.traits.batched,
        masked=MASKS[part.mask or "-inf"],
        own_reach=part.reach is not None,
        recomputed=task.recipe.checkpoint_activations,
    )


def loss_of(
    model: nn.Module,
    whole: Callable[[Tensors], Mapping[str, Tensor]],
    *,
    objective: Objective,
    together: bool,
    own: bool = False,
    tied: bool = False,
    embedded: bool = False,
    added: AddedLoss | None = None,
) -> sgd.Loss:
    """Return the loss of ``model`` as a function of tensors: ``whole`` gives all that it is run in.

    The function is one of tensors and minibatches of all devices, (K, ...), if ``together``. A
    module of one's ``own`` is run itself, as it may refer to its parts anywhere; of parameters that
    are ``tied`` the first path is given. Samples that are ``embedded`` are what
    :mod:`learning.training.embedding` makes of them; where a term is ``added``, or the loss takes
    inputs, the samples themselves stand behind these.
    """

    def outputs_of(tensors: Tensors, given: Sequence[Tensor]) -> Tensor:
        if own:
            found: Tensor = functional_call(
                model, dict(whole(tensors)), tuple(given), tie_weights=tied
            )
            return in_single(found)
        run: Any = with_tensors(model, whole(tensors))
        return in_single((run.after_embedding if embedded else run)(*given))

    def of_one(tensors: Tensors, *batch: Tensor) -> Tensor:
        *given, y = batch
        x = given[-1]
        if embedded and (added is not None or objective.takes_inputs):
            given = given[:-1]
        outputs = outputs_of(tensors if added is None else added.model(tensors), given)
        loss = objective.of(outputs, y, x)
        if added is None:
            return loss
        return loss + added.of(tensors, x, y, outputs, lambda others: outputs_of(others, given))

    if together or not own:
        return sgd.each(of_one, together=together)
    inside = _Inside(model)

    def alone(tensors: Tensors) -> sgd.Holding:
        def held(call: Callable[[], Any]) -> Any:
            mine = whole(tensors if added is None else added.model(tensors))
            given = {f"model.{path}": tensor for path, tensor in mine.items()}
            return functional_call(inside, given, (call,), tie_weights=tied)

        return sgd.Holding(partial(of_one, tensors), held)

    return alone


class _Inside(nn.Module):
    """A module around a model, which makes a call while the model has other tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, call: Callable[[], Any]) -> Any:
        return call()


class Joint(NamedTuple):
    """A matrix with frozen factors: the paths of its factors, and what the frozen ones are called.

    Their names, by number, begin as no path does: with a dot.
    """

    paths: dict[str, str]
    names: dict[str, list[str]]


RANKS = {"a": 0, "b": 1}
"""Dimension of each factor that is as long as its rank."""


def _joint(task: Task, matrix: str, pairs: Sequence[tuple[Tensor, Tensor]]) -> Joint:
    paths = {factor: f"{task.names.path(matrix)}.{factor}" for factor in RANKS}
    named = {f: [f".{number}.{path}" for number in range(len(pairs))] for f, path in paths.items()}
    return Joint(paths, named)


def _as_run(task: Task, beside: Beside) -> Callable[[Tensors], Tensors]:
    """Return what gives tensors in the format that they are run in, factors in one."""
    if task.dtype != torch.bfloat16 and not beside:
        return dict
    joints = [_joint(task, *of) for of in beside.items()]
    frozen = {name for joint in joints for names in joint.names.values() for name in names}

    def joined(tensors: Tensors) -> dict[str, Tensor]:
        run = {path: task.as_run(t) for path, t in tensors.items() if path not in frozen}
        for joint in joints:
            for factor, path in joint.paths.items():
                parts = [tensors[name] for name in joint.names[factor]]
                own = [run[path]] if path in run else []
                run[path] = torch.cat([*parts, *own], RANKS[factor])
        return run

    return joined


def _beside(
    state: State, routed: Collection[int], moved: Collection[Parameter]
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Return the frozen factors that run beside the trained ones of these experts.

    They are what the server has added, what has been offered since, and what is trained now and
    then but not in these rounds.
    """
    at_rest = {key: tensor for key, tensor in state.trained.items() if key not in moved}
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for factors in (state.base, at_rest, state.added):
        for key in factors:
            pair = pair_of(factors, key.stored) if key.factor == "a" else None
            if pair is not None and is_of(key.stored, routed) and pair[1].any():
                found.setdefault(key.matrix, []).append(pair)
    return found


def _frozen_factors(
    task: Task,
    state: State,
    moved: Collection[Parameter],
    beside: Beside,
) -> dict[str, Tensor]:
    """Return the factors by path that run ``beside`` those that are trained, and a frozen A."""
    frozen = {}
    for matrix, pairs in beside.items():
        names = _joint(task, matrix, pairs).names
        for number, pair in enumerate(pairs):
            for factor, tensor in zip(RANKS, pair, strict=True):
                frozen[names[factor][number]] = task.as_run(tensor)
    for key, tensor in state.trained.items():
        if is_frozen(task, key) and Parameter(key.stored, "b") in moved:
            frozen[task.path(key)] = tensor
    return frozen


def _moved(task: Task, state: State, part: TrainedPart) -> dict[Parameter, str]:
    """Return what is trained, with its paths in the model."""
    moved = {}
    for key in state.trained:
        if part.moves != "all" and (key.stored in task.personal) != (part.moves == "personal"):
            continue
        of_expert = is_of(key.stored, part.experts) and not is_frozen(task, key)
        if of_expert or (part.gate and not key.factor and task.goes_with_gate(key.stored)):
            moved[key] = task.path(key)
    return moved


def _frozen(
    task: Task, state: State, routed: Collection[int], moved: Collection[Parameter]
) -> dict[str, Tensor]:
    """Return the frozen tensors (K, ...) by model path, with changes that are not trained added."""
    frozen = {}
    for key, base in state.base.items():
        stored = key.stored
        if key.factor or key in moved:
            continue
        if not (task.goes_with_gate(stored) or is_of(stored, routed)):
            continue
        trained = state.trained.get(key, base)
        # Devices that are trained one by one run their factors beside the base. Of the others those
        # that begin, B = 0, add nothing: all devices can go on sharing one base.
        b = Parameter(stored, "b")
        added = task.traits.batched and b in state.trained and b not in moved
        if added and state.trained[b].any():
            delta = delta_of(task, state.trained, stored)
            trained = trained if delta is None else base + delta
        frozen[task.names.path(stored)] = task.as_run(trained)
    return frozen


def _reachable(
    task: Task, reach: Sequence[Sequence[bool]] | Mask, rounds: Counts
) -> dict[str, Tensor]:
    """Return every gate's ``reach`` (K, E) by path: 0 for experts in reach, -inf for others.

    Raises :class:`ValueError` for a device that trains with no expert in reach.
    """
    allowed = torch.tensor(reach, device=task.device)
    nowhere = ~allowed.any(1)
    if lost := [k for k, count in enumerate(rounds) if count and nowhere[k]]:
        raise ValueError(f"device {lost[0]} trains with no expert in reach; leave it out")
    # A device that stands still must have somewhere to route to, or its softmax is 0 / 0.
    reachable = barred(task, allowed | nowhere[:, None])
    return {f"{layer}.gate.reach": reachable for layer in task.names.layers}


def barred(task: Task, allowed: Tensor) -> Tensor:
    """Return what is added to a gate's logits: 0 for experts that are ``allowed``, else -inf."""
    nothing = torch.zeros(allowed.shape, dtype=task.dtype, device=task.device)
    return nothing.masked_fill(~allowed, -torch.inf)


def _shared_rows(stacked: Tensors) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Split tensors (K, ...) into those that are equal on all devices, as one, and the others.

    Values decide, so that a state gives the same bits whether it was computed or loaded.
    """
    shared = {}
    own = {}
    for path, tensor in stacked.items():
        first = tensor[:1]
        if tensor.stride(0) == 0 or torch.equal(tensor, first.expand_as(tensor)):
            shared[path] = first[0].contiguous()
        else:
            own[path] = tensor.contiguous()
    return shared, own


def _check_experts(state: State, part: TrainedPart, routed: Collection[int]) -> None:
    if not part.experts and not part.gate:
        raise ValueError("nothing to train: name at least one expert or train the gate")
    held = experts_held(state)
    if missing := sorted((set(part.experts) | set(routed)) - set(held)):
        raise ValueError(
            f"expert {missing[0]} is not held (held: {held}) but the gate may route to it; "
            "download it or train with a mask"
        )
    if not routed:
        raise ValueError("a masked gate needs at least one expert to route to")
