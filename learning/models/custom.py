"""A custom model: tried on samples before the run, and measured where its sizes are needed."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from learning.architecture.costs import FORWARD
from learning.architecture.shapes import ModelTensors
from learning.data.samples import TEXTS, InputSpec
from learning.models.build import (
    failure,
    make_shapes,
    named_by,
    random_model,
    refusal,
    single_expert,
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
    MoELayer,
    Residency,
    factored_in,
    forward_with_routing,
    tokens_of,
)
from learning.models.objective import Objective, Trial
from learning.models.stacked import Tensors, in_single
from learning.own.raised import ANYTHING
from learning.settings import LearningConfig, Lora


@dataclass(frozen=True)
class Traits:
    """How a model is trained.

    ``batched``: over all devices at once; ``draws``: its forward draws random numbers of torch in
    training, as dropout does; ``tied``: it has parameters that go by several paths; ``alone``: why
    its devices are trained one after another although it does not ask for that, and ``loss_alone``
    why its loss keeps them from it.
    """

    batched: bool = True
    draws: bool = False
    tied: bool = False
    alone: str = ""
    loss_alone: str = ""


class Train(Protocol):
    """How local training computes gradients."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, *, together: bool) -> Tensors:
        """Return those of two devices with the same samples, (2, ...), or of one, (...)."""


def try_out(
    config: LearningConfig,
    spec: InputSpec,
    x: Tensor,
    y: Tensor,
    objective: Objective,
    try_loss: Callable[[nn.Module], Trial],
    train: Train,
) -> Traits:
    """Run the model whole, with one expert, and as devices ``train`` it: on (n, ...), (n, ...).

    What it returns is held against the ``objective``, and then given to ``try_loss``.

    Raises :class:`ValueError` that names the kind and what is wrong: an exception in its code,
    logits of another shape, parameters without a gradient, numbers that no seed decides.
    """
    kind = config.model.kind
    everything = tuple(range(config.model.experts))
    model = random_model(config, spec)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise refusal(kind, "has no parameters to train")
    _check_shapes(kind, model, make_shapes(config.model, spec))
    _check_forward(kind, model, x, y, spec, objective)
    tried = try_loss(model)
    if everything:
        for sized, held in ((single_expert(config), (0,)), (config, everything[-1:])):
            single = random_model(sized, spec, Residency(held))
            _check_forward(kind, single, x, y, spec, objective)
    draws = tried.draws | _check_training(config, model, x, y, objective)
    tied = len(list(model.parameters())) < len(list(model.named_parameters(remove_duplicate=False)))
    batched = getattr(model, "batched", True) and not draws and not tried.alone

    def as_trained(*, together: bool) -> nn.Module:
        here = Residency(everything, everything, dense=together)
        return random_model(config, spec, here).train(config.trains_backbone)

    def gradients(*, together: bool) -> Tensors:
        return train(as_trained(together=together), x, y, together=together)

    try:
        alone = gradients(together=False)
    except ANYTHING as error:
        raise failure(kind, "cannot be trained", error) from None
    if 1 in _pieces(config):
        try:
            train(as_trained(together=False), x[:1], y[:1], together=False)
        except ANYTHING as error:
            key = "learning.micro_batch" if config.batch_size > 1 else "learning.batch_size"
            cause = failure(kind, "cannot be trained on one sample", error)
            raise ValueError(f"{key}: {str(cause).partition(': ')[2]}; {_MORE[key]}") from None
    why = _why_not_together(alone, partial(gradients, together=True)) if batched else ""
    return Traits(batched and not why, draws, tied, why, tried.alone)


def _check_shapes(kind: str, model: nn.Module, shapes: nn.Module) -> None:
    """Refuse a module whose ``shapes`` are not those that it has in memory."""
    both = [dict(one.named_parameters()) | buffers_of(one) for one in (model, shapes)]
    sizes = [{path: tuple(tensor.shape) for path, tensor in kept.items()} for kept in both]
    if odd := sizes[0].items() ^ sizes[1].items():
        raise refusal(
            kind,
            f"has another tensor {min(odd)[0]!r} where it is made on the device meta; make the "
            "same ones wherever it is made",
        )


_MORE = {
    "learning.batch_size": "set it to 2 or more, as batch normalisation needs",
    "learning.micro_batch": "take one of which no sample of learning.batch_size is left alone",
}


