"""Evaluation: test and validation scores, the relevance (29) of experts, and their usage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learning.metrics import (
    CLIENTS,
    Gradient,
    Score,
    column_of,
    looking_at_gradients,
    measured,
    pooled_figures,
    with_validation,
)
from learning.models.interface import ADDED_A, ADDED_B, expert_of
from learning.models.moe import answers, forward_with_routing, gates_of, tokens_of
from learning.models.objective import Objective
from learning.models.stacked import Tensors, in_single
from learning.training.sgd import gradient_by
from learning.training.state import State, model_of_device, whole
from learning.training.task import (
    Samples,
    Shards,
    Task,
    embedded,
    in_batches,
    in_parts,
    rows_like,
    trial_of,
)


def evaluate(task: Task, server: Tensors, metrics: Sequence[str] = ()) -> list[Score]:
    """Test the Top-K model on each cluster's test set, in the order of the clusters.

    It is validated too, where there are validation sets. Samples that clusters share are run once.
    ``metrics`` are figures of one's own, by the names of :mod:`learning.metrics`, which each score
    has too.
    """
    steep = looking_at_gradients(metrics)
    gradients = gradients_at(task, server) if steep else {}
    model = task.model(server)
    names = task.config.clusters
    judged = partial(_score, task.objective)
    plain = [name for name in metrics if name not in steep]
    with torch.inference_mode():
        found = _answers(task, model, "tests", task.test)
        scores = [
            judged(name, found[name], task.test[name], plain)
            | _figures(steep, gradients.get(name, ()))
            for name in names
        ]
        if not task.validation:
            return scores
        # In batches of their own: those of the tests, and with them the bits, stay what they were.
        found = _answers(task, model, "validation", task.validation)
        return [
            with_validation(score, judged("", found[name], task.validation[name], ()))
            for name, score in zip(names, scores, strict=True)
        ]


def evaluate_clients(
    task: Task, server: Tensors, *own: Tensors, metrics: Sequence[str] = ()
) -> list[Score]:
    """Test, and validate, each device of each cluster on samples of its own.

    It is tested with the server's model in which the cluster's ``own`` tensors (K, ...), by stored
    name, stand in the place of the server's. The score of a cluster is that of all its ``clients``.
    """
    return [
        _score_of_clients(task, server, name, mine, metrics)
        for name, mine in zip(task.config.clusters, own, strict=True)
    ]


def _score_of_clients(
    task: Task, server: Tensors, cluster: str, own: Tensors, metrics: Sequence[str]
) -> Score:
    beside = {name + added for name in own for added in (ADDED_A, ADDED_B)}
    shared = {name: tensor for name, tensor in server.items() if name not in beside}
    clients = []
    for device in range(task.devices(cluster)):
        mine = {name: tensor[device] for name, tensor in own.items()}
        model = task.model({**shared, **mine})
        score = _score_of_client(task, model, task.client_test[cluster], device, metrics)
        if task.client_validation:
            validated = task.client_validation[cluster]
            score = with_validation(score, _score_of_client(task, model, validated, device, ()))
        clients.append(cast(Score, {**score, "cluster": cluster, "device": device}))
    return cast(Score, {"cluster": cluster, **pooled_figures(clients), CLIENTS: clients})


def _score_of_client(
    task: Task, model: nn.Module, sets: Shards, device: int, metrics: Sequence[str]
) -> Score:
    """Return the score of one device on samples of its own; no figures where it has none."""
    samples = sets.of(device)
    if not len(samples.y):
        return Score(cluster="", accuracy=None, loss=None, samples=0)
    with torch.inference_mode():
        parts = [answers(model, (part,)) for part in in_batches(samples.x)]
        found = torch.cat([in_single(part) for part in parts])
        return _score(task.objective, "", found, samples, metrics)


def _answers(
    task: Task, model: nn.Module, what: str, sets: Mapping[str, Samples]
) -> Mapping[str, Tensor]:
    """Return a model's answers (n, C) to ``what`` each of the task's clusters has in ``sets``.

    Clusters whose samples are the same object have the same answers.
    """
    first: dict[int, str] = {}
    for name, own in sets.items():
        first.setdefault(id(own.x), name)
    answered = list(dict.fromkeys(first[id(sets[name].x)] for name in task.config.clusters))
    parts = [
        part
        for name in answered
        for part in in_parts(embedded(task, model, {}, f"{what} of {name}", sets[name].x))
    ]
    found = [answers(model, part) for part in _together(parts)]
    # Losses are summed in at least single precision: sixteen bits would round them.
    given = torch.cat([in_single(part) for part in found])
    each = torch.split(given, [len(sets[name].y) for name in answered])
    of_first = dict(zip(answered, each, strict=True))
    return {name: of_first[first[id(sets[name].x)]] for name in task.config.clusters}


def _together(parts: Iterable[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """Put parts one after another as long as they make one batch: small sets cost one pass.

    A part has the samples last, behind what was made of them, if anything was.
    """
    waiting: list[tuple[Tensor, ...]] = []
    for part in parts:
        held = sum(len(other[-1]) for other in waiting)
        full = held + len(part[-1]) > rows_like(part[-1])
        if waiting and (full or len(waiting[0]) != len(part)):
            yield tuple(map(torch.cat, zip(*waiting, strict=True)))
            waiting = []
        waiting.append(part)
    yield tuple(map(torch.cat, zip(*waiting, strict=True)))


def final_tensors(task: Task, server: Tensors) -> dict[str, Tensor]:
    """Return all tensors of the trained model, backbone included, by their names when saved."""
    tensors = {**task.backbone, **whole(task, server)}
    return {task.names.saved(name): tensor.contiguous() for name, tensor in tensors.items()}


def _score(
    objective: Objective, cluster: str, answers: Tensor, own: Samples, metrics: Sequence[str]
) -> Score:
    y = own.y
    accuracy, loss, count = objective.judged(answers, y, own.x)
    score = Score(cluster=cluster, accuracy=accuracy, loss=loss, samples=len(y))
    if count != len(y):
        score["figure_weights"] = {"accuracy": count, "loss": count}
    if metrics and answers.dtype == torch.bfloat16:  # which NumPy does not know
        answers = answers.float()
    arrays = (answers.cpu().numpy(), y.cpu().numpy()) if metrics else ()
    return score | _figures(metrics, arrays)


def _figures(metrics: Sequence[str], given: Sequence[Any]) -> Score:
    # Each one has a copy, as it may change it: labels are those of all later evaluations.
    return cast(Score, {column_of(name): measured(name, *deepcopy(given)) for name in metrics})


# How often each cluster's data activate each expert: what model splitting is based on.


Batch = Tensor | tuple[Tensor, Tensor | None]


def expert_relevance(model: nn.Module, batches: Iterable[Batch]) -> NDArray[np.float64]:
    """Return (E,): the share of (token, MoE layer) pairs that select each expert, equation (29).

    ``batches`` yields ``x`` of shape (n, d) or (n, T, d), or ``(x, keep)`` with ``keep`` (n, T)
    bool, or None: True for tokens, False for padding, which is not counted although the gate
    routes it.
    The shares sum to K of Top-K. Raises :class:`ValueError` for a model without MoE layers and
    where nothing is left to count.
    """
    pairs = (batch if isinstance(batch, tuple) else (batch, None) for batch in batches)
    return _relevance(model, (((x,), keep) for x, keep in pairs))


Given = tuple[tuple[Tensor, ...], Tensor | None]
"""Samples as :func:`~learning.models.moe.answers` takes them, and which tokens are no padding."""


def _relevance(model: nn.Module, batches: Iterable[Given]) -> NDArray[np.float64]:
    if not (gates := gates_of(model)):
        raise ValueError(f"{type(model).__name__} has no MoE layer; give it at least one")
    counts = torch.zeros(gates[0].experts, dtype=torch.int64)
    pairs = 0
    for given, keep in batches:
        with torch.no_grad():
            _, routings = forward_with_routing(model, *given)
        for _, chosen in routings:
            kept = chosen if keep is None else chosen[_checked(keep, chosen)]
            counts += torch.bincount(kept.flatten().cpu(), minlength=len(counts))
            pairs += kept[..., 0].numel()
    if pairs == 0:
        raise ValueError("no tokens to count: give at least one batch with a token to keep")
    return counts.numpy() / pairs


def trial_relevance(task: Task, server: Tensors) -> list[list[float]]:
    """Return the relevance (C, E) of the server's experts to each cluster's trial data."""
    model = task.model(server)
    found = []
    for name in task.config.clusters:
        batches = [
            (part, tokens_of(model, part[-1])) for part in in_parts(trial_of(task, model, name))
        ]
        found.append(_relevance(model, batches).tolist())
    return found


def _checked(keep: Tensor, chosen: Tensor) -> Tensor:
    if keep.dtype != torch.bool or keep.shape != chosen.shape[:-1]:
        raise ValueError(
            f"keep is {keep.dtype} of shape {tuple(keep.shape)}; "
            f"give bool of the tokens' shape {tuple(chosen.shape[:-1])}"
        )
    return keep


# How the experts of a device do on its own data: the samples that they serve, and how well.


class Served(TypedDict):
    """Of each device and expert (K, E): ``samples`` served, and the ``accuracy`` 0..1 on them.

    It is 0 where there are none.
    """

    samples: list[list[int]]
    accuracy: list[list[float]]


def usage(task: Task, state: Tensors, cluster: str, reach: Sequence[Sequence[bool]]) -> Served:
    """Run every device's model over its own samples, its gate kept to ``reach`` (K, E).

    An expert serves a sample if the gate gives it a weight above 0 for any of its tokens in any
    layer. Devices with nothing in reach have served nothing.
    """
    found = Served(samples=[], accuracy=[])
    held_by_all = State.of(state)
    for device, row in enumerate(reach):
        held = tuple(expert for expert, here in enumerate(row) if here)
        counts = torch.zeros(2, len(row), dtype=torch.float64)
        if held:
            model = task.model(model_of_device(task, held_by_all, device), held)
            own = task.shards[cluster].of(device)
            counts = _counts(task.objective, model, own, len(row))
        served = counts[0].clamp(min=1)
        found["samples"].append(counts[0].long().tolist())
        found["accuracy"].append((counts[1] / served).tolist())
    return found


def _counts(objective: Objective, model: nn.Module, samples: Samples, experts: int) -> Tensor:
    """Return samples and right answers (2, E) of every expert."""
    total = torch.zeros(2, experts, dtype=torch.float64)
    parts = in_batches(samples.x)
    labels = torch.split(samples.y, [len(x) for x in parts])
    for x, y in zip(parts, labels, strict=True):
        with torch.no_grad():
            answers, routings = forward_with_routing(model, x)
        keep = tokens_of(model, x)
        served = torch.stack([_served(routing.weight, keep) for routing in routings]).any(0)
        right = objective.right(answers, y).double()
        counted = torch.stack([torch.ones_like(right), right])
        total += (counted @ served.double()).cpu()
    return total


def _served(weight: Tensor, keep: Tensor | None) -> Tensor:
    """Return which experts (n, E) serve which samples, from weights (n, ..., E)."""
    used = weight > 0
    if keep is not None:
        used = used & keep[..., None]
    return used if used.dim() == 2 else used.flatten(1, -2).any(1)


def gradient_of(task: Task, server: Tensors, samples: Samples) -> dict[str, Tensor]:
    """Return the gradient of the mean loss of ``samples``, by stored name of what is trained.

    That is the experts, the gates and, where the task trains it, the backbone. It is zero where no
    sample reaches: an expert that none is routed to, and all of it where every label is left out.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        model = task.model({name: _usable(t) for name, t in whole(task, server).items()})
        leaves = {}
        for path, parameter in model.named_parameters():
            stored = task.names.stored(path)
            if expert_of(stored) is not None or task.is_shared(stored):
                leaves[stored] = parameter.requires_grad_()
        found = {name: torch.zeros_like(in_single(leaf)) for name, leaf in leaves.items()}
        objective = task.objective
        parts = in_batches(_usable(samples.x))
        labels = torch.split(samples.y, [len(part) for part in parts])
        for x, y in zip(parts, labels, strict=True):
            loss = objective.mean(in_single(model(x)), y, x) * objective.share(y, samples.y)
            for name, gradient in gradient_by(leaves, loss).items():
                found[name] += gradient
    return found


