"""Times: aware UTC, Julian dates and ISO 8601 texts."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from statements.arrays import Floats

DAY_S = 86400.0
# Julian date of 0h UTC on the day before 0001-01-01 in the proleptic Gregorian calendar.
_JULIAN_DAY_OF_ORDINAL_0 = 1721424.5
UNIX_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
_JULIAN_DAY_OF_UNIX_ZERO = 2440587.5


def utc(value: datetime, what: str) -> datetime:
    """Return `value` in UTC.

    Raises ValueError for anything but a datetime with a time zone.
    """
    if not isinstance(value, datetime):
        raise ValueError(
            f"{what} {value!r} is not a datetime; write datetime(2026, 8, 22, tzinfo=UTC)"
        )
    if value.utcoffset() is None:
        raise ValueError(
            f"{what} {value} has no time zone; write datetime({value.year}, {value.month}, "
            f"{value.day}, ..., tzinfo=datetime.UTC)"
        )
    return value.astimezone(UTC)


def to_second(moment: datetime, later_s: float = 0.0) -> str:
    """The form of a time (UTC), some seconds after a moment, in messages: 2026-08-22T14:02:03Z."""
    return f"{moment + timedelta(seconds=float(later_s)):%Y-%m-%dT%H:%M:%SZ}"


def of_julian_date(day: float, fraction: float = 0.0) -> datetime:
    """The instant of a Julian date (UTC) in two parts, to the nearest microsecond."""
    days = timedelta(days=day - _JULIAN_DAY_OF_UNIX_ZERO)
    return UNIX_ZERO + days + timedelta(days=fraction)


@dataclass(frozen=True)
class Start:
    """An instant of UTC from which seconds are counted, split so that no digit is lost.

    Seconds count UTC labels, as SGP4 does: a leap second inside a span is not counted.
    """

    midnight: datetime
    second_of_day: float

    @classmethod
    def of(cls, value: datetime, what: str = "start") -> "Start":
        """Split an aware datetime; raises ValueError when it has no time zone."""
        at = utc(value, what)
        midnight = datetime(at.year, at.month, at.day, tzinfo=UTC)
        return cls(midnight, (at - midnight).total_seconds())

    @property
    def julian_day(self) -> float:
        """Julian date (UTC) of the start's midnight."""
        return self.midnight.toordinal() + _JULIAN_DAY_OF_ORDINAL_0

    def utc(self, time_s: float) -> datetime:
        """The instant `time_s` seconds after the start."""
        return self.midnight + timedelta(seconds=self.second_of_day + time_s)

    def day_fraction(self, time_s: Floats) -> Floats:
        """Days (UTC) from the start's midnight to each time in seconds since the start."""
        return (self.second_of_day + time_s) / DAY_S


def span_s(start: datetime, end: datetime) -> float:
    """Seconds from start to end (both aware); raises ValueError unless end is later."""
    seconds = (utc(end, "end") - utc(start, "start")).total_seconds()
    if seconds <= 0:
        raise ValueError(f"end {end} is not after start {start}; give a later end")
    return seconds


