"""How queries to networked experts are answered: outcomes, latencies and bytes of each group."""

from __future__ import annotations

import math
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.learning import LATE, Asked, Node, grouped, outcome_of

EXPERTS = 5
NODES = [Node("A", device) for device in range(EXPERTS)]


@pytest.mark.parametrize(
    ("chosen", "came", "own", "outcomes"),
    [
        ([0], [0], 0, ["local"] * 3),
        ([0, 1], [0, 1], 0, ["complete"] * 3),
        ([1, 2], [2], 0, ["failed", "renormalised", "fallback"]),
        ([1, 2], [], 0, ["failed", "fallback", "fallback"]),
        ([1, 2], [2], None, ["failed", "renormalised", "renormalised"]),
        ([1, 2], [], None, ["failed"] * 3),
        ([1], [1], None, ["complete"] * 3),
    ],
)
def test_outcomes_by_policy(
    chosen: list[int], came: list[int], own: int | None, outcomes: list[str]
) -> None:
    assert LATE == ("wait", "renormalise", "local")
    assert [outcome_of(chosen, came, own, late) for late in LATE] == outcomes


@given(
    chosen=st.lists(
        st.lists(st.integers(0, EXPERTS - 1), min_size=1, max_size=3, unique=True), min_size=1
    ),
    lost=st.sets(st.integers(0, EXPERTS - 1)),
    late=st.sampled_from(LATE),
)
def test_groups_keep_all_samples_and_all_bytes(
    chosen: list[list[int]], lost: set[int], late: str
) -> None:
    counts = {e: sum(e in row for row in chosen) for e in set(chain.from_iterable(chosen))}
    asked = {
        e: Asked(NODES[e], n, e not in lost, 1.0 + e, 0.0 if e == 0 else 100.0 * n + 48.0)
        for e, n in counts.items()
    }
    groups = grouped(chosen, asked, 0, late, routed_s=2.5, deadline_s=4.5)
    assert sum(group.samples for group in groups) == len(chosen)
    sent = sum(one.sent_bytes for one in asked.values())
    assert sum(group.sent_bytes for group in groups) == pytest.approx(sent)
    for group in groups:
        assert group.settled_s == max(2.5, min(1.0 + max(group.experts), 4.5))
        assert group.samples == sum(sorted(row) == list(group.experts) for row in chosen)
        whole = not {*lost, 4}.intersection(group.experts)  # expert 4 answers at 5.0: too late
        assert (group.outcome in ("local", "complete")) == whole


def test_what_is_on_its_way_settles_at_the_deadline() -> None:
    asked = {1: Asked(NODES[1], 2)}
    [group] = grouped([[1], [1]], asked, 0, "renormalise", 3.0, deadline_s=7.0)
    assert (group.outcome, group.settled_s, group.samples) == ("fallback", 7.0, 2)
    [group] = grouped([[1], [1]], {1: Asked(NODES[1], 2, False, 3.0)}, 0, "wait", 1.0, math.inf)
    assert (group.outcome, group.settled_s) == ("failed", 3.0)


def test_no_answer_comes_before_the_question_is_routed() -> None:
    """A deadline that passes while the features are extracted settles nothing by itself."""
    [group] = grouped([[1]], {1: Asked(NODES[1], 1)}, 0, "local", routed_s=9.0, deadline_s=7.0)
    assert (group.outcome, group.settled_s) == ("fallback", 9.0)