def _usable(tensor: Tensor) -> Tensor:
    """Return a tensor that autograd takes: what was made in the mode for inference is copied."""
    return tensor.clone() if tensor.is_inference() else tensor


def mean_gradient(gradients: Sequence[Tensors], targets: Sequence[int]) -> dict[str, Tensor]:
    """Return the gradient of the mean loss over all targets, of those over parts of them, (3).

    ``targets`` are the numbers of targets of the parts: samples, or labels that are not left out.
    """
    shares = [count / sum(targets) for count in targets]
    return {
        name: sum(share * of[name] for share, of in zip(shares, gradients, strict=True))  # type: ignore[misc]
        for name in gradients[0]
    }


def as_gradient(task: Task, gradient: Tensors) -> Gradient:
    """Return a gradient as metrics look at it."""
    parts: dict[int | None, list[NDArray[Any]]] = {None: []}
    parts |= {expert: [] for expert in task.all_experts}
    for name in sorted(gradient):
        parts[expert_of(name)].append(gradient[name].flatten().cpu().numpy())
    return Gradient([_joined(parts[expert]) for expert in task.all_experts], _joined(parts[None]))


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0)


def gradients_at(task: Task, server: Tensors) -> Mapping[str, tuple[Gradient, Gradient]]:
    """Return the gradients of each cluster's loss and of the global one, by cluster."""
    parts = {name: task.shards[name].samples for name in task.config.clusters}
    own = {name: gradient_of(task, server, samples) for name, samples in parts.items()}
    counts = [task.objective.count(samples.y) for samples in parts.values()]
    pooled = mean_gradient([*own.values()], counts)
    overall = as_gradient(task, pooled)
    return {name: (as_gradient(task, gradient), overall) for name, gradient in own.items()}
