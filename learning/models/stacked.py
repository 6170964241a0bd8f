"""Tensors of K devices, stacked (K, ...): a module run with them, what shares them, helpers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from learning.invariants import FROZEN, violation

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


changes_in_place = attrgetter("_version")
"""How often a tensor has changed in place: torch has no public name for it."""


class Shared:
    """Tensors that others hold too: none of them may change in place."""

    def __init__(self) -> None:
        self._known: list[tuple[Any, Tensor, int]] = []

    def add(self, tensors: Mapping[Any, Tensor]) -> None:
        """Share tensors, as they are now."""
        # Torch counts no changes of what was made in its mode for inference.
        counted = ((n, tensor) for n, tensor in tensors.items() if not tensor.is_inference())
        self._known += ((name, tensor, changes_in_place(tensor)) for name, tensor in counted)

    @property
    def changed(self) -> list[Any]:
        """Names of those that have changed in place since."""
        return [name for name, tensor, n in self._known if changes_in_place(tensor) != n]


class Guard:
    """Watches the tensors that an operation gets, until it has made its own of the ``first``.

    Of these it returns those whose names it ``may`` change otherwise, and all others as they are;
    ``what`` names it in an error.
    """

    def __init__(
        self, first: Tensors, others: Sequence[Tensors], may: Callable[[str], bool], what: str
    ) -> None:
        self._first = first
        self._may = may
        self._what = what
        self._given = Shared()
        for part in (first, *others):
            self._given.add(part)

    def check(self, after: Tensors) -> None:
        """Raise Violation where ``after`` differs in what the operation may not change."""
        for name in self._given.changed:
            raise violation(FROZEN, f"{self._what} changed {name!r} in place")
        others = [name for name in {**self._first, **after} if not self._may(name)]
        for name in others:
            before, new = self._first.get(name), after.get(name)
            if new is before:
                continue
            if before is None or new is None or fingerprint(new) != fingerprint(before):
                raise violation(FROZEN, f"{self._what} changed {name!r}, which it must not")


class Frozen:
    """Tensors that nothing may change any more.

    Of each it knows the object, how often that had changed in place, and its hash.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._known = {n: (t, changes_in_place(t), fingerprint(t)) for n, t in tensors.items()}

    def check(self, tensors: Tensors, what: str, *, thoroughly: bool = False) -> None:
        """Raise Violation unless ``tensors`` are unchanged; ``thoroughly`` hashes them all."""
        if tensors.keys() != self._known.keys():
            changed = sorted(tensors.keys() ^ self._known.keys())[0]
            raise violation(FROZEN, f"{changed!r} of {what} has come or gone")
        for name, (before, changes, digest) in self._known.items():
            now = tensors[name]
            same = now is before and changes_in_place(now) == changes
            if (thoroughly or not same) and fingerprint(now) != digest:
                raise violation(FROZEN, f"{name!r} of {what} is not what it was at the start")


def bytes_of(tensor: Tensor) -> Tensor:
    """Return the numbers of a tensor as uint8 (n,): of any format, shape and strides."""
    flat = tensor.detach().reshape(-1)
    if flat.stride(0) != 1:  # also of one number, which torch takes for contiguous in any case
        flat = flat.clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8)


def fingerprint(tensor: Tensor) -> bytes:
    """Return a hash of a tensor's numbers, shape and format."""
    about = f"{tuple(tensor.shape)} {tensor.dtype}".encode()
    flat: Any = bytes_of(tensor).cpu().numpy()
    return hashlib.blake2b(flat, digest_size=16, key=hashlib.blake2b(about).digest()).digest()
