"""What is taken out of networked experts, by name: task, tensors and JSON in, JSON out.

``tested`` are features and outputs on the global test set, ``gates`` those of ``clusters`` in
their order; there are none for a way that routes without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learning.requests.cluster import Mask
from learning.requests.peers import Node
from learning.training.evaluation import Score
from learning.training.nmoe import answers
from learning.training.nmoe.gates import Gates
from learning.training.task import Task
from learning.values.lazy import Tensors

Reach = Sequence[Sequence[bool]]


def scores(
    task: Task,
    tested: Tensors,
    *gates: Tensors,
    clusters: list[str],
    way: str,
    reach: Mapping[str, Reach] | None,
    combine: str,
) -> list[Score]:
    """Means over each cluster's clients."""
    return answers.scores(task, tested, _named(clusters, gates), way, _masks(reach), combine)


def pattern(
    task: Task,
    tested: Tensors,
    *gates: Tensors,
    clusters: list[str],
    way: str,
    reach: Mapping[str, Reach] | None,
) -> dict[str, list[list[float]]]:
    """Where each client's samples go."""
    return answers.pattern(task, tested, _named(clusters, gates), way, _masks(reach))


def routes(
    task: Task,
    tested: Tensors,
    *gates: Tensors,
    clusters: list[str],
    way: str,
    client: Sequence[Any],
    **query: Any,
) -> dict[str, Any]:
    """Whom a query's samples go to."""
    held = _named(clusters, gates)
    return answers.routes(task, tested, held, way, client=Node(*client), **query)


def answered(task: Task, tested: Tensors, *, client: Sequence[Any], **query: Any) -> dict[str, Any]:
    """What a query's samples are answered with."""
    return answers.answered(task, tested, Node(*client), **query)


def _named(clusters: list[str], gates: tuple[Tensors, ...]) -> Gates:
    return dict(zip(clusters, gates, strict=True)) or None


def _masks(reach: Mapping[str, Reach] | None) -> dict[str, Mask] | None:
    """Masks as they were before they became JSON."""
    return None if reach is None else {name: np.array(own) for name, own in reach.items()}
