"""Local rounds of EMS-FL: (26), (27), (38) to (41), the gate masked as in (43).

Of a state, what the rounds move, what stands still and what devices share is found once for the
rounds of a cluster; :mod:`learning.training.sgd` takes the steps. Tensors have the names that a
server's model has for them; where the model runs they go to their paths in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from learning.models.interface import (
    Parameter,
    expert_of,
    is_gate,
    is_of,
    model_of,
    pair_of,
    parameter_of,
)
from learning.models.moe import Residency
from learning.models.stacked import Guard, Tensors, in_single
from learning.settings import MASKS
from learning.training import sgd
from learning.training.local_loss import AddedLoss, Draws, Term, loss_of, within
from learning.training.recipe import Counts, LocalRounds, TrainedPart
from learning.training.state import (
    State,
    Versions,
    assembled_state,
    delta_of,
    experts_held,
    flatten,
    is_frozen,
    moved_in_state,
)
from learning.training.task import Task, embedded
from statements.arrays import Mask


def train(
    task: Task,
    own: Tensors,
    *others: Tensors,
    servers: int,
    versions: Versions,
    local: LocalRounds,
    part: TrainedPart,
    local_loss: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Train a state by reference as :func:`train_rounds`; after ``servers`` models, the memories.

    It checks that no tensor has changed but those of the ``part``.
    """
    what = f"training in {local.cluster!r}"

    def may(name: str) -> bool:
        return task.moves(moved_in_state(name), part.experts, gate=part.gate)

    guard = Guard(own, others, may, what)
    models, memories = others[:servers], others[servers:]
    term = None if local_loss is None else Term(memories=memories, **local_loss)
    after = _trained(task, own, models, versions, local, part, term)
    guard.check(after)
    return after


def _trained(
    task: Task,
    own: Tensors,
    models: Sequence[Tensors],
    versions: Versions,
    local: LocalRounds,
    part: TrainedPart,
    term: Term | None,
) -> dict[str, Tensor]:
    """Train a state whose bases are those of ``models`` that its ``versions`` name.

    Where devices are trained one after another, no base is copied: those that hold the same
    versions are trained from the server's tensors.
    """
    state = State.of(own)
    if task.traits.batched or term is not None:
        whole = assembled_state(task, state, models, versions)
        return {**own, **flatten(train_rounds(task, whole, local, part, term))}
    columns = list(zip(*versions, strict=True))
    for column in dict.fromkeys(columns):
        pairs = zip(local.rounds, columns, strict=True)
        rounds = [count if other == column else 0 for count, other in pairs]
        if not any(rounds):
            continue
        alike = versions  # without factors every device has a copy of its own
        if task.config.model.lora.rank is not None:
            alike = [*([version] * len(columns) for version in column[:-1]), versions[-1]]
        whole = assembled_state(task, state, models, alike, folds=False)
        after = train_rounds(task, whole, replace(local, rounds=rounds), part)
        state = State.of({**flatten(state), **flatten(after)})
    return flatten(state)


def train_rounds(
    task: Task,
    state: State,
    local: LocalRounds,
    part: TrainedPart,
    term: Term | None = None,
) -> State:
    """Return what the devices have trained after their ``local`` rounds.

    ``state`` is :func:`~learning.training.state.assembled_state`, and what is returned
    replaces tensors of it.

    Experts move by equations (26) and (38) and, with the gate, what is shared by (27) and
    (40), both at the same point; all that is not of the ``part`` is frozen. A ``term`` is added to
    the loss. Apart from rounding, a device's result depends only on its own state, data and rounds;
    rounds trained in several calls equal those trained in one, bit for bit.

    Raises :class:`ValueError` for counts that do not fit the cluster, for experts that are not
    held, and for an unmasked gate on devices that do not hold every expert.
    """
    # The state of torch's generators is kept where the model draws from them.
    on_gpu = [task.device] if task.device.type == "cuda" else []
    draws = task.traits.draws or (term is not None and term.draws)
    try:
        with torch.random.fork_rng(on_gpu, enabled=draws):
            return _descended(task, state, local, part, term)
    except Draws:
        assert term is not None  # it has asked for random numbers
        return train_rounds(task, state, local, part, replace(term, draws=True))


