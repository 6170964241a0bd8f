"""Reach over links between satellites: over those that are open now, or at all by the end."""

from __future__ import annotations

import numpy as np

from sim.plan.isl import IslPlan
from statements.arrays import Floats, Mask


class MeshReach:
    """Answers which of N satellites a message of one can get to, whatever others send."""

    def __init__(self, isls: IslPlan) -> None:
        self._isls = isls
        # Both ways of each link.
        self._source = np.concatenate([isls.a, isls.b])
        self._target = np.concatenate([isls.b, isls.a])
        self._start_s = np.tile(isls.start_s, 2)
        self._end_s = np.tile(isls.end_s, 2)

    def at_all(self, source: str, now_s: float) -> Mask:
        """Return those (N,) to whom links lead from now on, one after the other; itself too."""
        ahead = self._end_s > now_s
        one, other = self._source[ahead], self._target[ahead]
        start_s, end_s = self._start_s[ahead], self._end_s[ahead]
        there_s = np.full(len(self._isls.names), np.inf)
        there_s[self._isls.names.index(source)] = now_s
        before = np.empty_like(there_s)
        while not np.array_equal(there_s, before):
            before = there_s.copy()
            begin_s = np.maximum(start_s, before[one])
            np.minimum.at(there_s, other, np.where(begin_s < end_s, begin_s, np.inf))
        return np.isfinite(there_s)

    def within(
        self, source: str, now_s: float, hops: int | None = None, within_s: float | None = None
    ) -> Mask:
        """Return those (N,) to whom a path of links leads that are open now, itself too.

        It has at most so many ``hops``, and light takes so long over it at most.
        """
        delay_s = np.full(len(self._isls.names), np.inf)
        delay_s[self._isls.names.index(source)] = 0.0
        is_open = (self._start_s <= now_s) & (now_s < self._end_s)
        one, other = self._source[is_open], self._target[is_open]
        lasts_s = self._delays_s(np.flatnonzero(is_open), now_s, timed=within_s is not None)
        for _ in range(len(delay_s) - 1 if hops is None else hops):
            before = delay_s.copy()
            np.minimum.at(delay_s, other, before[one] + lasts_s)
            if np.array_equal(delay_s, before):
                break
        reached: Mask = delay_s <= (np.finfo(float).max if within_s is None else within_s)
        return reached

    def _delays_s(self, links: np.ndarray, now_s: float, *, timed: bool) -> Floats:
        """How long light takes over each of some links, in either way; 0 where nobody asks."""
        if not timed:
            return np.zeros(len(links))
        windows = links % len(self._isls)
        each = {window: self._isls.delay_s(window, now_s) for window in set(windows.tolist())}
        return np.array([each[window] for window in windows.tolist()])
