"""State that a module keeps in plain attributes, outside of its parameters and buffers.

Found by running the module, not by reading its code: a module that is visited with other samples
first must end with the same attributes. So a cache, a last output that is kept, and what follows
from the weights are no state; a count, a running mean and a list that grows are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TORCHS_OWN = frozenset(vars(nn.Module()))
"""Attributes of every module: its parameters, buffers, parts, hooks and mode."""
DEEPEST = 4
"""Levels of containers in one another that are looked into."""
SAME = 1e-5
"""Relative difference below which two numbers that were computed in single precision are equal."""

PLAIN = (bool, int, float, complex, str, bytes, type(None))
OPAQUE = "an object that is not looked into"

Attributes = dict[str, Any]
"""Copies of plain attributes, by their paths in the module."""


def plain_attributes(model: nn.Module) -> Attributes:
    """Return a copy of the plain attributes of a module and all its parts, as far as known.

    Numbers, words, tensors and arrays by value, lists and dicts by what is in them, other
    containers by their length. Objects of other types say nothing of what is in them.
    """
    return {
        f"{path}.{name}".lstrip("."): _copied(value, DEEPEST)
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if name not in TORCHS_OWN
    }


def kept_state(before: Attributes, after: Attributes, without_history: Attributes) -> list[str]:
    """Return the paths of attributes that remember: they have changed since ``before``.

    ``after`` is of the same module, visited with two batches, and ``without_history`` of one like
    it that was visited with the second batch only.
    """
    changed = set(_differing(before, after))
    return [path for path in _differing(after, without_history) if path in changed]


def _differing(one: Attributes, other: Attributes) -> Iterator[str]:
    for path in dict.fromkeys([*one, *other]):
        if (path in one) != (path in other) or not _same(one[path], other[path]):
            yield path


def _copied(value: Any, levels: int) -> Any:
    """Return what can be compared later, of ``levels`` of containers at most."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, nn.Parameter):  # as those of nn.GRU, which lists them once more
        return OPAQUE
    if isinstance(value, Tensor):
        strided = value.layout == torch.strided and not (value.is_meta or value.is_nested)
        return value.detach().clone() if strided else OPAQUE
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcUS":
        return value.copy()
    if levels and isinstance(value, dict) and all(isinstance(key, PLAIN) for key in value):
        return {key: _copied(inner, levels - 1) for key, inner in value.items()}
    if levels and isinstance(value, (list, tuple)):
        return [_copied(inner, levels - 1) for inner in value]
    if isinstance(value, Sized) and not isinstance(value, nn.Module):
        with suppress(Exception):  # an object of somebody else may raise anything
            return len(value)
    return OPAQUE


def _same(one: Any, other: Any) -> bool:
    """Compare two copies; numbers but for rounding, since they may come from tensors."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if not one.is_floating_point() or not one.numel():
            return torch.equal(one, other)
        largest = float(one.abs().nan_to_num(0.0, 0.0, 0.0).max())
        return torch.allclose(one, other, rtol=SAME, atol=SAME * largest, equal_nan=True)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, float):
        return bool(np.isclose(one, other, rtol=SAME, atol=0.0, equal_nan=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
