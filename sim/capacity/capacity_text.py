"""What a network carries in a day, in an operator's words: a finding, tables, and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from math import floor, isfinite, isinf, isnan, log10, nan
from statistics import median
from typing import Any, NamedTuple

from sim.capacity.limits import (
    STATIONS,
    DailyVolume,
    Limits,
    Tried,
    limited_by,
    limiting_rows,
    limiting_stations,
    served_share,
)
from sim.capacity.operations import (
    TOTAL,
    as_values,
    clients_of,
    ends_of,
    if_known,
    total_of,
)
from sim.facts.plan import Operations
from sim.formatting import (
    WIDTH,
    counted,
    duration,
    listed,
    percent,
    short_size,
    some,
    table,
)

MOST_PLACES = 10
"""Stations, or clusters, of which each has a line; of more, those that carry the most."""
MOST_NAMED = 3
"""Stations that a sentence names, and planned outages."""
GB_BYTES = 1e9
OF_SERVERS = {"relay": ("terminal", "terminals"), "satellite": ("beam", "beams")}
"""What servers have of which there may be too few; stations and gateways have dishes."""
LONGEST_NAMES = 35
"""Letters that their names may take in the first line."""
LEAST_GAIN_SAID = 0.005
"""Share that one more dish has to add for it to be said."""

Table = tuple[str, list[str], list[list[str]]]
"""Caption, heads and cells."""


class LeftOut(NamedTuple):
    """Stations that are left out, and the rows of the network that has them."""

    names: Sequence[str]
    before: Sequence[Operations]


class Access(NamedTuple):
    """Clients and what serves them, by kind (such as satellite and station), and their total."""

    total: Operations
    clients: str
    servers: str


class Overload(NamedTuple):
    """A kind of payloads whose queues grow: the GB a day that it asks for, and those it gets."""

    name: str
    asked_gb_a_day: float
    delivered_gb_a_day: float


@dataclass(frozen=True)
class Capacity:
    """What a network carries, what limits it, and what it carried before stations were left out.

    ``silent`` counts services that carry nothing, by direction. ``out`` says who is out as planned,
    and when. ``overloads`` are kinds of payloads whose queues grow; without traffic, every client
    has something to send all the time.
    """

    rows: Sequence[Operations]
    limits: Limits
    silent: Mapping[str, int] = field(default_factory=dict)
    out: Sequence[str] = ()
    left_out: LeftOut | None = None
    overloads: Sequence[Overload] = ()
    has_traffic: bool = False

    @cached_property
    def total(self) -> Operations:
        """The row of all stations, or clusters, or gateways, together."""
        return total_of(self.rows)

    @cached_property
    def ends(self) -> list[Operations]:
        """The rows that the total is of."""
        return ends_of(self.rows)

    @cached_property
    def clients(self) -> list[Operations]:
        """The rows of those who are served: clusters, or satellites."""
        return clients_of(self.rows)

    @cached_property
    def limited_by(self) -> str:
        """What limits the network: ``demand``, ``antennas`` or ``visibility``."""
        return limited_by(self.rows)

    @cached_property
    def _access(self) -> Access:
        """Where clients wait the longest for an antenna."""
        totals = [number for number, row in enumerate(self.rows) if row.kind == TOTAL]
        number = max(totals, key=lambda n: (self.rows[n].blocked_share, n))
        ends = self.rows[number - 1].kind
        clients = "satellite" if ends == "gateway" else self.clients[0].kind
        servers = "satellite" if ends == "cluster" else ends
        return Access(self.rows[number], clients, servers)

    @cached_property
    def _limiting(self) -> list[Operations]:
        """The rows whose antennas are the limit, those with the most blocked time first."""
        rows = [row for row in limiting_rows(self.rows) if row.kind == self._access.servers]
        return sorted(rows, key=lambda row: row.blocked_share, reverse=True)

    @property
    def _dishes(self) -> tuple[str, str]:
        """What a server has of which there may be too few: one, and several."""
        return OF_SERVERS.get(self._access.servers, ("dish", "dishes"))

    @property
    def finding(self) -> str:
        """What is carried, and what limits it or what a station that is left out has carried."""
        total = self.total
        if total.in_view_hours_a_day == 0.0:
            return (
                f"{total.name} {'sees' if len(self.ends) == 1 else 'see'} nothing in all the time"
            )
        if self.left_out is None:
            return f"{_both_ways(total)}; {self._limit_said}"
        before = dict(_ways(total_of(self.left_out.before)))
        less = [f"{_changed(gb, before[way])} {way}" for way, gb in _ways(total) if way in before]
        return f"{_both_ways(total)} without {listed(self.left_out.names)}: {', '.join(less)}"

    @property
    def _limit_said(self) -> str:
        if self.limited_by != "antennas":
            limit = "demand" if self.limited_by == "demand" else "the time in view"
            return f"{limit} is the limit"
        dish, dishes = self._dishes
        names = [row.name for row in self._limiting if row.kind in STATIONS]
        if not names:
            return f"the {dishes} are the limit"
        if len(names) > 1:
            whose = listed(names)
            if len(names) > MOST_NAMED or len(whose) > LONGEST_NAMES:
                whose = counted(len(names), self._limiting[0].kind)
            return f"the {dishes} of {whose} are the limits"
        count = self._limiting[0].at_a_time
        own = f"one {dish} is" if count == 1.0 else f"{count:.0f} {dishes} are"
        return f"{names[0]}'s {own} the limit"

    @property
    def advice(self) -> list[str]:
        """What one more brings, what is lost, who is out, and who is never served: a line each."""
        found = []
        for kind in self.overloads:
            asked, got = (short_size(GB_BYTES * gb) for gb in kind[1:])
            found.append(f"Overload: {kind.name} asks for {asked} a day and gets {got}.")
        found += [] if self.left_out is not None else [*self._waits(), *self._more()]
        if self.total.setup_hours_a_day > 0.0:
            spent = f"{self.total.setup_hours_a_day:.1f} h a day"
            found.append(f"Beside what they serve, dishes turn and acquire for {spent}.")
        for way, count in self.silent.items():
            if count:
                found.append(silent_text(count, way))
        if self.out and self.left_out is None:
            found.append(f"Out as planned, and counted as that: {some(self.out, MOST_NAMED)}.")
        return [*found, *self._gaps()]

    def _waits(self) -> Iterator[str]:
        """Say which share of the time clients wait for an antenna, and have nothing to send."""
        total, clients, _ = self._access
        if isnan(total.blocked_share) or isinf(total.at_a_time):
            return
        share = percent(total.blocked_share, 0)
        waits = f"{clients.capitalize()}s wait for a free {self._dishes[0]} in {share} of their"
        yield f"{waits} time in view{' with something to send' if self.has_traffic else ''}."
        if total.idle_share > 0.0:
            idle = percent(total.idle_share, 0)
            yield f"While served, they have nothing to send in {idle} of the time."

    def _more(self) -> Iterator[str]:
        """Say what one more dish brings where it is the limit, and else what is served."""
        dish, _ = self._dishes
        if self.total.in_view_hours_a_day == 0.0:
            return
        names = [row.name for row in self._limiting]
        limiting = [one for one in self.limits.tried if one.station in names]
        at_all = [one for one in self.limits.tried if not one.station]
        if limiting:
            most = max(limiting, key=self.limits.gain)
            where = f"at {most.station} alone" if len(names) > 1 else "there"
            yield f"{self._one_more} {where} carries {self._brought(most)}."
        elif at_all and self.limited_by == "antennas":
            kind = self.ends[0].kind
            where = {"cluster": " on each satellite", "relay": ""}.get(kind, f" at each {kind}")
            yield f"One more {dish}{where} carries {self._brought(at_all[0])}."
        else:
            gain = max(map(self.limits.gain, self.limits.tried), default=0.0)
            more = (
                f"; one more {dish} adds {percent(gain, 0)} at most"
                if gain >= LEAST_GAIN_SAID
                else ""
            )
            yield f"{percent(served_share(self.rows), 0)} of the hours in view are served{more}."

    @property
    def _one_more(self) -> str:
        alone = all(row.at_a_time == 1.0 for row in self.ends)
        return f"{'A second' if alone else 'One more'} {self._dishes[0]}"

    def _brought(self, one: Tried) -> str:
        """Say what is carried with one more, in the direction of most, and the share it adds."""
        more = one.one_more
        assert more is not None  # of what is a limit
        way = " up" if more.most != more.down_gb_a_day else ""
        return f"{short_size(GB_BYTES * more.most)}{way} ({percent(self.limits.gain(one), 0, '+')})"

    def _gaps(self) -> Iterator[str]:
        clients = self.clients
        if not clients or self.total.in_view_hours_a_day == 0.0:
            return
        never = [row.name for row in clients if row.served_a_day == 0.0]
        if never:
            are = "is" if len(never) == 1 else "are"
            of = counted(len(clients), clients[0].kind)
            yield f"{len(never)} of {of} {are} never served: {some(never, MOST_NAMED)}."
        if len(clients) == 1 and clients[0].kind != "cluster":
            gap = duration(clients[0].longest_gap_hours * 3600.0)
            yield f"The longest time without service is {gap}."
        over_links = [row.longest_gap_over_links_hours for row in clients]
        if not any(map(isnan, over_links)):
            over_s = duration(max(over_links) * 3600.0)
            yield f"Over links between satellites the server is out of reach for {over_s} at most."

    def tables(self, most: int = MOST_PLACES) -> list[Table]:
        """Return the tables of places, of the first ones, and of what is between the satellites."""
        if self.left_out is not None:
            return [self._compared(self.left_out)]
        found = [self._places(ends, most) for ends in self._grounded]
        flying = [row for row in self.rows if row.kind == "satellite"]
        return [*found, _among(flying)] if len(flying) > 1 else found

    @property
    def _grounded(self) -> list[list[Operations]]:
        """The rows that the total is of, and behind gateways those of clusters."""
        behind = self.ends[0].kind == "gateway" and self.clients[0].kind == "cluster"
        return [self.ends, self.clients] if behind else [self.ends]

    def _places(self, ends: Sequence[Operations], most: int) -> Table:
        """Return a row for each place, those that carry the most first, and one for all of them."""
        kind = ends[0].kind
        alone = all(not row.at_a_time > 1.0 for row in ends)
        rows = sorted(ends, key=_most, reverse=True)[:most]
        totals = [row for row in self.rows if row.name == counted(len(ends), kind) and ends[1:]]
        busy = [f"{row.busy_hours_a_day:.1f}" for row in rows]
        passes = [f"{row.served_a_day:,.0f} of {row.passes_a_day:,.0f}" for row in rows]
        columns = {
            "GB down\na day": _figures([row.down_gb_a_day for row in (*rows, *totals)]),
            "GB up\na day": _figures([row.up_gb_a_day for row in (*rows, *totals)]),
            f"busy h\n{'of 24' if alone else 'a day'}": busy,
            "in view\nserved": [percent(_served_part(row), 0) for row in rows],
            "\nblocked": [_blocked(row) for row in rows],
            "passes a day\nserved": passes,
        }
        tried = {one.station: one for one in self.limits.tried}
        if any(row.name in tried for row in ends):
            now = self.limits.now
            each = [tried.get(row.name, Tried("")) for row in rows]
            more, dish = self._one_more.lower().rsplit(" ", 1)
            columns |= {
                f"{more}\n{dish} here": [_change(one.one_more, now) for one in each],
                "without\nit": [_change(one.without, now) for one in each],
            }
        elif kind == "cluster":
            columns["without\nservice, h"] = _hours([row.longest_gap_hours for row in rows])
        names = [*(row.name for row in rows), *("all" for _ in totals)]
        return f"By {kind}", *_columns(f"\n{kind}", names, columns)

    def _compared(self, left_out: LeftOut) -> Table:
        """Return a row with the stations that are left out, and one without them."""
        each = [(total_of(rows), clients_of(rows)) for rows in (left_out.before, self.rows)]
        gaps = [max(row.longest_gap_hours for row in clients) for _, clients in each]
        columns = {
            "GB a day down": _figures([total.down_gb_a_day for total, _ in each]),
            "GB a day up": _figures([total.up_gb_a_day for total, _ in each]),
            "without service, h": _hours(gaps),
        }
        whom = listed(left_out.names)
        return f"Without {whom}", *_columns("", [f"with {whom}", "without"], columns)

    @property
    def text(self) -> str:
        """The finding, what helps, and the tables."""
        said = [self.finding, *self.advice]
        for ends in self._grounded if self.left_out is None else ():
            if len(ends) > MOST_PLACES:
                of = f"Of {counted(len(ends), ends[0].kind)} the {MOST_PLACES} that carry the most"
                said.append(f"{of} are shown; --csv FILE.csv has all.")
        parts = ["\n".join(said)]
        parts += [_aligned(one) for one in self.tables()]
        return "\n\n".join(parts)

    @property
    def json(self) -> dict[str, Any]:
        """The same as JSON: null where there is no figure, and for any number at a time."""
        limits = self.limits
        found = {
            "finding": self.finding,
            "limited_by": self.limited_by,
            "limiting_stations": limiting_stations(self.rows),
            "served_share": served_share(self.rows),
            "carry_nothing": dict(self.silent),
            "advice": self.advice,
            "rows": [
                {name: if_known(value) for name, value in as_values(row).items()}
                for row in self.rows
            ],
            "one_more": [
                {"station": one.station or None, "gain": limits.gain(one)}
                | _gb_per_day(one.one_more.down_gb_a_day, one.one_more.up_gb_a_day)
                for one in limits.tried
                if one.one_more is not None
            ],
            "without": None,
        }
        if self.left_out is not None:
            now, then = _most(self.total), _most(total_of(self.left_out.before))
            found["without"] = _gb_per_day(self.total.down_gb_a_day, self.total.up_gb_a_day) | {
                "station": ", ".join(self.left_out.names),
                "change": now / then - 1.0 if then > 0.0 else 0.0,
            }
        return found


def silent_text(count: int, way: str) -> str:
    """Say how many passes carry nothing."""
    carry = "carries" if count == 1 else "carry"
    return f"{count} of the passes that are served {carry} nothing {way}: too low for the link."


def _columns(
    head: str, names: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells; a column without any figure is left out, and shorter ones end."""
    kept = {head: cells for head, cells in columns.items() if {*cells} != {"-"}}
    cells = zip_longest(names, *kept.values(), fillvalue="")
    return [head, *kept], [list(row) for row in cells]


