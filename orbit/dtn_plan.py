"""Contact plans of delay-tolerant networks, of ION or HDTN: contacts with rates and delays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from orbit.checks import FloatArray, IntArray, shown
from orbit.dtn_entries import Plan
from orbit.files import TableError, near
from orbit.hdtn_plan import of_json
from orbit.ion_plan import COMMANDS, of_commands
from orbit.tables import OnBad

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
