"""The links between the satellites of a scenario: pairs, windows, outages, terminals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

import orbit
from learning.requests.cluster import Ints, Mask
from scenarios import Scenario
from sim.devices.faults import Intervals
from sim.errors import InputError
from sim.plan.isl import IslPlan
from sim.plan.isl_budget import budget_of, fixed_rate_bps
from sim.plan.isl_pairs import isl_pairs, ring_planes
from sim.plan.isl_terminals import with_terminals
from sim.plan.isl_windows import find_isls
from sim.plan.outage_cuts import pieces


def isl_plan(
    scenario: Scenario,
    satellites: Sequence[orbit.Satellite],
    start: datetime,
    span_s: float,
    out: Sequence[Intervals],
) -> IslPlan | None:
    """Return the links of a scenario whose clients are these satellites; None without any.

    There are none to a satellite while it is ``out``.

    Raises InputError for a ring of one, or of neighbours that never see each other, and for what
    ``orbit.find_isls`` refuses.
    """
    isl = scenario.link.isl
    if isl is None or not isl.among_clients:
        return None
    pairs, within = isl_pairs(isl, satellites, start)
    windows = find_isls(scenario, isl, start, span_s, pairs)
    names = tuple(satellite.name for satellite in satellites)
    in_ring = _in_ring(windows, pairs[within], names)
    planes = ring_planes(satellites, start) if isl.within_plane == "ring" else []
    plan = IslPlan(
        names=names,
        a=windows.a,
        b=windows.b,
        start_s=windows.start_s,
        end_s=windows.end_s,
        min_range_km=windows.min_range_km,
        max_range_km=windows.max_range_km,
        within=in_ring,
        range_km=lambda a, b, time_s: orbit.pair_range_km(
            satellites[a], satellites[b], start, time_s
        ),
        fixed_bps=fixed_rate_bps(isl),
        budget=budget_of(isl),
        rings=tuple(tuple(names[member] for member in plane) for plane in planes),
    )
    plan, opens = _without_outages(plan, ~windows.clipped_start, out)
    plan = with_terminals(plan, isl, opens)
    if isl.between_planes != "none" and plan.within.all():
        raise InputError(
            "link.isl.between_planes: no link to another plane ever opens; give more terminals "
            "than the rings use, lower grazing_km or acquisition_s, or raise max_range_km"
        )
    return plan


def _in_ring(windows: orbit.IslWindows, ring_pairs: Ints, names: Sequence[str]) -> Mask:
    """Which windows (M,) are between neighbours in a ring; InputError for a pair without any."""
    many = len(names)
    ring = np.zeros(many**2, bool)
    ring[ring_pairs @ [many, 1]] = True
    numbers = windows.a * many + windows.b
    if blind := set(np.flatnonzero(ring).tolist()) - set(numbers.tolist()):
        one, other = (names[member] for member in divmod(min(blind), many))
        raise InputError(
            f"link.isl.within_plane: {one!r} and {other!r} are neighbours in a ring and never in "
            "sight of each other; take more satellites per plane, lower grazing_km or raise "
            "max_range_km"
        )
    in_ring: Mask = ring[numbers]
    return in_ring


def _without_outages(plan: IslPlan, opens: Mask, out: Sequence[Intervals]) -> tuple[IslPlan, Mask]:
    """Return what outages of either end leave of windows, and which of them open in the run."""
    if not any(len(spells.begin_s) for spells in out):
        return plan, opens
    for end in ("a", "b"):
        of, begin_s, end_s = pieces(plan.start_s, plan.end_s, getattr(plan, end), out)
        opens = opens[of] | (begin_s > plan.start_s[of])
        order = np.argsort(begin_s)
        plan = replace(plan.where(of), start_s=begin_s, end_s=end_s).where(order)
        opens = opens[order]
    return plan, opens