def _gb_per_day(down_gb: float, up_gb: float) -> dict[str, Any]:
    return {"gb_down_per_day": if_known(down_gb), "gb_up_per_day": if_known(up_gb)}


def _ways(row: Operations) -> list[tuple[str, float]]:
    """Return what goes down and up in a day; a direction that is neglected takes no time."""
    both = (("down", row.down_gb_a_day), ("up", row.up_gb_a_day))
    return [(way, gb) for way, gb in both if not isnan(gb)]


def _most(row: Operations) -> float:
    return max((gb for _, gb in _ways(row)), default=0.0)


def _both_ways(row: Operations) -> str:
    sizes = ((short_size(GB_BYTES * gb), way) for way, gb in _ways(row))
    return ", ".join(f"{size}{'' if n else ' a day'} {way}" for n, (size, way) in enumerate(sizes))


def _changed(now: float, before: float) -> str:
    change = round(now / before - 1.0, 2) if before > 0.0 else 0.0
    return f"{percent(abs(change), 0)} {'less' if change < 0 else 'more'}" if change else "as much"


def _change(one: DailyVolume | None, now: DailyVolume) -> str:
    return "-" if one is None else percent(one.since(now), 0, "+")


def _served_part(row: Operations) -> float:
    """Return the part of the time in view that is served: of a cluster any satellite will do."""
    of_cluster = row.kind == "cluster"
    seen = row.any_in_view_hours_a_day if of_cluster else row.in_view_hours_a_day
    return row.busy_hours_a_day / seen if seen > 0.0 else nan


