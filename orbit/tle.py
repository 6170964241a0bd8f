"""Two-line elements, checked before SGP4 sees them (its own reader checks nothing)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Literal

from orbit.elements import Satellite

Checksum = Literal["verify", "ignore"]

_LENGTH = 69
_NUMBER = re.compile(r"[ \dA-HJ-NP-Z][ \d]{3}\d")
_DECIMAL = re.compile(r" *[+-]?\d*\.\d+ *")
_POWER = re.compile(r"[ +-][ \d]{4}\d[ +-]\d")


# What is wrong with an entry that ends in a line of this kind, and how to mend it.
_ORPHANS = {
    "1": ("line 1 is not followed by a line 2", "add it or remove line 1"),
    "2": ("line 2 does not follow a line 1", "add it or remove line 2"),
    "name": (
        "neither a line 1 or 2 nor a name that a line 1 follows",
        "give name, line 1 and line 2 in this order",
    ),
}


class ElementError(ValueError):
    """Elements that cannot be used; the message is `file:line: what is wrong, how to mend it`."""


@dataclass(frozen=True)
class _Field:
    """A decimal number in columns `first` to `last` (counted from 1), and its range."""

    what: str
    first: int
    last: int
    low: float
    high: float

    def complaint(self, line: str) -> str | None:
        text = line[self.first - 1 : self.last]
        if not _DECIMAL.fullmatch(text):
            return f"{self.what} {text!r} is not a decimal number"
        if not self.low <= float(text) <= self.high:
            return f"{self.what} {text.strip()} is outside {self.low:g} to {self.high:g}"
        return None


# Columns as in Spacetrack Report No. 3, section 2, counted from 1.
_FIELDS = {
    "1": (
        _Field("epoch day", 21, 32, 1, 366.99999999),
        _Field("half the rate of mean motion", 34, 43, -1, 1),
    ),
    "2": (
        _Field("inclination", 9, 16, 0, 180),
        _Field("right ascension of the node", 18, 25, 0, 360),
        _Field("argument of perigee", 35, 42, 0, 360),
        _Field("mean anomaly", 44, 51, 0, 360),
        _Field("mean motion", 53, 63, 1e-3, 18),
    ),
}


def read_satellites(path: str | PathLike[str], checksum: Checksum = "verify") -> list[Satellite]:
    """Satellites of a file of two-line elements, with or without name lines.

    Blank lines and lines that start with # are skipped, a leading "0 " of names is dropped, and a
    satellite without a name line is named by its catalogue number. `checksum="ignore"` skips only
    the checksums. Raises ElementError at the first bad entry or when there is none, OSError when
    the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ElementError(
            f"{fspath(path)}:1: not UTF-8 text ({error.reason} at byte {error.start}); "
            "give a plain text file of two-line elements"
        ) from None
    return parse_tle(text, fspath(path), checksum)


def parse_tle(text: str, source: str = "<text>", checksum: Checksum = "verify") -> list[Satellite]:
    """As `read_satellites`, for text; `source` stands for the file in messages."""
    satellites = []
    for entry in scan_tle(text, source, checksum):
        if isinstance(entry, ElementError):
            raise entry
        satellites.append(entry)
    if not satellites:
        raise ElementError(f"{source}:1: no elements found; give pairs of lines 1 and 2")
    return satellites


def scan_tle(
    text: str, source: str = "<text>", checksum: Checksum = "verify"
) -> Iterator[Satellite | ElementError]:
    """Each entry in turn as a Satellite, or as the ElementError that says why it is none.

    For callers that leave bad entries out. Raises ValueError for an unknown `checksum`.
    """
    if checksum not in ("verify", "ignore"):
        raise ValueError(f'checksum {checksum!r} is unknown; write "verify" or "ignore"')
    for entry in _entries(text):
        try:
            yield _satellite(entry, checksum)
        except _BadLine as bad:
            yield ElementError(f"{source}:{bad.line.number}: {bad.what}; {bad.remedy}")


