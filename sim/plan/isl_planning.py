"""The links between the satellites of a scenario: windows, outages, terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from math import inf

import numpy as np

import orbit
from orbit.utc import to_second
from scenarios.link import Isl
from sim.devices.intervals import Intervals
from sim.devices.outages import Outages
from sim.errors import InputError
from sim.formatting import counted
from sim.plan.isl import IslPlan, budget_of, fixed_isl_rate_bps
from sim.plan.isl_pairs import isl_pairs, ring_planes
from sim.plan.outage_cuts import pieces
from sim.plan.windows import other_dates
from sim.world.world import World
from statements import Code, Lower, Statement, statement_of
from statements.arrays import Floats, Ints, Mask


def isl_plan(
    world: World,
    satellites: Sequence[orbit.Satellite],
    start: datetime,
    span_s: float,
    outages: Outages,
) -> IslPlan | None:
    """Return the links of a scenario whose clients are these satellites; None without any.

    There are none in ``outages`` of the link or one of its ends.

    Raises InputError for a ring of one, or of neighbours that never see each other, and for what
    ``orbit.find_isls`` refuses.
    """
    isl = world.link.isl
    if isl is None or not isl.among_clients:
        return None
    pairs, within = isl_pairs(isl, satellites, start)
    windows = find_isls(world, isl, start, span_s, pairs)
    names = tuple(satellite.name for satellite in satellites)
    in_ring = _in_ring(isl, windows, pairs[within], names)
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
        range_km=orbit.RangesBetween(satellites, start).km,
        fixed_bps=fixed_isl_rate_bps(isl),
        budget=budget_of(isl),
        rings=tuple(tuple(names[member] for member in plane) for plane in planes),
        stop_s=span_s,
    )
    doubts = tuple(_outages_of_no_link(plan, outages))
    plan, opens = _without_outages(plan, ~windows.clipped_start, outages)
    plan = with_terminals(plan, isl, opens)
    plan = replace(plan, doubts=(*plan.doubts, *doubts))
    if isl.between_planes != "none" and plan.within.all():
        remedy = "lower grazing_km or acquisition_s, or raise max_range_km"
        if isl.windows is not None:
            one, other = (names[member] for member in pairs[~within][0])
            remedy = f"or windows of pairs like {one!r} and {other!r}, or lower acquisition_s"
        raise InputError(
            Statement.of(
                Code.NEVER_LINKED,
                "",
                "link.isl.between_planes: no link to another plane ever opens; give more terminals "
                f"than the rings use, {remedy}",
            )
        )
    return plan


def _in_ring(isl: Isl, windows: orbit.IslWindows, ring_pairs: Ints, names: Sequence[str]) -> Mask:
    """Which windows (M,) are between neighbours in a ring; InputError for a pair without any."""
    many = len(names)
    ring = np.zeros(many**2, bool)
    ring[ring_pairs @ [many, 1]] = True
    numbers = windows.a * many + windows.b
    if blind := set(np.flatnonzero(ring).tolist()) - set(numbers.tolist()):
        one, other = (names[member] for member in divmod(min(blind), many))
        if isl.windows is not None:
            raise InputError(
                Statement.of(
                    Code.NEVER_LINKED,
                    "link.isl.windows",
                    f"none of the run is between {one!r} and {other!r}, who are "
                    "neighbours in a ring; give windows of each such pair, or set "
                    "link.isl.within_plane: none",
                )
            )
        raise InputError(
            Statement.of(
                Code.NEVER_LINKED,
                "link.isl.within_plane",
                f"{one!r} and {other!r} are neighbours in a ring and never in "
                "sight of each other; take more satellites per plane, lower grazing_km or raise "
                "max_range_km",
            )
        )
    in_ring: Mask = ring[numbers]
    return in_ring


def _outages_of_no_link(plan: IslPlan, outages: Outages) -> Iterator[Statement]:
    """Say which planned outages are of two satellites that have no link at any time."""
    if not outages.links:
        return
    pairs = set(zip(plan.a.tolist(), plan.b.tolist(), strict=True))
    linked = {frozenset((plan.names[one], plan.names[other])) for one, other in pairs}
    among = [ends for ends in outages.links.keys() - linked if ends <= set(plan.names)]
    for link in sorted(" - ".join(sorted(ends)) for ends in among):
        text = "the planned outage of link {link} changes nothing: the two never have one"
        yield Statement.doubt(Code.LEFT_OUT, "faults.planned", text, link=link)


def _without_outages(plan: IslPlan, opens: Mask, outages: Outages) -> tuple[IslPlan, Mask]:
    """Return what ``outages`` leave of windows, and which of them open in the run."""
    cuts: list[Callable[[IslPlan], tuple[Ints, Sequence[Intervals]]]] = []
    if not outages.nodes.keys().isdisjoint(plan.names):
        out = outages.of(plan.names)
        cuts += [lambda now: (now.a, out), lambda now: (now.b, out)]
    if outages.links:
        cuts.append(lambda now: outages.of_links((now.names, now.names), now.a, now.b))
    for which in cuts:
        of, begin_s, end_s = pieces(plan.start_s, plan.end_s, *which(plan))
        opens = opens[of] | (begin_s > plan.start_s[of])
        order = np.argsort(begin_s)
        plan = replace(plan.where(of), start_s=begin_s, end_s=end_s).where(order)
        opens = opens[order]
    return plan, opens


SAMPLES = 65
"""Samples of the range in a window of a file that does not tell it."""


def find_isls(
    world: World, isl: Isl, start: datetime, span_s: float, pairs: Ints
) -> orbit.IslWindows:
    """Find the windows of pairs (P, 2), or read them where the scenario has a file of them.

    Pairs are indices in ``flying_of``. Raises InputError for what `orbit.find_isls` refuses, and
    for a file without any of their windows.
    """
    satellites = world.fleet.flying
    if (text := world.isl_windows) is not None:
        return _of_file(_isl_file(*text, start, satellites), satellites, span_s, pairs)
    end = start + timedelta(seconds=span_s)
    most_km = isl.values()["max_range_km"]
    try:
        return orbit.find_isls(satellites, start, end, pairs.tolist(), isl.grazing_km, most_km)
    except orbit.ElementError:
        raise
    except ValueError as error:
        raise InputError(statement_of(error).below("link", "isl")) from None


def _isl_file(
    text: str, name: str, start: datetime, satellites: Sequence[orbit.Satellite]
) -> orbit.IslFile:
    """Read a table of windows, or the contacts between satellites of a contact plan."""
    if not orbit.is_contact_plan(text):
        return orbit.parse_isl_windows(text, name, start)
    contacts = orbit.parse_contact_plan(text, name, start)
    try:
        return orbit.isls_of_plan(contacts, [satellite.name for satellite in satellites])
    except ValueError as error:
        raise InputError(Statement.of(Code.WRONG_VALUE, "link.isl.windows", str(error))) from None


def _of_file(
    file: orbit.IslFile, satellites: Sequence[orbit.Satellite], span_s: float, pairs: Ints
) -> orbit.IslWindows:
    """Return the windows of pairs (P, 2) in a file until the end; missing ranges are sampled."""
    number = {satellite.name: k for k, satellite in enumerate(satellites)}
    if unknown := sorted(set(file.satellites) - number.keys()):
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "link.isl.windows",
                f"{unknown[0]!r} is none of the {len(number)} satellites, the first "
                f"of which is {satellites[0].name!r}; name them as there",
            )
        )
    index = np.array([number[name] for name in file.satellites])
    ends = np.sort(index[np.stack([file.windows.a, file.windows.b], axis=1)], axis=1)
    linked = np.isin(ends @ [len(number), 1], pairs @ [len(number), 1])
    wanted = linked & (file.windows.start_s < span_s)
    if linked.any() and not wanted.any():
        of_pairs = file.windows.where(linked)
        first_s, last_s = float(of_pairs.start_s.min()), float(of_pairs.end_s.max())
        raise InputError(other_dates("link.isl.windows", file.start, span_s, first_s, last_s))
    if not wanted.any():
        one, other = (satellites[k].name for k in pairs[0])
        raise InputError(
            Statement.of(
                Code.WRONG_VALUE,
                "link.isl.windows",
                f"none is between satellites that are to be linked, like {one!r} and "
                f"{other!r}, within {counted(span_s / 86_400, 'day')} from {to_second(file.start)}",
            )
        )
    kept = replace(file.windows, a=ends[:, 0], b=ends[:, 1]).where(wanted)
    for k in np.flatnonzero(np.isnan(kept.min_range_km + kept.max_range_km)):
        one = satellites[kept.a[k]]
        other = satellites[kept.b[k]]
        time_s = np.linspace(kept.start_s[k], min(kept.end_s[k], span_s), SAMPLES)
        range_km = np.asarray(orbit.pair_range_km(one, other, file.start, time_s))
        kept.min_range_km[k] = range_km.min()
        kept.max_range_km[k] = range_km.max()
    over = kept.end_s > span_s
    return replace(kept, end_s=np.minimum(kept.end_s, span_s), clipped_end=kept.clipped_end | over)


def with_terminals(plan: IslPlan, isl: Isl, opens: Mask) -> IslPlan:
    """Return the windows for which there are ``terminals``, each from the end of its acquisition.

    Rings keep their terminals all the time. The others are served in the order in which they open;
    a window that waits gets terminals when one is free at both ends. A window takes
    ``acquisition_s`` where it ``opens`` during the run (M,), or has waited.
    """
    begin_s = plan.start_s.copy()
    if isl.terminals is not None:
        ring = np.unique(np.stack([plan.a, plan.b])[:, plan.within], axis=1)
        free = isl.terminals - np.bincount(ring.ravel(), minlength=len(plan.names))
        begin_s = np.where(plan.within, begin_s, _assigned(plan, free))
        opens = opens | (begin_s > plan.start_s)
    served = begin_s < plan.end_s
    begin_s = begin_s + np.where(opens, isl.acquisition_s, 0.0)
    acquired = begin_s < plan.end_s
    keep = np.flatnonzero(acquired)
    keep = keep[np.argsort(begin_s[keep], kind="stable")]
    doubts = acquisition_doubts(isl, int((served & opens).sum()), int((served & ~acquired).sum()))
    return replace(plan, start_s=begin_s, doubts=tuple(doubts)).where(keep)


MOST_LOST = 0.5
"""Share of the links that open in a run above which it is said that acquisition loses them."""


def acquisition_doubts(isl: Isl, opened: int, lost: int) -> Iterator[Statement]:
    """Say how many of the links that open in a run are ``lost``, if many are.

    These close before they are acquired.
    """
    if lost > MOST_LOST * opened:
        yield Statement.doubt(
            Code.LATE_ACQUISITION,
            "link.isl.acquisition_s",
            "{lost:,} of {opened:,} links between satellites that open in the run are over within "
            "these {acquisition_s:g} s and carry nothing; links that are open at the start count "
            "as acquired",
            Lower(),
            lost=lost,
            opened=opened,
            acquisition_s=isl.acquisition_s,
        )


def _assigned(plan: IslPlan, free: Ints) -> Floats:
    """Return when each window between planes gets its terminals (M,); inf where it never does.

    ``free`` (N,) are the terminals of each satellite that rings do not use.
    """
    begin_s = [inf] * len(plan)
    start_s, end_s = plan.start_s.tolist(), plan.end_s.tolist()
    one, other = plan.a.tolist(), plan.b.tolist()
    unused = free.tolist()
    waiting: list[int] = []
    # In order of time, as windows are: a heap. At one time, ends come before begins.
    across = np.flatnonzero(~plan.within).tolist()
    events = [(start_s[window], True, window) for window in across]
    while events:
        now_s, begins_now, window = heappop(events)
        if not begins_now:
            unused[one[window]] += 1
            unused[other[window]] += 1
            waiting = [w for w in waiting if end_s[w] > now_s]
        for w in [window] if begins_now else list(waiting):
            if unused[one[w]] > 0 and unused[other[w]] > 0:
                unused[one[w]] -= 1
                unused[other[w]] -= 1
                begin_s[w] = now_s
                heappush(events, (end_s[w], False, w))
                if not begins_now:
                    waiting.remove(w)
            elif begins_now:
                waiting.append(w)
    return np.array(begin_s)
