"""Contact plans of delay-tolerant networks, of ION or HDTN, as windows with rates and delays."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf, isfinite, nan
from typing import Any, NamedTuple

import numpy as np

from orbit.checks import BoolArray, FloatArray, IntArray, shown
from orbit.files import MOST_LINES, MOST_ROWS, TableError, lines_of, near
from orbit.isl import IslWindows
from orbit.window_file import IslFile, WindowFile
from orbit.window_table import OnBad
from orbit.windows import bare_windows

SPEED_OF_LIGHT_KM_S = 299_792.458
NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""From when a plan counts that tells no date, where the user tells none either."""
_UNIX_FROM_S = 1e9
"""Times of HDTN above it count from 1970, those below from the start of the plan."""
_COMMANDS = frozenset("?#ev1@adcilwmrsxhq!")
"""First words of lines for ionadmin."""
_SAY_NOTHING = frozenset("?ev1shqi")
"""Those that are not about contacts: help, echo, version, the node itself, its start and stop."""


def is_contact_plan(text: str) -> bool:
    """Whether a text is a contact plan of HDTN or ION, and no table: JSON, or ION's commands."""
    text = text[:100_000].removeprefix("\ufeff").lstrip()
    if text[:1] in ("{", "["):
        return True
    for line in text.splitlines():
        if (words := line.split()) and not words[0].startswith("#"):
            return words[0] in _COMMANDS and not {",", ";", "\t"} & set(line.strip()[1:3])
    return False


class _Contact(NamedTuple):
    """A contact, or a range, as a line or an item has it; a relative time is a float."""

    place: int
    start: datetime | float
    end: datetime | float
    source: str
    target: str
    rate_bps: float = nan
    delay_s: float = nan


@dataclass(frozen=True, eq=False)
class ContactsOfPlan:
    """Contacts of a plan in one direction, arrays (N,), with nodes by index in `nodes`.

    Times are seconds since `start` (UTC). `delay_s` is nan where the plan tells none. `unused`
    names what the plan has beside contacts and ranges.
    """

    nodes: list[str]
    start: datetime
    source: IntArray
    target: IntArray
    start_s: FloatArray
    end_s: FloatArray
    rate_bps: FloatArray
    delay_s: FloatArray
    line: IntArray
    unused: tuple[str, ...]


def parse_contact_plan(
    text: str,
    source: str = "<text>",
    start: datetime | None = None,
    names: Mapping[str, str] | None = None,
    on_bad: OnBad | None = None,
) -> ContactsOfPlan:
    """Contacts of a plan for ION (commands of ionadmin) or HDTN (JSON).

    ION's `a contact START END FROM TO RATE [CONFIDENCE]` has bytes per second, and `a range START
    END FROM TO SECONDS` the light time; times are +SECONDS after the last `@`, or
    2026/08/22-12:00:00. HDTN's `contacts` have startTime, endTime, source, dest, rateBitsPerSec (or
    rate) and owlt. `names` maps numbers of nodes, or the names that the file has for them, to
    others. Times count from `start`, else from what the file says, else from the start of 2026.

    Raises TableError that starts `file:line:` for a line or an item that cannot be read, and
    contacts of a direction that overlap; with `on_bad` they are left out, and that is told of them.
    """
    text = text.removeprefix("\ufeff")
    read = _of_json if text.lstrip()[:1] in ("{", "[") else _of_commands
    plan = read(text, source, on_bad)
    nodes = _Nodes(plan.names, names or {}, source)
    zero = start or plan.zero or plan.begin or _first_date(plan) or NO_DATE
    before_s = (plan.zero - zero).total_seconds() if plan.zero else 0.0

    def seconds(when: datetime | float) -> float:
        return before_s + when if isinstance(when, float) else (when - zero).total_seconds()

    rows = {
        (c.source, c.target, seconds(c.start), seconds(c.end), c.rate_bps, c.delay_s): c.place
        for c in plan.contacts
    }
    sources, targets, starts, ends, rates, delays = zip(*rows, strict=True) if rows else ((),) * 6
    contacts = ContactsOfPlan(
        nodes=nodes.names,
        start=zero,
        source=np.array([nodes.index(node) for node in sources], np.int64),
        target=np.array([nodes.index(node) for node in targets], np.int64),
        start_s=np.array(starts, float),
        end_s=np.array(ends, float),
        rate_bps=np.array(rates, float),
        delay_s=np.array(delays, float),
        line=np.array(list(rows.values()), np.int64),
        unused=tuple(plan.unused()),
    )
    nodes.check()
    if not len(contacts.line):
        raise TableError(f"{source}:1: no contacts found; give a plan of ION or HDTN with some")
    ranges = [
        (nodes.index(r.source), nodes.index(r.target), seconds(r.start), seconds(r.end), r.delay_s)
        for r in plan.ranges
    ]
    if ranges:
        _set_delays(contacts, np.array(ranges, float).T)
    return _apart(contacts, source, on_bad)


