"""Assignment policies: against brute force, scipy's own assignment and closed forms."""

from __future__ import annotations

import sys
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from learning.policies import POLICIES, InfeasibleAssignment, Problem
from tests.kit.learning import (
    LoadMonitor,
    Mask,
    asked,
    assign_experts,
    checked,
    even_bounds,
    explored,
)

SHIPPED = ["random", "greedy", "balanced-random", "balanced-fitness", "expert-driven", "identity"]
BALANCED = ["balanced-random", "balanced-fitness"]
FREE = ["random", "greedy"]


def solved(name: str, problem: Problem, seed: int = 0) -> Mask:
    return checked(POLICIES.find(name)(problem, np.random.default_rng(seed)), problem, name)


def total(problem: Problem, assigned: Mask) -> float:
    return float(problem.worth[assigned].sum())


@st.composite
def problems(draw: st.DrawFn, bounded: bool = True) -> Problem:
    """Any scores and capacities, with even bounds that can be kept."""
    clients, experts = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    # Scores on a grid, so that ties occur.
    score = draw(arrays(np.float64, (clients, experts), elements=st.integers(0, 20))) / 20
    capacity = draw(arrays(np.int64, clients, elements=st.integers(0, experts + 1)))
    low, high = draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.sampled_from([1.0, 1.5, 3.0]))
    least, most = even_bounds(capacity, experts, low, high)
    return Problem(score, capacity, least, most) if bounded else Problem(score, capacity)


def best_by_trying(problem: Problem) -> float | None:
    """The highest sum of scores over all assignments that keep everything, None without one."""
    experts = problem.shape[1]
    least, most = problem.bounds
    own = [
        [
            np.isin(np.arange(experts), chosen)
            for size in sizes
            for chosen in combinations(range(experts), size)
        ]
        for sizes in (
            [take] if problem.expert_bytes is None else range(take + 1)
            for take in problem.takes.tolist()
        )
    ]
    best = None
    for rows in product(*own):
        assigned = np.array(rows)
        given_to = assigned.sum(axis=0)
        if (given_to < least).any() or (given_to > most).any():
            continue
        if all(problem.fits(c, row) for c, row in enumerate(assigned)):
            value = total(problem, assigned)
            best = value if best is None else max(best, value)
    return best


def test_these_policies_are_shipped() -> None:
    assert sorted(SHIPPED) == [name for name in POLICIES.names() if name in POLICIES.shipped]
    with pytest.raises(ValueError, match=r"no policy 'greddy'.*did you mean 'greedy'"):
        POLICIES.find("greddy")


@settings(max_examples=60, deadline=None)
@given(problems(bounded=False))
def test_without_bounds_the_best_is_every_clients_top_k(problem: Problem) -> None:
    rows = np.sort(problem.score, axis=1)[:, ::-1]
    top = sum(row[:take].sum() for row, take in zip(rows, problem.takes, strict=True))
    for name in ("greedy", "balanced-fitness"):
        assigned = solved(name, problem)
        assert assigned.sum(axis=1).tolist() == problem.takes.tolist()
        assert total(problem, assigned) == pytest.approx(top)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(0, 10_000))
def test_one_expert_for_one_client_is_scipys_linear_sum_assignment(size: int, seed: int) -> None:
    score = np.random.default_rng(seed).random((size, size))
    one = np.ones(size, np.int64)
    assigned = solved("balanced-fitness", Problem(score, one, one, one))
    rows, columns = linear_sum_assignment(score, maximize=True)
    assert assigned.sum(axis=0).tolist() == assigned.sum(axis=1).tolist() == [1] * size
    assert score[assigned].sum() == pytest.approx(score[rows, columns].sum(), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 10_000),
    st.booleans(),
)
def test_small_problems_against_all_assignments(
    clients: int, experts: int, seed: int, sized: bool
) -> None:
    """With experts of several sizes too, where the relaxation is not whole."""
    rng = np.random.default_rng(seed)
    least = rng.integers(0, 2, experts)
    problem_of: dict[str, Any] = {
        "score": rng.random((clients, experts)),
        "capacity": rng.integers(0, experts + 1, clients),
        "least": least,
        "most": least + rng.integers(0, 3, experts),
        "deficit": rng.random(experts),
    }
    if sized:
        problem_of["expert_bytes"] = rng.integers(1, 9, experts).astype(float)
        problem_of["memory_bytes"] = rng.integers(0, 15, clients).astype(float)
    try:
        problem = Problem(**problem_of)
        found = total(problem, solved("balanced-fitness", problem))
    except InfeasibleAssignment:
        assume("problem" in locals())
        assert best_by_trying(problem) is None
        return
    assert found == pytest.approx(best_by_trying(problem), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(0, 999))
