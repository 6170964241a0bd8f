"""Who was asked, what became of it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from learning.requests.peers import Node, outcome_of


@dataclass(frozen=True)
class Query:
    """``size`` samples that a client is asked about at ``time_s``: its query ``number``."""

    client: Node
    number: int
    size: int
    time_s: float


@dataclass
class Asked:
    """One expert that is asked about ``samples`` of a query's samples, and what has come of it.

    ``answered`` and ``known_s`` say whether there was an answer, and since when that is known
    (inf: it is on its way, or was never asked for); ``sent_bytes`` have been given to links so far.
    """

    at: Node
    samples: int
    answered: bool = False
    known_s: float = math.inf
    sent_bytes: float = 0.0


@dataclass(frozen=True)
class Group:
    """Samples of a query that were sent the same way: to the same ``experts``.

    ``settled_s`` is when all of these had answered, or were known not to, or the deadline; what the
    own expert computes instead comes behind it.
    ``sent_bytes`` are the group's part of the messages.
    """

    experts: tuple[int, ...]
    samples: int
    outcome: str
    settled_s: float
    sent_bytes: float


def in_time(experts: Collection[int], asked: Mapping[int, Asked], deadline_s: float) -> list[int]:
    """Return those of ``experts`` that had answered by the deadline."""
    return [e for e in experts if asked[e].answered and asked[e].known_s <= deadline_s]


def together(chosen: Sequence[Sequence[int]]) -> dict[tuple[int, ...], int]:
    """Count the samples that are sent the same way, by the sorted experts asked."""
    samples: dict[tuple[int, ...], int] = defaultdict(int)
    for experts in chosen:
        samples[tuple(sorted(experts))] += 1
    return dict(sorted(samples.items()))


def grouped(
    chosen: Sequence[Sequence[int]],
    asked: Mapping[int, Asked],
    own: int | None,
    late: str,
    routed_s: float,
    deadline_s: float,
) -> list[Group]:
    """Return the groups of a query with the experts ``chosen`` of each sample.

    Nothing is settled before the samples were routed at ``routed_s``.
    """
    return [
        Group(
            experts,
            count,
            outcome_of(experts, in_time(experts, asked, deadline_s), own, late),
            max(routed_s, *(min(asked[e].known_s, deadline_s) for e in experts)),
            sum(asked[e].sent_bytes * count / asked[e].samples for e in experts),
        )
        for experts, count in together(chosen).items()
    ]
