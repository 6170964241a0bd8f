"""Aggregation at the satellite, as changes to the version that was downloaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from learning.device_state import DELTA, FACTOR
from learning.models.lora import product
from learning.models.names import is_gate, is_of
from learning.task import Task


def merge_experts(
    task: Task,
    server: Mapping[str, Tensor],
    offered: Mapping[str, Tensor],
    *,
    experts: Collection[int],
    weights: Sequence[float],
) -> dict[str, Tensor]:
    """Return the server's model with ``W_e += sum_k w_k scale B_k A_k`` for ``experts``.

    Equation (35) written for changes: each device's update is rebuilt at the satellite before
    it is averaged (Remark 1), as the average of the factors would be another matrix. Its rank is
    up to K r, so the server keeps full matrices. Raises :class:`ValueError` for weights (K,) that
    are no shares from 0 to 1, and for an update that is not finite.
    """
    merged = dict(server)
    for name in server:
        if not name.endswith(".weight") or not is_of(name, experts):
            continue
        matrix = FACTOR + name.removesuffix(".weight")
        if f"{matrix}.a" not in offered:
            raise ValueError(f"no factors of {name!r} in what was offered; offer that expert first")
        deltas = product(offered[f"{matrix}.a"], offered[f"{matrix}.b"])
        merged[name] = server[name] + _weighted_sum(deltas, weights, name)
    return merged


def merge_gate(
    task: Task,
    server: Mapping[str, Tensor],
    offered: Mapping[str, Tensor],
    *,
    weights: Sequence[float],
) -> dict[str, Tensor]:
    """Return the server's model with its gates moved by the weighted mean change, equation (36).

    Raises :class:`ValueError` as :func:`merge_experts` does.
    """
    merged = dict(server)
    for name in filter(is_gate, server):
        if DELTA + name not in offered:
            raise ValueError(f"no change of {name!r} in what was offered; offer the gate first")
        merged[name] = server[name] + _weighted_sum(offered[DELTA + name], weights, name)
    return merged


def sample_weights(task: Task, cluster: str, who: Sequence[bool]) -> tuple[float, ...]:
    """Return ``n_k / n_c`` (K,) for the devices in ``who``, 0 for the others.

    ``n_c`` counts the samples of the whole cluster, as in (28), (35) and (36): the weights of a
    cluster's devices sum to 1 over all of them, whether they arrive together or not.
    """
    counts = [len(shard.y) for shard in task.shards[cluster]]
    if len(who) != len(counts) or not any(who):
        raise ValueError(
            f"who is {tuple(who)}; name at least one of the {len(counts)} devices of {cluster!r}"
        )
    return tuple(
        count / sum(counts) if here else 0.0 for count, here in zip(counts, who, strict=True)
    )


def _weighted_sum(stacked: Tensor, weights: Sequence[float], name: str) -> Tensor:
    """Return ``sum_k w_k x_k`` over the devices of positive weight."""
    _check_weights(weights, len(stacked))
    here = [device for device, weight in enumerate(weights) if weight > 0]
    parts = stacked[here]
    if not torch.isfinite(parts).all():
        device = here[int((~torch.isfinite(parts)).flatten(1).any(1).nonzero()[0])]
        raise ValueError(
            f"the update of {name!r} from device {device} is not finite; leave that device out, "
            "or lower learning.step_size if its training diverges"
        )
    shares = torch.tensor([weights[device] for device in here], dtype=parts.dtype)
    total: Tensor = torch.tensordot(shares, parts, dims=1)
    return total


def _check_weights(weights: Sequence[float], devices: int) -> None:
    if len(weights) != devices or not all(0 <= weight <= 1 for weight in weights):
        raise ValueError(f"weights are {tuple(weights)}; give {devices} shares from 0 to 1")
