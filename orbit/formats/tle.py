"""Two-line elements, checked before SGP4 sees them (its own reader checks nothing)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from math import inf
from typing import Literal

from orbit.formats.files import lines_of
from orbit.satellite import ElementError, Satellite

Checksum = Literal["verify", "ignore"]

_LENGTH = 69
# Numbers may be padded with blanks on the left; a blank among digits shifts what SGP4 reads.
_NUMBER = re.compile(r"(?=.{5}$)([A-HJ-NP-Z]\d{4}| *\d+)", re.ASCII)
_DECIMAL = re.compile(r" *[+-]?\d*\.\d+ *", re.ASCII)
_POWER = re.compile(r"(?=.{8}$) *([ +-]) *(\d{1,5})([ +-]\d)", re.ASCII)
_YEAR = re.compile(r"[ \d]\d", re.ASCII)
_ECCENTRICITY = re.compile(r"(?=.{7}$) *\d+", re.ASCII)
# A line 1 or 2, however wrong: its length, and decimals in it. No name has both.
_SHORTEST = 60
_DECIMALS = re.compile(r"\.\d{4}", re.ASCII)
# How a line 1 or 2 begins that may be cut off, or have lost some of its blanks.
_BEGIN = re.compile(
    r"1 +([A-HJ-NP-Z]\d{4}|\d{1,5})([A-Z]?$|[A-Z]? )|2 +([A-HJ-NP-Z]\d{4}|\d{1,5})( +\d|$)",
    re.ASCII,
)
# Lines 1 and 2 say all that SGP4 needs up to this column; elements of no checksum may end here.
_NEEDED = 63
# Where the point of the mean motion stands: in lines without checksum a digit may be lost.
_POINT = 55
# SGP4 reads on over these columns, counted from 1, when they are not blank.
_BLANKS = {"1": (18, 33, 44, 53), "2": (8, 17, 26, 34, 43, 52)}
# What each byte adds to a checksum: a digit its value, a minus sign one, all else nothing.
_TALLY = bytes(b - 48 if 48 <= b < 58 else int(b == 45) for b in range(256))

# What is wrong with an entry that ends in a line of this kind, and how to mend it.
_ORPHANS = {
    "1": ("line 1 is not followed by a line 2", "add it or remove line 1"),
    "2": ("line 2 does not follow a line 1", "add it or remove line 2"),
    "name": (
        "neither a line 1 or 2 nor a name that a line 1 follows",
        "give name, line 1 and line 2 in this order",
    ),
}


@dataclass(frozen=True)
class _Quantity:
    """A decimal number in columns `first` to `last` (counted from 1), and its range."""

    name: str
    first: int
    last: int
    low: float
    high: float

    def complaint(self, line: str) -> str | None:
        """What is wrong with the number, or None."""
        text = line[self.first - 1 : self.last]
        if not _DECIMAL.fullmatch(text):
            return f"{self.name} {text!r} is not a decimal number"
        if not self.low <= float(text) <= self.high:
            return f"{self.name} {text.strip()} is outside {self.low:g} to {self.high:g}"
        return None


@dataclass(frozen=True)
class _Code:
    """Columns `first` to `last` (counted from 1), of which each has its own meaning."""

    name: str
    first: int
    last: int
    pattern: re.Pattern[str]
    form: str

    def complaint(self, line: str) -> str | None:
        """How the columns are not of their form, or None."""
        text = line[self.first - 1 : self.last]
        return None if self.pattern.fullmatch(text) else f"{self.name} {text!r} is {self.form}"


_CATALOGUE_NUMBER = _Code("catalogue number", 3, 7, _NUMBER, "neither five digits nor alpha-5")
# Columns as in Spacetrack Report No. 3, section 2, counted from 1.
_FIELDS: dict[str, tuple[_Code | _Quantity, ...]] = {
    "1": (
        _Code("epoch year", 19, 20, _YEAR, "not two digits"),
        _Code("rate of change", 45, 52, _POWER, "not of the form +12345-6"),
        _Code("BSTAR", 54, 61, _POWER, "not of the form +12345-6"),
        _Quantity("epoch day", 21, 32, 1, 366.99999999),
        _Quantity("half the rate of mean motion", 34, 43, -1, 1),
    ),
    "2": (
        _Code("eccentricity", 27, 33, _ECCENTRICITY, "not seven digits"),
        _Quantity("inclination", 9, 16, 0, 180),
        _Quantity("right ascension of the node", 18, 25, -inf, inf),
        _Quantity("argument of perigee", 35, 42, -inf, inf),
        _Quantity("mean anomaly", 44, 51, -inf, inf),
        # The slowest of SGP4's own verification set makes a turn in 100 000 days.
        _Quantity("mean motion", 53, 63, 1e-5, 18),
    ),
}


_TURNS = ((18, 25), (35, 42), (44, 51))
"""Columns of the angles that count modulo 360: those of node, perigee and anomaly."""


def scan_tle(text: str, source: str, checksum: Checksum) -> Iterator[Satellite | ElementError]:
    """Yield each entry as a Satellite, or as the ElementError that says what is wrong with it.

    Blank lines and lines that start with # are skipped, a leading "0 " of names is dropped, and a
    satellite without a name line is named by its catalogue number. What follows column 69 after a
    blank is not part of a line. With `checksum` "ignore" the lines may end before it.
    """
    for entry in _entries(text):
        if fault := _fault(entry, checksum):
            line, problem, remedy = fault
            yield ElementError.at(f"{source}:{line.number}", _name(entry), problem, remedy)
        else:
            yield _satellite(entry)


def satellite_of_lines(
    name: str, first: str, second: str, where: str, checksum: Checksum
) -> Satellite | ElementError:
    """The satellite of a line 1 and a line 2 that stand in two fields; `name` may be empty."""
    texts = {"name": " ".join(name.split()), "1": first.strip(), "2": second.strip()}
    entry = [_Line(0, text, kind) for kind, text in texts.items() if text or kind != "name"]
    for line in entry[-2:]:
        if _kind(line.text) != line.kind:
            what = f"line {line.kind} is {line.text[:30]!r}"
            remedy = f"give line {line.kind} of two-line elements"
            return ElementError.at(where, texts["name"], what, remedy)
    if fault := _fault(entry, checksum):
        _, problem, remedy = fault
        return ElementError.at(where, _name(entry), problem, remedy)
    return _satellite(entry)


def has_lines(lines: Iterable[str]) -> bool:
    """Whether a line 1 or 2 is among them, whole or cut off."""
    return any(map(_kind, lines))


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    kind: str  # "1", "2" or "name"


def _is_whole(text: str) -> bool:
    """Whether this is a line 1 or 2 by its form, right or wrong."""
    return text[:2] in ("1 ", "2 ") and len(text) >= _SHORTEST and bool(_DECIMALS.search(text))


def _kind(text: str) -> str:
    """Which line this is, whole or cut off: 1 or 2, else nothing. A name may begin like one."""
    text = text.strip()
    if text[:2] not in ("1 ", "2 "):  # nearly always, and quick
        return ""
    return text[0] if _is_whole(text) or _BEGIN.match(text) else ""


def _lines(text: str) -> Iterator[_Line]:
    """Lines with their kinds, without blank ones and comments."""
    written = ((number, raw.rstrip()) for number, raw in enumerate(lines_of(text), start=1))
    # A 0 with nothing behind it names nobody.
    said = (pair for pair in written if pair[1] not in ("", "0") and pair[1][0] != "#")
    before = ""
    for (number, line), (_, following) in pairwise(chain(said, [(0, "")])):
        kind = _kind(line)
        if not _is_whole(line.strip()):
            # What only begins like a line is a name where a line 1 follows, as `1 3U CUBESAT`.
            is_cut_off = (before, kind) == ("1", "2")
            if not is_cut_off and following[:2] == "1 " and _is_whole(following):
                kind = ""
        before = kind or "name"
        yield _Line(number, line.strip() if kind else line, before)


def _entries(text: str) -> Iterator[list[_Line]]:
    """Group lines into entries: an optional name, line 1, line 2; broken ones are shorter."""
    group: list[_Line] = []
    for line in _lines(text):
        if group and (group[-1].kind, line.kind) not in (("name", "1"), ("1", "2")):
            yield group
            group = []
        group.append(line)
        if line.kind == "2":
            yield group
            group = []
    if group:
        yield group


def _name(entry: list[_Line]) -> str:
    """The name line's name, else the catalogue number as written, else nothing."""
    if entry[0].kind == "name":
        return entry[0].text.removeprefix("0 ").strip() if len(entry) > 1 else ""
    number = entry[0].text[2:7]
    return number.strip() if _NUMBER.fullmatch(number) else ""


