"""How far the gate of a client may reach: experts that no other satellite ever has in reach."""

from __future__ import annotations

from typing import Any

import numpy as np

from channel import SPEED_OF_LIGHT_M_S
from learning.requests.cluster import Floats
from sim.errors import InputError
from sim.formatting import counted
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.plan.remedies import more_links
from sim.world.world import World
from statements import Code, Other, Raise, Remove, Set, Statement

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
