"""A model of a kind, made, and refused where training could not do right by it."""

from __future__ import annotations

from textwrap import shorten

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from learning.config import ModelConfig
from learning.data.samples import InputSpec
from learning.models.interface import Maker
from learning.models.moe import Gate, Residency
from learning.models.names import expert_of, is_gate, names_of
from learning.models.register import MODELS

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
LONGEST_CAUSE = 160
"""Characters of another's error message that are repeated."""


def make_model(maker: Maker, config: ModelConfig, spec: InputSpec, here: Residency) -> nn.Module:
    """Call ``maker``.

    Raises :class:`ValueError` where it fails, for what is no module, and for modules with batch
    statistics, tied or lazy parameters, frozen experts, or MoE layers of another configuration.
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
