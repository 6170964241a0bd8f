"""Operations: what a network carries in a day, and how busy it is, by station, cluster, satellite.

Nothing is sent for that: each link counts with what it carries while it is served.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, inf, isfinite, isnan, nan
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from orbit.windows import gaps_s
from sim.capacity.blocked_time import Spans, ViewTimes, view_times
from sim.capacity.volumes import served_in_order
from sim.facts.directions import Way
from sim.facts.plan import FIGURES_OF_OPERATIONS, Operations
from sim.facts.row import columns_of
from sim.formatting import counted
from sim.plan.contacts import ContactTable, PlannedSessions
from sim.plan.feeder import FeederPlan
from sim.plan.passes import PassEnd
from sim.plan.plan import Plan
from sim.trace.arrow import array
from sim.trace.schema import COLUMNS, TEXT
from statements.arrays import Floats, Ints, Mask

DAY_S = 86_400.0
HOUR_S = 3_600.0
BITS_PER_GB = 8e9


TOTAL = "total"


def total_of(rows: Sequence[Operations]) -> Operations:
    """Return the row of all stations, or clusters, together; of gateways where there are any."""
    return [row for row in rows if row.kind == TOTAL][-1]


def ends_of(rows: Sequence[Operations]) -> list[Operations]:
    """Return the rows that the total is of: those between it and the total before."""
    last = max(number for number, row in enumerate(rows) if row.kind == TOTAL)
    kind = rows[last - 1].kind
    return [row for row in rows[:last] if row.kind == kind]


def clients_of(rows: Sequence[Operations]) -> list[Operations]:
    """Return the rows of those who are served: clusters, or satellites."""
    clusters = [row for row in rows if row.kind == "cluster"]
    ends = ends_of(rows)
    return clusters or [row for row in rows if row.kind == "satellite" and row not in ends]


def as_values(row: Operations) -> dict[str, Any]:
    """Return a row by the names of its columns."""
    return {column.name: getattr(row, column.attribute) for column in columns_of(Operations)}


def if_known(value: Any) -> Any:
    """Return a value as JSON has it: None where there is no figure, and for any number."""
    return value if not isinstance(value, float) or isfinite(value) else None


def capacity_table(rows: Sequence[Operations]) -> pa.Table:
    """Return rows as a table: null where there is no figure, and for any number at a time."""
    columns = {}
    for name, kind in COLUMNS["capacity"].items():
        values = [getattr(row, name) for row in rows]
        missing = None if kind == TEXT else ~np.isfinite(np.array(values, np.float64))
        columns[name] = array(values, missing)
    return pa.table(columns)


def operations_in(table: pa.Table) -> list[Operations]:
    """Return the rows of a table: null is no figure, or any number at a time of who serves."""
    found = []
    for row in table.to_pylist():
        figures = {name: nan if row[name] is None else row[name] for name in FIGURES_OF_OPERATIONS}
        if row["at_a_time"] is None and row["kind"] in ("station", "gateway", "relay", TOTAL):
            figures["at_a_time"] = inf
        found.append(Operations(kind=row["kind"], name=row["name"], **figures))
    return found


def operations(
    plan: Plan, carried: Carried | None = None, waiting: Mapping[str, Spans] | None = None
) -> list[Operations]:
    """Return a row for each station, or cluster, and their total; then of gateways, and satellites.

    Satellites have their links with those of the first rows; what gateways carry is on top.
    ``carried`` is :func:`carried_in` the plan, where it is known. ``waiting`` says when each client
    has something to send; None if every client has something to send all the time.
    """
    contacts = plan.contacts
    carried = carried_in(plan) if carried is None else carried
    times = view_times(contacts, waiting)
    over_links = _over_links(plan)
    rows = [*_rows(contacts, carried, times, plan.topology.grounded, contacts.grounded)]
    if plan.feeder is not None:
        seen = plan.feeder.passes_seen
        by_gateways = _by_gateways(plan.feeder)
        rows += _rows(seen, by_gateways, view_times(seen), "gateway", seen.grounded)
    rows += _rows(contacts, carried, times, "satellite", contacts.flyers, totals=False)
    return [over_links(row) for row in rows]


class _Piece(NamedTuple):
    """Bits that one service carries in one day and direction, with the number of its pass."""

    number: int
    day: int
    is_down: bool
    bits: float


@dataclass(frozen=True, eq=False)
class Carried:
    """Pieces (P,) of services as columns; ``neglected`` directions, down or up, have none.

    ``number`` is that of the pass.
    """

    number: Ints
    day: Ints
    is_down: Mask
    bits: Floats
    neglected: frozenset[str] = frozenset()

    @classmethod
    def of(cls, pieces: Sequence[_Piece], neglected: frozenset[str] = frozenset()) -> Carried:
        """Return the columns of pieces."""
        number, day, is_down, bits = zip(*pieces, strict=True) if pieces else ((), (), (), ())
        return cls(
            np.array(number, np.int64),
            np.array(day, np.int64),
            np.array(is_down, bool),
            np.array(bits, np.float64),
            neglected,
        )


def carried_in(plan: Plan) -> Carried:
    """Return what the services of a plan's contacts carry."""
    pieces: list[_Piece] = []
    neglected = set[str]()
    for contact in served_in_order(plan):
        cuts_s = _days(contact.start_s, contact.end_s)
        for way, beam in contact.links.beams:
            down = plan.topology.is_down(way)
            if beam is None:
                neglected.add("down" if down else "up")
                continue
            for begin_s, bits in zip(cuts_s[:-1], beam.saturated_bits(cuts_s), strict=True):
                day = int(begin_s // DAY_S)
                pieces.append(_Piece(contact.contact_id, day, down, float(bits)))
    return Carried.of(pieces, frozenset(neglected))


def silent_services(plan: Plan, carried: Carried) -> dict[str, int]:
    """Return how many services carry nothing ``down``, or ``up``: passes too low for the link.

    A direction that is neglected is left out.
    """
    found = {}
    for direction in ("down", "up"):
        if direction in carried.neglected:
            continue
        some = carried.is_down == (direction == "down")
        bits = np.bincount(carried.number[some], carried.bits[some], len(plan.contacts))
        found[direction] = int((plan.contacts.served & (bits == 0.0)).sum())
    return found


def _by_gateways(feeder: FeederPlan) -> Carried:
    seen = feeder.passes_seen
    pieces = []
    for number in np.flatnonzero(seen.service.served).tolist():
        for begin_s, end_s in pairwise(_days(*seen.service_s(number)).tolist()):
            bits = feeder.rate_bps * (end_s - begin_s)
            day = int(begin_s // DAY_S)
            pieces += [_Piece(number, day, down, bits) for down in (True, False)]
    return Carried.of(pieces)


def _days(start_s: float, end_s: float) -> Floats:
    """Return a span cut where days end, in seconds since the start."""
    midnights = np.arange(start_s // DAY_S + 1.0, ceil(end_s / DAY_S)) * DAY_S
    return np.concatenate([[start_s], midnights, [end_s]])


def _rows(
    contacts: ContactTable,
    carried: Carried,
    times: ViewTimes,
    kind: str,
    ends: PassEnd,
    *,
    totals: bool = True,
) -> Iterator[Operations]:
    """Yield the row of each end of contacts by its name, and of all together with ``totals``."""
    every = np.arange(len(contacts))
    which = ends.which[contacts.pass_numbers]
    limits = contacts.limits(ends)
    for number in sorted(range(len(ends.names)), key=lambda n: ends.names[n]):
        mine = every[which == number]
        yield _row(contacts, carried, times, kind, ends.names[number], limits[number], mine)
    if totals:
        name = counted(len(ends.names), kind)
        yield _row(contacts, carried, times, TOTAL, name, float(np.sum(limits)), every)


def _row(
    contacts: ContactTable,
    carried: Carried,
    times: ViewTimes,
    kind: str,
    name: str,
    at_a_time: float,
    mine: Ints,
) -> Operations:
    """Return the row of an end that has the contacts of these numbers."""
    span_s = contacts.span_s
    a_day = DAY_S / span_s
    rise_s, set_s = contacts.rise_s[mine], contacts.set_s[mine]
    served = mine[contacts.served[mine]]
    start_s, end_s = contacts.start_s[served], contacts.end_s[served]
    seen_s, _ = _covered(rise_s, set_s, span_s)
    _, gap_s = _covered(start_s, end_s, span_s)
    takes_time = bool((contacts.service.setup_s > 0.0).any())
    setup_s = float(contacts.service.setup_s[served].sum()) if takes_time else nan
    busy_s = float((end_s - start_s).sum())
    # A server counts all clients in its view; all other rows count each time of a client once.
    once = kind == TOTAL or isnan(at_a_time)
    wanted_s = times.wanted_once_s if once else times.wanted_s
    blocked_s = times.blocked_once_s if once else times.blocked_s
    down, up = (_volumes(contacts, carried, mine, is_down=is_down) for is_down in (True, False))
    return Operations(
        kind=kind,
        name=name,
        at_a_time=at_a_time,
        passes_a_day=len(mine) * a_day,
        served_a_day=len(start_s) * a_day,
        in_view_hours_a_day=float((set_s - rise_s).sum()) / HOUR_S * a_day,
        any_in_view_hours_a_day=seen_s / HOUR_S * a_day,
        busy_hours_a_day=busy_s / HOUR_S * a_day,
        blocked_share=_share(float(blocked_s[mine].sum()), float(wanted_s[mine].sum())),
        idle_share=_share(float(times.idle_s[served].sum()), busy_s),
        setup_hours_a_day=setup_s / HOUR_S * a_day,
        down_gb_a_day=down.a_day,
        up_gb_a_day=up.a_day,
        largest_down_gb_per_pass=down.per_pass,
        largest_up_gb_per_pass=up.per_pass,
        largest_down_gb_in_a_day=down.in_a_day,
        largest_up_gb_in_a_day=up.in_a_day,
        longest_gap_hours=gap_s / HOUR_S,
    )


def _share(part_s: float, whole_s: float) -> float:
    """Return a part of a time; nan if there is no such time."""
    return part_s / whole_s if whole_s > 0.0 else nan


class _Volumes(NamedTuple):
    """GB that go one way: a day in the mean, and at most in a pass and in a whole day."""

    a_day: float
    per_pass: float
    in_a_day: float


def _volumes(contacts: ContactTable, carried: Carried, mine: Ints, *, is_down: bool) -> _Volumes:
    """Return what the contacts of these numbers carry down, or up."""
    if ("down" if is_down else "up") in carried.neglected:
        return _Volumes(nan, nan, nan)
    own = np.zeros(len(contacts), bool)
    own[mine] = True
    some = own[carried.number] & (carried.is_down == is_down)
    gb = carried.bits[some] / BITS_PER_GB
    by_pass = np.bincount(carried.number[some], gb, 1)
    days = int(contacts.span_s // DAY_S)
    by_day = np.bincount(carried.day[some], gb, days + 1)[:days]
    in_a_day = float(by_day.max()) if days else nan
    return _Volumes(float(gb.sum()) * DAY_S / contacts.span_s, float(by_pass.max()), in_a_day)


def _covered(begin_s: Floats, end_s: Floats, span_s: float) -> tuple[float, float]:
    """Return how long spans last together, each time counted once, and the longest time without."""
    without_s = gaps_s(begin_s, end_s, span_s)
    return span_s - float(without_s.sum()), float(without_s.max())


def _over_links(plan: Plan) -> Callable[[Operations], Operations]:
    """Return what adds to the row of a client what it reaches over links between satellites."""
    if plan.mesh is None:
        return lambda row: row
    mesh = plan.mesh
    a_day = DAY_S / plan.stop_s / BITS_PER_GB
    gb_a_day = {name: bits * a_day for name, bits in _bits_over_links(mesh).items()}
    gaps_hours = {}
    for name, own in mesh.items():
        starts_s, ends_s = np.asarray(own.starts_s, float), np.asarray(own.ends_s, float)
        gaps_hours[name] = _covered(starts_s, ends_s, plan.stop_s)[1] / HOUR_S

    def added(row: Operations) -> Operations:
        if row.kind != plan.topology.client or row.name not in mesh:
            return row
        gap_hours, gb = gaps_hours[row.name], gb_a_day[row.name]
        return replace(row, longest_gap_over_links_hours=gap_hours, over_links_gb_a_day=gb)

    return added


def _bits_over_links(mesh: Mapping[str, PlannedSessions]) -> dict[str, float]:
    """Return what each client could send to its server in all sessions, if it were alone.

    Clients that are linked have most sessions in common, of which each is worked out once.
    """
    of_passes: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for name, own in mesh.items():
        for place, number in enumerate(np.asarray(own.numbers).tolist()):
            of_passes[number].append((name, place))
    found = dict.fromkeys(mesh, 0.0)
    for users in of_passes.values():
        known: dict[tuple[float, float, float], float] = {}
        for name, place in users:
            own = mesh[name]
            start_s = own.starts_s[place]
            key = start_s, own.ends_s[place], own.link_bps(place)
            if key not in known:
                known[key] = float(np.min(own.carried_bits(place, Way.TO_SERVER, start_s)))
            found[name] += known[key]
        for name, place in users:
            mesh[name].close(place)
    return found
