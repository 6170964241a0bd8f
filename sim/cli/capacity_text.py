"""What a network carries in a day, in an operator's words: a finding, tables, and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan
from statistics import median
from typing import Any

from sim.formatting import counted, data_size, duration, legend_of, some, table
from sim.plan.operations import TOTAL, OneMore, Operations

WORTH = 0.05
"""Share that one more dish has to add for dishes to be the limit."""
MOSTLY_SERVED = 0.95
"""Share of the time in view that is served up to which it is said that a dish would not help."""
MOST_SATELLITES = 20
"""Satellites up to which each has a line; of more, the least, the median and the most."""
GB_BYTES = 1e9
HEADS = {name: head for name, (head, _) in legend_of("capacity").items()}
"""Short heads of columns, for the terminal and the page; files keep the full names."""
FEW = ("least", "median", "most")
OF_SERVERS = {"relay": ("terminal", "terminals"), "satellite": ("beam", "beams")}
"""What servers have of which there may be too few; stations and gateways have dishes."""
TIME = "time in view"
MOST_OUT = 3
"""Planned outages that are named."""

Table = tuple[str, list[str], list[list[str]]]
"""Caption, heads and cells."""


@dataclass(frozen=True)
class Capacity:
    """What a network carries, and the same with one more dish or beam on every server.

    ``more`` is None where nobody shares a dish or beam, or where every pass is served in full.
    ``out`` says who is out as planned, and when.
    """

    rows: Sequence[Operations]
    more: tuple[OneMore, Sequence[Operations]] | None = None
    out: Sequence[str] = ()

    @property
    def total(self) -> Operations:
        """The row of all stations, or clusters, or gateways, together."""
        return total_of(self.rows)

    @property
    def ends(self) -> list[Operations]:
        """The rows that the total is of."""
        return _ends_of(self.rows)

    @property
    def satellites(self) -> list[Operations]:
        """The rows of the satellites that are not what the total is of."""
        return [row for row in self.rows if row.kind == "satellite" and row not in self.ends]

    @property
    def servers(self) -> list[Operations]:
        """The rows of those that share dishes or beams among others."""
        of_ends = [row for row in self.ends if not isnan(row.at_a_time)]
        return of_ends or self.satellites

    @property
    def dish(self) -> str:
        """What a server has of which there may be too few."""
        return self._dishes[0]

    @property
    def _dishes(self) -> tuple[str, str]:
        kind = self.servers[0].kind if self.servers else "satellite"
        return OF_SERVERS.get(kind, ("dish", "dishes"))

    @property
    def gain(self) -> float:
        """Share that one more dish adds to what is carried; 0 where nothing was planned anew."""
        if self.more is None:
            return 0.0
        now, then = _most_way(self.total), _most_way(total_of(self.more[1]))
        return then / now - 1.0 if now > 0.0 else inf if then > 0.0 else 0.0

    @property
    def clients(self) -> list[Operations]:
        """The rows of those who are served: clusters, or satellites."""
        clusters = [row for row in self.rows if row.kind == "cluster"]
        return clusters or self.satellites

    @property
    def served_share(self) -> float:
        """Share of the time in which a client is in view, of any server, that is served.

        Of gateways that of all their passes: a satellite may be in view of several.
        """
        if self.ends[0].kind == "gateway":
            return _share(self.total.busy_hours_a_day, self.total.in_view_hours_a_day)
        share = _share(
            sum(row.busy_hours_a_day for row in self.clients),
            sum(row.any_in_view_hours_a_day for row in self.clients),
        )
        return min(share, 1.0)  # but for rounding

    @property
    def limit(self) -> str:
        """What limits the bytes: ``dishes``, ``beams``, ``terminals`` or ``time in view``."""
        return TIME if self.gain < WORTH else self._dishes[1]

    @property
    def finding(self) -> str:
        """What is carried, and what limits it, in a sentence."""
        total = self.total
        if total.in_view_hours_a_day == 0.0:
            return f"{total.name} {_verb(self.ends, 'see', 'sees')} nothing in all the time."
        carry = f"{total.name} {_verb(self.ends, 'carry', 'carries')} {_both_ways(total)}"
        share = f"{self.served_share:.0%} of the hours in view"
        if self.limit == TIME:
            more = ""
            if self.more is not None and self.served_share < MOSTLY_SERVED:
                more = f"; one more {self.dish} at each adds {self.gain:.1%}"
            return f"{carry}; the time in view is the limit: {share} are served{more}."
        each = _share(
            sum(row.busy_hours_a_day for row in self.servers),
            sum(row.at_a_time for row in self.servers if isfinite(row.at_a_time)),
        )
        whose = "its" if len(self.servers) == 1 else "their"
        lost = _share(
            sum(row.setup_hours_a_day for row in self.servers),
            sum(row.at_a_time for row in self.servers if isfinite(row.at_a_time)),
        )
        turning = "" if isnan(lost) else f" besides {lost:.1f} h of acquiring"
        busy = f"busy {each:.1f} of 24 h{turning}"
        return f"{carry}; {whose} {self.limit} are the limit: {busy}, {share}."

    @property
    def advice(self) -> list[str]:
        """Who is out, what one more dish gives, and how long the longest gaps are: a line each."""
        found = []
        if self.out:
            found.append(f"Out as planned, and counted as that: {some(self.out, MOST_OUT)}.")
        if self.more is not None and self.limit != TIME:
            one, rows = self.more
            found.append(
                f"One more {self.dish} at each {self.servers[0].kind} ({one.setting}) gives "
                f"{_both_ways(total_of(rows))}: {self.gain:+.0%}."
            )
        return [*found, *self._gaps()]

    def _gaps(self) -> Iterator[str]:
        clients = self.clients
        if not clients or self.total.in_view_hours_a_day == 0.0:
            return
        whom = "satellite" if clients[0].kind == "cluster" else self.ends[0].kind
        never = [row.name for row in clients if row.served_a_day == 0.0]
        if never:
            are = "is" if len(never) == 1 else "are"
            of = counted(len(clients), clients[0].kind)
            yield f"{len(never)} of {of} {are} never served: {some(never, 3)}."
        longest = max(clients, key=lambda row: row.longest_gap_hours)
        over_links = [row.longest_gap_over_links_hours for row in clients]
        linked = ""
        if not any(map(isnan, over_links)):
            over_s = duration(max(over_links) * 3600.0)
            linked = f"; over links between satellites the server is out of reach for {over_s}"
        gap = duration(longest.longest_gap_hours * 3600.0)
        yield f"The longest time without a {whom} is {gap} ({longest.name}){linked}."

    def tables(self, most: int = MOST_SATELLITES) -> list[Table]:
        """Return the tables of places, and of satellites: of more than ``most`` a summary."""
        found = []
        for kind in dict.fromkeys(row.kind for row in self.rows if row.kind != TOTAL):
            rows = [row for row in self.rows if row.kind == kind]
            if kind == "satellite" and len(rows) > most:
                caption = f"By satellite, of {len(rows)}, each column by itself"
                found.append((caption, *_cells("", _few(rows))))
            else:
                found.append((f"By {kind}", *_cells_of(self.rows, kind)))
        return found

    def table_with_more(self) -> list[Table]:
        """Return the table of the first ends with one more dish each; none where nobody has it."""
        if self.more is None:
            return []
        one, rows = self.more
        caption = f"With one more {self.dish} at each {self.servers[0].kind} ({one.setting})"
        return [(caption, *_cells_of(rows, self.ends[0].kind))]

    @property
    def text(self) -> str:
        """The finding, what helps, and the tables."""
        parts = ["\n".join([self.finding, *self.advice])]
        for number, (caption, heads, cells) in enumerate(self.tables()):
            about = "" if number else "; a day in the mean, and the largest file per pass and day"
            parts.append(f"{caption}{about}\n{table(heads, cells)}")
        return "\n\n".join(parts)

    @property
    def json(self) -> dict[str, Any]:
        """The same as JSON: null where there is no figure, and for any number at a time."""
        more = None
        if self.more is not None:
            one, rows = self.more
            more = {
                "setting": one.setting,
                "gain": _known(self.gain),
                "rows": [*map(_as_json, rows)],
            }
        return {
            "finding": self.finding,
            "limit": self.limit,
            "served_share": _known(self.served_share),
            "advice": self.advice,
            "rows": [*map(_as_json, self.rows)],
            "one_more": more,
        }


def total_of(rows: Sequence[Operations]) -> Operations:
    """Return the row of all stations, or clusters, together; of gateways where there are any."""
    totals = [row for row in rows if row.kind == TOTAL]
    return totals[-1]


def _ends_of(rows: Sequence[Operations]) -> list[Operations]:
    """Return the rows that the total is of: those between it and the total before."""
    last = max(number for number, row in enumerate(rows) if row.kind == TOTAL)
    kind = rows[last - 1].kind
    return [row for row in rows[:last] if row.kind == kind]


def _most_way(row: Operations) -> float:
    """Return the GB a day of the way that carries more."""
    return max((gb for gb in (row.down_gb_a_day, row.up_gb_a_day) if not isnan(gb)), default=0.0)


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0


def _verb(rows: Sequence[Operations], several: str, one: str) -> str:
    return one if len(rows) == 1 else several


def _both_ways(row: Operations) -> str:
    """Say what goes down and up in a day; a direction that is neglected takes no time."""
    ways = [
        f"{_size(gb)} a day {way}" if number == 0 else f"{_size(gb)} {way}"
        for number, (gb, way) in enumerate(
            (gb, way)
            for gb, way in ((row.down_gb_a_day, "down"), (row.up_gb_a_day, "up"))
            if not isnan(gb)
        )
    ]
    return " and ".join(ways)


def _size(gb: float) -> str:
    return f"{_number(gb)} GB" if gb >= 1.0 else data_size(gb * GB_BYTES)


def _number(value: float) -> str:
    """Show a figure in three digits or more, none behind the point of what is large."""
    if isnan(value):
        return "-"
    if value == inf:
        return "any"
    return f"{value:,.0f}" if value >= 100.0 or value == 0.0 else f"{value:.3g}"


def _cells(name: str, rows: Sequence[tuple[str, Operations]]) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells; a column without any figure is left out."""
    fields = [
        field
        for field in Operations._fields[2:]
        if any(not isnan(getattr(row, field)) for _, row in rows)
    ]
    cells = [[called, *(_cell(field, row) for field in fields)] for called, row in rows]
    return [name, *(HEADS[field] for field in fields)], cells


