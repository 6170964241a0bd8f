"""Spans of time in which something holds, given or drawn: a device is away, a satellite is out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from learning import stream
from sim.world.world import World
from statements.arrays import Floats


@dataclass(frozen=True, eq=False)
class Intervals:
    """Spans (N,) in seconds, in order of time and apart; a span holds its begin and not its end."""

    begin_s: Floats
    end_s: Floats

    def between(self, from_s: float, to_s: float) -> Intervals:
        """Return the parts of the spells that lie between two times."""
        begin_s = np.maximum(self.begin_s, from_s)
        end_s = np.minimum(self.end_s, to_s)
        left = end_s > begin_s
        return Intervals(begin_s[left], end_s[left])

    def spans(self) -> list[tuple[float, float]]:
        """Return begin and end of each, in order."""
        return list(zip(self.begin_s.tolist(), self.end_s.tolist(), strict=True))


NO_INTERVALS = Intervals(np.zeros(0), np.zeros(0))


def union(several: Iterable[Intervals]) -> Intervals:
    """Return the spans in which any of these hold; spans that overlap or touch become one."""
    held = [one for one in several if len(one.begin_s)]
    if len(held) < 2:
        return held[0] if held else NO_INTERVALS
    begin_s = np.concatenate([one.begin_s for one in held])
    order = np.argsort(begin_s, kind="stable")
    begin_s = begin_s[order]
    # Of each span, when it and all that began before it are over.
    end_s = np.maximum.accumulate(np.concatenate([one.end_s for one in held])[order])
    first = np.append(True, begin_s[1:] > end_s[:-1])
    return Intervals(begin_s[first], end_s[np.append(first[1:], True)])


def drawn_intervals(
    draws: np.random.Generator, apart_s: float, lasting_s: float, until_s: float
) -> Intervals:
    """Draw the spells of an alternating exponential process up to ``until_s``.

    ``apart_s`` is the mean time from the end of one to the begin of the next, ``lasting_s`` the
    mean of how long one lasts. The process is in its steady state at 0: a spell goes on then with
    probability ``lasting_s / (apart_s + lasting_s)``. A longer run begins with the same spells, and
    other means only stretch the same draws.
    """
    means = np.array([apart_s, lasting_s])
    inside = int(draws.random() < lasting_s / means.sum())
    edges = [np.zeros(inside)]
    last_s = 0.0
    while last_s <= until_s:
        # Always pairs, so that each block begins as the first one did.
        pairs = 8 + int(min((until_s - last_s) / means.sum(), 100_000.0))
        steps = draws.standard_exponential(2 * pairs) * np.tile(np.roll(means, -inside), pairs)
        # From one to the next, so that it does not matter how many are drawn at a time.
        times = np.cumsum(np.append(last_s, steps))[1:]
        edges.append(times)
        last_s = float(times[-1])
    times = np.concatenate(edges)
    begin_s, end_s = times[: len(times) // 2 * 2].reshape(-1, 2).T
    return Intervals(begin_s, end_s).between(0.0, until_s)


def drawn_spells(
    kind: str,
    world: World,
    names: Sequence[tuple[str | int, ...]],
    span_s: float,
) -> list[Intervals]:
    """Draw spells of a ``kind`` from a stream for each name.

    That is "outages" or "churn", a section of ``faults:``.
    """
    rule = getattr(world.faults, kind)
    if rule is None:
        return [NO_INTERVALS] * len(names)
    means_s = (  # from the end of one to the begin of the next, and how long one lasts
        (86_400.0 / rule.per_day, rule.mean_hours * 3600.0)
        if kind == "outages"
        else (rule.mean_present_hours * 3600.0, rule.mean_away_hours * 3600.0)
    )
    return [drawn_intervals(stream(world.seed, *name), *means_s, span_s) for name in names]
