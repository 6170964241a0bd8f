"""A model from its kind: made without memory, checked, initialised and filled."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from learning.architecture.kinds import check_form, precision_of
from learning.data.samples import InputSpec
from learning.hardware import cuda_with_generators
from learning.models.interface import (
    ADDED_A,
    ADDED_B,
    MODELS,
    Maker,
    expert_of,
    is_gate,
    names_of,
)
from learning.models.moe import Gate, Residency
from learning.models.stacked import Tensors
from learning.own.raised import ANYTHING, cause_of
from learning.rng import stream
from learning.settings import LearningConfig, ModelConfig
from statements import statement_of


def torch_dtype(config: LearningConfig) -> torch.dtype:
    """Return the number format of weights and training."""
    return getattr(torch, precision_of(config))


EMBEDDING_STD = 0.02
LEARNING = ("learning",)
"""Where a key lies that an error of the user's own code may name."""


def initialise(model: nn.Module, seed: int, wanted: Collection[str]) -> dict[str, Tensor]:
    """Draw the parameters ``wanted`` of ``model`` by path, one named stream each.

    Matrices, kernels and their biases are drawn from U(-1/sqrt(in), 1/sqrt(in)) with in inputs to
    an output, embeddings from N(0, 0.02^2). Vectors called weight, those of norms, are 1.
    """
    drawn = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if (full := f"{path}.{name}".lstrip(".")) in wanted:
                rng = stream(seed, "init", path, name)
                drawn[full] = torch.from_numpy(_draw(module, name, parameter.shape, rng))
    return drawn


def _draw(
    module: nn.Module, name: str, shape: torch.Size, rng: np.random.Generator
) -> NDArray[np.float32]:
    weight = getattr(module, "weight", None)
    if weight is None or isinstance(module, nn.Embedding):
        return np.asarray(rng.normal(0.0, EMBEDDING_STD, shape), np.float32)
    if weight.dim() < 2:
        return np.full(shape, 1.0 if name == "weight" else 0.0, np.float32)
    bound = math.prod(weight.shape[1:]) ** -0.5
    return np.asarray(rng.uniform(-bound, bound, shape), np.float32)


def skeleton(config: LearningConfig, spec: InputSpec, here: Residency | None = None) -> nn.Module:
    """Return a model to be run with tensors that it is given, in evaluation mode.

    A shipped kind has parameters of shapes only, and buffers on the device (but for the reach of
    gates, which is always given). A module of one's own is made as a whole, since it may refer to
    its tensors anywhere: with the weights of its own that the run's seed gives. Raises
    :class:`ValueError` as :func:`make_model`.
    """
    device = config.device
    if config.model.kind not in MODELS.shipped:
        seed = int(stream(config.seed, "init", "module").integers(2**63))
        made = _made_from(seed, config.model, spec, here)
        return made.to(device, torch_dtype(config)).eval()
    model = make_shapes(config.model, spec, here)
    for path, buffer in list(model.named_buffers()):
        if not buffer.is_meta:
            setattr(*_owner(model, path), buffer.to(device))
    return model.eval()


def fill(model: nn.Module, tensors: Tensors) -> None:
    """Give ``model`` parameters, and buffers as far as they are named, by path.

    A parameter that goes by several paths is named by the first and takes its place at all.
    """
    new: dict[int, nn.Parameter] = {}
    for path, old in list(model.named_parameters(remove_duplicate=False)):
        if id(old) not in new:
            new[id(old)] = nn.Parameter(tensors[path], requires_grad=old.requires_grad)
        setattr(*_owner(model, path), new[id(old)])
    for path, _ in list(model.named_buffers()):
        if path in tensors:
            setattr(*_owner(model, path), tensors[path])


def _owner(model: nn.Module, path: str) -> tuple[nn.Module, str]:
    """Return the module that holds the tensor at ``path``, and what it calls it."""
    parent, _, name = path.rpartition(".")
    return model.get_submodule(parent), name


def random_model(
    config: LearningConfig, spec: InputSpec, here: Residency | None = None
) -> nn.Module:
    """Return a :func:`skeleton` with the parameters that the run begins with.

    A shipped kind gets those that :func:`initialise` draws, a module of one's own keeps its own.
    """
    model = skeleton(config, spec, here)
    if config.model.kind in MODELS.shipped:
        drawn = initialise(model, config.seed, {path for path, _ in model.named_parameters()})
        dtype = torch_dtype(config)
        fill(model, {path: tensor.to(config.device, dtype) for path, tensor in drawn.items()})
    return model


def single_expert(config: LearningConfig) -> LearningConfig:
    """Return the configuration of the model with one expert, which stands for a dense model.

    A model without experts is one already.
    """
    if not config.model.experts:
        return config
    return replace(config, model=replace(config.model, experts=1, top_k=1))


def make_model(config: ModelConfig, spec: InputSpec, here: Residency | None = None) -> nn.Module:
    """Call the kind's maker: a shipped one with all three, else as :func:`_arguments` says.

    Without ``here`` all experts are in memory. Raises :class:`ValueError` where it fails or makes
    no module, and for modules with lazy parameters, tied experts or gates, or MoE layers of another
    configuration.
    """
    maker = _maker_of(config.kind)
    shipped = config.kind in MODELS.shipped
    here = here or Residency(tuple(range(config.experts)))
    given = {"config": config, "spec": spec, "here": here}
    keywords = given if shipped else _arguments(maker, config, given)
    if shipped:
        check_form(config, spec)
    try:
        model = maker(**keywords)
    except ANYTHING as error:
        if isinstance(error, ValueError) and (shipped or statement_of(error).path[:1] == LEARNING):
            raise
        what = f"cannot be made by calling it with ({', '.join(keywords)})"
        raise failure(config.kind, what, error) from None
    try:
        fault = next(_faults(model, config, here), None)
    except ANYTHING as error:  # methods of its own, or it is no complete module
        cure = "; call super().__init__() first, and override none of torch's own methods"
        raise failure(config.kind, "cannot be used", error, cure) from None
    if fault is not None:
        raise refusal(config.kind, fault)
    return model


