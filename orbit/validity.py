"""How far satellites can be trusted over a span: age of the elements, leap seconds, UT1."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from math import floor

from orbit.clock import span_s, utc
from orbit.elements import Satellite
from orbit.rotation import timescale

OLD_ELEMENTS_DAYS = 7.0
_JULIAN_DAY_OF_UNIX_ZERO = 2440587.5
_UNIX_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


class OrbitWarning(UserWarning):
    """Something about an orbit or a span that makes contacts less certain than they look."""


def doubts(satellites: Iterable[Satellite], start: datetime, end: datetime) -> list[str]:
    """What is doubtful about these satellites from `start` to `end` (aware), a line each.

    Element sets that are more than 7 days from their epoch somewhere in the span (orbits made
    from scratch, number 0, do not age); leap seconds in the span, which SGP4 does not count; and
    a span that leaves the UT1 table which Skyfield carries. Raises ValueError unless `end` is
    later than `start`.
    """
    span_s(start, end)
    first, last = utc(start, "start"), utc(end, "end")
    return [*_old(list(satellites), first, last), *_leaps(first, last), *_beyond_ut1(first, last)]


def _old(satellites: list[Satellite], start: datetime, end: datetime) -> Iterator[str]:
    # To the tenth of a day that the line shows.
    limit = timedelta(days=OLD_ELEMENTS_DAYS + 0.05)
    ages = [
        (max(abs(start - satellite.epoch), abs(end - satellite.epoch)), satellite.name)
        for satellite in satellites
        if satellite.norad_id
    ]
    old = [aged for aged in ages if aged[0] > limit]
    if old:
        age, name = max(old)
        yield (
            f"{len(old)} of {len(satellites)} element sets lie more than {OLD_ELEMENTS_DAYS:g} "
            f"days from their epoch in this span, {name} the most with "
            f"{age / timedelta(days=1):.1f} days; their error grows by about a kilometre a day at "
            "first and ever faster, so contacts may be off by seconds to minutes: get elements of "
            "a date nearer the span"
        )


def _leaps(start: datetime, end: datetime) -> Iterator[str]:
    for midnight in _leap_midnights():
        if start < midnight <= end:
            yield (
                f"a leap second ends {midnight - timedelta(days=1):%Y-%m-%d}, within this span; "
                "SGP4 does not count it, so contacts beyond it, as seen from the epoch, are up to "
                "1 s off: end the span before it, or start after it with newer elements"
            )


def _beyond_ut1(start: datetime, end: datetime) -> Iterator[str]:
    first, last = _ut1_table()
    if start < first or end > last:
        yield (
            f"this span leaves the table of UT1, {first:%Y-%m-%d} to {last:%Y-%m-%d}; outside it "
            "the Earth's rotation is extrapolated, which moves contacts by milliseconds at first "
            "and by tens of them after years: a newer Skyfield has a longer table"
        )


def _leap_midnights() -> list[datetime]:
    """The midnights (UTC) just after each leap second."""
    return [_of_julian_day(day) for day in timescale().leap_dates]


def _ut1_table() -> tuple[datetime, datetime]:
    """First and last day of Skyfield's daily table, at midnight (UTC)."""
    days, _ = timescale().delta_t_table
    return _of_julian_day(days[0]), _of_julian_day(days[-1])


def _of_julian_day(day: float) -> datetime:
    """The midnight at or up to a day before; dates of the UT1 table are a minute of TT later."""
    return _UNIX_ZERO + timedelta(days=floor(day - _JULIAN_DAY_OF_UNIX_ZERO))
