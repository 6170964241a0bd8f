"""The start: experts upcycled from a dense model, and a gate that knows where data came from.

The small analogue of EMS-FL's Experiment 1: there, the experts are the feed-forward networks of
three domain-tuned models on one backbone, and a random gate is pre-trained on shared samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from learning.models import MoEModel, Residency
from learning.models.dense import draw_batches, fit, initialise, sgd, task_loss
from learning.models.names import expert_of, is_gate, module_path, stored_name
from learning.models.routing import forward_with_routing
from learning.streams import stream
from learning.task import Samples, Task, pool

EXPERT_STEPS = 60
EXPERT_BATCH_SIZE = 16
EXPERT_STEP_SIZE = 0.1
GATE_STEPS = 60
GATE_BATCH_SIZE = 64
GATE_STEP_SIZE = 3e-2


def start_model(task: Task) -> dict[str, Tensor]:
    """Return the server's model at time 0: ``expert.{e}.{l}...`` and ``gate.{l}.weight``.

    Each expert is the dense feed-forward network tuned on the trial data of its home domains;
    then the gates are trained on all trial data.
    """
    trial = pool(task.trial)
    homes = home_domains(task.config.model.experts, len(task.config.clusters))
    server: dict[str, Tensor] = {}
    for expert in task.all_experts:
        at_home = homes[expert][trial.domain]
        server |= _tuned_expert(task, expert, Samples(*(part[at_home] for part in trial)))
    return server | _pretrained_gates(task, server, trial, homes)


def home_domains(experts: int, domains: int) -> Tensor:
    """Return (experts, domains) bool: expert ``e`` is at home in domain ``e mod C``.

    With fewer experts than domains each domain ``c`` is at home with expert ``c mod E``.
    """
    expert = torch.arange(experts) % domains
    domain = torch.arange(domains) % experts
    return expert[:, None] == domain[None, :]


def _tuned_expert(task: Task, expert: int, samples: Samples) -> dict[str, Tensor]:
    model = task.dense_model()
    parameters = {
        name: parameter
        for path, parameter in model.named_parameters()
        if expert_of(name := stored_name(path)) is not None
    }
    rng = stream(task.config.seed, "pretrain", "expert", expert)
    fit(
        parameters.values(),
        task_loss(model, samples.x, samples.y),
        draw_batches(rng, len(samples.y), EXPERT_STEPS, EXPERT_BATCH_SIZE),
        sgd(EXPERT_STEP_SIZE),
    )
    return {
        name.replace("expert.0.", f"expert.{expert}.", 1): parameter.detach()
        for name, parameter in parameters.items()
    }


def _pretrained_gates(
    task: Task, experts: dict[str, Tensor], trial: Samples, homes: Tensor
) -> dict[str, Tensor]:
    """Train the gates by the task and by each sample's origin, over all experts at once.

    Routing to all experts (k = E) keeps a gradient to each: with hard Top-1 the gate hardly
    learns which expert belongs to which data.
    """
    model = _soft_model(task, experts)
    gates = {n: p for path, p in model.named_parameters() if is_gate(n := stored_name(path))}
    rng = stream(task.config.seed, "pretrain", "gate")
    fit(
        gates.values(),
        gate_loss(model, trial, homes),
        draw_batches(rng, len(trial.y), GATE_STEPS, GATE_BATCH_SIZE),
        lambda parameters: torch.optim.Adam(parameters, lr=GATE_STEP_SIZE),
    )
    return {name: parameter.detach() for name, parameter in gates.items()}


def _soft_model(task: Task, experts: dict[str, Tensor]) -> MoEModel:
    everywhere = replace(task.config.model, top_k=task.config.model.experts)
    soft = replace(task, config=replace(task.config, model=everywhere))
    model = soft.skeleton(Residency(held=task.all_experts, dense=True)).to_empty(device="cpu")
    initialise(model, task.config.seed)
    tensors = {module_path(name): tensor for name, tensor in {**task.backbone, **experts}.items()}
    model.load_state_dict(tensors, strict=False)
    return model


def gate_loss(model: MoEModel, trial: Samples, homes: Tensor) -> Callable[[Tensor], Tensor]:
    """Return, for row indices into ``trial``, the task's loss plus each gate's origin loss."""
    at_home = homes.T[trial.domain]

    def loss(rows: Tensor) -> Tensor:
        logits, routings = forward_with_routing(model, trial.x[rows])
        by_origin = [origin_loss(routing.weight, at_home[rows]) for routing in routings]
        return functional.cross_entropy(logits, trial.y[rows]) + torch.stack(by_origin).sum()

    return loss


def origin_loss(share: Tensor, at_home: Tensor) -> Tensor:
    """Return the cross-entropy of "routed to an expert at home with the sample's domain".

    ``share`` (n, E) is the gate's softmax, ``at_home`` (n, E) bool.
    """
    home_share = torch.where(at_home, share, 0.0).sum(-1)
    return -home_share.clamp_min(torch.finfo(share.dtype).tiny).log().mean()
