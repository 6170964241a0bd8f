"""The one registry of experts: their sizes, versions and holders."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.learning import NOBODY, ExpertRegistry

TURNS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2), st.lists(st.integers(0, 3), unique=True)),
    max_size=20,
)


@given(TURNS)
def test_holders_are_the_sets_that_they_were_given(
    turns: list[tuple[bool, int, list[int]]],
) -> None:
    registry = ExpertRegistry(np.full(4, 10.0))
    registry.hand_out(np.zeros((3, 4), bool))
    expected: list[set[int]] = [set(), set(), set()]
    for gives, client, experts in turns:
        if gives:
            registry.give(client, experts)
            expected[client] |= set(experts)
        else:
            registry.release(client, experts)
            expected[client] -= set(experts)
    for client, mine in enumerate(expected):
        assert registry.held_by(client) == sorted(mine)
    for expert, owner in enumerate(registry.owner.tolist()):
        holders = [client for client, mine in enumerate(expected) if expert in mine]
        assert owner == (holders[0] if holders else NOBODY)


def test_before_anything_is_handed_out_nobody_holds_an_expert() -> None:
    assert ExpertRegistry(np.ones(3)).owner.tolist() == [NOBODY] * 3


def test_what_is_on_its_way_keeps_the_versions_that_it_left_with() -> None:
    registry = ExpertRegistry(np.ones(3))
    before = registry.changes
    registry.changed([0, 2], 2)
    registry.changed([2])
    assert before.tolist() == [0, 0, 0]
    assert registry.changes.tolist() == [2, 0, 3]


def test_a_handed_out_assignment_is_a_copy() -> None:
    given_out = np.eye(2, dtype=bool)
    registry = ExpertRegistry(np.ones(2))
    registry.hand_out(given_out)
    given_out[:] = True
    assert registry.holders.tolist() == [[True, False], [False, True]]