class _Nodes:
    """Names of nodes, in the order in which they come."""

    def __init__(self, of_file: Mapping[str, str], given: Mapping[str, str], source: str) -> None:
        self.names: list[str] = []
        self._of_file = of_file
        self._given = given
        self._source = source
        self._index: dict[str, int] = {}
        self._met: dict[str, int] = {}

    def index(self, node: str) -> int:
        """The index of a node as the file has it."""
        if node not in self._met:
            called = self._of_file.get(node, node)
            name = self._given.get(node, self._given.get(called, called))
            if not name.isprintable() or not name.strip() or len(name) > 400:
                problem = f"node {shown(name)} is no name; give a number, or a name on one line"
                raise TableError(f"{self._source}:1: {problem}")
            if name not in self._index:
                self._index[name] = len(self.names)
                self.names.append(name)
            self._met[node] = self._index[name]
        return self._met[node]

    def check(self) -> None:
        """Raise TableError for a name that was given for no node."""
        there = {*self._met, *(self._of_file.get(node, node) for node in self._met)}
        for name in self._given:
            if name not in there:
                hint = near(name, sorted(there)[:20])
                raise TableError(f"{self._source}:1: names: {name!r} is no node here; {hint}")


class _Plan:
    """What a text says, line by line."""

    def __init__(self, source: str, on_bad: OnBad | None) -> None:
        self.source = source
        self.on_bad = on_bad
        self.contacts: list[_Contact] = []
        self.ranges: list[_Contact] = []
        self.names: dict[str, str] = {}
        self.zero: datetime | None = None  # that +SECONDS count from, where the file says so
        self.reference: datetime | None = None
        self.begin: datetime | None = None  # the first reference
        self.others: dict[str, int] = {}

    def unused(self) -> Iterator[str]:
        """What is left aside, by kind."""
        for what, times in self.others.items():
            yield what if times == 1 else f"{times:,} of {what}"

    def leave(self, what: str) -> None:
        """Count something that is not used."""
        self.others[what] = self.others.get(what, 0) + 1

    def each(self, place: int, read: Callable[[int, Any], None], what: Any) -> None:
        """Read something at a place; its ValueError becomes the TableError of the place."""
        try:
            read(place, what)
        except ValueError as error:
            wrong = TableError(f"{self.source}:{place}: {error}")
            if self.on_bad is None:
                raise wrong from None
            self.on_bad(wrong)


def _first_date(plan: _Plan) -> datetime | None:
    """The first date of a plan without a reference; TableError where others count from none."""
    dates = [c.start for c in plan.contacts if isinstance(c.start, datetime)]
    if dates and len(dates) < len(plan.contacts):
        line = next(c.place for c in plan.contacts if not isinstance(c.start, datetime))
        raise TableError(
            f"{plan.source}:{line}: counts from a date that the plan does not tell; give the "
            "scenario's start, or a line like @ 2026/08/22-12:00:00 above it"
        )
    return min(dates, default=None)


def _quantity(text: Any, what: str, hint: str) -> float:
    try:
        value = nan if isinstance(text, bool) or "_" in str(text) else float(text)
    except (TypeError, ValueError, OverflowError):
        value = nan
    if not (isfinite(value) and value >= 0.0):
        raise ValueError(f"{what} {shown(text)} is not a number from 0; give {hint}")
    return value


def _check_span(start: datetime | float, end: datetime | float) -> None:
    if isinstance(start, datetime) != isinstance(end, datetime):
        raise ValueError("has a date and a time after the reference; give two of one kind")
    if not end > start:  # type: ignore[operator]
        raise ValueError(f"ends at {end}, not after its start {start}; correct its times")


# ION: commands of ionadmin.