def _cells_of(rows: Sequence[Operations], kind: str) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells of the ends of a kind, and of their total if there is one."""
    own = [row for row in rows if row.kind == kind]
    name = counted(len(own), kind)
    own += [row for row in rows if (row.kind, row.name) == (TOTAL, name)]
    return _cells(kind, [(row.name, row) for row in own])


def _cell(field: str, row: Operations) -> str:
    value = getattr(row, field)
    if isnan(value):
        return _number(value)
    if "gap" in field:
        return f"{value:.2f}"
    return f"{value:.1f}" if "hours" in field else _number(value)


def _few(rows: Sequence[Operations]) -> list[tuple[str, Operations]]:
    """Return the least, the median and the most of each column."""
    found = []
    each: Sequence[Callable[[list[float]], float]] = (min, median, max)
    for name, of in zip(FEW, each, strict=True):
        values = {}
        for field in Operations._fields[2:]:
            known = [value for row in rows if not isnan(value := getattr(row, field))]
            values[field] = of(known) if known else nan
        found.append((name, Operations("satellite", name, **values)))
    return found


def _as_json(row: Operations) -> Mapping[str, Any]:
    return {name: _known(value) for name, value in row._asdict().items()}


def _known(value: Any) -> Any:
    return value if not isinstance(value, float) or isfinite(value) else None
