"""Optimisers of a server: Reddi et al., Adaptive Federated Optimization, Algorithm 2.

ICLR 2021 (arXiv 2003.00295). The mean change of the clients takes the gradient's place.
"""

from __future__ import annotations

from torch import Tensor

from learning.models.stacked import Tensors
from learning.training.state import whole
from learning.training.task import Task


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
    """Return the moments after a mean ``change``: ``m.{name}`` and, but for ``avgm``, ``v.{name}``.

    Without any ``before``, m is 0 and v is tau^2. ``avgm`` sums as momentum does, beta1 m + change
    (Hsu et al., arXiv 1909.06335). Of buffers m is the change, as they are averaged.
    """
    after = {}
    for name, delta in change.items():
        if name in task.buffers:
            after[f"m.{name}"] = delta
            continue
        m = delta.new_zeros(()) if before is None else before[f"m.{name}"]
        if kind == "avgm":
            after[f"m.{name}"] = beta1 * m + delta
            continue
        after[f"m.{name}"] = beta1 * m + (1 - beta1) * delta
        v = delta.new_full((), tau**2) if before is None else before[f"v.{name}"]
        after[f"v.{name}"] = _second(kind, v, delta.square(), beta2)
    return after


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
    after = {}
    for name, tensor in whole(task, server).items():
        m, v = moments[f"m.{name}"], moments.get(f"v.{name}")
        moved = m if name in task.buffers else step_size * m
        if v is not None:
            moved = moved / (v.sqrt() + tau)
        after[name] = tensor + moved
    return after
