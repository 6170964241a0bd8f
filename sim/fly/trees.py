"""Trees: nested dicts, lists and tuples of arrays, as bytes, and compared and averaged.

Weights come as NumPy arrays, PyTorch tensors, JAX arrays or numbers. They are sent, kept and given
back as NumPy arrays. What a client keeps from call to call is given back as it was: beside arrays
that are numbers, text, None, dicts whose keys are numbers, and tensors of PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.own.raised import ANYTHING

Tree = Any
"""A dict, list or tuple of trees, an array, or a number."""
LENGTH_BYTES = 8
"""Bytes that say how long the description at the beginning is."""
DEEPEST = 100
"""Levels of a tree at most; one that contains itself has no end."""
WIDEST_BYTES = 8
"""Bytes of a number at most: no file of weights holds wider ones."""


def arrays_of(tree: Tree) -> dict[str, NDArray[Any]]:
    """Return all arrays by their place, like ``.layers[0].bias``; a number is one of no dimension.

    Raises ValueError for anything else than a tree, for names that are no text, and for two arrays
    at one place.
    """
    found: dict[str, NDArray[Any]] = {}
    inside: list[tuple[str, Any, int]] = [("", tree, 0)]
    while inside:
        place, value, depth = inside.pop()
        if depth > DEEPEST:
            raise ValueError(f"{place[:40]}... is nested more than {DEEPEST} times")
        parts: list[tuple[str, Any, int]] | None = None
        if isinstance(value, Mapping):
            parts = [
                (f"{place}.{_named(name, place)}", part, depth + 1) for name, part in value.items()
            ]
        elif isinstance(value, list | tuple):
            parts = [(f"{place}[{n}]", part, depth + 1) for n, part in enumerate(value)]
        if parts is not None:
            inside += reversed(parts)
        elif place in found:
            raise ValueError(f"two arrays are called {place}; give one of them another name")
        else:
            found[place] = array_of(value, place)
    return found


def _named(name: Any, place: str) -> str:
    if not (isinstance(name, str) and name):
        raise ValueError(f"{place or 'the dict'} has the key {name!r}; name its parts by text")
    return name


def array_of(value: Any, place: str = "") -> NDArray[Any]:
    """Return what a library calls an array or tensor as NumPy's, on the CPU.

    Raises ValueError for what is none, and for one that NumPy does not know: libraries raise errors
    of any kind for these.
    """
    known = f"{place or 'the value'} is {_kind(value)}"
    if not (hasattr(value, "__array__") or isinstance(value, bool | int | float)):
        raise ValueError(f"{known}; {GIVE}")
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        array = np.asarray(value)
    except ANYTHING as error:  # a library may raise anything
        why = " ".join(str(error).split())
        raise ValueError(
            f"{known}, of which NumPy makes no array ({why:.100}); convert it, as by .float() or "
            ".to_dense()"
        ) from None
    if not is_of_numbers(array):
        give = HALVES if array.dtype.kind == "c" else GIVE
        raise ValueError(f"{place or 'the value'} is an array of {array.dtype}; {give}")
    return array


def is_of_numbers(array: NDArray[Any]) -> bool:
    """Whether an array is of numbers that a file of weights can hold."""
    return array.dtype.kind in "biuf" and array.dtype.itemsize <= WIDEST_BYTES


GIVE = "give numbers and arrays of numbers, in dicts, lists and tuples"
HALVES = "keep its real and imaginary parts, two arrays of real numbers"


def _kind(value: Any) -> str:
    """Name the kind of a value, with the type and the layout of a tensor's numbers."""
    said = [getattr(value, name, "") for name in ("dtype", "layout")]
    words = [str(one).removeprefix("torch.") for one in said if one is not None]
    more = " ".join(word for word in words if word not in ("", "strided"))
    return " ".join(["a", *([more] if more else []), type(value).__name__])


def size_bytes(tree: Tree) -> int:
    """Return the bytes of all arrays, as they are sent."""
    return sum(array.nbytes for array in arrays_of(tree).values())


def packed(tree: Tree) -> bytes:
    """Return a tree as bytes: the same ones for the same tree. Raises ValueError as `arrays_of`."""
    return _packed(_form(tree), list(arrays_of(tree).values()))