def _satellite(entry: list[_Line]) -> Satellite:
    """The satellite of an entry without fault."""
    from sgp4.api import Satrec

    # An orbit that SGP4 cannot carry on is found where it is propagated, with the time.
    model = Satrec.twoline2rv(*(_in_full(line.text) for line in entry[-2:]))
    return Satellite.of_model(_name(entry) if len(entry) == 3 else str(model.satnum), model)


def _in_full(text: str) -> str:
    """A line of 69 columns that SGP4's own reader takes: zeros for blanks, angles below 360."""
    text = text[:_LENGTH].ljust(_LENGTH - 1)
    if text[0] == "1":
        rates = "".join(map(_zeros, (text[44:52], text[53:61])))
        text = f"{text[:18]}{text[18:20].replace(' ', '0')}{text[20:44]}{rates[:8]}" + (
            f" {rates[8:]}{text[61:]}"
        )
    else:
        text = f"{text[:26]}{text[26:33].replace(' ', '0')}{text[33:]}"
        for first, last in _TURNS:
            angle_deg = float(text[first - 1 : last])
            if not 0.0 <= angle_deg <= 360.0:
                text = f"{text[: first - 1]}{angle_deg % 360.0:8.4f}{text[last:]}"
    return f"{text[: _LENGTH - 1]}{_tally(text)}"


