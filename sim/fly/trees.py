"""Trees: nested dicts, lists and tuples of arrays, as bytes, and compared and averaged.

Weights come as NumPy arrays, PyTorch tensors, JAX arrays or numbers. They are sent, kept and given
back as NumPy arrays.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tree = Any
"""A dict, list or tuple of trees, an array, or a number."""
LENGTH_BYTES = 8
"""Bytes that say how long the description at the beginning is."""


def arrays_of(tree: Tree) -> dict[str, NDArray[Any]]:
    """Return all arrays by their place, like ``.layers[0].bias``; a number is one of no dimension.

    Raises ValueError for anything else than a tree, and for names that are no text.
    """
    found: dict[str, NDArray[Any]] = {}
    inside: list[tuple[str, Any]] = [("", tree)]
    while inside:
        place, value = inside.pop()
        if isinstance(value, Mapping):
            parts = [(f"{place}.{_named(name, place)}", part) for name, part in value.items()]
            inside += reversed(parts)
        elif isinstance(value, list | tuple):
            parts = [(f"{place}[{number}]", part) for number, part in enumerate(value)]
            inside += reversed(parts)
        else:
            found[place] = _array(value, place)
    return found


def _named(name: Any, place: str) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{place or 'the dict'} has the key {name!r}; name its parts by text")
    return name


def _array(value: Any, place: str) -> NDArray[Any]:
    """Return what a library calls an array or tensor as NumPy's, on the CPU."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    is_array = hasattr(value, "__array__") or isinstance(value, bool | int | float)
    array = np.asarray(value) if is_array else None
    if array is None or array.dtype.kind not in "biuf":
        kind = f"a {type(value).__name__}" if array is None else f"an array of {array.dtype}"
        raise ValueError(
            f"{place or 'the value'} is {kind}; give numbers and arrays of numbers, in dicts, "
            "lists and tuples"
        )
    return array


def size_bytes(tree: Tree) -> int:
    """Return the bytes of all arrays, as they are sent."""
    return sum(array.nbytes for array in arrays_of(tree).values())


def packed(tree: Tree) -> bytes:
    """Return a tree as bytes: the same ones for the same tree. Raises ValueError as `arrays_of`."""
    arrays = list(arrays_of(tree).values())
    said = {
        "form": _form(tree),
        "arrays": [[array.dtype.str, list(array.shape)] for array in arrays],
    }
    text = json.dumps(said).encode()
    each = (np.ascontiguousarray(array).tobytes() for array in arrays)
    return b"".join([len(text).to_bytes(LENGTH_BYTES, "little"), text, *each])


def unpacked(data: bytes) -> Tree:
    """Return the tree that :func:`packed` wrote; raise ValueError for other bytes."""
    begin = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    try:
        said = json.loads(data[LENGTH_BYTES:begin])
        arrays = []
        for kind, shape in said["arrays"]:
            count = math.prod(shape)
            array = np.frombuffer(data, np.dtype(kind), count, begin).reshape(shape).copy()
            arrays.append(array)
            begin += array.nbytes
        return _filled(said["form"], iter(arrays))
    except (LookupError, TypeError) as error:
        raise ValueError(f"no weights: {error}") from None


def digest(tree: Tree) -> str:
    """Return 32 hexadecimal digits of all that is in a tree."""
    return hashlib.blake2b(packed(tree), digest_size=16).hexdigest()


def _form(tree: Tree) -> Any:
    """Return how a tree is nested, as JSON; null for an array."""
    if isinstance(tree, Mapping):
        return {name: _form(part) for name, part in tree.items()}
    if isinstance(tree, list | tuple):
        return ["tuple" if isinstance(tree, tuple) else "list", *map(_form, tree)]
    return None


def _filled(form: Any, arrays: Any) -> Tree:
    """Return a tree that is nested like ``form``, of arrays in their order."""
    if isinstance(form, dict):
        return {name: _filled(part, arrays) for name, part in form.items()}
    if isinstance(form, list):
        parts = [_filled(part, arrays) for part in form[1:]]
        return tuple(parts) if form[0] == "tuple" else parts
    return next(arrays)


def unlike(found: Tree, wanted: Tree) -> str:
    """Say in what a tree first differs in form from another; "" where they are alike."""
    have = {place: array.shape for place, array in arrays_of(found).items()}
    want = {place: array.shape for place, array in arrays_of(wanted).items()}
    for place, shape in want.items():
        if place not in have:
            return f"{place or 'the array'} is missing"
        if have[place] != shape:
            return f"{place or 'the array'} has shape {have[place]} and must have {shape}"
    more = next((place for place in have if place not in want), None)
    return "" if more is None else f"{more} is new"


def is_finite(tree: Tree) -> bool:
    """Whether all numbers are."""
    return all(bool(np.isfinite(array).all()) for array in arrays_of(tree).values())


def mean(trees: Sequence[Tree], shares: Sequence[float]) -> Tree:
    """Return the sum of trees of one form, each times its share, in the types of the first."""
    each = [list(arrays_of(tree).values()) for tree in trees]
    summed = []
    for parts in zip(*each, strict=True):
        total = sum(
            share * part.astype(np.float64) for share, part in zip(shares, parts, strict=True)
        )
        exact = np.asarray(total)
        kind = parts[0].dtype
        summed.append((np.rint(exact) if kind.kind in "biu" else exact).astype(kind))
    return _filled(_form(trees[0]), iter(summed))
