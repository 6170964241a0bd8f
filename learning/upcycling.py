"""The start: experts upcycled from a dense model, and a gate that knows where data came from.

The small analogue of EMS-FL's Experiment 1: there, the experts are the feed-forward networks of
three domain-tuned models on one backbone, and a random gate is pre-trained on shared samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.adapters import with_adapter
from learning.building import is_upcycled
from learning.models import Residency
from learning.models.dense import draw_batches, fit, initialise, sgd, task_loss
from learning.models.names import expert_of, is_gate
from learning.models.routing import forward_with_routing, tokens_of
from learning.pretraining import pretraining_of
from learning.streams import stream
from learning.task import Samples, Task, fill, pool, single_expert, skeleton

EXPERT_BATCH_SIZE = 16
EXPERT_STEP_SIZE = 0.1
GATE_BATCH_SIZE = 64
GATE_STEP_SIZE = 3e-2


def start_model(task: Task) -> dict[str, Tensor]:
    """Return the server's model at time 0: ``expert.{e}.{l}...``, ``gate.{l}.weight``.

    Each expert is tuned on the trial data of its home domains, then the gates are trained on all
    trial data; both for as many steps as the task asks for. With a backbone that is trained the
    server holds it too.
    """
    trial, steps = pool(task.trial), pretraining_of(task.config)
    homes = home_domains(task.config.model.experts, len(task.config.clusters)).to(task.device)
    server: dict[str, Tensor] = {}
    for expert in task.all_experts:
        at_home = homes[expert][trial.domain]
        server |= _tuned_expert(task, expert, trial.at(at_home), steps.expert_steps)
    gates = _pretrained_gates(task, server, trial, homes, steps.gate_steps)
    shared = {name: tensor for name, tensor in task.initial.items() if task.is_shared(name)}
    return with_adapter(task, server | shared | gates)


def home_domains(experts: int, domains: int) -> Tensor:
    """Return (experts, domains) bool: expert ``e`` is at home in domain ``e mod C``.

    With fewer experts than domains each domain ``c`` is at home with expert ``c mod E``.
    """
    expert = torch.arange(experts) % domains
    domain = torch.arange(domains) % experts
    return expert[:, None] == domain[None, :]


def _tuned_expert(task: Task, expert: int, samples: Samples, steps: int) -> dict[str, Tensor]:
    """Tune one expert, all alone in the model, on its home domains."""
    first = 0 if is_upcycled(task) else expert
    own = {n: t for n, t in task.initial.items() if expert_of(n) == first}
    renamed = {n.replace(f"expert.{first}.", f"expert.{expert}.", 1): n for n in own}
    if not steps:
        return {name: own[old] for name, old in renamed.items()}
    model = skeleton(single_expert(task.config), task.spec, task.maker, Residency(held=(0,)))
    weights = {n: t for n, t in task.initial.items() if expert_of(n) is None and not is_gate(n)}
    weights |= {n.replace(f"expert.{first}.", "expert.0.", 1): t.clone() for n, t in own.items()}
    weights |= {n: own_gate(model, task, n) for n in gate_names(task)}
    fill(model, {task.names.path(n): t for n, t in weights.items()})
    parameters = {
        name: parameter
        for path, parameter in model.named_parameters()
        if expert_of(name := task.names.stored(path)) is not None
    }
    rng = stream(task.config.seed, "pretrain", "expert", expert)
    fit(
        parameters.values(),
        task_loss(model, samples.x, samples.y),
        draw_batches(rng, len(samples.y), steps, EXPERT_BATCH_SIZE),
        sgd(EXPERT_STEP_SIZE),
    )
    return {
        name.replace("expert.0.", f"expert.{expert}.", 1): parameter.detach()
        for name, parameter in parameters.items()
    }


def own_gate(model: nn.Module, task: Task, name: str) -> Tensor:
    """Return a gate for a single expert: whatever it says, its weight is 1."""
    shape = model.get_parameter(task.names.path(name)).shape
    return torch.zeros(shape, dtype=task.dtype, device=task.device)


def gate_names(task: Task) -> list[str]:
    """Return the stored names of the gates' tensors."""
    model = skeleton(task.config, task.spec, task.maker, Residency(held=task.all_experts))
    stored = (task.names.stored(path) for path, _ in model.named_parameters())
    return [name for name in stored if is_gate(name)]


