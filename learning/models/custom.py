"""A custom model: tried on samples before the run, and measured where its sizes are needed."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from learning.architecture.costs import FORWARD
from learning.architecture.shapes import ModelTensors
from learning.data.samples import TEXTS, InputSpec
from learning.models import doubts
from learning.models.build import (
    failure,
    make_shapes,
    named_by,
    random_model,
    refusal,
    single_expert,
    torch_dtype,
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
from learning.models.plain_state import kept_state, plain_attributes
from learning.models.stacked import Tensors
from learning.own.raised import ANYTHING
from learning.settings import LearningConfig, Lora
from statements import Statement


@dataclass(frozen=True)
class Traits:
    """How a model is trained.

    ``batched``: over all devices at once; ``draws``: its forward draws random numbers of torch in
    training, as dropout does; ``tied``: it has parameters that go by several paths; ``alone``: why
    its devices are trained one after another although it does not ask for that; ``doubts``: what is
    legal in it and may not be meant.
    """

    batched: bool = True
    draws: bool = False
    tied: bool = False
    alone: str = ""
    doubts: tuple[Statement, ...] = ()


class Train(Protocol):
    """How local training computes gradients."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, *, together: bool) -> Tensors:
        """Return those of two devices with the same samples, (2, ...), or of one, (...)."""


def try_out(config: LearningConfig, spec: InputSpec, x: Tensor, y: Tensor, train: Train) -> Traits:
    """Run the model whole, with one expert, and as devices ``train`` it: on (n, ...), (n,).

    Raises :class:`ValueError` that names the kind and what is wrong: an exception in its code,
    logits of another shape, parameters without a gradient, numbers that no seed decides.
    """
    kind = config.model.kind
    everything = tuple(range(config.model.experts))
    model = random_model(config, spec)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise refusal(kind, "has no parameters to train")
    _check_shapes(kind, model, make_shapes(config.model, spec))
    logits = _check_forward(kind, model, x, y, spec)
    doubted = [*_doubts_of_logits(config, model, x, logits)]
    if everything:
        for sized, held in ((single_expert(config), (0,)), (config, everything[-1:])):
            single = random_model(sized, spec, Residency(held))
            _check_forward(kind, single, x, y, spec)
    buffers = {path: (buffer, buffer.clone()) for path, buffer in model.named_buffers()}
    draws = _check_training(config, model, x, y)
    doubted += _doubts_of_buffers(kind, model, buffers)
    tied = len(list(model.parameters())) < len(list(model.named_parameters(remove_duplicate=False)))
    batched = getattr(model, "batched", True) and not draws

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
    if kept := _hidden_state(lambda: as_trained(together=False), x, y, train):
        doubted.insert(0, doubts.hidden_state(kind, kept))
    return Traits(batched and not why, draws, tied, why, tuple(doubted))


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


def _check_forward(kind: str, model: nn.Module, x: Tensor, y: Tensor, spec: InputSpec) -> Tensor:
    """Run the model in evaluation mode; return its logits (n, classes)."""
    before = {path: buffer.clone() for path, buffer in model.named_buffers()}
    samples = x.clone()
    parameters = {path: _AsItIs.of(parameter) for path, parameter in model.named_parameters()}
    try:
        logits, routings = forward_with_routing(model, x)
        tokens_of(model, x)
        again = model(x)
    except ANYTHING as error:
        data = f"forward fails on {spec.form} data of shape {tuple(x.shape)}"
        padding = "; token ids are padded with -1" if spec.form in TEXTS else ""
        raise failure(kind, f"cannot be run: {data}", error, padding) from None
    _check_given(kind, model, parameters, x, samples)
    wanted = (len(y), spec.classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise refusal(kind, f"returns {shape}; it must return logits (n, classes), here {wanted}")
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
            "at random in training only (nn.Dropout does), and keep nothing in forward",
        )
    for path, buffer in model.named_buffers():
        if not torch.equal(buffer, before[path]):
            raise refusal(kind, f"changes its buffer {path!r} in forward in evaluation mode")
    if not logits.requires_grad:
        raise refusal(
            kind, "returns logits without a gradient; use no detach or no_grad in forward"
        )
    return logits


class _AsItIs(NamedTuple):
    """A parameter at one time: ``place`` is the memory that it has, which is not used anew."""

    numbers: Tensor
    place: Tensor
    changes: int

    @classmethod
    def of(cls, parameter: Tensor) -> _AsItIs:
        """Return what a parameter is now."""
        place = parameter.detach()
        return cls(place.clone(), place, parameter._version)  # noqa: SLF001

    def is_kept(self, parameter: Tensor) -> bool:
        """Whether a parameter is still the same, in the same memory, and nothing was put there."""
        same = parameter.data_ptr() == self.place.data_ptr()
        same &= parameter._version == self.changes  # noqa: SLF001
        return same and torch.equal(parameter, self.numbers)