_DATE = re.compile(r"(\d{4})/(\d\d)/(\d\d)-(\d\d):(\d\d):(\d\d)")
_LONGEST = 11
"""Characters of +SECONDS: some centuries."""
_YEARS = (1957, 2157)
_NAME_OF_NODE = re.compile(r"#\s*node\s+(\d+)\s+(\".*\")\s*")


def _date(text: str) -> datetime | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        date = datetime(*map(int, match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError as error:
        raise ValueError(f"time {text}: {error}; correct it") from None
    if not _YEARS[0] <= date.year < _YEARS[1]:
        raise ValueError(f"time {text} is not in {_YEARS[0]} to {_YEARS[1] - 1}; correct it")
    return date


def _of_commands(text: str, source: str, on_bad: OnBad | None) -> _Plan:
    if text.count("\n") > MOST_LINES:
        raise TableError(f"{source}:1: more than {MOST_LINES} lines; give a part of it")
    plan = _Commands(source, on_bad)
    for number, line in enumerate(lines_of(text), 1):
        words = line.split()
        if words and words[0].startswith("#"):
            plan.comment(line.strip(), words)
        elif words:
            plan.each(number, plan.command, words)
    return plan


class _Commands(_Plan):
    """Commands of ionadmin. Comments of an export of ours name the nodes and the date."""

    def comment(self, line: str, words: list[str]) -> None:
        """Take what an export of ours says in a comment."""
        if named := _NAME_OF_NODE.fullmatch(line):
            self.names[named[1]] = _text_of(named[2])
        elif words[:2] == ["#", "@"] and len(words) == 3 and _DATE.fullmatch(words[2]):
            self.zero = _date(words[2])

    def command(self, number: int, words: list[str]) -> None:
        """Take a command."""
        if words[0] == "a":
            self._added(number, words)
        elif words[0] == "@":
            at = self._time(words[1]) if len(words) > 1 else inf
            if not isinstance(at, datetime):
                raise ValueError("@ has no date; write it like @ 2026/08/22-12:00:00")
            self.reference = at
            self.begin = self.begin or at
        elif words[0] not in _COMMANDS:
            raise ValueError(f"{shown(words[0])} is no command of ionadmin; remove the line")
        elif words[0] not in _SAY_NOTHING:
            self.leave(" ".join(words[:2]))

    def _added(self, number: int, words: list[str]) -> None:
        kind = words[1] if len(words) > 1 else ""
        if kind not in ("contact", "range"):
            self.leave(f"a {kind}".strip())
            return
        if len(words) < 7:
            last = "RATE" if kind == "contact" else "SECONDS"
            raise ValueError(
                f"{len(words)} words, but a {kind} is `a {kind} START END FROM TO {last}`; add what"
                " is missing"
            )
        start, end = self._time(words[2]), self._time(words[3])
        _check_span(start, end)
        if kind == "range":
            light_s = _quantity(words[6], "range", "light seconds")
            self.ranges.append(_Contact(number, start, end, words[4], words[5], nan, light_s))
            return
        if len(words) > 7 and _quantity(words[7], "confidence", "one from 0 to 1") < 1.0:
            self.leave("a confidence below 1")
        rate_bps = 8.0 * _quantity(words[6], "rate", "bytes per second")
        self.contacts.append(_Contact(number, start, end, words[4], words[5], rate_bps))

    def _time(self, word: str) -> datetime | float:
        if word[0] == "+" and word[1:].isdecimal() and len(word) <= _LONGEST:
            seconds = float(word)
            if self.reference is None:
                return seconds
            return self.reference + timedelta(seconds=seconds)
        if (date := _date(word)) is None:
            raise ValueError(
                f"time {shown(word)} is neither +SECONDS nor like 2026/08/22-12:00:00; correct it"
            )
        return date


def _text_of(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted.strip('"')


# HDTN: JSON.

_RATES = ("rateBitsPerSec", "rate")


def _of_json(text: str, source: str, on_bad: OnBad | None) -> _Plan:
    plan = _Plan(source, on_bad)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise TableError(f"{source}:{line}: no JSON ({error}); give a plan of HDTN") from None
    items = whole.get("contacts") if isinstance(whole, dict) else whole
    if not isinstance(items, list) or len(items) > MOST_ROWS:
        raise TableError(
            f"{source}:1: JSON without a list of contacts; give a plan of HDTN: "
            '{"contacts": [{"startTime": 0, "endTime": 60, "source": 1, "dest": 2, ...}]}'
        )
    lines = _lines_of_items(text, len(items))
    if isinstance(whole, dict):
        named = whole.get("nodes")
        if isinstance(named, dict):
            plan.names |= {str(node): str(name) for node, name in named.items()}
        plan.zero = _zero_of(whole.get("start"), source)

    def contact(place: int, item: Any) -> None:
        if not isinstance(item, dict):
            raise ValueError(f"{shown(item)} is no contact; give startTime, endTime, source, ...")
        rate = next((key for key in _RATES if item.get(key) is not None), _RATES[0])
        for key in ("startTime", "endTime", "source", "dest", rate):
            if item.get(key) is None:
                raise ValueError(f"{key} is missing; add it to the contact")
        start, end = (_time_of(item[key], key) for key in ("startTime", "endTime"))
        _check_span(start, end)
        light = item.get("owlt")
        plan.contacts.append(
            _Contact(
                place, start, end, str(item["source"]), str(item["dest"]),
                _quantity(item[rate], rate, "bits per second"),
                nan if light is None else _quantity(light, "owlt", "light seconds"),
            )
        )  # fmt: skip

    for place, item in zip(lines, items, strict=True):
        plan.each(place, contact, item)
    return plan


def _time_of(value: Any, key: str) -> datetime | float:
    seconds = _quantity(value, key, "seconds")
    if seconds < _UNIX_FROM_S:
        return seconds
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=min(seconds, 5e9))


def _zero_of(text: Any, source: str) -> datetime | None:
    if text is None:
        return None
    try:
        zero = datetime.fromisoformat(str(text))
        zero = zero.astimezone(UTC) if zero.tzinfo else zero.replace(tzinfo=UTC)
        if not _YEARS[0] <= zero.year < _YEARS[1]:
            raise ValueError
    except (ValueError, OverflowError):
        raise TableError(f"{source}:1: start {shown(text)} is no time; write it in UTC") from None
    return zero


def _lines_of_items(text: str, count: int) -> list[int]:
    """The line of each contact, where each begins with a brace of its own; else their numbers."""
    begin = text.find("[")
    opened = [match.start() for match in re.finditer(r"\{", text[begin:])]
    if len(opened) != count:
        return list(range(1, count + 1))
    before = text.count("\n", 0, begin) + 1
    ends = np.array([match.start() for match in re.finditer("\n", text[begin:])])
    lines: list[int] = (before + np.searchsorted(ends, opened)).tolist()
    return lines


# Contacts that do not fit together, and the light times of ranges.


def _apart(contacts: ContactsOfPlan, source: str, on_bad: OnBad | None) -> ContactsOfPlan:
    """Those that overlap no other of their direction; TableError for one that does."""
    pair = contacts.source * len(contacts.nodes) + contacts.target
    order = np.lexsort((contacts.end_s, contacts.start_s, pair))
    keep = np.ones(len(order), bool)
    last = -1
    until_s = contacts.end_s.tolist()
    of = pair.tolist()
    for number in order.tolist():
        if last >= 0 and of[last] == of[number] and contacts.start_s[number] < until_s[last]:
            first, second = sorted((int(contacts.line[last]), int(contacts.line[number])))
            one, other = (contacts.nodes[n[number]] for n in (contacts.source, contacts.target))
            wrong = TableError(
                f"{source}:{second}: the contact from {one!r} to {other!r} overlaps that of line "
                f"{first}; merge them or remove one"
            )
            if on_bad is None:
                raise wrong
            on_bad(wrong)
            keep[number] = False
        else:
            last = number
    columns = {
        name: value[keep] for name, value in vars(contacts).items() if isinstance(value, np.ndarray)
    }
    return ContactsOfPlan(**vars(contacts) | columns)


def _set_delays(contacts: ContactsOfPlan, ranges: FloatArray) -> None:
    """Give contacts the light time of the range of their direction, or of the other one.

    ``ranges`` (5, R) are both nodes, start, end and light time. Of those of a pair the last one
    that has begun when a contact begins counts, while it lasts.
    """
    many = len(contacts.nodes) + 1
    count = len(ranges[0])
    range_pair = (ranges[0] * many + ranges[1]).astype(np.int64)
    for one, other in (
        (contacts.source, contacts.target),
        (contacts.target, contacts.source),
    ):
        pair = np.append(range_pair, one * many + other)
        time_s = np.append(ranges[2], contacts.start_s)
        is_range = np.arange(len(pair)) < count
        order = np.lexsort((~is_range, time_s, pair))
        begun = np.where(is_range[order], np.arange(len(order)), -1)
        last = np.maximum.accumulate(begun)
        at = order[np.maximum(last, 0)]
        held = (last >= 0) & (pair[at] == pair[order]) & ~is_range[order]
        number = order[held] - count
        at = at[held]
        lasts = contacts.start_s[number] < ranges[3][at]
        number, at = number[lasts], at[lasts]
        unknown = np.isnan(contacts.delay_s[number])
        contacts.delay_s[number[unknown]] = ranges[4][at[unknown]]


# Windows over places.


class Pieces(NamedTuple):
    """A window in pieces: their edges (P + 1), and rates and light time in each (P), 0 for none."""

    edge_s: list[float]
    to_satellite_bps: list[float]
    to_site_bps: list[float]
    delay_s: list[float]


@dataclass(frozen=True, eq=False)
class PlanWindows:
    """Windows of a contact plan over sites, what each carries, and what is left aside, in words."""

    file: WindowFile
    pieces: list[Pieces]
    aside: tuple[str, ...]


def plan_windows(contacts: ContactsOfPlan, sites: Sequence[str]) -> PlanWindows:
    """Windows between the `sites` (names of nodes) and all other nodes, which are satellites.

    A window is what contacts of a pair in either direction cover without a gap. The slant range is
    that of the light time; other geometry is nan. Raises ValueError where no contact is with one of
    the sites.
    """
    is_site = np.array([name in set(sites) for name in contacts.nodes])
    up = is_site[contacts.source] & ~is_site[contacts.target]
    down = ~is_site[contacts.source] & is_site[contacts.target]
    used = (up | down) & (contacts.rate_bps > 0) & (contacts.end_s > 0)
    aside = [*contacts.unused, *_aside(contacts, is_site)]
    if not used.any():
        some = ", ".join(contacts.nodes[:10])
        raise ValueError(
            f"no contact of the plan is with {', '.join(sites)}; its nodes are {some}: name those "
            "that are meant"
        )
    satellite = np.where(up, contacts.target, contacts.source)
    site = np.where(up, contacts.source, contacts.target)
    satellites = sorted({contacts.nodes[k] for k in np.unique(satellite[used])})
    places = sorted({contacts.nodes[k] for k in np.unique(site[used])})
    pair = satellite * len(contacts.nodes) + site
    order = np.flatnonzero(used)
    order = order[np.lexsort((contacts.start_s[order], pair[order]))]
    windows: list[tuple[float, str, str, Pieces]] = []
    for first, together in _joined(order, pair, up, contacts):
        pieces = _pieces(together)
        ends = contacts.nodes[satellite[first]], contacts.nodes[site[first]]
        windows.append((pieces.edge_s[0], *ends, pieces))
    windows.sort(key=lambda window: window[:3])
    number = {name: k for kind in (satellites, places) for k, name in enumerate(kind)}
    each = [pieces for *_, pieces in windows]
    rise_s = np.array([pieces.edge_s[0] for pieces in each])
    set_s = np.array([pieces.edge_s[-1] for pieces in each])
    # A light time of 0 whole seconds says nothing of the range.
    light_km = [[(delay_s or nan) * SPEED_OF_LIGHT_KM_S for delay_s in p.delay_s] for p in each]
    bare = bare_windows(
        satellite=np.array([number[name] for _, name, _, _ in windows], np.int64),
        site=np.array([number[name] for _, _, name, _ in windows], np.int64),
        rise_s=np.maximum(rise_s, 0.0),
        culminate_s=(np.maximum(rise_s, 0.0) + set_s) / 2,
        set_s=set_s,
        min_slant_range_km=np.array([min(ranges) for ranges in light_km]),
        rise_slant_range_km=np.array([ranges[0] for ranges in light_km]),
        set_slant_range_km=np.array([ranges[-1] for ranges in light_km]),
        clipped_start=rise_s < 0,
    )
    order = np.lexsort((bare.site, bare.satellite, bare.rise_s))
    return PlanWindows(
        WindowFile(satellites, places, contacts.start, bare.where(order)),
        [each[k] for k in order],
        tuple(aside),
    )


_Span = tuple[float, float, bool, float, float]
"""Start, end, whether to the satellite, rate and light time of a contact."""


def isls_of_plan(contacts: ContactsOfPlan, satellites: Collection[str]) -> IslFile:
    """Windows between `satellites` (names of nodes): a contact in either direction opens both.

    Ranges are those of the light time, nan where it is 0 whole seconds. Raises ValueError where no
    contact is between two of them.
    """
    flying = np.array([name in set(satellites) for name in contacts.nodes])
    used = flying[contacts.source] & flying[contacts.target]
    used &= (contacts.source != contacts.target) & (contacts.rate_bps > 0) & (contacts.end_s > 0)
    if not used.any():
        some = ", ".join(contacts.nodes[:10])
        raise ValueError(f"no contact of the plan is between two satellites; its nodes are {some}")
    met = np.unique(np.stack([contacts.source, contacts.target])[:, used])
    names = sorted(contacts.nodes[k] for k in met.tolist())
    place = {name: number for number, name in enumerate(names)}
    of = np.array([place.get(name, -1) for name in contacts.nodes])
    ends = np.sort(of[np.stack([contacts.source, contacts.target])], axis=0)
    pair = ends[0] * len(names) + ends[1]
    order = np.flatnonzero(used)
    order = order[np.lexsort((contacts.start_s[order], pair[order]))]
    found = []
    for first, spans in _joined(order, pair, used, contacts):
        light_km = [(delay_s or nan) * SPEED_OF_LIGHT_KM_S for *_, delay_s in spans]
        span = spans[0][0], max(end for _, end, *_ in spans)
        found.append((*span, *ends[:, first].tolist(), min(light_km), max(light_km)))
    start_s, end_s, one, other, least_km, most_km = np.array(sorted(found), float).T
    return IslFile(
        names,
        contacts.start,
        IslWindows(
            a=one.astype(np.int64),
            b=other.astype(np.int64),
            start_s=np.maximum(start_s, 0.0),
            end_s=end_s,
            min_range_km=least_km,
            max_range_km=most_km,
            clipped_start=start_s < 0,
            clipped_end=np.zeros(len(one), bool),
        ),
    )


def _joined(
    order: IntArray, pair: IntArray, up: BoolArray, contacts: ContactsOfPlan
) -> Iterator[tuple[int, list[_Span]]]:
    """Contacts, sorted by pair and start, that follow each other without a gap, with the first."""
    together: list[_Span] = []
    first, of, until_s = -1, -1, -inf
    columns = (pair, contacts.start_s, contacts.end_s, up, contacts.rate_bps, contacts.delay_s)
    rows = zip(order.tolist(), *(column[order].tolist() for column in columns), strict=True)
    for number, ends, *span in rows:
        if ends != of or span[0] > until_s:
            if together:
                yield first, together
            together = []
            first, of, until_s = number, ends, -inf
        together.append((span[0], span[1], span[2], span[3], span[4]))
        until_s = max(until_s, span[1])
    yield first, together


def _pieces(spans: list[_Span]) -> Pieces:
    edges = sorted({edge for start, end, *_ in spans for edge in (start, end)})
    place = {edge: k for k, edge in enumerate(edges)}
    count = len(edges) - 1
    rates = [0.0] * count, [0.0] * count
    delays = [0.0] * count
    for start, end, is_up, rate_bps, delay_s in spans:
        for k in range(place[start], place[end]):
            rates[not is_up][k] = rate_bps
            delays[k] = max(delays[k], delay_s)  # the first of two where the second is unknown
    return Pieces(edges, *rates, delays)


def _aside(contacts: ContactsOfPlan, is_site: Any) -> Iterator[str]:
    """What of the contacts is of no use for windows over sites."""
    itself = contacts.source == contacts.target
    both = is_site[contacts.source] & is_site[contacts.target] & ~itself
    none = ~is_site[contacts.source] & ~is_site[contacts.target] & ~itself
    both_ends = contacts.source, contacts.target
    for which, what in (
        (itself, "contacts of a node with itself"),
        (both, "contacts between places"),
        (none, "contacts between nodes that are no places here"),
        ((contacts.rate_bps == 0) & ~itself, "contacts at a rate of 0"),
        ((contacts.end_s <= 0) & ~itself, "contacts that end before the start"),
    ):
        if which.any():
            first = int(np.flatnonzero(which)[0])
            ends = " and ".join(contacts.nodes[node[first]] for node in both_ends)
            count = int(which.sum())
            others = "" if count == 1 else f" and {count - 1:,} more"
            yield f"{what} ({ends}{others})"
