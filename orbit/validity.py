"""How far satellites can be trusted over a span: age of the elements, leap seconds, UT1."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Any

import numpy as np
from sgp4.api import WGS72, Satrec

from orbit.earth import timescale
from orbit.satellite import Satellite, as_satellite
from orbit.utc import of_julian_date, span_s, utc
from statements import Code, Other, Statement

OLD_ELEMENTS_DAYS = 7.0
_MOST_NUMBERS = 5
_PREDICTED = timedelta(days=366)
"""How far ahead of its making a table of UT1 is predicted."""


class OrbitWarning(UserWarning):
    """Something about an orbit or a span that makes contacts less certain than they look."""


def doubts(satellites: Iterable[Satellite], start: datetime, end: datetime) -> list[Statement]:
    """What is doubtful about these satellites from `start` to `end` (aware).

    Satellites that share a name or a catalogue number; element sets that are more than 7 days from
    their epoch somewhere in the span (orbits made from scratch do not age); leap seconds in the
    span, which SGP4 does not count; a span that leaves the UT1 table which Skyfield carries; and
    orbits so low that a satellite would fall soon, which nothing drags.
    Raises ValueError unless `end` is later than `start`, and for anything but satellites.
    """
    span_s(start, end)
    first = utc(start, "start")
    last = utc(end, "end")
    if not isinstance(satellites, Iterable):
        kind = type(satellites).__name__
        raise ValueError(f"satellites: a {kind} is no list of satellites; give a list")
    given = [as_satellite(thing) for thing in satellites]
    return [
        *_same_names(given),
        *_same_numbers(given),
        *_old(given, first, last),
        *_leaps(first, last),
        *_beyond_ut1(first, last),
        *_undragged(given, last - first),
    ]


def _same_names(satellites: list[Satellite]) -> Iterator[Statement]:
    # Element sets of one satellite share its name by right.
    several = {(s.name, s.norad_id or index): s for index, s in enumerate(satellites)}.values()
    for name, count, more in _shared([satellite.name for satellite in several], "name"):
        known = [str(s.norad_id) for s in several if s.name == name and s.norad_id]
        shown = known[:_MOST_NUMBERS]
        if len(known) > _MOST_NUMBERS:
            shown.append("...")
        which = f" ({', '.join(shown)})" if shown else ""
        yield Statement.doubt(
            Code.AMBIGUOUS,
            "",
            f"{{count}} satellites are called {{name!r}}{which}{more}; tables tell them by their "
            "catalogue numbers only",
            Other(said="rename one"),
            count=count,
            name=name,
        )


def _same_numbers(satellites: list[Satellite]) -> Iterator[Statement]:
    for number, count, more in _shared([s.norad_id for s in satellites if s.norad_id], "number"):
        often, several = ("twice", "two") if count == 2 else (f"{count} times", str(count))
        yield Statement.doubt(
            Code.AMBIGUOUS,
            "",
            f"{{norad_id}} comes {often}{more}, and {several} element sets of one satellite count "
            f"as {several}",
            Other(said="keep one of them, as orbit.one_each does"),
            norad_id=number,
            count=count,
        )


def _shared(values: list[Any], what: str) -> Iterator[tuple[Any, int, str]]:
    """The first value that comes more than once, if any: how often, and how many others do."""
    shared = [(value, count) for value, count in Counter(values).items() if count > 1]
    more = len(shared) - 1
    others = f"{more} more {what}s come" if more > 1 else f"1 more {what} comes"
    for value, count in shared[:1]:
        yield value, count, f", and {others} more than once" if more else ""


def _old(satellites: list[Satellite], start: datetime, end: datetime) -> Iterator[Statement]:
    # To the tenth of a day that the line shows.
    limit = timedelta(days=OLD_ELEMENTS_DAYS + 0.05)
    ages = [
        (max(abs(time - satellite.epoch) for time in (start, end)), satellite.name)
        for satellite in satellites
        if not satellite.made
    ]
    old = [aged for aged in ages if aged[0] > limit]
    if old:
        age, name = max(old)
        yield Statement.doubt(
            Code.OLD_ELEMENTS,
            "",
            f"{{old}} of {{count}} element sets lie more than {OLD_ELEMENTS_DAYS:g} days from "
            "their epoch in this span, {name} the most with {age_days:.1f} days; their error grows "
            "by about a kilometre a day at first and ever faster, so contacts may be off by "
            "seconds to minutes",
            Other(said="get elements of a date nearer the span"),
            old=len(old),
            count=len(satellites),
            name=name,
            age_days=age / timedelta(days=1),
        )


def _leaps(start: datetime, end: datetime) -> Iterator[Statement]:
    for midnight in map(_midnight, timescale().leap_dates):
        if start < midnight <= end:
            yield Statement.doubt(
                Code.TIME_SCALE,
                "",
                "a leap second ends {leap_day}, within this span; SGP4 does not count it, so "
                "contacts beyond it, as seen from the epoch, are up to 1 s off",
                Other(said="end the span before it"),
                Other(said="start after it with newer elements"),
                leap_day=f"{midnight - timedelta(days=1):%Y-%m-%d}",
            )


def _beyond_ut1(start: datetime, end: datetime) -> Iterator[Statement]:
    days, _ = timescale().delta_t_table  # Skyfield's, one a day
    first = _midnight(days[0])
    last = _midnight(days[-1])
    if start < first or end > last:
        # A table of a year is predicted: none that there may be by now reaches further.
        newer = first <= start and end <= datetime.now(UTC) + _PREDICTED
        helps = [Other(said="install a newer Skyfield, which has a longer table")] if newer else []
        yield Statement.doubt(
            Code.TIME_SCALE,
            "",
            "this span leaves the table of UT1, {first_day} to {last_day}; outside it the Earth's "
            "rotation is extrapolated, which moves contacts by milliseconds at first, by tens of "
            "them after years and by seconds after decades",
            *helps,
            first_day=f"{first:%Y-%m-%d}",
            last_day=f"{last:%Y-%m-%d}",
        )


DRAG_BELOW_KM = 300.0
"""Height of a perigee below which a satellite without propulsion lives for months at most."""
USUAL_BSTAR = 5e-4
"""Drag term of small satellites, per Earth radius."""
_LEAST_SPAN = timedelta(days=1)
_LONGEST_DAYS = 365.0
_FALLEN_KM = 100.0


def _undragged(satellites: list[Satellite], span: timedelta) -> Iterator[Statement]:
    heights_km = [
        ((one.model.a * (1 - one.model.ecco) - 1) * one.model.radiusearthkm, number)
        for number, one in enumerate(satellites)
        if one.model.bstar == 0.0
    ]
    low = [one for one in heights_km if one[0] < DRAG_BELOW_KM]
    if not low or span < _LEAST_SPAN:
        return
    height_km, number = min(low)
    days = _life_days(satellites[number])
    lives = f"{days:.1f}" if days < 10 else f"{days:.0f}"
    if days < _LONGEST_DAYS:
        yield Statement.doubt(
            Code.UNSUPPORTED,
            "",
            f"nothing drags {{count}} of {{satellites}} satellites that come below "
            f"{DRAG_BELOW_KM:g} km: {{name}}, at {{height_km:.0f}} km, would fall after about "
            f"{lives} days by SGP4 with a usual drag term B* of {USUAL_BSTAR:g}",
            Other(said="raise the orbit"),
            Other(said="take elements with B*, or source keplerian with bstar"),
            count=len(low),
            satellites=len(satellites),
            height_km=height_km,
            name=satellites[number].name,
            days=days,
        )


def _life_days(satellite: Satellite) -> float:
    """Days until SGP4 has a satellite of usual drag fall, to a tenth; infinity for a year."""
    model = satellite.model
    dragged = Satrec()
    dragged.sgp4init(
        WGS72,
        "i",
        0,
        0.0,
        USUAL_BSTAR,
        0.0,
        0.0,
        model.ecco,
        model.argpo,
        model.inclo,
        model.mo,
        model.no_kozai,
        model.nodeo,
    )
    day = np.arange(0.0, _LONGEST_DAYS, 0.1)
    start = np.full(len(day), dragged.jdsatepoch)
    error, position_km, _ = dragged.sgp4_array(start, dragged.jdsatepochF + day)
    down_km = np.linalg.norm(position_km, axis=1) - model.radiusearthkm
    fallen = (error != 0) | (down_km < _FALLEN_KM)
    return float(day[fallen.argmax()]) if fallen.any() else np.inf


def _midnight(day: float) -> datetime:
    """The midnight at or up to a day before; dates of the UT1 table are a minute of TT later."""
    return of_julian_date(floor(day - 0.5) + 0.5)
