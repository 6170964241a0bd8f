"""Memories: what a client keeps from call to call, as a tree of arrays and back as it was.

Beside arrays these are numbers, text, None, dictionaries with keys that are numbers, and tensors
of PyTorch, which come back as such: the state of an optimizer is one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.fly.trees import DEEPEST, Tree, array_of


def frozen(memory: Mapping[str, Any]) -> Tree:
    """Return a memory as a tree; raise ValueError that names a part that cannot be kept."""
    arrays: list[NDArray[Any]] = []
    form = _form(memory, "context.memory", arrays, 0)
    said = json.dumps(form).encode()
    return {"form": np.frombuffer(said, np.uint8), "arrays": arrays}


def thawed(tree: Tree) -> dict[str, Any]:
    """Return the memory that :func:`frozen` made a tree of."""
    form = json.loads(np.asarray(tree["form"]).tobytes())
    found: dict[str, Any] = _value(form, tree["arrays"])
    return found


def _form(value: Any, place: str, arrays: list[NDArray[Any]], depth: int) -> Any:
    """Return how a value is made of JSON and of arrays, which are added to ``arrays``."""
    if depth > DEEPEST:
        raise ValueError(f"{place[:60]}... is nested more than {DEEPEST} times")
    if value is None or type(value) in (bool, int, float, str):
        return ["is", value]
    if isinstance(value, Mapping):
        parts = []
        for key, part in value.items():
            if type(key) not in (bool, int, float, str):
                raise ValueError(f"{place} has the key {key!r}; name its parts by text or numbers")
            parts.append([key, _form(part, f"{place}[{key!r}]", arrays, depth + 1)])
        return ["dict", parts]
    if isinstance(value, list | tuple):
        each = [_form(one, f"{place}[{n}]", arrays, depth + 1) for n, one in enumerate(value)]
        return ["tuple" if isinstance(value, tuple) else "list", each]
    try:
        arrays.append(array_of(value))
    except ValueError:
        raise ValueError(
            f"{place} is a {type(value).__name__}; keep numbers, text, arrays, and dicts and lists "
            "of these, as state_dict() makes of an object of PyTorch"
        ) from None
    torch = sys.modules.get("torch")
    is_tensor = torch is not None and isinstance(value, torch.Tensor)
    return ["tensor" if is_tensor else "array", len(arrays) - 1]


def _value(form: Any, arrays: Any) -> Any:
    kind, of = form
    if kind == "is":
        return of
    if kind == "dict":
        return {key: _value(part, arrays) for key, part in of}
    if kind in ("list", "tuple"):
        each = [_value(part, arrays) for part in of]
        return tuple(each) if kind == "tuple" else each
    if kind == "tensor":
        return import_module("torch").from_numpy(arrays[of].copy())  # the user's own, if any
    return arrays[of].copy()