def _blocked(row: Operations) -> str:
    """Show the share of blocked time, of which there is none with any number of antennas."""
    return "-" if isinf(row.at_a_time) else percent(row.blocked_share, 0)


def _figures(values: Sequence[float]) -> list[str]:
    """Show a column in three digits of its largest value, or more; as many behind the point."""
    most = max((value for value in values if isfinite(value)), default=0.0)
    digits = max(0, 2 - floor(log10(most))) if most > 0.0 else 0
    return ["-" if isnan(value) else f"{value:,.{digits}f}" for value in values]


def _hours(values: Sequence[float]) -> list[str]:
    digits = 1 if max(values) >= 1.0 else 2
    return ["-" if isnan(value) else f"{value:.{digits}f}" for value in values]


def _among(flying: Sequence[Operations]) -> Table:
    """Return the least, the median and the most of satellites, each figure by itself."""
    down = [row.down_gb_a_day for row in flying]
    way, gb = ("up", [row.up_gb_a_day for row in flying]) if isnan(down[0]) else ("down", down)
    worst = max(flying, key=lambda row: row.longest_gap_hours)
    rows: list[tuple[str, Callable[[Sequence[float]], list[str]], list[float], str]] = [
        (f"GB {way} a day", _figures, gb, ""),
        ("without service, h", _hours, [row.longest_gap_hours for row in flying], worst.name),
        ("hours served a day", _hours, [row.busy_hours_a_day for row in flying], ""),
    ]
    cells = [
        [head, *shown([min(values), median(values), max(values)]), who]
        for head, shown, values, who in rows
    ]
    heads = [counted(len(flying), "satellite"), "least", "median", "most", ""]
    return "Of all satellites, each figure by itself", heads, cells


def _aligned(found: Table) -> str:
    """Return a table as text, its heads on two lines; what is too wide lacks its passes."""
    _, heads, cells = found
    passes = next((n for n, head in enumerate(heads) if head.startswith("passes")), None)
    text = table(heads, cells)
    if passes is not None and max(map(len, text.splitlines())) > WIDTH:
        heads, *cells = ([*row[:passes], *row[passes + 1 :]] for row in (heads, *cells))
        text = table(heads, cells)
    return text
