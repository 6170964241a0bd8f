"""Contact plans of delay-tolerant networks, of ION or HDTN: contacts with rates and delays."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf, isfinite, nan
from typing import Any, NamedTuple

import numpy as np

from orbit.checks import near, shown
from orbit.formats.files import MOST_LINES, MOST_ROWS, TableError, lines_of, no_json
from orbit.formats.tables import OF_PASSES, OnBad, leave_out
from orbit.utc import UNIX_ZERO, YEARS
from statements.arrays import Floats, Ints


class Entry(NamedTuple):
    """A contact, or a range, as a line or an item has it; a relative time is a float."""

    place: int
    start: datetime | float
    end: datetime | float
    source: str
    target: str
    rate_bps: float = nan
    delay_s: float = nan


class Plan:
    """What a text says, line by line."""

    def __init__(self, source: str, on_bad: OnBad | None) -> None:
        self.source = source
        self.unit = "line"  # of places: a line of the file, or the number of a contact
        self.on_bad = on_bad
        self.contacts: list[Entry] = []
        self.ranges: list[Entry] = []
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
            leave_out(self.error(place, str(error)), self.on_bad)

    def error(self, place: int, message: str) -> TableError:
        """The error to raise for a place."""
        unit = "" if self.unit == "line" else f"{self.unit} "
        return TableError(f"{self.source}:{unit}{place}: {message}")


def quantity(text: Any, what: str, hint: str) -> float:
    """Return a number from 0; raise ValueError, with the ``hint``, for anything else."""
    try:
        value = nan if isinstance(text, bool) or "_" in str(text) else float(text)
    except (TypeError, ValueError, OverflowError):
        value = nan
    if not (isfinite(value) and value >= 0.0):
        raise ValueError(f"{what} {shown(text)} is not a number from 0; give {hint}")
    return value


def check_span(start: datetime | float, end: datetime | float) -> None:
    """Raise ValueError for an end before the start, or of another kind."""
    if isinstance(start, datetime) != isinstance(end, datetime):
        raise ValueError("has a date and a time after the reference; give two of one kind")
    if not end > start:  # type: ignore[operator]
        raise ValueError(f"ends at {end}, not after its start {start}; correct its times")


COMMANDS = frozenset("?#ev1@^adcilwmrsxhq!")
"""First words of lines for ionadmin."""
_SAY_NOTHING = frozenset("?ev1shqi")
"""Those that are not about contacts: help, echo, version, the node itself, its start and stop."""
_DATE = re.compile(r"(\d{4})/(\d\d)/(\d\d)-(\d\d):(\d\d):(\d\d)")
_LONGEST = 11
"""Characters of +SECONDS: some centuries."""
_NAME_OF_NODE = re.compile(r"#\s*node\s+(\d+)\s+(\".*\")\s*")


def _date(text: str) -> datetime | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        date = datetime(*map(int, match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError as error:
        raise ValueError(f"time {text}: {error}; correct it") from None
    if not YEARS[0] <= date.year < YEARS[1]:
        raise ValueError(f"time {text} is not in {YEARS[0]} to {YEARS[1] - 1}; correct it")
    return date


def of_commands(text: str, source: str, on_bad: OnBad | None) -> Plan:
    """Return what a plan of ION says; TableError for what cannot be read, or `on_bad` of it."""
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


class _Commands(Plan):
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
        elif words[0] not in COMMANDS:
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
        if kind == "contact" and (words[2] == "-1" or words[3] == "0"):
            # No span of time, but what ION knows of nodes: ionrc(5) has these two marks.
            marks = {"-1": "registration (start -1)"}
            self.leave(f"a contact of {marks.get(words[2], 'discovery (end 0)')}")
            return
        start, end = self._time(words[2]), self._time(words[3])
        check_span(start, end)
        if kind == "range":
            light_s = quantity(words[6], "range", "light seconds")
            self.ranges.append(Entry(number, start, end, words[4], words[5], nan, light_s))
            return
        if len(words) > 7 and quantity(words[7], "confidence", "one from 0 to 1") < 1.0:
            self.leave("a confidence below 1")
        rate_bps = 8.0 * quantity(words[6], "rate", "bytes per second")
        self.contacts.append(Entry(number, start, end, words[4], words[5], rate_bps))

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


_UNIX_FROM_S = 1e9
"""Times of HDTN above it count from 1970, those below from the start of the plan."""
_UNIX_TO_S = (datetime(YEARS[1], 1, 1, tzinfo=UTC) - UNIX_ZERO).total_seconds()
_RATES = ("rateBitsPerSec", "rate")


def of_json(text: str, source: str, on_bad: OnBad | None) -> Plan:
    """Return what a plan of HDTN says; TableError for what cannot be read, or `on_bad` of it."""
    plan = Plan(source, on_bad)
    whole, items = _items_of(text, source)
    lines = _lines_of_items(text, len(items))
    if lines is None:
        plan.unit = "contact"
        lines = list(range(1, len(items) + 1))
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
        check_span(start, end)
        light = item.get("owlt")
        plan.contacts.append(
            Entry(
                place, start, end, str(item["source"]), str(item["dest"]),
                quantity(item[rate], rate, "bits per second"),
                nan if light is None else quantity(light, "owlt", "light seconds"),
            )
        )  # fmt: skip

    for place, item in zip(lines, items, strict=True):
        plan.each(place, contact, item)
    return plan


def _items_of(text: str, source: str) -> tuple[Any, list[Any]]:
    """What JSON says, and its list of contacts."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise TableError(f"{source}:{line}: {no_json(error, text)}") from None
    items = whole.get("contacts") if isinstance(whole, dict) else whole
    objects = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    are_others = objects and all({"source", "dest"}.isdisjoint(item) for item in objects)
    if not isinstance(items, list) or are_others:
        raise TableError(
            f"{source}:1: JSON without a list of contacts as HDTN has it: "
            '{"contacts": [{"startTime": 0, "endTime": 60, "source": 1, "dest": 2, ...}]}; give '
            f"passes as a CSV table with the columns {', '.join(OF_PASSES)}"
        )
    if len(items) > MOST_ROWS:
        raise TableError(f"{source}:1: more than {MOST_ROWS} contacts; give a part of them")
    return whole, items


