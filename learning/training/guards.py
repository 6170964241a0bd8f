"""Guards of training: tensors that must not change, and numbers that must be finite."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learning.invariants import FROZEN, violation
from learning.models.interface import is_of
from learning.models.stacked import finite_rows
from learning.training.task import changes_in_place
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
    """Watches the tensors that an operation gets, until it has made its own of them.

    Of the first ones, ``experts`` may change and, with ``gate`` only, what is shared; the base of a
    device's state never. ``moved_by`` says which of the model's tensors one of these moves, and
    ``what`` names the operation in an error.
    """

    def __init__(
        self,
        task: Task,
        tensors: Sequence[Tensors],
        moved_by: Callable[[str], Parameter | None],
        what: str,
        experts: Collection[int],
        *,
        gate: bool,
    ) -> None:
        self._task = task
        self._moved_by = moved_by
        self._what = what
        self._experts = experts
        self._gate = gate
        self._others = tensors[1:]
        self._first, *self._guards = map(UnchangedGuard, tensors)

    def check(self, after: Tensors) -> None:
        """Raise Violation where ``after`` differs in what the operation may not change."""
        self._first.check(after, self._may_change, self._what)
        for guard, before in zip(self._guards, self._others, strict=True):
            guard.check(before, self._may_change, self._what)

    def _may_change(self, name: str) -> bool:
        key = self._moved_by(name)
        if key is None:
            return False
        of_gate = self._gate and not key.factor and self._task.goes_with_gate(key.stored)
        return of_gate or is_of(key.stored, self._experts)


class UnchangedGuard:
    """The tensors that an operation gets, to check that it changes only those that it may.

    A tensor counts its changes in place: one that is the same object and has counted none need not
    be compared.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._changes = {name: changes_in_place(tensor) for name, tensor in tensors.items()}

    def check(self, after: Tensors, may: Callable[[str], bool], what: str) -> None:
        """Raise Violation where ``after`` differs in a tensor that may not change.

        The tensors before must not have changed in place either, as others hold them too.
        """
        for name, tensor in self._tensors.items():
            if changes_in_place(tensor) != self._changes[name]:
                raise violation(FROZEN, f"{what} changed {name!r} in place")
            new = after.get(name)
            if new is tensor or may(name):
                continue
            if new is None or fingerprint(new) != fingerprint(tensor):
                raise violation(FROZEN, f"{what} changed {name!r}, which it must not")
        if made := sorted(name for name in after.keys() - self._tensors if not may(name)):
            raise violation(FROZEN, f"{what} changed {made[0]!r}, which it must not")


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
