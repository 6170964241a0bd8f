"""Spells that come and go by chance: times apart, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats


@dataclass(frozen=True, eq=False)
class Spells:
    """Spans (N,) in seconds, in order of time and apart; a span holds its begin and not its end."""

    begin_s: Floats
    end_s: Floats

    def between(self, from_s: float, to_s: float) -> Spells:
        """Return what of the spells lies between two times."""
        begin_s, end_s = np.maximum(self.begin_s, from_s), np.minimum(self.end_s, to_s)
        left = end_s > begin_s
        return Spells(begin_s[left], end_s[left])

    def then(self, later: Spells) -> Spells:
        """Return these and later ones; two that touch become one."""
        if len(self.end_s) and len(later.begin_s) and self.end_s[-1] == later.begin_s[0]:
            begin_s = np.concatenate([self.begin_s, later.begin_s[1:]])
            return Spells(begin_s, np.concatenate([self.end_s[:-1], later.end_s]))
        return Spells(
            np.concatenate([self.begin_s, later.begin_s]), np.concatenate([self.end_s, later.end_s])
        )


NO_SPELLS = Spells(np.zeros(0), np.zeros(0))


def drawn_spells(
    draws: np.random.Generator, apart_s: float, lasting_s: float, until_s: float
) -> Spells:
    """Draw the spells of an alternating exponential process up to ``until_s``.

    ``apart_s`` is the mean time from the end of one to the begin of the next, ``lasting_s`` the
    mean of how long one lasts. The process is in its steady state at 0: a spell goes on then with
    probability ``lasting_s / (apart_s + lasting_s)``. A longer run begins with the same spells, and
    other means only stretch the same draws.
    """
    means = np.array([apart_s, lasting_s])
    inside = int(draws.random() < lasting_s / means.sum())
    edges, last_s = [np.zeros(inside)], 0.0
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
    return Spells(begin_s, end_s).between(0.0, until_s)