def _pretrained_gates(
    task: Task, experts: dict[str, Tensor], trial: Samples, homes: Tensor, steps: int
) -> dict[str, Tensor]:
    """Train the gates by the task and by each sample's origin, over all experts at once.

    Routing to all experts (k = E) keeps a gradient to each: with hard Top-1 the gate hardly
    learns which expert belongs to which data.
    """
    model = _soft_model(task, experts)
    gates = {task.names.path(n): n for n in gate_names(task)}
    parameters = {gates[path]: p for path, p in model.named_parameters() if path in gates}
    rng = stream(task.config.seed, "pretrain", "gate")
    fit(
        parameters.values(),
        gate_loss(model, trial, homes),
        draw_batches(rng, len(trial.y), steps, GATE_BATCH_SIZE),
        lambda parameters: torch.optim.Adam(parameters, lr=GATE_STEP_SIZE),
    )
    return {name: parameter.detach() for name, parameter in parameters.items()}


def _soft_model(task: Task, experts: dict[str, Tensor]) -> nn.Module:
    """Return the whole model with k = E, its gates as they are before pre-training."""
    everywhere = replace(task.config.model, top_k=task.config.model.experts)
    soft = replace(task.config, model=everywhere)
    here = Residency(held=task.all_experts, dense=True)
    model = skeleton(soft, task.spec, task.maker, here)
    weights = {n: t for n, t in task.initial.items() if expert_of(n) is None} | experts
    missing = {task.names.path(n) for n in gate_names(task) if n not in weights}
    drawn = initialise(model, task.config.seed, missing)
    tensors = {task.names.path(name): tensor for name, tensor in weights.items()}
    tensors |= {path: tensor.to(task.device, task.dtype) for path, tensor in drawn.items()}
    tensors = {
        path: tensor.clone() if path in gate_paths(task) else tensor
        for path, tensor in tensors.items()
    }
    fill(model, tensors)
    return model


def gate_paths(task: Task) -> set[str]:
    """Return where the gates lie in the model."""
    return {task.names.path(name) for name in gate_names(task)}


def gate_loss(model: nn.Module, trial: Samples, homes: Tensor) -> Callable[[Tensor], Tensor]:
    """Return, for row indices into ``trial``, the task's loss plus each gate's origin loss."""
    at_home = homes.T[trial.domain]

    def loss(rows: Tensor) -> Tensor:
        x = trial.x[rows]
        logits, routings = forward_with_routing(model, x)
        keep = tokens_of(model, x)
        by_origin = [origin_loss(routing.weight, at_home[rows], keep) for routing in routings]
        return functional.cross_entropy(logits, trial.y[rows]) + torch.stack(by_origin).sum()

    return loss


def origin_loss(share: Tensor, at_home: Tensor, keep: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of "routed to an expert at home with the sample's domain".

    ``share`` (n, ..., E) is the gate's softmax, ``at_home`` (n, E) bool; of tokens (n, T) those in
    ``keep`` count. A sample of several rows (the options of a question) is at home with each.
    """
    of_rows = at_home.repeat_interleave(len(share) // len(at_home), 0)
    home = of_rows.view(len(share), *[1] * (share.dim() - 2), -1)
    home_share = torch.where(home, share, 0.0).sum(-1)
    surprise = -home_share.clamp_min(torch.finfo(share.dtype).tiny).log()
    return (surprise if keep is None else surprise[keep]).mean()