def _descended(
    task: Task, state: State, local: LocalRounds, part: TrainedPart, term: Term | None
) -> State:
    """Return what was trained: the model's parts by their paths, with what is moved of them."""
    cluster = local.cluster
    shard = task.shards[cluster].samples
    routed = task.all_experts if part.mask is None else tuple(sorted(part.experts))
    if task.all_experts:
        _check_experts(state, part, routed)
    moved = _moved(task, state, part)
    keys = frozenset(moved.values())
    buffers = [name for name, key in moved.items() if key.stored in task.buffers]
    beside = {} if task.traits.batched else _beside(state, routed, keys)

    model = task.shapes(_residency(task, part, routed, beside))

    # What stands still: tensors that all devices share, and each device's own (K, ...).
    frozen = _frozen(task, state, routed, keys)
    if part.reach is not None:
        frozen |= _reachable(task, part.reach, local.rounds)
    shared, own = _shared_rows(frozen) if task.traits.batched else ({}, frozen)
    shared |= task.backbone
    _copy_rewritten(task, shared, own, cluster, in_training=model.training)
    own |= _frozen_factors(task, state, keys, beside)
    draws = task.traits.draws or (term is not None and term.draws)
    together = task.traits.batched and not draws
    added = None
    if term is not None:
        free = [key for key in moved.values() if key.stored not in task.buffers]
        added = AddedLoss(task, state, free, buffers, term)
        own |= added.frozen

    drawn = task.devices(cluster) * task.config.steps_per_round * task.config.batch_size
    path = cache(lambda name: task.path(parameter_of(name)))
    alike = {path(name): tensor for name, tensor in shared.items()}
    samples = embedded(task, model, alike, cluster, shard.x, drawn)
    is_embedded = len(samples) > 1
    as_run = _as_run(task, beside)

    def whole(tensors: Tensors) -> Tensors:
        return {**alike, **{path(name): tensor for name, tensor in as_run(tensors).items()}}

    how: dict[str, Any] = {"tied": task.traits.tied, "added": added}
    held = within(model, whole, **how) if task.is_own and not together else None
    loss = loss_of(
        model, whole, objective=task.objective, own=task.is_own, embedded=is_embedded, **how
    )
    if is_embedded and (added is not None or task.objective.takes_inputs):
        samples = (*samples, shard.x)
    problem = sgd.Problem(
        sgd.draw_of(task, cluster, *samples, shard.y, draws=draws),
        loss,
        together,
        own,
        buffers=buffers,
        gates=[name for name, key in moved.items() if is_gate(key.stored)],
        # All of them: a product over tensors that devices share may round by their number.
        devices=range(task.devices(cluster)),
        within=held,
    )
    return _stepped(task, state, moved, local, problem)


def _copy_rewritten(
    task: Task,
    shared: dict[str, Tensor],
    own: dict[str, Tensor],
    cluster: str,
    *,
    in_training: bool,
) -> None:
    """Copy the frozen tensors that forward may change in place, one for each device, to ``own``.

    These are statistics of batches, and rows of an embedding. The copies are dropped.
    """
    rewritten = task.traits.rewrites | (task.buffers if in_training else frozenset())
    for name in rewritten & {*shared, *own}:
        single = shared.pop(name, None)
        rows = own[name] if single is None else single.expand(task.devices(cluster), *single.shape)
        own[name] = rows.clone()


def _stepped(
    task: Task,
    state: State,
    moved: Mapping[str, Parameter],
    local: LocalRounds,
    problem: sgd.Problem,
) -> State:
    """Return what has moved after all steps, and what the optimiser remembers of that."""
    begin = {name: state.trained[key] for name, key in moved.items()}
    begin |= {name: in_single(t) for name, t in begin.items() if name not in problem.buffers}
    memory = {
        slot: {name: part[key] for name, key in moved.items() if key in part}
        for slot, part in state.optimizer.items()
    }
    trained = sgd.train(begin, problem, task.config, local.rounds, local.first_round, memory)
    return State(
        model_of(trained.tensors),
        optimizer={slot: model_of(part) for slot, part in trained.memory.items()},
    )


