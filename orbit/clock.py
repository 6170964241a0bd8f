"""The zero of time: an aware UTC start, as SGP4 wants it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orbit.arrays import FloatArray

DAY_S = 86400.0
# Julian date of 0h UTC on the day before 0001-01-01 in the proleptic Gregorian calendar.
_JULIAN_DAY_OF_ORDINAL_0 = 1721424.5


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
