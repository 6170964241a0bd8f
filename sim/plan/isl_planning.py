"""The links between the satellites of a scenario: windows, outages, terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import combinations, pairwise
from math import inf, pi, radians, tau

import numpy as np

import orbit
from orbit.utc import to_second
from orbit.windows import groups, pieces
from scenarios.link import Isl
from sim.devices.outages import Intervals, Outages
from sim.errors import InputError, as_input
from sim.formatting import counted
from sim.plan.isl import IslPlan, budget_of, fixed_isl_rate_bps, joined_parts
from sim.world.fleet import other_dates
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
        raise InputError.of(
            Code.NEVER_LINKED,
            "",
            "link.isl.between_planes: no link to another plane ever opens; give more terminals "
            f"than the rings use, {remedy}",
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
            raise InputError.of(
                Code.NEVER_LINKED,
                "link.isl.windows",
                f"none of the run is between {one!r} and {other!r}, who are "
                "neighbours in a ring; give windows of each such pair, or set "
                "link.isl.within_plane: none",
            )
        raise InputError.of(
            Code.NEVER_LINKED,
            "link.isl.within_plane",
            f"{one!r} and {other!r} are neighbours in a ring and never in "
            "sight of each other; take more satellites per plane, lower grazing_km or raise "
            "max_range_km",
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
    most_km = isl.max_range_km
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
        raise InputError.of(Code.WRONG_VALUE, "link.isl.windows", str(error)) from None


def _of_file(
    file: orbit.IslFile, satellites: Sequence[orbit.Satellite], span_s: float, pairs: Ints
) -> orbit.IslWindows:
    """Return the windows of pairs (P, 2) in a file until the end; missing ranges are sampled."""
    number = {satellite.name: k for k, satellite in enumerate(satellites)}
    if unknown := sorted(set(file.satellites) - number.keys()):
        raise InputError.of(
            Code.WRONG_VALUE,
            "link.isl.windows",
            f"{unknown[0]!r} is none of the {len(number)} satellites, the first "
            f"of which is {satellites[0].name!r}; name them as there",
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
        raise InputError.of(
            Code.WRONG_VALUE,
            "link.isl.windows",
            f"none is between satellites that are to be linked, like {one!r} and "
            f"{other!r}, within {counted(span_s / 86_400, 'day')} from {to_second(file.start)}",
        )
    kept = replace(file.windows, a=ends[:, 0], b=ends[:, 1]).where(wanted)
    between = orbit.RangesBetween(satellites, file.start)
    for k in np.flatnonzero(np.isnan(kept.min_range_km + kept.max_range_km)):
        time_s = np.linspace(kept.start_s[k], min(kept.end_s[k], span_s), SAMPLES)
        range_km = np.asarray(between.km(kept.a[k], kept.b[k], time_s))
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


# Which satellites of a scenario may have links to each other: rings, and links between planes.


TIES = 9
"""Decimals to which orbits are compared: satellites in a regular pattern are equally near."""

SAME_PERIOD = 5e-4
"""How far periods in one shell are apart at most, as a share: about 2 km of altitude."""
SAME_INCLINATION_DEG = 1.0
"""How far inclinations in one shell are apart at most."""

Plane = list[int]
"""The satellites of a plane by index, in the order of the ring."""


def isl_pairs(
    isl: Isl, satellites: Sequence[orbit.Satellite], start: datetime
) -> tuple[Ints, Mask]:
    """Return pairs (P, 2) of satellites by index, and which of them are of one plane.

    Raises InputError where there are none within or between planes, as is asked for.
    """
    planes = ring_planes(satellites, start)
    ring: list[tuple[int, int]] = []
    for plane in planes if isl.within_plane == "ring" else ():
        if len(plane) < 2:
            raise InputError.of(
                Code.UNSUPPORTED,
                "link.isl.within_plane",
                f"{satellites[plane[0]].name!r} is alone in its plane; a "
                "ring needs two satellites or more",
            )
        ring += pairwise(plane)
        if len(plane) > 2:
            ring.append((plane[-1], plane[0]))
    across = _pairs_across(isl, planes, satellites, start)
    if isl.between_planes != "none" and not across:
        raise InputError.of(
            Code.WRONG_VALUE,
            "link.isl.between_planes",
            _why_none(len(satellites), len(planes)),
        )
    pairs = np.sort(np.array(ring + across, np.int64).reshape(-1, 2), axis=1)
    return pairs, np.arange(len(pairs)) < len(ring)


def _pairs_across(
    isl: Isl, planes: Sequence[Plane], satellites: Sequence[orbit.Satellite], start: datetime
) -> list[tuple[int, int]]:
    """Return pairs of satellites of different planes."""
    if isl.between_planes == "none":
        return []
    if isl.between_planes == "grid":
        return [
            pair
            for shell in _shells(planes, satellites)
            for one, other in _beside(shell)
            for pair in _abreast(one, other, satellites, start)
        ]
    both = combinations(planes, 2) if isl.between_planes == "all" else _beside(planes)
    return [(a, b) for one, other in both for a in one for b in other]


def _why_none(satellites: int, planes: int) -> str:
    if planes == 1:
        return (
            f"all {satellites} satellites share a plane; take within_plane: ring and "
            "between_planes: none, or more planes"
        )
    return (
        "grid links planes of one shell, with the same period and inclination, and each of the "
        f"{planes} planes is in a shell of its own; take neighbours or all"
    )


def _beside(planes: Sequence[Plane]) -> list[tuple[Plane, Plane]]:
    """Return pairs of planes that are next to each other, and the first and the last."""
    return [
        (one, other)
        for (number, one), (farther, other) in combinations(enumerate(planes), 2)
        if min(farther - number, len(planes) - farther + number) == 1
    ]


def _shells(
    planes: Sequence[Plane], satellites: Sequence[orbit.Satellite]
) -> list[Sequence[Plane]]:
    """Return the planes of each shell, whose satellites stay in their places to each other."""
    models = [[satellites[member].model for member in plane] for plane in planes]
    motion = np.array([np.median([model.no_kozai for model in each]) for each in models])
    tilt = np.array([np.median([model.inclo for model in each]) for each in models])
    alike = np.abs(np.log(motion[:, None] / motion)) <= SAME_PERIOD
    alike &= np.abs(tilt[:, None] - tilt) <= radians(SAME_INCLINATION_DEG)
    shell = joined_parts(len(planes), *np.nonzero(alike))
    return [[planes[number] for number in members] for members in groups(shell)]


def ring_planes(satellites: Sequence[orbit.Satellite], start: datetime) -> list[Plane]:
    """Return the satellites of each plane in the order of the ring; planes by their nodes.

    Raises InputError where planes cannot be told from the elements.
    """
    with as_input("link.isl"):
        _, plane = np.unique(orbit.planes(satellites), return_inverse=True)
    found = []
    for members in groups(plane):
        node, place, tilt = _angles([satellites[member] for member in members], start)
        # The nodes of one plane may lie on both sides of 0, and near the equator anywhere: places
        # are counted from one that all have in common.
        aside = (node - node[0] + pi) % tau - pi
        along = (place + np.cos(tilt) * aside) % tau
        in_order = members[np.argsort(along, kind="stable")].tolist()
        found.append(((node[0] + float(np.median(aside))) % tau, in_order))
    return [in_order for _, in_order in sorted(found)]


def _angles(
    satellites: Sequence[orbit.Satellite], start: datetime
) -> tuple[Floats, Floats, Floats]:
    """Return nodes, mean arguments of latitude and inclinations (N,) at the start, rad.

    They are those of the elements, at their secular rates without drag.
    """
    angles = np.empty((3, len(satellites)))
    for angle, satellite in zip(angles.T, satellites, strict=True):
        model = satellite.model
        minutes = (start - satellite.epoch).total_seconds() / 60
        angle[0] = model.nodeo + model.nodedot * minutes
        angle[1] = model.argpo + model.mo + (model.argpdot + model.no_kozai) * minutes
        angle[2] = model.inclo
    node, place = angles[:2] % tau
    return node, place, angles[2]


def _abreast(
    one: Plane, other: Plane, satellites: Sequence[orbit.Satellite], start: datetime
) -> list[tuple[int, int]]:
    """Pair satellites of two planes, each with one at most, so that they stay close together.

    The pairs have the least mean square distance over a revolution, if all orbits are circles with
    one period: the mean product of two positions is that of their phasors.
    """
    from scipy.optimize import linear_sum_assignment

    near, far = (_phasors([satellites[k] for k in plane], start) for plane in (one, other))
    nearness = np.round((near @ far.conj().T).real, TIES)
    rows, columns = linear_sum_assignment(nearness, maximize=True)
    return [(one[row], other[column]) for row, column in zip(rows, columns, strict=True)]


def _phasors(satellites: Sequence[orbit.Satellite], start: datetime) -> np.ndarray:
    """Return complex vectors (N, 3) whose real parts, turned by the mean motion, are directions."""
    node, place, tilt = _angles(satellites, start)
    to_node = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=1)
    ahead = np.stack(
        [-np.sin(node) * np.cos(tilt), np.cos(node) * np.cos(tilt), np.sin(tilt)], axis=1
    )
    phasors: np.ndarray = (to_node - 1j * ahead) * np.exp(1j * place)[:, None]
    return phasors