YEARS = (1957, 2157)
"""Years that the elements of satellites can be from, which count them with two digits: from the
first one up to but not including the second."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Month names by hand: strptime reads them in the language of the machine.
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d(?:[.,]\d*)?))?"
_ZONE = r"(?P<zone>Z|[+-]\d\d:?\d\d)?"
# Dates that the order of their parts or a name tells; 08/09/2026 may be August or September.
_DATES = tuple(
    re.compile(rf"(?:[A-Z][a-z]{{2}},? )?{date}[ T]{_CLOCK} ?{_ZONE}", re.IGNORECASE)
    for date in (
        rf"(?P<day>\d{{1,2}})[ -]{_MONTH}[ -](?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})[ -]{_MONTH}[ -](?P<day>\d{{1,2}})",
        rf"{_MONTH} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}})",
        r"(?P<year>\d{4})[/-](?P<number>\d{1,2})[/-](?P<day>\d{1,2})",
        r"(?P<day>\d{1,2})\.(?P<number>\d{1,2})\.(?P<year>\d{4})",
        r"(?P<year>\d{4})[-/](?P<of_year>\d{3})",
    )
)
# A name of UTC that no other zone follows: UTC+2 and GMT-5 are others.
_UTC = re.compile(r"(?:UTC|GMT)(?! ?[+-] ?0*[1-9])|\b(?:ZULU|Z)\b")
# Other scales, which are seconds ahead of UTC.
_OTHER_SCALE = re.compile(r"(?<![a-z])(?:TAI|GPST?|TT|TDT|TDB)(?![a-z])", re.IGNORECASE)
_UNIX = re.compile(r"unix|posix|epoch", re.IGNORECASE)
_MOST_SECONDS = 1e11
"""Counts from 1970 above it are in milliseconds."""


def says_utc(header: str) -> bool:
    """Whether the header of a column says that its times are UTC: AOS (UTC), rise_utc, UTCG."""
    return _UTC.search(header.upper().replace("_", " ")) is not None


def parse_instant(text: str, column: str) -> datetime:
    """The UTC instant that a cell of `column` names, to the microsecond.

    ISO 8601 and dates that can be read in one way only (22 Aug 2026 14:02:03.123, 2026/08/22
    14:02:03, 2026-234T14:02:03), with Z, UTC or an offset after it; without one where the header of
    the column says UTC (as STK's UTCG). Seconds since 1970 where it says unix, posix or epoch.
    Raises ValueError for anything else, a time without zone among it: guessing one would shift all
    contacts; and for all times below a header of another scale, as TAI or GPS.
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", column)  # those of riseTai, and of rise_tai
    if (scale := _OTHER_SCALE.search(words)) and not says_utc(column):
        raise ValueError(
            f"{column} {text!r}: the header says {scale[0].upper()}, which is not UTC whatever the "
            f"cell says; give the times in UTC, and say so in the header"
        )
    plain = re.sub(r" ?(?:UTC|GMT|Zulu|z)$", "Z", text)
    try:
        when = _from_parts(plain) or _from_count(plain, column) or datetime.fromisoformat(plain)
        if not re.search(r"\d[T :]\d", plain) and not _UNIX.search(column):
            raise ValueError("has no time of day")
    except _WrongDate as error:
        raise ValueError(f"{column} {text}: {error}") from None
    except (ValueError, OverflowError, OSError):
        form = "write it like 2026-08-22T14:02:03.123Z"
        raise ValueError(f"{column} {text!r} is not a time; {form}") from None
    if when.tzinfo is None:
        if not says_utc(column):
            bare = re.sub(r"\s*[(\[][^)\]]*[)\]]\s*$", "", column) or column  # without its brackets
            raise ValueError(
                f"{column} {text!r} has no time zone; if it is UTC, append Z or say so in the "
                f"header, like {bare} (UTC); else append its offset, like +02:00"
            )
        when = when.replace(tzinfo=UTC)
    if not YEARS[0] <= when.year < YEARS[1]:
        raise ValueError(f"{column} {text!r} is not in {YEARS[0]} to {YEARS[1] - 1}; correct it")
    return when.astimezone(UTC)


class _WrongDate(ValueError):
    """A date of a form that is known, and what is wrong with it."""


def _from_parts(text: str) -> datetime | None:
    """The time of a date that is not ISO 8601; None for another form."""
    found = next((match for form in _DATES if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    part = found.groupdict()
    second = (part["second"] or "00").replace(",", ".")
    if not float(second) < 60:
        raise _WrongDate("seconds go up to 59.999; a leap second has no label")
    named = part.get("month")
    month = f"{_MONTHS.index(named.title()) + 1}" if named else part.get("number", "1")
    day = part.get("day") or "1"
    clock = f"{part['hour']:0>2}:{part['minute']}:{second.rstrip('.')}"
    try:
        when = datetime.fromisoformat(
            f"{part['year']}-{month:0>2}-{day:0>2}T{clock}{part['zone'] or ''}"
        )
        if part.get("of_year"):
            begin = when
            when += timedelta(days=int(part["of_year"]) - 1)
            if when.year != begin.year:
                raise ValueError(f"there is no day {part['of_year']} in {begin.year}")
    except ValueError as error:
        raise _WrongDate(f"{error}; correct it") from None
    return when


def _from_count(text: str, column: str) -> datetime | None:
    """The time of a count of seconds, or milliseconds, since 1970; None where it is none."""
    if not _UNIX.search(column) or not re.fullmatch(r"\d+(\.\d*)?", text):
        return None
    seconds = float(text)
    return UNIX_ZERO + timedelta(seconds=seconds / 1e3 if seconds > _MOST_SECONDS else seconds)