def _pieces(config: LearningConfig) -> set[int]:
    """Return how many samples a minibatch, or each of the pieces of one, has."""
    size = config.batch_size
    piece = min(config.micro_batch or size, size)
    return {piece, size % piece or piece}


SAME = 1e-3
"""Largest difference between gradients of one device and of two at once, over the largest one."""


def _why_not_together(alone: Tensors, both_at_once: Callable[[], Tensors]) -> str:
    """Say why devices cannot be trained at once; empty where their gradients are those alone."""
    try:
        with warnings.catch_warnings(action="ignore"):  # that vmap runs an operation one by one
            both = both_at_once()
    except ANYTHING as error:  # a module may raise anything
        return f"does not run it ({type(error).__name__})"
    for name, own in alone.items():
        if not own.numel():
            continue
        if (both[name] - own).abs().max() > SAME * own.abs().max().clamp_min(SAME):
            return f"gives other gradients of {name!r}"
    return ""


def _check_forward(
    kind: str, model: nn.Module, x: Tensor, y: Tensor, spec: InputSpec, objective: Objective
) -> None:
    """Run the model in evaluation mode."""
    before = {path: buffer.clone() for path, buffer in model.named_buffers()}
    try:
        logits, routings = forward_with_routing(model, x)
        tokens_of(model, x)
        again = model(x)
    except ANYTHING as error:
        data = f"forward fails on {spec.form} data of shape {tuple(x.shape)}"
        padding = "; token ids are padded with -1" if spec.form in TEXTS else ""
        raise failure(kind, f"cannot be run: {data}", error, padding) from None
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else ()
    if wanted := objective.misfit(shape, y, spec):
        given = shape if isinstance(logits, Tensor) else type(logits).__name__
        raise refusal(kind, f"returns {given}; it must return {wanted}")
    if logits.is_complex():
        raise refusal(
            kind, "returns complex logits; return real ones, like their real part or absolute value"
        )
    if not routings and any(isinstance(module, MoELayer) for module in model.modules()):
        raise refusal(kind, "does not call its MoE layers in forward")
    if logits.isnan().any():
        raise refusal(kind, "returns logits that are not a number, at its random start already")
    if not torch.equal(logits, again):
        raise refusal(
            kind,
            "gives other logits for the same samples when it is run twice in evaluation mode; draw "
            "at random in training only (nn.Dropout does), keep nothing in forward, and change "
            "neither weights nor samples there",
        )
    for path, buffer in model.named_buffers():
        if not torch.equal(buffer, before[path]):
            raise refusal(kind, f"changes its buffer {path!r} in forward in evaluation mode")
    if not logits.requires_grad:
        raise refusal(
            kind, "returns logits without a gradient; use no detach or no_grad in forward"
        )


def _check_training(
    config: LearningConfig, model: nn.Module, x: Tensor, y: Tensor, objective: Objective
) -> bool:
    """Run the model as it is trained; return whether it draws random numbers of torch."""
    kind = config.model.kind
    names = names_of(model)
    model.train(config.trains_backbone)
    parameters = {
        path: parameter
        for path, parameter in model.named_parameters()
        if parameter.requires_grad and (config.trains_backbone or names.stored(path) != path)
    }
    others = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        try:
            loss = objective.of(in_single(model(x)), y, x)
            found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        except ANYTHING as error:
            raise failure(kind, "cannot be trained", error) from None
        try:
            again = objective.of(in_single(model(x)), y, x)
            torch.autograd.grad(again, list(parameters.values()), allow_unused=True)
        except ANYTHING as error:
            cure = "; what forward keeps for its next call must be detached, in a buffer"
            raise failure(kind, "cannot be trained a second time", error, cure) from None
        draws = not torch.equal(before, torch.get_rng_state())
    if repr(others) != repr((random.getstate(), np.random.get_state())):
        raise refusal(
            kind,
            "draws from the global generator of random or numpy in forward, which no seed of a run "
            "decides; draw with torch",
        )
    for path, gradient in zip(parameters, found, strict=True):
        if gradient is None and expert_of(names.stored(path)) is None:
            raise refusal(
                kind,
                f"has a parameter {path!r} that gets no gradient; use it in forward, or set its "
                "requires_grad to False",
            )
    return draws


# The tensors of a custom model, found by measuring it.


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
