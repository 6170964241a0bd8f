"""Optimisers of a server: Reddi et al., Adaptive Federated Optimization, Algorithm 2.

ICLR 2021 (arXiv 2003.00295). The mean change of the clients takes the gradient's place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from learning.models.stacked import Tensors
from learning.training.device_state import whole
from learning.training.task import Task


@dataclass(frozen=True)
class Moments:
    """The ``first`` moment m of each tensor and, where a step divides by it, the ``second`` one v.

    Both are by stored name, and kept as ``m.{name}`` and ``v.{name}``.
    """

    first: dict[str, Tensor] = field(default_factory=dict)
    second: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, tensors: Tensors) -> Moments:
        """Read them by the names under which they are kept."""
        kept = cls()
        for name, tensor in tensors.items():
            part, _, stored = name.partition(".")
            moment = kept.first if part == "m" else kept.second
            moment[stored] = tensor
        return kept

    def flat(self) -> dict[str, Tensor]:
        """Return them by the names under which they are kept."""
        first = {f"m.{name}": tensor for name, tensor in self.first.items()}
        return first | {f"v.{name}": tensor for name, tensor in self.second.items()}


def moments(
    task: Task,
    change: Tensors,
    before: Tensors | None = None,
    *,
    kind: str,
    beta1: float,
    beta2: float,
    tau: float,
) -> dict[str, Tensor]:
    """Return the :class:`Moments` after a mean ``change``, for ``avgm`` the first ones alone.

    Without any ``before``, m is 0 and v is tau^2. ``avgm`` sums as momentum does, beta1 m + change
    (Hsu et al., arXiv 1909.06335). Of buffers m is the change, as they are averaged.
    """
    known = None if before is None else Moments.of(before)
    after = Moments()
    for name, delta in change.items():
        if name in task.buffers:
            after.first[name] = delta
            continue
        m = delta.new_zeros(()) if known is None else known.first[name]
        if kind == "avgm":
            after.first[name] = beta1 * m + delta
            continue
        after.first[name] = beta1 * m + (1 - beta1) * delta
        v = delta.new_full((), tau**2) if known is None else known.second[name]
        after.second[name] = _second(kind, v, delta.square(), beta2)
    return after.flat()


def _second(kind: str, v: Tensor, square: Tensor, beta2: float) -> Tensor:
    if kind == "adagrad":
        return v + square
    if kind == "yogi":
        return v - (1 - beta2) * square * (v - square).sign()
    return beta2 * v + (1 - beta2) * square


def step(
    task: Task, server: Tensors, moments: Tensors, *, step_size: float, tau: float
) -> dict[str, Tensor]:
    """Return the server's model ``x + step_size m / (sqrt(v) + tau)``, or ``x + step_size m``.

    Buffers are means of the clients': ``x + m``.
    """
    known = Moments.of(moments)
    after = {}
    for name, tensor in whole(task, server).items():
        moved = known.first[name] if name in task.buffers else step_size * known.first[name]
        if name in known.second:
            moved = moved / (known.second[name].sqrt() + tau)
        after[name] = tensor + moved
    return after
