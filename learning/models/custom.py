"""The tensors of a custom model, found by measuring it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from learning.architecture.costs import FORWARD
from learning.architecture.shapes import ModelTensors
from learning.data.samples import TEXTS, InputSpec
from learning.models.build import (
    make_shapes,
    named_by,
)
from learning.models.interface import (
    MODELS,
    ExpertTensor,
    buffers_of,
    expert_of,
    expert_tensor,
    is_gate,
    names_of,
)
from learning.models.moe import (
    Residency,
    factored_in,
)
from learning.own.raised import ANYTHING
from learning.settings import LearningConfig, Lora


def takes_config(kind: str) -> bool:
    """Return whether the module is made with the keys of ``learning.model``."""
    return "config" in named_by(MODELS.find(kind))


def has_experts(config: LearningConfig, spec: InputSpec) -> bool:
    """Return whether the model has MoE layers; without any it is a plain one."""
    return bool(names_of(make_shapes(config.model, spec)).layers)


def measured_tensors(config: LearningConfig, spec: InputSpec) -> ModelTensors:
    """Build the model without memory and return what it is made of.

    Raises :class:`ValueError` for experts that differ.
    """
    everything = tuple(range(config.model.experts))
    plain = make_shapes(config.model, spec)
    names = names_of(plain)
    kept = dict(plain.named_parameters()) | buffers_of(plain)
    shapes = {names.stored(path): tuple(tensor.shape) for path, tensor in kept.items()}
    backbone = {n: s for n, s in shapes.items() if expert_of(n) is None and not is_gate(n)}
    frozen = frozenset(
        names.stored(path) for path, p in plain.named_parameters() if not p.requires_grad
    )
    if not names.layers:
        products, ends = _measured_work(plain, spec)
        return ModelTensors(
            (), {}, (), backbone, (), frozen=frozen, products=products, activations=ends
        )
    own = {key: s for name, s in shapes.items() if (key := expert_tensor(name)) and not key.expert}
    expert = {key.name: shape for key, shape in own.items() if key.layer == 0}
    if len(own) != len(names.layers) * len(expert) or any(
        shapes.get(ExpertTensor(e, layer, name).stored) != shape
        for e in everything
        for layer in range(len(names.layers))
        for name, shape in expert.items()
    ):
        raise ValueError(f"{config.model.kind!r}: experts and layers must all have the same shape")
    all_targets = replace(config.model, lora=Lora(rank=1))
    tuned = make_shapes(all_targets, spec, Residency(everything, everything))
    maps = [expert_tensor(names.stored(path)) for path in factored_in(tuned)]
    return ModelTensors(
        paths=names.layers,
        expert=expert,
        gate=shapes["gate.0.weight"],
        gate_bias="gate.0.bias" in shapes,
        backbone=backbone,
        factored=tuple(f"{key.name}.weight" for key in maps if key and key[:2] == (0, 0)),
        frozen=frozen,
    )


def _measured_work(model: nn.Module, spec: InputSpec) -> tuple[int | None, int | None]:
    """Count the multiplications of weights, and what goes in and out of modules, for one sample.

    None where the model does not run without memory.
    """
    ends = 0
    hooks = list[Any]()

    def count(_module: nn.Module, given: tuple[Any, ...], out: Any) -> None:
        nonlocal ends
        ends += sum(t.numel() for t in (*given, out) if isinstance(t, Tensor))

    leaves = (module for module in model.modules() if not list(module.children()))
    device = next(model.parameters(), torch.empty(0)).device
    kind = torch.int64 if spec.form in TEXTS else torch.float32
    quiet = warnings.catch_warnings(action="ignore")  # the run itself gives the module's own
    try:
        hooks += [module.register_forward_hook(count) for module in leaves]
        with quiet, FlopCounterMode(display=False) as counter, torch.no_grad():
            model.eval()(torch.zeros(1, *spec.shape, dtype=kind, device=device))
    except ANYTHING:  # a module may raise anything; the run itself tries it on samples
        return None, None
    finally:
        for hook in hooks:
            hook.remove()
    return counter.get_total_flops() // FORWARD, ends
