"""Guards of training: tensors that must not change, and numbers that must be finite."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learning.invariants import FROZEN, violation
from learning.models.interface import is_of
from learning.models.stacked import Shared, changes_in_place, finite_rows
from learning.values.store import bytes_of

if TYPE_CHECKING:
    from learning.models.stacked import Tensors
    from learning.training.state import Parameter
    from learning.training.task import Task


def not_finite(_task: Task, state: Tensors) -> list[int]:
    """Return the devices with a number in ``state`` (K, ...) that is not finite."""
    if torch.stack([tensor.sum() for tensor in state.values()]).isfinite().all():
        return []  # a sum is finite only if all its numbers are
    broken = [~finite_rows(tensor) for tensor in state.values()]
    return torch.stack(broken).any(0).nonzero().flatten().tolist()


def shapes(_task: Task, tensors: Tensors) -> dict[str, list[int]]:
    """Return the shape of each of ``tensors``."""
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def all_finite(_task: Task, *parts: Tensors) -> bool:
    """Return whether all tensors of all parts are finite."""
    return all(bool(tensor.isfinite().all()) for part in parts for tensor in part.values())


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


def moves(
    task: Task, moved_by: Callable[[str], Parameter | None], experts: Collection[int], *, gate: bool
) -> Callable[[str], bool]:
    """Return whether training of ``experts``, and with ``gate`` of what is shared, moves a name.

    ``moved_by`` says which of the model's tensors the name is of; of none, the base of a state.
    """

    def may(name: str) -> bool:
        key = moved_by(name)
        if key is None:
            return False
        of_gate = gate and not key.factor and task.goes_with_gate(key.stored)
        return of_gate or is_of(key.stored, experts)

    return may


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


def fingerprint(tensor: Tensor) -> bytes:
    """Return a hash of a tensor's numbers, shape and format."""
    about = f"{tuple(tensor.shape)} {tensor.dtype}".encode()
    flat = bytes_of(tensor).cpu().numpy()
    return hashlib.blake2b(flat, digest_size=16, key=hashlib.blake2b(about).digest()).digest()