def test_even_bounds_give_every_expert_as_often(
    experts: int, k: int, times: int, seed: int
) -> None:
    """rho = 1 and E divides K: all column sums are K / E."""
    assume(k <= experts)
    clients = experts * times
    capacity = np.full(clients, k)
    least, most = even_bounds(capacity, experts, 1.0, 1.0)
    score = np.random.default_rng(seed).random((clients, experts))
    for name in BALANCED:
        assigned = solved(name, Problem(score, capacity, least, most), seed)
        assert assigned.sum(axis=0).tolist() == [clients * k // experts] * experts


@pytest.mark.parametrize(
    ("capacity", "experts", "low", "high", "expected"),
    [
        ([2] * 20, 8, 1.0, 1.0, (5, 5)),
        ([2, 2, 2, 1], 3, 1.0, 1.0, (2, 3)),
        ([1] * 10, 7, 0.7, 1.4, (1, 2)),
        ([1] * 30, 7, 0.7, 1.4, (3, 6)),  # 0.7 * (30 / 7) is 3, not 2.9999...
        ([1] * 20, 3, 0.6, 1.05, (4, 7)),  # 1.05 * (20 / 3) is 7, not 7.0000...1
        ([9, 9, 0], 2, 1.0, 5.0, (2, 2)),  # two clients take part, with two experts each
        ([0, 0], 3, 1.0, 1.0, (0, 0)),
    ],
)
def test_bounds_are_rounded_outwards(
    capacity: list[int], experts: int, low: float, high: float, expected: tuple[int, int]
) -> None:
    least, most = even_bounds(np.array(capacity), experts, low, high)
    assert (set(least.tolist()), set(most.tolist())) == ({expected[0]}, {expected[1]})


@settings(max_examples=40, deadline=None)
@given(problems())
def test_the_fewer_limits_the_higher_the_fitness(problem: Problem) -> None:
    """Greedy is at least balanced, that at least balanced-random; wider bounds lower nothing."""
    values = [total(problem, solved(name, problem)) for name in ("greedy", *reversed(BALANCED))]
    assert values[0] >= values[1] - 1e-9
    assert values[1] >= values[2] - 1e-9
    least, most = problem.bounds
    wider = Problem(problem.score, problem.capacity, np.maximum(least - 1, 0), most + 1)
    assert total(wider, solved("balanced-fitness", wider)) >= values[1] - 1e-9


@settings(max_examples=30, deadline=None)
@given(problems(), st.floats(-3, 3))
def test_a_constant_more_for_a_client_changes_nothing(problem: Problem, more: float) -> None:
    """Sum_e x = k_c, so that it is paid whatever the client gets."""
    shift = more * np.arange(1, len(problem.score) + 1)[:, None]
    shifted = Problem(problem.score + shift, problem.capacity, *problem.bounds)
    again = solved("balanced-fitness", shifted)
    best = total(problem, solved("balanced-fitness", problem))
    assert total(problem, again) == pytest.approx(best, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from(SHIPPED), st.integers(0, 999), st.sampled_from([0.0, 0.5, 1.0]))
def test_every_policy_keeps_what_it_promises(
    problem: Problem, name: str, seed: int, exploring: float
) -> None:
    """Capacity always; bounds where it is balanced; the same from the same seed; so with swaps."""
    try:
        assigned = solved(name, problem, seed)
    except InfeasibleAssignment:
        assert name in ("expert-driven", "identity")
        return
    assert (solved(name, problem, seed) == assigned).all()
    swapped = explored(assigned, problem, exploring, np.random.default_rng(seed))
    again = explored(assigned, problem, exploring, np.random.default_rng(seed))
    assert (swapped == again).all()
    for found in (assigned, swapped):
        assert (found.sum(axis=1) <= problem.takes).all()
        if name in (*BALANCED, *FREE):
            assert found.sum(axis=1).tolist() == problem.takes.tolist()
        if name in BALANCED:
            least, most = problem.bounds
            assert (found.sum(axis=0) >= least).all()
            assert (found.sum(axis=0) <= most).all()
        if name == "expert-driven" and found is assigned:
            assert (found.sum(axis=0) == 1).all()
    assert exploring > 0 or (swapped == assigned).all()


def test_exploration_swaps_as_often_as_it_is_told() -> None:
    rng = np.random.default_rng(1)
    problem = Problem(rng.random((40, 8)), np.full(40, 2))
    assigned = solved("greedy", problem)
    changed = [(explored(assigned, problem, 0.2, rng) != assigned).any(1).sum() for _ in range(50)]
    assert 5 < np.mean(changed) < 11  # 8 expected; nobody needs a partner without bounds
    even = Problem(problem.score, problem.capacity, *even_bounds(problem.capacity, 8, 1.0, 1.0))
    balanced = solved("balanced-fitness", even)
    both = (explored(balanced, even, 1.0, rng) != balanced).any(1)
    assert both.sum() > 30


def test_exploration_keeps_to_the_memory() -> None:
    sizes, memory = np.array([1.0, 2.0, 4.0]), np.array([4.0, 3.0])
    rng = np.random.default_rng(0)
    problem = Problem(rng.random((2, 3)), np.array([2, 2]), None, None, None, sizes, memory)
    for seed in range(30):
        first = solved("random", problem, seed)
        found = explored(first, problem, 1.0, np.random.default_rng(seed))
        assert (found @ sizes <= memory).all()


def test_experts_that_fell_behind_get_their_turn() -> None:
    """Constant scores, k = 1, C = 2, E = 6, U = 1: once each after 3 rounds, twice after 6."""
    monitor = LoadMonitor(6)
    for number in range(1, 7):
        one = np.ones(6, np.int64)
        problem = Problem(
            np.full((2, 6), 0.5), np.ones(2, np.int64), 0 * one, one, monitor.deficit()
        )
        monitor.assigned(solved("balanced-fitness", problem))
        if number in (3, 6):
            assert monitor.assignments.tolist() == [number // 3] * 6


@pytest.mark.parametrize("seed", range(5))
def test_a_large_deficit_gives_them_their_turn_whatever_is_drawn(seed: int) -> None:
    """The same with drawn scores of up to 1, which a deficit of 1/3 at least times 9 outweighs."""
    monitor, rng = LoadMonitor(6), np.random.default_rng(seed)
    for number in range(1, 7):
        one = np.ones(6, np.int64)
        problem = Problem(
            np.full((2, 6), 0.5), np.ones(2, np.int64), 0 * one, one, 9 * monitor.deficit()
        )
        monitor.assigned(POLICIES.find("balanced-random")(problem, rng))
        if number in (3, 6):
            assert monitor.assignments.tolist() == [number // 3] * 6


@pytest.mark.parametrize("seed", [0, 2, 4, 5])
def test_the_optimum_has_no_gap(seed: int) -> None:
    """Experts of several sizes and no bounds: each client's best is found by trying all 2^10.

    Sizes and scores nearly go together, where a solver with a usual gap of 1e-4 stops early.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1000, 2000, 10).astype(float)
    score = 0.5 + 1e-4 * rng.random((3, 10)) + 0.3 * sizes / sizes.max()
    memory = np.full(3, sizes.sum() / 2)
    problem = Problem(score, np.full(3, 10), expert_bytes=sizes, memory_bytes=memory)
    subsets = np.array(list(product([False, True], repeat=10)))
    able = subsets[subsets @ sizes <= memory[0]]
    best = (able @ score.T).max(axis=0).sum()
    assert total(problem, solved("balanced-fitness", problem)) == pytest.approx(best, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 999), st.sampled_from([0.0, 0.1, 0.5]))
def test_expert_driven_is_algorithm_1(
    clients: int, experts: int, seed: int, threshold: float
) -> None:
    score = np.random.default_rng(seed).random((clients, experts))
    free = Problem(score, np.full(clients, experts), threshold=threshold)
    owner = assign_experts(score, threshold, np.random.default_rng(seed))
    assert solved("expert-driven", free, seed).argmax(axis=0).tolist() == owner.tolist()


def test_expert_driven_gives_nobody_more_than_he_has_room_for() -> None:
    score = np.array([[0.9, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5]])
    tight = Problem(score, np.array([1, 3, 0]))
    for seed in range(20):
        assert solved("expert-driven", tight, seed).sum(axis=1).tolist() == [1, 3, 0]
    with pytest.raises(InfeasibleAssignment, match=r"each of the 4 experts .* room for 3"):
        solved("expert-driven", Problem(score, np.array([1, 2, 0])))


def test_identity_gives_everybody_his_own() -> None:
    problem = Problem(np.ones((3, 3)), np.array([1, 0, 3]))
    assert solved("identity", problem).tolist() == np.diag([True, False, True]).tolist()
    with pytest.raises(InfeasibleAssignment, match="2 clients and 3 experts"):
        solved("identity", Problem(np.ones((2, 3)), np.ones(2, np.int64)))


@pytest.mark.parametrize(
    ("capacity", "least", "most", "message"),
    [
        ([1, 1], [1, 1, 1], [2, 2, 2], r"K=2 \(sum of capacities\), sum of least=3, sum of most=6"),
        ([2, 2], [0, 0, 0], [1, 1, 1], r"K=4 \(sum of capacities\), sum of least=0, sum of most=3"),
        ([1, 1], [2, 0, 0], [1, 2, 2], r"expert 0 .* at least 2 .* at most 1 may"),
        ([1, 0], [0, 2, 0], [2, 2, 2], r"expert 1 .* at least 2 .* 1 have room"),
    ],
)
def test_bounds_that_conflict_are_told_with_their_numbers(
    capacity: list[int], least: list[int], most: list[int], message: str
) -> None:
    for name in BALANCED:
        with pytest.raises(InfeasibleAssignment, match=message):
            solved(
                name,
                Problem(np.ones((2, 3)), np.array(capacity), np.array(least), np.array(most)),
            )


def test_what_only_the_solver_can_see_is_told_too() -> None:
    """The sums go together, but both experts are too large for either client."""
    one = np.ones(2, np.int64)
    problem = Problem(np.ones((2, 2)), one, one, one, None, np.full(2, 5.0), np.full(2, 4.0))
    with pytest.raises(InfeasibleAssignment, match=r"K=2 .*infeasible"):
        solved("balanced-fitness", problem)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": np.array([[0.1, np.nan], [0, 0]])}, "client 0 for expert 1 is nan; give finite"),
        ({"score": np.array([[0, 0], [np.inf, 0]])}, "client 1 for expert 0 is inf"),
        ({"score": np.ones(3)}, r"score has shape \(3,\)"),
        ({"capacity": np.array([1])}, r"capacity has shape \(1,\); give \(2,\)"),
        ({"capacity": np.array([1, -1])}, r"capacity is \[1.0, -1.0\]"),
        ({"deficit": np.array([np.nan, 0])}, "deficit is"),
        ({"expert_bytes": np.ones(2)}, "go together"),
    ],
)
def test_a_problem_that_is_none_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Problem(**{"score": np.ones((2, 2)), "capacity": np.array([1, 1]), **changes})


def test_answers_that_do_not_fit_are_refused_by_name() -> None:
    problem = Problem(np.ones((2, 3)), np.array([1, 3]))
    with pytest.raises(ValueError, match="policy 'mine' returned int64"):
        checked(np.ones((2, 3), np.int64), problem, "mine")
    with pytest.raises(ValueError, match="'mine' gave client 0 3 experts; it has room for 1"):
        checked(np.ones((2, 3), bool), problem, "mine")


def test_a_policy_of_ones_own_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first_come.py").write_text(
        "import numpy as np\n\n"
        "def first(problem, rng):\n"
        "    return np.arange(problem.shape[1]) < problem.takes[:, None]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    problem = Problem(np.ones((2, 3)), np.array([1, 2]))
    assigned = solved("first_come:first", problem)
    assert assigned.tolist() == [[True, False, False], [True, True, False]]


def broken_policy(problem: Problem, rng: np.random.Generator) -> Any:
    raise KeyError("no such client")


def ragged_policy(problem: Problem, rng: np.random.Generator) -> Any:
    return [[True], [True, False]]


def greedy_with_its_fingers(problem: Problem, rng: np.random.Generator) -> Any:
    problem.score[:] = 0.0
    return problem.score > 0.0


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (broken_policy, r"policy 'mine' failed \(KeyError: 'no such client'\)"),
        (ragged_policy, r"policy 'mine' returned rows that differ; give bool of shape \(2, 2\)"),
        (greedy_with_its_fingers, r"policy 'mine' failed \(ValueError: .*read-only\)"),
    ],
)
def test_a_policy_that_fails_is_named(policy: Any, message: str) -> None:
    score = np.full((2, 2), 0.5)
    problem = Problem(score, np.ones(2, np.int64))
    with pytest.raises(ValueError, match=message):
        asked(policy, "mine", problem, np.random.default_rng(0))
    assert (score == 0.5).all()
