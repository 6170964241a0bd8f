"""Reach over links between satellites: over those that are open now, or at all by the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from channel import SPEED_OF_LIGHT_M_S
from sim.errors import InputError
from sim.formatting import counted
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.plan.remedies import more_links
from sim.world.world import World
from statements import Code, Other, Raise, Remove, Set, Statement
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


LIMITS = ("reach_hops", "reach_ms")
"""Options of a method that limit over how many links, and how far, an expert may be asked."""


def check_reach(world: World, plan: Plan, options: Any) -> None:
    """Raise InputError for limits without links that messages take one after the other.

    And, where clients are queried, for an expert that nobody else has in reach at any time: it is
    never asked. Over no link at all, no way at all, or by a local gate, every client is to answer
    by itself, and nothing is refused.
    """
    hops, reach_ms = (getattr(options, key, None) for key in LIMITS)
    if plan.mesh is None or plan.isls is None:
        for key, limit in zip(LIMITS, (hops, reach_ms), strict=True):
            if limit is not None:
                raise InputError(
                    Statement.of(
                        Code.UNUSED,
                        f"learning.options.{key}",
                        "is of links between satellites that messages take one after the other",
                        Remove(),
                        Set("link.isl.route", "earliest"),
                    )
                )
        return
    if hops == 0 or reach_ms == 0.0 or getattr(options, "gate", None) == "local":
        return
    if not getattr(options, "inference_samples", 0):
        return
    nearest_ms = _nearest_ms(plan.isls)
    lost = np.flatnonzero(nearest_ms > (np.finfo(float).max if reach_ms is None else reach_ms))
    if not lost.size:
        return
    name, least_ms = plan.isls.names[lost[0]], nearest_ms[lost[0]]
    others = f", nor those of {counted(lost.size - 1, 'other')}" if lost.size > 1 else ""
    if least_ms == np.inf:
        raise InputError(
            Statement.of(
                Code.NEVER_LINKED,
                "link.isl",
                f"nobody reaches the expert of {{name!r}}, which has no link at any time{others}",
                *more_links(world),
                name=name,
            )
        )
    raise InputError(
        Statement.of(
            Code.WRONG_VALUE,
            "learning.options.reach_ms",
            f"nobody reaches the expert of {{name!r}}, whose shortest link takes {{least_ms:.3g}} "
            f"ms{others}",
            Raise(),
            Other(said="set it to 0 for the own experts alone"),
            name=name,
            least_ms=float(least_ms),
        )
    )


def _nearest_ms(isls: IslPlan) -> Floats:
    """Return the least light time of any link (N,) of each satellite; inf where it has none."""
    nearest_ms = np.full(len(isls.names), np.inf)
    each_ms = isls.min_range_km * 1e6 / SPEED_OF_LIGHT_M_S
    for ends in (isls.a, isls.b):
        np.minimum.at(nearest_ms, ends, each_ms)
    return nearest_ms
