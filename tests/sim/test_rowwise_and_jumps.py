"""Interpolation row by row, and the times at which a state changes, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.jumps import HALVINGS, find_jumps
from sim.rowwise import along


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grids with repeated times, values, and times before, on and behind them."""
    k, points = draw(st.integers(1, 6)), draw(st.integers(2, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    steps_s = rng.uniform(0.1, 9.0, (k, points)) * (rng.random((k, points)) > 0.2)
    grid_s = rng.uniform(-5.0, 5.0, (k, 1)) + np.cumsum(steps_s, axis=1)
    when_s = rng.uniform(grid_s[:, 0] - 5.0, grid_s[:, -1] + 5.0)
    on_it = rng.random(k) < 0.3
    when_s = np.where(on_it, grid_s[np.arange(k), rng.integers(0, points, k)], when_s)
    return grid_s, rng.normal(0.0, 10.0, (k, points)), when_s


def by_hand(grid_s: np.ndarray, values: np.ndarray, when_s: float) -> float:
    """One row: the last point at or before the time, and the share of the way to the next."""
    when_s = max(when_s, float(grid_s[0]))
    at = max(i for i in range(len(grid_s)) if grid_s[i] <= when_s)
    if at == len(grid_s) - 1:
        return float(values[-1])
    share = (when_s - grid_s[at]) / (grid_s[at + 1] - grid_s[at])
    return float(values[at] + (values[at + 1] - values[at]) * share)


@given(tables())
def test_along_is_linear_on_every_row_of_its_own(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    grid_s, values, when_s = drawn
    expected = [by_hand(*row) for row in zip(grid_s, values, when_s, strict=True)]
    assert along(grid_s, values, when_s) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_along_at_a_jump_is_the_value_behind_it() -> None:
    grid, values = np.array([[0.0, 1.0, 1.0, 2.0]]), np.array([[1.0, 3.0, 7.0, 9.0]])
    for when_s, expected in ((1.0, 7.0), (1.0 - 1e-12, 3.0), (2.0, 9.0), (5.0, 9.0), (-1.0, 1.0)):
        assert along(grid, values, np.array([when_s])) == pytest.approx([expected])


def test_along_a_row_that_has_only_one_time() -> None:
    """A device that never sees the satellite: all its points are one."""
    assert along(np.full((1, 3), 4.0), np.full((1, 3), 2.5), np.array([9.0])).tolist() == [2.5]


def test_along_an_infinity_that_does_not_change() -> None:
    grid = np.tile([0.0, 1.0, 2.0], (2, 1))
    values = np.array([[np.inf, np.inf, np.inf], [-np.inf, -np.inf, 1.0]])
    assert along(grid, values, np.array([0.5, 0.25])).tolist() == [np.inf, -np.inf]


# -- jumps


@st.composite
def passes(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """Even grids of K devices, and the true times of each one's changes, at most one a cell."""
    k, points = draw(st.integers(1, 5)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    origin_s = draw(st.sampled_from([0.0, 86_400.0, 3.2e7]))
    first_s = origin_s + rng.uniform(0.0, 50.0, k)
    time_s = np.linspace(first_s, first_s + rng.uniform(8.0, 40.0, k), points, axis=1)
    changes = []
    for row in time_s:
        inside = row[:-1] + rng.uniform(0.02, 0.98, points - 1) * np.diff(row)
        changes.append(inside[rng.random(points - 1) < 0.4])
    return time_s, changes


def state_at(changes: list[np.ndarray], when_s: np.ndarray) -> np.ndarray:
    """How many changes lie behind each device at its own times (K, J)."""
    rows = [np.searchsorted(own, when, "right") for own, when in zip(changes, when_s, strict=True)]
    return np.array(rows, np.int64)


@given(passes())
def test_every_change_is_bracketed_and_nothing_else(
    drawn: tuple[np.ndarray, list[np.ndarray]],
) -> None:
    time_s, changes = drawn
    found = find_jumps(time_s, state_at(changes, time_s), lambda when_s: state_at(changes, when_s))
    most = max(len(own) for own in changes)
    assert found.before_s.shape == found.behind_s.shape == (len(time_s), most)
    cell_s = np.diff(time_s, axis=1).max()
    close_s = cell_s / 2**HALVINGS + 4 * np.spacing(time_s.max())
    for k, own in enumerate(changes):
        before, behind, last_s = found.before_s[k], found.behind_s[k], time_s[k, -1]
        assert found.real[k].tolist() == [True] * len(own) + [False] * (most - len(own))
        cells = np.searchsorted(time_s[k], own, "right") - 1
        assert found.cell[k, : len(own)].tolist() == cells.tolist()
        assert (before <= behind).all()
        for number, when_s in enumerate(own):
            assert before[number] <= when_s <= behind[number]
            assert behind[number] - before[number] <= close_s
        assert (before[len(own) :] == last_s).all()
        assert (behind[len(own) :] == last_s).all()


def test_the_two_sides_of_a_jump_have_the_two_states() -> None:
    time_s, changes = np.array([[0.0, 4.0, 8.0]]), [np.array([1.7, 6.1])]
    found = find_jumps(time_s, state_at(changes, time_s), lambda when_s: state_at(changes, when_s))
    assert state_at(changes, found.before_s).tolist() == [[0, 1]]
    assert state_at(changes, found.behind_s).tolist() == [[1, 2]]
    assert found.before_s[0] == pytest.approx([1.7, 6.1], abs=2e-7)


def test_without_a_change_nothing_is_asked_for() -> None:
    def never(when_s: np.ndarray) -> np.ndarray:
        raise AssertionError("there is nothing to look for")

    assert find_jumps(np.array([[0.0, 4.0]]), np.zeros((1, 2), np.int64), never).real.shape == (
        1,
        0,
    )


def test_a_device_that_is_never_seen_has_no_jump() -> None:
    """Its times are all one: a change of state between them has no place."""
    time_s = np.array([[3.0, 3.0, 3.0], [0.0, 1.0, 2.0]])
    state = np.array([[0, 1, 0], [0, 0, 1]])
    found = find_jumps(time_s, state, lambda when_s: np.where(when_s > 1.25, 1, 0))
    assert found.real.tolist() == [[False], [True]]
    assert found.before_s[0].tolist() == found.behind_s[0].tolist() == [3.0]
    assert found.before_s[1] == pytest.approx([1.25], abs=1e-7)


def test_of_two_changes_in_one_cell_the_bracket_holds_one() -> None:
    """As documented; the state before it is that of the cell's first point."""
    changes = [np.array([1.2, 2.9])]
    time_s = np.array([[0.0, 4.0]])
    found = find_jumps(time_s, state_at(changes, time_s), lambda when_s: state_at(changes, when_s))
    assert found.real.tolist() == [[True]]
    assert found.before_s[0, 0] <= 1.2 <= found.behind_s[0, 0]
    assert found.behind_s[0, 0] - found.before_s[0, 0] < 2e-7
