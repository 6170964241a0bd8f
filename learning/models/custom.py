"""A custom model: tried on samples before the run, and measured where its sizes are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from learning.architecture.shapes import ModelTensors
from learning.config import LearningConfig, LoraConfig
from learning.data.samples import InputSpec
from learning.models.build import (
    check_frozen,
    failure,
    make_shapes,
    random_model,
    refusal,
    single_expert,
)
from learning.models.interface import MODELS, Maker, expert_of, is_gate, names_of
from learning.models.moe import Residency, forward_with_routing, tokens_of

SLOWLY = (
    "; set the class attribute batched = False where it cannot be run over all devices at once"
    " (torch.func.vmap), or change it"
)


def try_out(
    config: LearningConfig,
    maker: Maker,
    spec: InputSpec,
    x: Tensor,
    y: Tensor,
    train: Callable[[nn.Module, Tensor, Tensor], object],
) -> None:
    """Run the model whole, with one expert, and as devices ``train`` it: on (n, ...), (n,).

    Raises :class:`ValueError` that names the kind and what is wrong: an exception in its code,
    logits of another shape, randomness, buffers that change, no gradient, no vmap.
    """
    everything = tuple(range(config.model.experts))
    model = random_model(config, spec, maker, Residency(everything))
    check_frozen(config.model.kind, model, config.trains_backbone)
    _check_forward(config.model.kind, model, x, y, spec)
    for sized, held in ((single_expert(config), (0,)), (config, everything[-1:])):
        single = random_model(sized, spec, maker, Residency(held))
        _check_forward(config.model.kind, single, x, y, spec)
    batched = getattr(model, "batched", True)
    here = Residency(everything, everything, dense=batched)
    try:
        train(random_model(config, spec, maker, here), x, y)
    except Exception as error:
        cure = SLOWLY if batched else ""
        raise failure(config.model.kind, "cannot be trained", error, cure) from None


def _check_forward(kind: str, model: nn.Module, x: Tensor, y: Tensor, spec: InputSpec) -> None:
    before = {path: buffer.clone() for path, buffer in model.named_buffers()}
    try:
        logits, routings = forward_with_routing(model, x)
        tokens_of(model, x)
        again = model(x)
    except Exception as error:
        data = f"forward fails on {spec.form} data of shape {tuple(x.shape)}"
        raise failure(kind, f"cannot be run: {data}", error) from None
    wanted = (len(y), spec.classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise refusal(kind, f"returns {shape}; it must return logits (n, classes), here {wanted}")
    if not routings:
        raise refusal(kind, "does not call its MoE layers in forward")
    if logits.isnan().any():
        raise refusal(kind, "returns logits that are not a number, at its random start already")
    if not torch.equal(logits, again):
        raise refusal(
            kind,
            "gives other logits for the same samples when it is run twice; draw "
            "nothing at random in forward, and keep nothing there",
        )
    for path, buffer in model.named_buffers():
        if not torch.equal(buffer, before[path]):
            raise refusal(kind, f"changes its buffer {path!r} in forward; buffers are constants")
    if not logits.requires_grad:
        raise refusal(
            kind, "returns logits without a gradient; use no detach or no_grad in forward"
        )


# The tensors of a custom model, found by measuring it.


def measured_tensors(config: LearningConfig, spec: InputSpec) -> ModelTensors:
    """Build the model without memory and return what it is made of.

    Raises :class:`ValueError` for a model without MoE layers, or with experts that differ.
    """
    everything = tuple(range(config.model.experts))
    all_targets = replace(config.model, lora=LoraConfig(rank=1))
    maker = MODELS.find(config.model.kind)
    plain = make_shapes(maker, config.model, spec, Residency(everything))
    names = names_of(plain)
    shapes = {names.stored(path): tuple(p.shape) for path, p in plain.named_parameters()}
    own = {name: shape for name, shape in shapes.items() if expert_of(name) == 0}
    expert = {name.split(".", 3)[3]: s for name, s in own.items() if name.startswith("expert.0.0.")}
    if len(own) != len(names.layers) * len(expert) or any(
        shapes.get(f"expert.{e}.{layer}.{name}") != shape
        for e in everything
        for layer in range(len(names.layers))
        for name, shape in expert.items()
    ):
        raise ValueError(f"{config.model.kind!r}: experts and layers must all have the same shape")
    tuned = make_shapes(maker, all_targets, spec, Residency(everything, everything))
    stored = [names.stored(path) for path, _ in tuned.named_parameters()]
    first = [name.split(".", 3)[3] for name in stored if name.startswith("expert.0.0.")]
    return ModelTensors(
        layers=len(names.layers),
        expert=expert,
        gate=shapes["gate.0.weight"],
        gate_bias="gate.0.bias" in shapes,
        backbone={n: s for n, s in shapes.items() if expert_of(n) is None and not is_gate(n)},
        factored=tuple(f"{n.removesuffix('.a')}.weight" for n in first if n.endswith(".a")),
    )