def _time_of(value: Any, key: str) -> datetime | float:
    seconds = quantity(value, key, "seconds")
    if seconds < _UNIX_FROM_S:
        return seconds
    if seconds >= _UNIX_TO_S:
        raise ValueError(
            f"{key} {shown(value)} is beyond {YEARS[1] - 1} in seconds since 1970; if it is in "
            "milliseconds, give seconds"
        )
    return UNIX_ZERO + timedelta(seconds=seconds)


def _zero_of(text: Any, source: str) -> datetime | None:
    if text is None:
        return None
    try:
        zero = datetime.fromisoformat(str(text))
        zero = zero.astimezone(UTC) if zero.tzinfo else zero.replace(tzinfo=UTC)
        if not YEARS[0] <= zero.year < YEARS[1]:
            raise ValueError
    except (ValueError, OverflowError):
        raise TableError(f"{source}:1: start {shown(text)} is no time; write it in UTC") from None
    return zero


def _lines_of_items(text: str, count: int) -> list[int] | None:
    """The line of each contact, where each begins with a brace on a line of its own; else None."""
    begin = text.find("[")
    opened = [match.start() for match in re.finditer(r"\{", text[begin:])]
    if len(opened) != count:
        return None
    before = text.count("\n", 0, begin) + 1
    ends = np.array([match.start() for match in re.finditer("\n", text[begin:])])
    lines: list[int] = (before + np.searchsorted(ends, opened)).tolist()
    return lines if len(set(lines)) == count else None


NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""From when a plan counts that tells no date, where the user tells none either."""


def is_contact_plan(text: str) -> bool:
    """Whether a text is a contact plan of HDTN or ION, and no table: JSON, or ION's commands."""
    text = text[:100_000].removeprefix("\ufeff").lstrip()
    if text[:1] in ("{", "["):
        return True
    for line in text.splitlines():
        if (words := line.split()) and not words[0].startswith("#"):
            return words[0] in COMMANDS and not {",", ";", "\t"} & set(line.strip()[1:3])
    return False


@dataclass(frozen=True, eq=False)
class ContactsOfPlan:
    """Contacts of a plan in one direction, arrays (N,), with nodes by index in `nodes`.

    Times are seconds since `start` (UTC). `delay_s` is nan where the plan tells none. `unused`
    names what the plan has beside contacts and ranges. ``line`` is the number of the contact if a
    line of JSON has several.
    """

    nodes: list[str]
    start: datetime
    source: Ints
    target: Ints
    start_s: Floats
    end_s: Floats
    rate_bps: Floats
    delay_s: Floats
    line: Ints
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
    read = of_json if text.lstrip()[:1] in ("{", "[") else of_commands
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
    if not len(contacts.line):
        others = f" (but {', '.join(contacts.unused)})" if contacts.unused else ""
        raise TableError(
            f"{source}:1: no contacts found{others}; give a plan of ION or HDTN with some"
        )
    nodes.check()
    ranges = [
        (nodes.index(r.source), nodes.index(r.target), seconds(r.start), seconds(r.end), r.delay_s)
        for r in plan.ranges
    ]
    if ranges:
        _set_delays(contacts, np.array(ranges, float).T)
    return _apart(contacts, plan)


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


def _first_date(plan: Plan) -> datetime | None:
    """The first date of a plan without a reference; TableError where others count from none."""
    dates = [c.start for c in plan.contacts if isinstance(c.start, datetime)]
    if dates and len(dates) < len(plan.contacts):
        line = next(c.place for c in plan.contacts if not isinstance(c.start, datetime))
        raise TableError(
            f"{plan.source}:{line}: counts from a date that the plan does not tell; give the "
            "scenario's start, or a line like @ 2026/08/22-12:00:00 above it"
        )
    return min(dates, default=None)


# Contacts that do not fit together, and the light times of ranges.


def _apart(contacts: ContactsOfPlan, plan: Plan) -> ContactsOfPlan:
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
            that = f"that of line {first}" if plan.unit == "line" else f"{plan.unit} {first}"
            text = (
                f"the contact from {one!r} to {other!r} overlaps {that}; merge them or remove one"
            )
            leave_out(plan.error(second, text), plan.on_bad)
            keep[number] = False
        else:
            last = number
    columns = {
        name: value[keep] for name, value in vars(contacts).items() if isinstance(value, np.ndarray)
    }
    return ContactsOfPlan(**vars(contacts) | columns)


def _set_delays(contacts: ContactsOfPlan, ranges: Floats) -> None:
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
