"""Means of what clients have trained: extractors of stage 1, gates of stage 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from learning.aggregation import Masks, client_weights, weighted_sum
from learning.task import Task
from learning.wire import as_sent


def average(
    task: Task,
    server: Mapping[str, Tensor],
    *trained: Mapping[str, Tensor],
    clusters: Sequence[str],
    who: Masks,
    weighted: bool,
) -> dict[str, Tensor]:
    """Mean of stacked copies of the server's tensors over the clients in ``who``."""
    shares = client_weights(task, clusters, who, weighted)
    return {
        name: _mean(task, torch.cat([part[name] for part in trained]), shares, name, old)
        for name, old in server.items()
    }


def share_gates(
    task: Task,
    *gates: Mapping[str, Tensor],
    cluster: str,
    clusters: Sequence[str],
    who: Masks,
    names: Sequence[str],
    weighted: bool,
) -> dict[str, Tensor]:
    """The gates of one cluster, with ``names`` set to their mean over the clients in ``who``.

    Clients' gates may differ from each other before, so that they are sent whole.
    """
    shares = client_weights(task, clusters, who, weighted)
    own = gates[list(clusters).index(cluster)]
    shared = {
        name: _mean(task, torch.cat([part[name] for part in gates]), shares, name) for name in names
    }
    return dict(own) | {name: mean.expand_as(own[name]) for name, mean in shared.items()}


def _mean(
    task: Task, copies: Tensor, shares: Sequence[float], name: str, old: Tensor | None = None
) -> Tensor:
    """Return the mean of copies (K, ...) as they arrive, rounded to ``learning.upload_format``.

    With ``old``, which both sides hold, the change to it is what is sent and rounded.
    """
    sent_as = task.config.upload_format
    if old is None or sent_as == "native":
        return weighted_sum(as_sent(copies, sent_as), shares, name)
    return weighted_sum(old + as_sent(copies - old, sent_as), shares, name)