def _maker_of(kind: str) -> Maker:
    """Return what makes models of a kind. Raises ValueError that names the key."""
    try:
        return MODELS.find(kind)
    except ValueError as error:
        raise ValueError(f"learning.model.kind: {error}") from None


def _arguments(maker: Maker, config: ModelConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords that a maker of one's own is called with.

    They are those of ``given`` that its signature names, and ``learning.model.arguments``. Raises
    :class:`ValueError` for an argument that stands for one of the former.
    """
    named = named_by(maker)
    keywords = {name: value for name, value in given.items() if name in named}
    arguments: Mapping[str, Any] = config.arguments
    if twice := sorted(keywords.keys() & arguments.keys()):
        raise ValueError(
            f"learning.model.arguments.{twice[0]}: {config.kind!r} is called with leomix's own "
            f"{twice[0]!r}; remove it"
        )
    return {**keywords, **arguments}


def named_by(maker: Maker) -> set[str]:
    """Return what a maker of one's own names in its signature."""
    try:
        return set(inspect.signature(maker).parameters)
    except (TypeError, ValueError):  # a class in C may have no signature
        return set()


def make_shapes(config: ModelConfig, spec: InputSpec, here: Residency | None = None) -> nn.Module:
    """Return :func:`make_model` on the device "meta": tensors have shapes, and take no memory.

    A module of one's own that cannot be made so, since it computes with its tensors, is real. So is
    one with parametrizations: their buffers are computed, and are not there on "meta".
    """
    _maker_of(config.kind)  # so that what its module makes while it is imported is real
    try:
        with torch.device("meta"):
            model = make_model(config, spec, here)
    except ValueError:
        if config.kind in MODELS.shipped:
            raise
        return _made_from(0, config, spec, here)
    if any(is_parametrized(module) for module in model.modules()):
        return _made_from(0, config, spec, here)
    return model


def refusal(kind: str, why: str) -> ValueError:
    """Return the error of a kind of model, in one line."""
    return ValueError(f"learning.model.kind: {kind!r} {why}")


def failure(kind: str, what: str, error: BaseException, cure: str = "") -> ValueError:
    """Return the error of code that raised ``error``: its type, its first line and its place."""
    return refusal(kind, f"{what} ({cause_of(error)}){cure}")


def _faults(model: object, config: ModelConfig, here: Residency) -> Iterator[str]:
    if not isinstance(model, nn.Module):
        yield f"gives a {type(model).__name__}; it must give a torch.nn.Module"
        return
    yield from _foreign(model)
    names = names_of(model)
    inside = tuple(f"{path}." for path in names.layers)
    seen: dict[int, str] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        first = seen.setdefault(id(parameter), path)
        if first != path and (first.startswith(inside) or path.startswith(inside)):
            yield (
                f"ties {path!r} to {first!r}: what an expert or a gate holds goes its own way, and "
                "must not be part of anything else"
            )
        name = names.stored(path)
        if not parameter.requires_grad and (is_gate(name) or expert_of(name) is not None):
            why = "experts and gates are trained: make constants buffers"
            yield f"has requires_grad=False at {path!r}, but {why}"
    for path, _ in (*model.named_parameters(), *model.named_buffers()):
        if path.endswith((ADDED_A, ADDED_B)):
            yield f"has a tensor {path!r}; its name must not end in {ADDED_A!r} or {ADDED_B!r}"
    selectable = config.experts if here.masked == 0.0 else len(set(here.held))
    for path, gate in model.named_modules():
        if isinstance(gate, Gate) and (
            gate.experts != config.experts or gate.k != min(config.top_k, selectable)
        ):
            yield (
                f"has {gate.experts} experts and top {gate.k} at {path!r}; every MoELayer must "
                "take experts and top_k from the config that it is made with"
            )


def _foreign(model: nn.Module) -> Iterator[str]:
    """Say what torch cannot run with other weights, or that has no mean of several."""
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            where = f" at {path!r}" if path else ""
            yield (
                f"has a compiled torch.jit module{where}, which runs with no weights but its own; "
                "give the Python module that it was compiled from"
            )
    for path, parameter in model.named_parameters():
        if getattr(parameter, "_backward_hooks", None) or getattr(
            parameter, "_post_accumulate_grad_hooks", None
        ):
            yield (
                f"has a hook on the gradient of its parameter {path!r}, which is not called where "
                "others take its place; change the gradient in forward, by a hook on what is "
                "computed from it"
            )
    for path, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            yield f"has a lazy parameter {path!r}; give its module all sizes"
        if tensor.layout != torch.strided:
            yield f"has a sparse tensor {path!r}; make it dense"
        if tensor.is_complex():
            yield f"has a complex tensor {path!r}; keep real and imaginary part, of real numbers"


def _made_from(
    seed: int, config: ModelConfig, spec: InputSpec, here: Residency | None
) -> nn.Module:
    """Return the model made in memory; what it draws from torch comes from ``seed``."""
    with torch.random.fork_rng(cuda_with_generators()):
        torch.manual_seed(seed)
        made = make_model(config, spec, here)
    for path, tensor in (*made.named_parameters(), *made.named_buffers()):
        if tensor.is_meta:
            raise refusal(config.kind, f"has no numbers in {path!r} (device meta); make it on cpu")
    return made
