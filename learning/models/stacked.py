"""Tensors of K devices, stacked (K, ...): a module run with them, and a few helpers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]
"""Tensors by name."""


def with_tensors(model: nn.Module, tensors: Tensors, path: str = "") -> nn.Module:
    """Return a copy of ``model`` whose parameters and buffers are ``tensors`` by path.

    What is not named stays. The modules are copied, and nothing is changed in ``model`` itself:
    threads may run it with tensors of their own at the same time.
    """
    own = model.__dict__
    copy: nn.Module = object.__new__(type(model))
    copy.__dict__.update(own)
    for kind in ("_parameters", "_buffers"):
        copy.__dict__[kind] = {n: tensors.get(path + n, t) for n, t in own[kind].items()}
    copy.__dict__["_modules"] = {
        name: None if part is None else with_tensors(part, tensors, f"{path}{name}.")
        for name, part in own["_modules"].items()
    }
    # Where Python looks first, and not behind them all as torch does.
    for kind in ("_parameters", "_buffers", "_modules"):
        copy.__dict__.update(copy.__dict__[kind])
    return copy


def in_single(tensor: Tensor) -> Tensor:
    """Return a tensor of sixteen bits in single precision, and any other as it is."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def finite_rows(stacked: Tensor) -> Tensor:
    """Return which devices' rows of ``stacked`` (K, ...) are finite throughout, (K,)."""
    rows = stacked.reshape(len(stacked), math.prod(stacked.shape[1:]))
    found = rows.sum(1).isfinite()  # quicker: a sum is finite only if all its numbers are
    return found if found.all() else rows.isfinite().all(1)


def by_row(values: Tensor | Sequence[bool], like: Tensor) -> Tensor:
    """Return ``values`` (K,), one for each device, to be broadcast over ``like`` (K, ...)."""
    return torch.as_tensor(values, device=like.device).view(-1, *[1] * (like.dim() - 1))
