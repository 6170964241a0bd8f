"""The rate of a link along a pass, on a grid of times that has its jumps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from channel import Link, Path, Signal, rate_state, received_signal, signal_rate_bps
from channel.even_grid import at_jumps, bit_preserving, second_differences
from learning.requests import Floats
from sim.jumps import Jumps, find_jumps

Look = Callable[[Floats], tuple[Floats, Floats]]
"""Elevation (deg) and slant range (m), (K, J), of each device at its own times (K, J)."""


@dataclass(frozen=True, eq=False)
class RateGrid:
    """Times, rates and signals of each device, all (K, T)."""

    time_s: Floats
    rate_bps: Floats
    signal: Signal


def rate_grid(
    link: Link, path: Path, time_s: Floats, look: Look, seen: tuple[Floats, Floats]
) -> RateGrid:
    """Rates at even times (K, T), with points just before and just behind each jump in between.

    ``seen`` is what ``look`` says of ``time_s``. The rates are moved so that every cell has its
    bits (see ``channel.even_grid``).
    """
    signal = received_signal(link, *seen, path)
    rate = signal_rate_bps(link, signal)
    if not _may_jump(link, signal):
        return RateGrid(time_s, bit_preserving(rate), signal)
    state = rate_state(link, *seen, path)
    jumps = find_jumps(time_s, state, lambda when_s: rate_state(link, *look(when_s), path))
    grid = RateGrid(time_s, bit_preserving(rate, state), signal)
    if not jumps.real.shape[1]:
        return grid
    beside_s = np.concatenate([jumps.before_s, jumps.behind_s], axis=1)
    beside = received_signal(link, *look(beside_s), path)
    rates = _rates_beside(jumps, grid, second_differences(rate, state), beside_s, link, beside)
    return _merged(grid, RateGrid(beside_s, rates, beside))


def _may_jump(link: Link, signal: Signal) -> bool:
    steps = link.environment is not None or link.rate == "modcod"
    return steps or bool(signal.snr_db.min() < link.required_snr_db)


def _rates_beside(
    jumps: Jumps, grid: RateGrid, bend: Floats, beside_s: Floats, link: Link, beside: Signal
) -> Floats:
    """Rates (K, 2 J) before and behind the jumps, for both parts of their cells to be right."""
    time_s, points = grid.time_s, np.concatenate([jumps.cell, jumps.cell + 1], axis=1)
    far_s = np.abs(beside_s - np.take_along_axis(time_s, points, axis=1))
    step_s = (time_s[:, -1:] - time_s[:, :1]) / (time_s.shape[1] - 1)
    share = np.divide(far_s, step_s, out=np.zeros_like(far_s), where=step_s > 0)
    bends = np.take_along_axis(bend, points, axis=1)
    rates = at_jumps(signal_rate_bps(link, beside), bends, np.minimum(share, 1.0))
    return np.where(np.tile(jumps.real, 2), rates, grid.rate_bps[:, -1:])


def _merged(one: RateGrid, other: RateGrid) -> RateGrid:
    """Both grids' points in order of time, row by row."""
    every_s = np.concatenate([one.time_s, other.time_s], axis=1)
    order = np.argsort(every_s, axis=1, kind="stable")

    def both(a: Floats, b: Floats) -> Floats:
        return np.take_along_axis(np.concatenate([a, b], axis=1), order, axis=1)

    signal = Signal(
        both(one.signal.snr_db, other.signal.snr_db),
        both(one.signal.rician_k_linear, other.signal.rician_k_linear),
    )
    times = np.take_along_axis(every_s, order, axis=1)
    return RateGrid(times, both(one.rate_bps, other.rate_bps), signal)