def _check_given(
    kind: str, model: nn.Module, before: Mapping[str, _AsItIs], x: Tensor, samples: Tensor
) -> None:
    """Refuse a forward that changes parameters, as they were ``before``, or ``samples`` to x.

    What it puts into a parameter would be lost, and samples are used again.
    """
    if not torch.equal(x, samples):
        raise refusal(
            kind, "changes its samples in place in forward; compute others, as x = x / 2 for x /= 2"
        )
    for path, parameter in model.named_parameters():
        if path in before and not before[path].is_kept(parameter):
            raise refusal(
                kind,
                f"changes its parameter {path!r} in forward, which training and evaluation would "
                "not keep; compute with a changed copy of it, as torch.nn.utils.parametrize does",
            )


def _check_training(config: LearningConfig, model: nn.Module, x: Tensor, y: Tensor) -> bool:
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
            loss = nn.functional.cross_entropy(model(x), y)
            found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        except ANYTHING as error:
            raise failure(kind, "cannot be trained", error) from None
        try:
            again = nn.functional.cross_entropy(model(x), y)
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


# What is legal and doubtful all the same.


SUM = 1e-4
"""How far from 1 the outputs of a softmax may add up to in single precision."""


def _doubts_of_logits(
    config: LearningConfig, model: nn.Module, x: Tensor, logits: Tensor
) -> Iterator[Statement]:
    """Look at the number format and the values of logits (n, classes) of samples x (n, ...).

    Logarithms of probabilities are logits as good as any: their softmax is what they came from.
    """
    kind = config.model.kind
    parameters = torch_dtype(config)
    if logits.dtype not in (parameters, torch.float32, torch.float64):
        yield doubts.coarse_logits(kind, _name(logits.dtype), _name(parameters))
    if logits.shape[-1] < 2:
        return
    found = logits.detach().double()
    rounding = torch.finfo(logits.dtype).eps
    if (found >= 0.0).all() and ((found.sum(-1) - 1.0).abs() <= max(SUM, rounding)).all():
        yield doubts.probabilities(kind, "softmax")
    elif _ends_with_sigmoid(model, x):
        yield doubts.probabilities(kind, "sigmoid")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _ends_with_sigmoid(model: nn.Module, x: Tensor) -> bool:
    """Whether what the model returns is what an nn.Sigmoid in it has returned, untouched."""
    outputs: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _given, output: outputs.append(output))
        for module in model.modules()
        if isinstance(module, nn.Sigmoid)
    ]
    try:
        logits = model(x) if hooks else None
    finally:
        for hook in hooks:
            hook.remove()
    return any(output is logits for output in outputs)


def _doubts_of_buffers(
    kind: str, model: nn.Module, before: Mapping[str, tuple[Tensor, Tensor]]
) -> Iterator[Statement]:
    """Look for buffers that training has changed and that are not kept as they are then.

    ``before`` training there were these, each with a copy.
    """
    kept = buffers_of(model)
    now = dict(model.named_buffers())
    changed = [p for p, (_, copy) in before.items() if p in now and not torch.equal(now[p], copy)]
    if passing := [path for path in changed if path not in kept]:
        yield doubts.passing_buffers(kind, passing)
    if replaced := [p for p in changed if p in kept and now[p] is not before[p][0]]:
        yield doubts.replaced_buffers(kind, replaced)


def _hidden_state(make: Callable[[], nn.Module], x: Tensor, y: Tensor, train: Train) -> list[str]:
    """Return the plain attributes whose values depend on which samples the module saw before.

    ``make`` gives the same module anew, in its mode of training.
    """
    first, labels = (part[:1].repeat_interleave(len(part), 0) for part in (x, y))
    new = make()
    model = make()
    before = plain_attributes(model)
    try:
        _visit(new, first, labels, train)
        _visit(model, x, y, train)
        _visit(model, first, labels, train)
    except ANYTHING:  # it runs, as was seen before, but may not take samples that are all the same
        return []
    return kept_state(before, plain_attributes(model), plain_attributes(new))


def _visit(model: nn.Module, x: Tensor, y: Tensor, train: Train) -> None:
    """Train a model on samples as one device does, and evaluate it; the numbers drawn are fixed."""
    training = model.training
    on_gpu = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(on_gpu):
        torch.manual_seed(0)
        train(model, x, y, together=False)
        with torch.no_grad():
            model.eval()(x)
    model.train(training)


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