@dataclass(frozen=True)
class _Line:
    number: int
    text: str

    @property
    def kind(self) -> str:
        """`1`, `2` or `name`."""
        return self.text[0] if self.text.startswith(("1 ", "2 ")) else "name"


class _BadLine(Exception):
    def __init__(self, line: _Line, what: str, remedy: str) -> None:
        super().__init__(what)
        self.line, self.what, self.remedy = line, what, remedy


def _entries(text: str) -> Iterator[list[_Line]]:
    """Group lines into entries: an optional name, line 1, line 2; broken ones are shorter."""
    group: list[_Line] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = _Line(number, raw.rstrip())
        if not line.text or line.text.startswith("#"):
            continue
        if group and (group[-1].kind, line.kind) not in (("name", "1"), ("1", "2")):
            yield group
            group = []
        group.append(line)
        if line.kind == "2":
            yield group
            group = []
    if group:
        yield group


def _satellite(entry: list[_Line], checksum: Checksum) -> Satellite:
    from sgp4.api import SGP4_ERRORS, Satrec
    from sgp4.conveniences import sat_epoch_datetime

    if entry[-1].kind != "2" or len(entry) < 2:
        raise _BadLine(entry[-1], *_ORPHANS[entry[-1].kind])
    first, second = entry[-2:]
    for line in (first, second):
        _check_line(line, checksum)
    if first.text[2:7] != second.text[2:7]:
        raise _BadLine(
            second,
            f"catalogue number {second.text[2:7]} follows line 1 of {first.text[2:7]}",
            "put the two lines of one satellite together",
        )
    model = Satrec.twoline2rv(first.text[:_LENGTH], second.text[:_LENGTH])
    if model.error:
        raise _BadLine(first, f"SGP4 says: {SGP4_ERRORS[model.error]}", "leave this satellite out")
    named = len(entry) == 3
    name = entry[0].text.removeprefix("0 ").strip() if named else str(model.satnum)
    return Satellite(name, model.satnum, sat_epoch_datetime(model), model)


def _check_line(line: _Line, checksum: Checksum) -> None:
    text = line.text
    which = text[0]
    if len(text) < _LENGTH or text[_LENGTH : _LENGTH + 1].strip():
        raise _BadLine(
            line,
            f"line {which} has {len(text)} characters instead of {_LENGTH}",
            "copy the whole line, blanks included",
        )
    if not text.isascii():
        raise _BadLine(line, f"line {which} has characters that are not ASCII", "retype them")
    complaint = _complaint(text)
    if complaint:
        raise _BadLine(line, complaint, "copy the line again from its source")
    if checksum == "verify":
        _check_sum(line)


def _complaint(text: str) -> str | None:
    """What is wrong with the columns of a line 1 or 2, or None."""
    if not _NUMBER.fullmatch(text[2:7]):
        return f"catalogue number {text[2:7]!r} is neither five digits nor alpha-5"
    if text[0] == "1":
        if not re.fullmatch(r"[ \d]\d", text[18:20]):
            return f"epoch year {text[18:20]!r} is not two digits"
        for what, power in (("rate of change", text[44:52]), ("BSTAR", text[53:61])):
            if not _POWER.fullmatch(power):
                return f"{what} {power!r} is not of the form +12345-6"
    elif not re.fullmatch(r"[ \d]{6}\d", text[26:33]):
        return f"eccentricity {text[26:33]!r} is not seven digits"
    return next((bad for bad in (f.complaint(text) for f in _FIELDS[text[0]]) if bad), None)


def _check_sum(line: _Line) -> None:
    from sgp4.io import compute_checksum

    written, tally = line.text[68], str(compute_checksum(line.text))
    if written != tally:
        raise _BadLine(
            line,
            f"line {line.text[0]} gives checksum {written!r} but its characters tally to {tally}",
            'get the elements again, or read with checksum="ignore" if the edit is yours',
        )
