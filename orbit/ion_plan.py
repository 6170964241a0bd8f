"""Contact plans of ION: commands of ionadmin."""

import json
import re
from datetime import UTC, datetime, timedelta
from math import inf, nan

from orbit.checks import shown
from orbit.dtn_entries import YEARS, Entry, Plan, check_span, quantity
from orbit.files import MOST_LINES, TableError, lines_of
from orbit.tables import OnBad

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
            self.leave(f"a contact of {'registration' if words[2] == '-1' else 'discovery'}")
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
