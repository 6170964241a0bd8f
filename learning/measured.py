"""The tensors of a model of one's own, found by looking at it."""

from __future__ import annotations

from dataclasses import replace

from learning.config import LearningConfig, LoraConfig
from learning.data.samples import InputSpec
from learning.models import MODELS, Residency
from learning.models.making import make_shapes
from learning.models.names import expert_of, is_gate, names_of
from learning.tensors import ModelTensors


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
