"""A model from its kind: made without memory, checked, initialised and filled."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from textwrap import shorten

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from learning.architecture.kinds import precision_of
from learning.config import LearningConfig, ModelConfig
from learning.data.samples import InputSpec
from learning.models.interface import MODELS, Maker, expert_of, is_gate, names_of
from learning.models.moe import Gate, Residency
from learning.rng import stream


def torch_dtype(config: LearningConfig) -> torch.dtype:
    """Return the number format of weights and training."""
    dtype: torch.dtype = getattr(torch, precision_of(config))
    return dtype


EMBEDDING_STD = 0.02


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
    if weight is None:
        return np.asarray(rng.normal(0.0, EMBEDDING_STD, shape), np.float32)
    if weight.dim() < 2:
        value = 1.0 if name == "weight" else 0.0
        return np.full(shape, value, np.float32)
    if isinstance(module, nn.Embedding):
        return np.asarray(rng.normal(0.0, EMBEDDING_STD, shape), np.float32)
    bound = math.prod(weight.shape[1:]) ** -0.5
    return np.asarray(rng.uniform(-bound, bound, shape), np.float32)


def skeleton(config: LearningConfig, spec: InputSpec, maker: Maker, here: Residency) -> nn.Module:
    """Return a model whose parameters have shapes only; buffers are real, and on the device.

    It is in evaluation mode, for training too: dropout is off. Raises :class:`ValueError` as
    :func:`make_model` does.
    """
    model = make_shapes(maker, config.model, spec, here)
    place_buffers(model, maker, config.model, spec, here, config.device, torch_dtype(config))
    return model.eval()


def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a skeleton all its parameters by path; its buffers stay."""
    buffers = {path for path, _ in model.named_buffers(remove_duplicate=False)}
    kept = {path: tensor for path, tensor in model.state_dict().items() if path in buffers}
    model.load_state_dict({**kept, **tensors}, assign=True)


def random_model(
    config: LearningConfig, spec: InputSpec, maker: Maker, here: Residency
) -> nn.Module:
    """Return a :func:`skeleton` filled with the parameters that :func:`initialise` draws."""
    model = skeleton(config, spec, maker, here)
    drawn = initialise(model, config.seed, {path for path, _ in model.named_parameters()})
    dtype = torch_dtype(config)
    fill(model, {path: tensor.to(config.device, dtype) for path, tensor in drawn.items()})
    return model


def single_expert(config: LearningConfig) -> LearningConfig:
    """Return the configuration of the model with one expert, which stands for a dense model."""
    return replace(config, model=replace(config.model, experts=1, top_k=1))


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
LONGEST_CAUSE = 160
"""Most characters of the cause that a message repeats."""


def make_model(maker: Maker, config: ModelConfig, spec: InputSpec, here: Residency) -> nn.Module:
    """Call ``maker``.

    Raises :class:`ValueError` where it fails or makes no module, and for modules with batch
    statistics, tied or lazy parameters, or MoE layers of another configuration.
    """
    try:
        model = maker(config, spec, here)
    except Exception as error:
        own_words = isinstance(error, ValueError) and (
            config.kind in MODELS.shipped or str(error).startswith("learning.")
        )
        if own_words:
            raise
        what = "cannot be made by calling it with (config, spec, here)"
        raise failure(config.kind, what, error) from None
    if wrong := _fault(model, config, here):
        raise refusal(config.kind, wrong)
    return model


def make_shapes(maker: Maker, config: ModelConfig, spec: InputSpec, here: Residency) -> nn.Module:
    """Return :func:`make_model` on the device "meta": tensors have shapes, and take no memory."""
    with torch.device("meta"):
        return make_model(maker, config, spec, here)


def refusal(kind: str, why: str) -> ValueError:
    """Return the error of a kind of model, in one line."""
    return ValueError(f"learning.model.kind: {kind!r} {why}")


def failure(kind: str, what: str, error: Exception, cure: str = "") -> ValueError:
    """Return the error of code that raised ``error``: its type and first line."""
    first = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    cause = f"{name}: {shorten(first, LONGEST_CAUSE, placeholder=' ...')}" if first else name
    return refusal(kind, f"{what} ({cause}){cure}")


