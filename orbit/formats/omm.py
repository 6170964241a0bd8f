"""Orbit Mean-Elements Messages (CCSDS 502.0-B): their fields, and their forms CSV and XML."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from math import isnan, nan, pi, sqrt
from typing import Any
from xml.parsers import expat

from orbit.formats.files import LONGEST_ROW, TableError
from orbit.formats.records import AGAIN, Record, is_entry
from orbit.formats.tables import parse_table
from orbit.satellite import ElementError, Satellite, not_tiny
from orbit.utc import DAY_S, Start


def csv_records(text: str, source: str) -> Iterator[Record | ElementError]:
    """Rows below a header line of field names; blank rows and comments are skipped."""
    try:
        for row in parse_table(text, source, USED, are_fields).entries:
            if isinstance(row, TableError):
                yield ElementError(str(row))
                continue
            numbers = _QUANTITIES.keys() & row.cells.keys()
            fields = row.cells | {key: row.with_point(key) for key in numbers}
            yield Record(f"{row.source}:{row.line}", fields, {})
    except TableError as error:
        yield ElementError(str(error))


def are_fields(cells: Collection[str]) -> bool:
    """Whether cells of a header name fields of elements."""
    columns = set(filter(None, cells))
    return not USED.isdisjoint(columns) or is_entry(dict.fromkeys(columns, "1"))


# What XML of mean elements never comes near: a message has some 40 elements, 7 deep.
_MOST_ELEMENTS = 100
_MOST_NAMES = 1000
_DEEPEST = 32
_PIECE = 1 << 16
_LONGEST_TAG = 1 << 20


def xml_records(text: str, source: str) -> Iterator[Record | ElementError]:
    """Segments of the <omm> elements of an NDM (CCSDS 505.0-B), or of one <omm>.

    Read piece by piece up to the first thing that cannot be one. Documents that declare types or
    entities are refused unread, since these can grow without end.
    """
    if any(word in text for word in ("<!DOCTYPE", "<!ENTITY")):
        yield ElementError(f"{source}:1: XML with a DOCTYPE or ENTITY; remove the declaration")
        return
    text = text.lstrip()
    names: dict[str, str] = {}
    messages = _Messages(source, names)
    parser = expat.ParserCreate("utf-8", "}", intern=names)
    parser.buffer_text = True
    parser.StartElementHandler = messages.begin
    parser.CharacterDataHandler = messages.add_text
    parser.EndElementHandler = messages.end
    fed = 0
    wrong = ""
    for at in range(0, len(text) + _PIECE, _PIECE):
        piece = text[at : at + _PIECE].encode(errors="replace")
        fed += len(piece)
        try:
            parser.Parse(piece, at >= len(text))
            if fed - parser.CurrentByteIndex > _LONGEST_TAG:
                raise _Refused(f"XML with a tag of more than {_LONGEST_TAG} bytes", AGAIN)
        except expat.ExpatError as error:
            wrong = f"{source}:{error.lineno}: broken XML: {error}; {AGAIN}"
        except _Refused as no:
            wrong = f"{source}:{parser.CurrentLineNumber}: {no.what}; {no.remedy}"
        yield from messages.found
        messages.found.clear()
        if wrong:
            yield ElementError(wrong)
            return


class _Messages:
    """Collects the records of the outermost <omm> and their outermost <segment>."""

    def __init__(self, source: str, names: dict[str, str]) -> None:
        self.found: list[Record] = []
        self._source = source
        self._names = names
        self._number = 0
        self._depth = self._elements = 0
        # The <omm> around this place and the <segment> in it: how deep, and the fields there.
        self._around: list[tuple[int, Record]] = []
        self._has_segments = False
        # The last element that began, until one ends; with its text and units.
        self._leaf = ""
        self._text = ""
        self._units: str | None = None

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins, and raises _Refused where no message has its like."""
        self._leaf = name.rpartition("}")[2]
        self._text = ""
        self._depth += 1
        self._elements += 1
        if self._depth == 1 and self._leaf not in ("ndm", "omm"):
            what = f"XML of <{self._leaf[:40]}> instead of <ndm> or <omm>"
            raise _Refused(what, "give Orbit Mean-Elements Messages")
        if self._depth > _DEEPEST:
            raise _Refused(f"XML with more than {_DEEPEST} elements inside of one another", AGAIN)
        if self._elements > _MOST_ELEMENTS:
            what = f"XML with more than {_MOST_ELEMENTS} elements for one satellite"
            raise _Refused(what, AGAIN)
        if len(self._names) > _MOST_NAMES:
            raise _Refused(f"XML with more than {_MOST_NAMES} different names", AGAIN)
        if self._leaf == ("omm", "segment", None)[len(self._around)]:
            if not self._around:
                self._has_segments = False
                self._elements = 0
            self._around.append((self._depth, Record("", {}, {})))
        self._units = attributes.get("units")

    def add_text(self, text: str) -> None:
        """Text of a field."""
        if self._leaf:
            self._text += text
            if len(self._text) > LONGEST_ROW:
                raise _Refused(f"XML with a text of more than {LONGEST_ROW} characters", AGAIN)

    def end(self, _name: str) -> None:
        """An element ends: a field if it has none inside, or a whole record."""
        depth, record = self._around[-1] if self._around else (0, None)
        if self._leaf and record:
            record.fields[self._leaf] = self._text or None
            if self._units is not None:
                record.units[self._leaf] = self._units
        self._leaf = ""
        if record and self._depth == depth:
            self._around.pop()
            if self._around or not self._has_segments:  # a segment, or a message without any
                self._number += 1
                self._has_segments = True
                self._elements = 0
                where = f"{self._source} entry {self._number}"
                self.found.append(Record(where, record.fields, record.units))
        self._depth -= 1


