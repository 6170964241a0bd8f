"""Fitness, load and capacity of client-expert alignment against closed forms and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import variation as scipy_variation

from tests.kit.learning import (
    Cost,
    LoadMonitor,
    Needs,
    Outlook,
    averaged,
    capacity,
    first_fitness,
    jain_index,
    peak,
    score,
    variation,
)

LOADS = arrays(np.int64, st.integers(1, 8), elements=st.integers(0, 50))


def test_the_moving_average_is_the_closed_form() -> None:
    """Q_t = s + (Q_0 - s) (1 - beta)^t, for Q_0 = .3, beta = .2, s = .9 and t = 10."""
    fitness, scored, used = np.array([[0.3]]), np.array([[0.9]]), np.array([[7]])
    for _ in range(10):
        fitness = averaged(fitness, scored, used, beta=0.2)
    assert fitness[0, 0] == pytest.approx(0.8355754905600005, rel=1e-14)
    assert fitness[0, 0] == pytest.approx(0.9 + (0.3 - 0.9) * (1 - 0.2) ** 10, rel=1e-14)
    assert averaged(fitness, scored, used, beta=1.0)[0, 0] == 0.9


def test_pairs_that_are_not_used_keep_their_fitness() -> None:
    before = np.array([[0.1, 0.2], [0.3, 0.4]])
    samples = np.array([[0, 5], [1, 0]])
    after = averaged(before, np.ones((2, 2)), samples, beta=0.5)
    assert after.tolist() == [[0.1, 0.6], [0.65, 0.4]]


def test_scores() -> None:
    accuracy, loss = np.array([[0.25]]), np.array([[2.0, np.nan, np.inf, 0.0]])
    assert score("accuracy", 3.0, accuracy, loss) is accuracy
    expected = [np.exp(-6.0), 0.0, 0.0, 1.0]
    assert score("loss", 3.0, accuracy, loss)[0].tolist() == pytest.approx(expected)


def test_first_fitness_is_a_half_and_tells_pairs_apart() -> None:
    first = first_fitness(5, 4, seed=3)
    assert np.abs(first - 0.5).max() <= 1e-6
    assert len(set(first.ravel().tolist())) == 20
    assert (first_fitness(5, 4, seed=3) == first).all()
    assert (first_fitness(5, 4, seed=4) != first).any()


@given(LOADS)
def test_figures_of_load(load: np.ndarray) -> None:
    if not load.any():
        assert (variation(load), peak(load), jain_index(load)) == (0.0, 1.0, 1.0)
        return
    mean = sum(load.tolist()) / len(load)
    assert variation(load) == pytest.approx(float(scipy_variation(load)))
    assert peak(load) == pytest.approx(max(load.tolist()) / mean)
    squares = sum(x * x for x in load.tolist())
    assert jain_index(load) == pytest.approx(sum(load.tolist()) ** 2 / (len(load) * squares))
    # The two are the same figure: J = 1 / (1 + CV^2).
    assert jain_index(load) == pytest.approx(1 / (1 + variation(load) ** 2))


def test_the_monitor_adds_up_and_finds_who_has_fallen_behind() -> None:
    monitor = LoadMonitor(3)
    assert monitor.deficit().tolist() == [0.0, 0.0, 0.0]
    monitor.assigned(np.array([[True, True, False], [True, False, False]]))
    monitor.served(np.array([[4, 1, 0], [2, 0, 0]]))
    assert monitor.assignments.tolist() == [2, 1, 0]
    assert monitor.samples.tolist() == [6, 1, 0]
    assert monitor.deficit().tolist() == [0.0, 0.0, 1.0]
    monitor.assigned(np.array([[True, False, False]] * 4))
    # N = 6, 1, 0 with mean 7 / 3: behind by 4 / 3 and 7 / 3.
    assert monitor.deficit().tolist() == pytest.approx([0.0, 4 / 7, 1.0])


def outlook(**changes: Any) -> Outlook:
    plan: dict[str, Any] = {
        "start_s": 1000.0,
        "end_s": 1600.0,
        "uplink_bytes": np.full(3, 1e9),
        "downlink_bytes": np.full(3, np.inf),
        "memory_bytes": np.full(3, np.inf),
        "round_s": lambda cost: np.full(3, cost.flops),
        "rounds": 1,
        "sessions": 2,
    }
    return Outlook(**{**plan, **changes})


def needs(experts: int) -> list[Needs]:
    """k experts: 10 k s a round, 100 + 50 k of memory, 7 k down and 3 k up."""
    one_to_all = range(1, experts + 1)
    return [Needs(Cost(10.0 * k, 100.0 + 50.0 * k), 7.0 * k, 3.0 * k) for k in one_to_all]


def test_each_means_alone_is_the_floor_of_its_quotient() -> None:
    """Memory by (M - m) / m_e, time by T / round and bytes by B T / bytes, rounded down."""
    memory = np.array([99.0, 260.0, 1e9])
    assert capacity(outlook(memory_bytes=memory), needs(8), 1).experts.tolist() == [0, 3, 8]
    paces = {"round_s": lambda cost: cost.flops * np.array([1.0, 19.0, 61.0])}
    assert capacity(outlook(**paces), needs(8), 1).experts.tolist() == [8, 3, 0]
    up = np.array([2.9, 10.0, 0.0])
    assert capacity(outlook(uplink_bytes=up), needs(8), 0).experts.tolist() == [0, 3, 0]
    down = np.array([6.9, 22.0, 1e9])
    assert capacity(outlook(downlink_bytes=down), needs(8), 0).experts.tolist() == [0, 3, 8]


@given(
    memory=arrays(np.float64, 3, elements=st.floats(0, 700)),
    up=arrays(np.float64, 3, elements=st.just(0.0) | st.floats(0.1, 40)),
    down=arrays(np.float64, 3, elements=st.just(0.0) | st.floats(0.1, 90)),
    pace=st.floats(0.1, 30),
    rounds=st.integers(1, 3),
)
def test_capacity_is_within_memory_compute_and_link_together(
    memory: np.ndarray, up: np.ndarray, down: np.ndarray, pace: float, rounds: int
) -> None:
    plan = outlook(
        memory_bytes=memory,
        uplink_bytes=up,
        downlink_bytes=down,
        round_s=lambda cost: np.full(3, pace * cost.flops),
    )
    found = capacity(plan, needs(8), rounds)
    for device, k in enumerate(found.experts.tolist()):
        by_memory = (memory[device] - 100) // 50
        by_compute = 600 // (rounds * pace * 10)
        by_link = min(up[device] // 3, down[device] // 7)
        assert k <= max(0, min(8, by_memory, by_compute, by_link))

        def whole(k: int, device: int = device) -> bool:
            """Whether k experts fit the memory, and all three legs the session's 600 s."""
            carried = up[device] > 0 and down[device] > 0
            if not carried or memory[device] < 100 + 50 * k:
                return False
            legs = 600 * (7 * k / down[device] + 3 * k / up[device]) + rounds * pace * 10 * k
            return bool(legs <= 600 * (1 + 1e-12))

        assert k == max([0, *(j for j in range(1, 9) if whole(j))])
        assert (k == 0) == bool(found.why[device])


def test_who_sits_out_is_told_why() -> None:
    why = capacity(
        outlook(
            memory_bytes=np.array([10.0, 1e9, 1e9]),
            uplink_bytes=np.array([1e9, 2.0, 3.5]),
        ),
        needs(2),
        30,
    ).why
    assert why == (
        "its memory holds no expert",
        "its next contact carries no expert down and up",
        "its next contact is too short for download, local rounds and upload",
    )
    slow = capacity(outlook(), needs(2), 61).why
    assert set(slow) == {"its next contact is too short for its local rounds"}