def _fault(model: object, config: ModelConfig, here: Residency) -> str | None:
    if not isinstance(model, nn.Module):
        return f"gives a {type(model).__name__}; it must give a torch.nn.Module"
    faults = (_of_modules(model), _of_parameters(model), _of_gates(model, config, here))
    return next((fault for fault in faults if fault), None)


def _of_modules(model: nn.Module) -> str | None:
    for path, module in model.named_modules():
        if isinstance(module, BATCH_NORMS) or getattr(module, "running_mean", None) is not None:
            return (
                f"has a {type(module).__name__} at {path!r}: it keeps statistics that federated "
                "averaging here does not carry; use LayerNorm or GroupNorm"
            )
    return None


def _of_parameters(model: nn.Module) -> str | None:
    seen: dict[int, str] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        if is_lazy(parameter):
            return f"has a lazy parameter {path!r}; give its module all sizes"
        first = seen.setdefault(id(parameter), path)
        if first != path:
            return (
                f"ties {path!r} to {first!r}: one tensor under two names is not supported; keep "
                "it in one module, and let forward use that twice"
            )
    return None


def _of_gates(model: nn.Module, config: ModelConfig, here: Residency) -> str | None:
    selectable = config.experts if here.masked == 0.0 else len(set(here.held))
    for path, gate in model.named_modules():
        if not isinstance(gate, Gate):
            continue
        if gate.experts != config.experts or gate.k != min(config.top_k, selectable):
            return (
                f"has {gate.experts} experts and top {gate.k} at {path!r}; every MoELayer must "
                "take experts and top_k from the config that it is made with"
            )
    return None


def check_frozen(kind: str, model: nn.Module, trains_backbone: bool) -> None:
    """Raise :class:`ValueError` for ``requires_grad=False`` on what the task trains."""
    names = names_of(model)
    for path, parameter in model.named_parameters():
        if parameter.requires_grad:
            continue
        name = names.stored(path)
        if is_gate(name) or expert_of(name) is not None:
            why = "experts and gates are trained: make constants buffers"
        elif trains_backbone:
            why = "learning.trains_backbone trains the whole backbone: remove one of the two"
        else:
            continue
        raise refusal(kind, f"has requires_grad=False at {path!r}, but {why}")


# The constants of a model that is made without memory.


SEEDS = (1, 2)


def place_buffers(
    model: nn.Module,
    maker: Maker,
    config: ModelConfig,
    spec: InputSpec,
    here: Residency,
    device: str,
    dtype: torch.dtype,
) -> None:
    """Replace the buffers of ``model`` that have shapes only by real ones on ``device``.

    Those get the format ``dtype`` of the weights unless they are integers; buffers that are real
    already keep theirs. Raises :class:`ValueError` for random ones.
    """
    buffers = dict(model.named_buffers(remove_duplicate=False))
    known: dict[str, Tensor] = {}
    if any(buffer.is_meta for buffer in buffers.values()):
        known = _constants(maker, config, spec, here)
    for path, buffer in buffers.items():
        parent, _, name = path.rpartition(".")
        real = known[path] if buffer.is_meta else buffer
        new = dtype if buffer.is_meta and real.is_floating_point() else real.dtype
        setattr(model.get_submodule(parent), name, real.to(device, new))


@lru_cache(maxsize=16)
def _constants(
    maker: Maker, config: ModelConfig, spec: InputSpec, here: Residency
) -> dict[str, Tensor]:
    """Return the buffers of the model, which is made in memory once for this.

    It is made from two seeds: random buffers would differ between devices with other experts.
    """
    first, second = (_made_from(seed, maker, config, spec, here) for seed in SEEDS)
    for path, buffer in first.items():
        if not torch.equal(buffer, second[path]):
            raise refusal(
                config.kind,
                f"draws its buffer {path!r} at random; draw it from a torch.Generator of its own "
                "seed, or make it a parameter",
            )
    return first


def _made_from(
    seed: int, maker: Maker, config: ModelConfig, spec: InputSpec, here: Residency
) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(make_model(maker, config, spec, here).named_buffers(remove_duplicate=False))