def remembered(memory: Mapping[str, Any]) -> bytes:
    """Return what a client keeps as bytes; raise ValueError that names what cannot be kept."""
    arrays: list[NDArray[Any]] = []
    return _packed(_form_as_it_is(memory, "context.memory", arrays, 0), arrays)


def _packed(form: Any, arrays: Sequence[NDArray[Any]]) -> bytes:
    """Return arrays as bytes, behind how they are nested, their types and their shapes."""
    said = {"form": form, "arrays": [[array.dtype.str, list(array.shape)] for array in arrays]}
    text = json.dumps(said).encode()
    each = (np.ascontiguousarray(array).tobytes() for array in arrays)
    return b"".join([len(text).to_bytes(LENGTH_BYTES, "little"), text, *each])


def unpacked(data: bytes) -> Any:
    """Return what :func:`packed` or :func:`remembered` wrote; raise ValueError for other bytes."""
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
    """Return how a tree is nested, as JSON: the kind of each part, and what is in it."""
    if isinstance(tree, Mapping):
        return ["dict", [[name, _form(part)] for name, part in tree.items()]]
    if isinstance(tree, list | tuple):
        return ["tuple" if isinstance(tree, tuple) else "list", [*map(_form, tree)]]
    return ["array", None]


def _form_as_it_is(value: Any, place: str, arrays: list[NDArray[Any]], depth: int) -> Any:
    """Return the same of anything that JSON and ``arrays``, which are added to, can hold."""
    if depth > DEEPEST:
        raise ValueError(f"{place[:60]}... is nested more than {DEEPEST} times")
    if value is None or type(value) in (bool, int, float, str):
        return ["is", value]
    if isinstance(value, Mapping):
        parts = []
        for key, part in value.items():
            if type(key) not in (bool, int, float, str):
                raise ValueError(f"{place} has the key {key!r}; name its parts by text or numbers")
            parts.append([key, _form_as_it_is(part, f"{place}[{key!r}]", arrays, depth + 1)])
        return ["dict", parts]
    if isinstance(value, list | tuple):
        each = [
            _form_as_it_is(one, f"{place}[{n}]", arrays, depth + 1) for n, one in enumerate(value)
        ]
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
    return ["tensor" if is_tensor else "array", None]


def _filled(form: Any, arrays: Iterator[NDArray[Any]]) -> Any:
    """Return what is nested like ``form``, of arrays in their order."""
    kind, inside = form
    if kind == "dict":
        return {name: _filled(part, arrays) for name, part in inside}
    if kind in ("list", "tuple"):
        parts = [_filled(part, arrays) for part in inside]
        return tuple(parts) if kind == "tuple" else parts
    if kind == "is":
        return inside
    array = next(arrays)
    # A tensor is the user's own: who has none need not have PyTorch.
    return import_module("torch").from_numpy(array) if kind == "tensor" else array


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


def safetensors(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays by name as a safetensors file, each of its own shape, () too."""
    from safetensors.numpy import save

    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def is_finite(tree: Tree) -> bool:
    """Whether all numbers are."""
    return all(bool(np.isfinite(array).all()) for array in arrays_of(tree).values())


def arranged(found: Tree, like: Tree) -> Tree:
    """Return a tree's arrays nested, and in the order, as those of another with the same places."""
    arrays = arrays_of(found)
    return _filled(_form(like), iter([arrays[place] for place in arrays_of(like)]))


def mean(trees: Sequence[Tree], shares: Sequence[float], server: Tree) -> Tree:
    """Return the sum of trees, each times its share, by the places of the server's weights.

    An array has the type that holds all numbers of the server's and of the trees' at its place, so
    that the order of the trees decides nothing; whole numbers are rounded.
    """
    each = [arrays_of(tree) for tree in trees]
    summed = []
    for place, own in arrays_of(server).items():
        parts = [arrays[place] for arrays in each]
        total = sum(
            share * part.astype(np.float64) for share, part in zip(shares, parts, strict=True)
        )
        exact = np.asarray(total)
        kind = np.result_type(own.dtype, *(part.dtype for part in parts))
        summed.append((np.rint(exact) if kind.kind in "biu" else exact).astype(kind))
    return _filled(_form(server), iter(summed))