Beside = Mapping[str, Sequence[tuple[Tensor, Tensor]]]
"""Pairs of frozen factors (K, r, in), (K, out, r) by the matrix that they are added to."""


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
        recomputed=task.config.checkpoint_activations,
    )


RANKS = {"a": 0, "b": 1}
"""Dimension of each factor that is as long as its rank."""


def _numbered(stored: str, factor: str, pairs: int) -> list[str]:
    """Return what frozen factors of a matrix are called: their names begin with a dot alone."""
    return [f".{number}.{Parameter(stored, factor)}" for number in range(pairs)]


def _as_run(task: Task, beside: Beside) -> Callable[[Tensors], Tensors]:
    """Return what gives tensors in the format that they are run in, factors in one."""
    if task.dtype != torch.bfloat16 and not beside:
        return dict
    joints = {
        Parameter(stored, factor): _numbered(stored, factor, len(pairs))
        for stored, pairs in beside.items()
        for factor in RANKS
    }
    frozen = {name for names in joints.values() for name in names}

    def joined(tensors: Tensors) -> dict[str, Tensor]:
        run = {name: task.as_run(t) for name, t in tensors.items() if name not in frozen}
        for key, names in joints.items():
            parts = [tensors[name] for name in names]
            own = [run[str(key)]] if str(key) in run else []
            run[str(key)] = torch.cat([*parts, *own], RANKS[key.factor])
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
                found.setdefault(key.stored, []).append(pair)
    return found


def _frozen_factors(
    task: Task,
    state: State,
    moved: Collection[Parameter],
    beside: Beside,
) -> dict[str, Tensor]:
    """Return the factors that run ``beside`` those that are trained, and a frozen A."""
    frozen: dict[str, Tensor] = {}
    for stored, pairs in beside.items():
        for factor, tensors in zip(RANKS, zip(*pairs, strict=True), strict=True):
            names = _numbered(stored, factor, len(pairs))
            frozen |= zip(names, map(task.as_run, tensors), strict=True)
    for key, tensor in state.trained.items():
        if is_frozen(task, key) and Parameter(key.stored, "b") in moved:
            frozen[str(key)] = tensor
    return frozen


def _moved(task: Task, state: State, part: TrainedPart) -> dict[str, Parameter]:
    """Return what is trained, by name."""
    moved = {}
    for key in state.trained:
        # Statistics of batches follow every minibatch, as in a plain loop.
        follows = part.moves == "all" or key.stored in task.buffers
        if not follows and (key.stored in task.personal) != (part.moves == "personal"):
            continue
        of_expert = is_of(key.stored, part.experts) and not is_frozen(task, key)
        if of_expert or (part.gate and not key.factor and task.goes_with_gate(key.stored)):
            moved[str(key)] = key
    return moved


def _frozen(
    task: Task, state: State, routed: Collection[int], moved: Collection[Parameter]
) -> dict[str, Tensor]:
    """Return the frozen tensors (K, ...), with changes that are not trained added."""
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
        frozen[stored] = task.as_run(trained)
    return frozen


def _reachable(
    task: Task, reach: Sequence[Sequence[bool]] | Mask, rounds: Counts
) -> dict[str, Tensor]:
    """Return every gate's ``reach`` (K, E): 0 for experts in reach, -inf for others.

    Raises :class:`ValueError` for a device that trains with no expert in reach.
    """
    allowed = torch.tensor(reach, device=task.device)
    nowhere = ~allowed.any(1)
    if lost := [k for k, count in enumerate(rounds) if count and nowhere[k]]:
        raise ValueError(f"device {lost[0]} trains with no expert in reach; leave it out")
    # A device that stands still must have somewhere to route to, or its softmax is 0 / 0.
    reachable = barred(task, allowed | nowhere[:, None])
    return {f"gate.{number}.reach": reachable for number in range(len(task.names.layers))}


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
    for name, tensor in stacked.items():
        first = tensor[:1]
        if tensor.stride(0) == 0 or torch.equal(tensor, first.expand_as(tensor)):
            shared[name] = first[0].contiguous()
        else:
            own[name] = tensor.contiguous()
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