# The largest number that sgp4 can give a model; the satellite keeps its own.
_LAST_ALPHA_5 = 339999
_LAST_NORAD_ID = 999_999_999
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# A table that has been through floating point says 25544.0.
_WHOLE = re.compile(r"\+?(\d{1,12})(?:\.0*)?", re.ASCII)
_FIRST_YEAR = 1957
_LAST_YEAR = 2100
_OFFSET = re.compile(r"[+-]\d\d:?\d\d$", re.ASCII)
_EPOCH = re.compile(r"\d{4}-(\d\d-\d\d|\d{3})[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]00:?00)?", re.ASCII)
# With which SGP4 elements are fitted.
_WGS72_GM_KM3_S2 = 398_600.8


@dataclass(frozen=True)
class _Quantity:
    """A number with its unit, and the closed range it may lie in; `turns` count modulo 360."""

    low: float
    high: float
    unit: str
    optional: bool = False
    turns: bool = False


# Units of CCSDS 502.0-B, tables 4-2 and 4-3; the ranges are those of two-line elements.
_QUANTITIES = {
    "MEAN_MOTION": _Quantity(1e-5, 18, "rev/day"),
    "ECCENTRICITY": _Quantity(0, 0.9999999, ""),
    "INCLINATION": _Quantity(0, 180, "deg"),
    "RA_OF_ASC_NODE": _Quantity(-1e9, 1e9, "deg", turns=True),
    "ARG_OF_PERICENTER": _Quantity(-1e9, 1e9, "deg", turns=True),
    "MEAN_ANOMALY": _Quantity(-1e9, 1e9, "deg", turns=True),
    "BSTAR": _Quantity(-100, 100, "1/ER"),
    "SEMI_MAJOR_AXIS": _Quantity(1, 1e7, "km", optional=True),
    "GM": _Quantity(398_600, 398_601, "km**3/s**2", optional=True),
    "MEAN_MOTION_DOT": _Quantity(-2, 2, "rev/day**2", optional=True),
    "MEAN_MOTION_DDOT": _Quantity(-100, 100, "rev/day**3", optional=True),
}
# What a field must say where it is given, and how to mend it.
_MEANING = {
    "CENTER_NAME": (("EARTH",), "give satellites of the Earth"),
    # The second is its name in the registry of CCSDS.
    "REF_FRAME": (("TEME", "TEMEOFDATE"), "get elements in TEME, the frame of SGP4"),
    "TIME_SYSTEM": (("UTC",), "give EPOCH in UTC"),
    "MEAN_ELEMENT_THEORY": (
        ("SGP4", "SGP/SGP4", "TLE", "SDP4", "SGP4/SDP4"),
        "get elements made for SGP4",
    ),
    "EPHEMERIS_TYPE": (("0", "2", "3"), "get elements made for SGP4 (0); 4 is SGP4-XP"),
}
_REQUIRED = ["EPOCH", "NORAD_CAT_ID", *(k for k, q in _QUANTITIES.items() if not q.optional)]
_INSTEAD = {"MEAN_MOTION": ["SEMI_MAJOR_AXIS"], "NORAD_CAT_ID": ["OBJECT_NAME", "OBJECT_ID"]}
USED = frozenset(
    {"OBJECT_NAME", "OBJECT_ID", "EPOCH_MICROSECONDS", *_REQUIRED, *_QUANTITIES, *_MEANING}
)
"""The fields that are read; all others are left alone."""