def _zeros(power: str) -> str:
    """Columns of the form +12345-6 without blanks among sign and digits."""
    match = _POWER.fullmatch(power)
    assert match is not None  # lines without fault have it
    return f"{match[1]}{match[2]:0>5}{match[3]}"


def _tally(text: str) -> int:
    """The checksum of a line."""
    return sum(text[: _LENGTH - 1].encode().translate(_TALLY)) % 10


def _fault(entry: list[_Line], checksum: Checksum) -> tuple[_Line, str, str] | None:
    """Which line of an entry is wrong, if one is, in what, and how to mend it."""
    if entry[-1].kind != "2" or len(entry) < 2:
        return entry[-1], *_ORPHANS[entry[-1].kind]
    first, second = entry[-2:]
    for line in (first, second):
        if wrong := _fault_of_line(line, checksum):
            return line, *wrong
    if first.text[2:7] != second.text[2:7]:
        problem = f"catalogue number {second.text[2:7]} follows line 1 of {first.text[2:7]}"
        return second, problem, "put the two lines of one satellite together"
    if not _name(entry).isprintable():  # a terminal would obey it
        problem = f"the name {_name(entry)[:40]!r} has characters that cannot be shown"
        return entry[0], problem, "retype it"
    return None


IGNORE_CHECKSUM = 'set checksum to "ignore"'
"""A remedy, for callers that spell it in another way."""


def _fault_of_line(line: _Line, checksum: Checksum) -> tuple[str, str] | None:
    """What is wrong with a line 1 or 2, if anything is, and how to mend it."""
    text = line.text
    which = line.kind
    shortest = _LENGTH if checksum == "verify" else _NEEDED
    if len(text) < shortest or text[_LENGTH : _LENGTH + 1].strip():
        problem = f"line {which} has {len(text)} characters instead of {_LENGTH}"
        if len(text) == _LENGTH - 1:
            remedy = f"copy the whole line, or {IGNORE_CHECKSUM} if it has no checksum"
            return problem, remedy
        return problem, "copy the whole line, blanks included"
    if not text.isascii() or not text[:_LENGTH].isprintable():
        return f"line {which} has characters that are not printable ASCII", "retype them"
    if complaint := _complaint(text):
        return complaint, "copy the line again from its source"
    tally = _tally(text)
    if checksum == "verify" and text[_LENGTH - 1] != str(tally):
        written = text[_LENGTH - 1]
        problem = f"line {which} gives checksum {written!r} but its characters tally to {tally}"
        return (
            problem,
            f"get the elements again, or {IGNORE_CHECKSUM} if the edit is yours",
        )
    if which == "1" and text[62] not in " 023":
        problem = f"ephemeris type {text[62]!r} is not for SGP4 (4 is SGP4-XP)"
        return problem, "get general perturbations elements of type 0"
    return None


def _complaint(text: str) -> str | None:
    """What is wrong with the columns of a line 1 or 2, or None."""
    if complaint := _CATALOGUE_NUMBER.complaint(text):
        return complaint
    for column in _BLANKS[text[0]]:
        if text[column - 1] != " ":
            return f"column {column} is {text[column - 1]!r} instead of blank"
    for field in _FIELDS[text[0]]:
        if complaint := field.complaint(text):
            return complaint
    if text[0] == "2" and len(text) < _LENGTH and text[_POINT - 1] != ".":
        return f"column {_POINT} is {text[_POINT - 1]!r} instead of the mean motion's point"
    return None
