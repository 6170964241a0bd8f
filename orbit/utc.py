"""Times: aware UTC, Julian dates and ISO 8601 texts."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orbit.checks import FloatArray

DAY_S = 86400.0
# Julian date of 0h UTC on the day before 0001-01-01 in the proleptic Gregorian calendar.
_JULIAN_DAY_OF_ORDINAL_0 = 1721424.5
_UNIX_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
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


def of_julian_date(day: float, fraction: float = 0.0) -> datetime:
    """The instant of a Julian date (UTC) in two parts, to the nearest microsecond."""
    days = timedelta(days=day - _JULIAN_DAY_OF_UNIX_ZERO)
    return _UNIX_ZERO + days + timedelta(days=fraction)


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

    def day_fraction(self, time_s: FloatArray) -> FloatArray:
        """Days (UTC) from the start's midnight to each time in seconds since the start."""
        return (self.second_of_day + time_s) / DAY_S


def span_s(start: datetime, end: datetime) -> float:
    """Seconds from start to end (both aware); raises ValueError unless end is later."""
    seconds = (utc(end, "end") - utc(start, "start")).total_seconds()
    if seconds <= 0:
        raise ValueError(f"end {end} is not after start {start}; give a later end")
    return seconds


# Those that the elements of satellites can be from, which count years with two digits.
_YEARS = (1957, 2157)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Month names by hand: strptime reads them in the language of the machine.
_DAY_FIRST = re.compile(
    rf"(\d{{1,2}}) ({'|'.join(_MONTHS)}) (\d{{4}}) (\d{{1,2}}):(\d\d):(\d\d(?:\.\d+)?)"
)


def parse_instant(text: str, column: str) -> datetime:
    """The UTC instant that a cell of `column` names, to the microsecond.

    ISO 8601 with Z, an offset or UTC after it; where the column's own name says UTC (as STK's
    UTCG) also `22 Aug 2026 14:02:03.123`. Raises ValueError for anything else, a time without zone
    among it: guessing one would shift all contacts.
    """
    if day_first := _DAY_FIRST.fullmatch(text):
        when = _from_day_first(day_first, text, column)
    else:
        try:
            when = datetime.fromisoformat(re.sub(r" ?UTC$", "Z", text))
        except ValueError:
            form = "write it like 2026-08-22T14:02:03.123Z"
            raise ValueError(f"{column} {text!r} is not a time; {form}") from None
        if when.tzinfo is None:
            raise ValueError(f"{column} {text!r} has no time zone; append Z if it is UTC")
    if not _YEARS[0] <= when.year < _YEARS[1]:
        raise ValueError(f"{column} {text!r} is not in {_YEARS[0]} to {_YEARS[1] - 1}; correct it")
    return when.astimezone(UTC)


def _from_day_first(match: re.Match[str], text: str, column: str) -> datetime:
    if "UTC" not in column.upper():
        raise ValueError(
            f"{column} {text} has no time zone; if it is UTC, say so in the header: {column} (UTC)"
        )
    day, month, year, hour, minute, second = match.groups()
    if not float(second) < 60:
        raise ValueError(f"{column} {text}: seconds go up to 59.999; a leap second has no label")
    date = f"{year}-{_MONTHS.index(month) + 1:02}-{day:0>2}"
    try:
        return datetime.fromisoformat(f"{date}T{hour:0>2}:{minute}:{second}Z")
    except ValueError as error:
        raise ValueError(f"{column} {text}: {error}; correct it") from None