class _Refused(Exception):
    def __init__(self, what: str, remedy: str, key: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.key = key


def satellite_of_omm(record: Record) -> Satellite | ElementError:
    """The record as a Satellite, or as the ElementError that names the field that is wrong.

    Needs EPOCH, the six mean elements and BSTAR; and NORAD_CAT_ID, or OBJECT_NAME or OBJECT_ID in
    its place. An entry without OBJECT_NAME is named by its catalogue number, else by its OBJECT_ID.
    In place of MEAN_MOTION there may be SEMI_MAJOR_AXIS: that of Kepler's third law, with GM.
    """
    name = _name(record.fields)
    if not name.isprintable():  # a terminal would obey it
        what = f"OBJECT_NAME {name[:40]!r} has characters that cannot be shown"
        return ElementError.at(record.where, "", what, "retype it")
    try:
        given = {key: _text(key, value) for key, value in record.fields.items() if key in USED}
        _check(given, record)
        return _satellite(name, given)
    except _Refused as no:
        return ElementError.at(record.lines.get(no.key, record.where), name, no.what, no.remedy)


def _name(fields: dict[str, Any]) -> str:
    """OBJECT_NAME on one line, else the catalogue number as written, else OBJECT_ID."""
    for key in ("OBJECT_NAME", "NORAD_CAT_ID", "OBJECT_ID"):
        # JSON can spell half a surrogate pair, which no file or terminal takes.
        value = fields.get(key)
        text = str(value if value or type(value) is int else "")
        text = text.encode(errors="replace").decode()
        if key == "NORAD_CAT_ID" and (match := _WHOLE.fullmatch(text.strip())):
            text = match[1]
        if text.strip():
            return " ".join(text.split())
    return ""


def _satellite(name: str, fields: dict[str, str]) -> Satellite:
    from sgp4 import omm
    from sgp4.api import Satrec

    number = _norad_id(fields["NORAD_CAT_ID"]) if fields.get("NORAD_CAT_ID") else 0
    epoch = _epoch(fields["EPOCH"], fields.get("EPOCH_MICROSECONDS", ""))
    given = {key: _number(key, fields[key]) for key in _QUANTITIES if fields.get(key)}
    model = Satrec()
    omm.initialize(
        model,
        {
            **dict.fromkeys(_QUANTITIES, 0.0),
            **given,
            "MEAN_MOTION": given.get("MEAN_MOTION") or _mean_motion(given),
            "INCLINATION": not_tiny(given["INCLINATION"]),
            "EPOCH": f"{epoch:%Y-%m-%dT%H:%M:%S.%f}",
            "NORAD_CAT_ID": number if number <= _LAST_ALPHA_5 else 0,
            "CLASSIFICATION_TYPE": "U",
            **dict.fromkeys(("EPHEMERIS_TYPE", "ELEMENT_SET_NO", "REV_AT_EPOCH"), 0),
            "OBJECT_ID": "",
        },
    )
    # sgp4 takes the epoch as one number of days, which is 0.3 us coarse; it keeps it as two.
    start = Start.of(epoch, "EPOCH")
    model.jdsatepoch = start.julian_day
    model.jdsatepochF = start.second_of_day / DAY_S
    return Satellite(name, number, epoch, model)


def _mean_motion(given: dict[str, float]) -> float:
    """Revolutions a day on the semi-major axis, by Kepler's third law; SGP4's own GM if none is."""
    gm_km3_s2 = given.get("GM", _WGS72_GM_KM3_S2)
    turns = DAY_S / (2 * pi) * sqrt(gm_km3_s2 / given["SEMI_MAJOR_AXIS"] ** 3)
    quantity = _QUANTITIES["MEAN_MOTION"]
    if not quantity.low <= turns <= quantity.high:
        what = f"SEMI_MAJOR_AXIS {given['SEMI_MAJOR_AXIS']:g} is {turns:.8g} revolutions a day"
        allowed = f"outside {quantity.low:g} to {quantity.high:g}"
        raise _Refused(f"{what}, {allowed}", "check the value and its unit", "SEMI_MAJOR_AXIS")
    return turns


def _text(key: str, value: Any) -> str:
    """The value as text, whichever way the format writes it; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        what = f"{key} {value!r:.40} is no text or number"
        raise _Refused(what, f"write {key} as one value", key)
    return str(value).strip()


def _check(fields: dict[str, str], record: Record) -> None:
    """Refuse what is missing, or has another unit or meaning than that which is read."""
    missing = [
        key
        for key in _REQUIRED
        if not fields.get(key) and not any(fields.get(name) for name in _INSTEAD.get(key, ()))
    ]
    if missing:
        unknown = {key.upper(): key for key in sorted(set(record.fields) - USED)[:100]}
        alike = get_close_matches(missing[0], unknown, n=1, cutoff=0.8)
        remedy = (
            f"rename the unknown field {unknown[alike[0]]!r}" if alike else "add what is missing"
        )
        raise _Refused(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing", remedy
        )
    for key, quantity in _QUANTITIES.items():
        stated = record.units.get(key, quantity.unit)
        if stated.lower() != quantity.unit.lower():
            what = f"{key} is in {stated[:40]!r}"
            raise _Refused(what, f"give it in {quantity.unit or 'no unit'}", key)
    for key, (allowed, remedy) in _MEANING.items():
        meant = fields.get(key)
        if not meant or meant in allowed:
            continue
        whole = _WHOLE.fullmatch(meant)  # as +0, or 0.0
        if (str(int(whole[1])) if whole else meant.upper()) not in allowed:
            raise _Refused(f"{key} {meant[:40]!r} is not {allowed[0]}", remedy, key)


def _norad_id(text: str) -> int:
    match = _WHOLE.fullmatch(text)
    if not match or int(match[1]) > _LAST_NORAD_ID:
        raise _Refused(
            f"NORAD_CAT_ID {text[:40]!r} is no whole number from 0 to {_LAST_NORAD_ID}",
            "write all digits, without alpha-5 letters",
            "NORAD_CAT_ID",
        )
    return int(match[1])


def _number(key: str, text: str) -> float:
    quantity = _QUANTITIES[key]
    number = float(text) if _DECIMAL.fullmatch(text) else nan
    if quantity.low <= number <= quantity.high:
        return number % 360.0 if quantity.turns else number
    allowed = f"{quantity.low:g} to {quantity.high:.8g} {quantity.unit}".strip()
    if isnan(number):
        raise _Refused(f"{key} {text[:40]!r} is not a decimal number", f"give {allowed}", key)
    raise _Refused(f"{key} {text[:40]} is outside {allowed}", "check the value and its unit", key)


def _epoch(text: str, microseconds: str) -> datetime:
    """EPOCH as aware UTC: calendar date or day of the year, with or without Z.

    Older lists have whole seconds and the microseconds in a field of their own.
    """
    form = "2026-08-22T12:00:46.125312, in UTC"
    if not _EPOCH.fullmatch(text):
        ahead = _OFFSET.search(text)
        if ahead and _EPOCH.fullmatch(text[: ahead.start()]):
            what = f"EPOCH {text[:40]!r} is ahead of UTC or behind it"
            raise _Refused(what, f"write it in UTC, like {form}", "EPOCH")
        what = f"EPOCH {text[:40]!r} is not an ISO 8601 time"
        raise _Refused(what, f"write it like {form}", "EPOCH")
    day, _, clock = re.sub(r"(Z|[+-]00:?00)$", "", text).replace(" ", "T").partition("T")
    if re.fullmatch(r"\d{1,6}", microseconds, re.ASCII) and "." not in clock:
        clock += f".{microseconds:0>6}"
    try:
        moment = datetime.fromisoformat(f"{_date(day)}T{clock}").replace(tzinfo=UTC)
    except ValueError as error:
        raise _Refused(f"EPOCH {text[:40]}: {error}", f"write it like {form}", "EPOCH") from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        years = f"{_FIRST_YEAR} to {_LAST_YEAR}"
        raise _Refused(f"EPOCH {text[:40]} is not in {years}", "correct the year", "EPOCH")
    return moment


def _date(day: str) -> date:
    """The day that 2026-08-22 or 2026-234 names; raises ValueError when there is none."""
    if len(day) != 8:
        return date.fromisoformat(day)
    found = datetime.strptime(day, "%Y-%j").date()
    # Day 366 of a common year comes out as the next 1 January.
    if found.year != int(day[:4]):
        raise ValueError(f"{day[:4]} has 365 days")
    return found
