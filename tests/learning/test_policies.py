"""Assignment policies: against brute force and closed forms."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from learning.alignment import policy as alignment
from learning.policies import POLICIES, InfeasibleAssignment, Problem, model_splitting
from learning.policies.problem import asked, even_bounds

BALANCED = ["balanced-random", "balanced-fitness"]
FREE = ["random", "greedy"]
SHIPPED = [*FREE, *BALANCED, "expert-driven"]


def whole(*numbers):
    return np.array(numbers, np.int64)


def solved(name, problem, seed=0):
    return asked(POLICIES.find(name), name, problem, np.random.default_rng(seed))


@st.composite
def problems(draw):
    clients = draw(st.integers(1, 7))
    experts = draw(st.integers(1, 6))
    # Scores on a grid, so that ties occur.
    score = draw(arrays(np.float64, (clients, experts), elements=st.integers(0, 20))) / 20
    capacity = draw(arrays(np.int64, clients, elements=st.integers(0, experts + 1)))
    return Problem(score, capacity, *even_bounds(capacity, experts))


def best_by_trying(problem):
    """The highest sum of scores over all assignments that keep everything, None without one."""
    least, most = problem.bounds
    found = []
    for bits in product([False, True], repeat=problem.score.size):
        assigned = np.array(bits).reshape(problem.shape)
        given_to = assigned.sum(axis=0)
        takes = assigned.sum(axis=1)
        full = (takes == problem.takes).all()
        if full and (given_to >= least).all() and (given_to <= most).all():
            found.append(problem.worth[assigned].sum())
    return max(found, default=None)


@settings(max_examples=60)  # some problems have no solution, and few have one that only just holds
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 10_000))
def test_small_problems_against_all_assignments(clients, experts, seed):
    rng = np.random.default_rng(seed)
    score = rng.random((clients, experts))
    capacity = rng.integers(0, experts + 1, clients)
    least = rng.integers(0, 2, experts)
    most = least + rng.integers(0, 3, experts)
    deficit = rng.random(experts)
    problem = None
    try:
        problem = Problem(score, capacity, least, most, deficit)
        found = float(problem.worth[solved("balanced-fitness", problem)].sum())
    except InfeasibleAssignment:
        assume(problem is not None)
        assert best_by_trying(problem) is None
    else:
        assert found == pytest.approx(best_by_trying(problem), abs=1e-9)


@settings(max_examples=75)  # fifteen a policy
@given(problems(), st.sampled_from(SHIPPED), st.integers(0, 999), st.sampled_from([0.0, 0.5, 1.0]))
def test_every_policy_keeps_what_it_promises(problem, name, seed, exploring):
    """Capacity always; bounds where it is balanced; the same from the same seed; so with swaps."""
    try:
        assigned = solved(name, problem, seed)
    except InfeasibleAssignment:
        assert name == "expert-driven"
        return
    assert (solved(name, problem, seed) == assigned).all()
    swapped, again = (
        alignment.explored(assigned, problem, exploring, np.random.default_rng(seed))
        for _ in range(2)
    )
    assert (swapped == again).all()
    assert exploring > 0 or (swapped == assigned).all()
    for found in (assigned, swapped):
        assert (found.sum(axis=1) <= problem.takes).all()
        if name in (*BALANCED, *FREE):
            assert found.sum(axis=1).tolist() == problem.takes.tolist()
        if name in BALANCED:
            least, most = problem.bounds
            assert (found.sum(axis=0) >= least).all() and (found.sum(axis=0) <= most).all()
        if name == "expert-driven" and found is assigned:
            assert (found.sum(axis=0) == 1).all()
    if name == "greedy":  # everybody has the top k of its own
        rows = zip(np.sort(problem.score, axis=1)[:, ::-1], problem.takes, strict=True)
        assert problem.worth[assigned].sum() == pytest.approx(sum(row[:k].sum() for row, k in rows))


def test_exploration_swaps_as_often_as_it_is_told():
    rng = np.random.default_rng(1)
    problem = Problem(rng.random((40, 8)), np.full(40, 2))
    first = solved("greedy", problem)
    often = [
        (alignment.explored(first, problem, 0.2, rng) != first).any(1).sum() for _ in range(50)
    ]
    assert 5 < np.mean(often) < 11  # 8 expected; nobody needs a partner without bounds


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 999), st.sampled_from([0.0, 0.1, 0.5]))
def test_expert_driven_is_algorithm_1(clients, experts, seed, threshold):
    score = np.random.default_rng(seed).random((clients, experts))
    free = Problem(score, np.full(clients, experts), threshold=threshold)
    owner = model_splitting.assign_experts(score, threshold, np.random.default_rng(seed))
    assert solved("expert-driven", free, seed).argmax(axis=0).tolist() == owner.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": "expert-driven"}, "each of the 3 experts .* room for 2"),
        ({"least": [1, 1, 1]}, r"K=2 \(sum of capacities\), sum of least=3, sum of most=6"),
        ({"least": [2, 0, 0], "most": [1, 2, 2]}, r"expert 0 .* at least 2 .* at most 1 may"),
        # The sums go together, but only the solver sees that no client takes an expert twice.
        ({"capacity": [3, 1], "least": [2, 2, 0]}, r"K=4 .*infeasible"),
        ({"score": [[0.1, np.nan, 0], [0, 0, 0]]}, "client 0 for expert 1 is nan; give finite"),
    ],
)
def test_a_problem_without_a_solution_is_told_with_its_numbers(changes, message):
    said = {"score": np.ones((2, 3)), "capacity": [1, 1], "least": [0] * 3, "most": [2] * 3}
    said = {"policy": "balanced-fitness", **said, **changes}
    policy = said.pop("policy")
    arguments = {k: v if v is None else np.array(v) for k, v in said.items()}
    with pytest.raises(ValueError, match=message):
        solved(policy, Problem(**arguments))


def test_a_policy_of_ones_own_that_fails_is_named():
    problem = Problem(np.full((2, 2), 0.5), whole(1, 1))
    for policy, message in (
        (lambda p, r: p.score.fill(0.0), r"failed \(ValueError: .*read-only\)"),
        (lambda p, r: np.ones((2, 2), np.int64), "returned int64"),
        (lambda p, r: np.ones((2, 2), bool), "gave client 0 2 experts; it has room for 1"),
    ):
        with pytest.raises(ValueError, match=f"policy 'mine' .*{message}"):
            asked(policy, "mine", problem, np.random.default_rng(0))
