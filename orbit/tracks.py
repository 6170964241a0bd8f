"""Earth-fixed paths of satellites during contacts: cubics through SGP4's states."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import ceil, floor, isfinite

import numpy as np

from orbit.ephemeris import EARTH_RATE_RAD_S, Ephemeris, differences, perigee_rate_rad_s
from orbit.propagation import propagate
from orbit.satellite import Satellite
from orbit.utc import DAY_S, Start
from statements.arrays import Floats, Ints, stretches

# Radians that the satellite may turn about the Earth's centre between two knots: 7 s in a low
# orbit. A cubic is then within 0.1 mm of SGP4.
_TURN_RAD = 0.008
_LEAST_STEPS = 5


@dataclass(frozen=True, eq=False)
class Tracks:
    """Earth-fixed paths of N satellites, each over a span of its own.

    Track n lasts from `first_s` to `last_s` (N,), seconds since the start, and has `pieces` (N,)
    cubic pieces, at least 4. Its knots, even in time, are rows `row` (N,) and following of
    `knots_s` (R,), seconds since its `first_s`, and of `states` (6, R), which are SGP4's. Position
    (km) and velocity (km/s) are interpolated apart: SGP4's velocity is not its position's
    derivative (up to 1 m/s off in low orbits, more in eccentric ones). Pieces have the values and
    the derivatives of their knots. No bit of a track depends on the others.
    """

    first_s: Floats
    last_s: Floats
    pieces: Ints
    knots_s: Floats
    states: Floats

    @cached_property
    def row(self) -> Ints:
        """First row (N,) of each track."""
        return np.cumsum(self.pieces + 1) - (self.pieces + 1)

    @cached_property
    def rates(self) -> Floats:
        """Derivatives (6, R) at the knots."""
        last = self.row + self.pieces
        step_s = np.repeat(self.knots_s[last] / self.pieces, self.pieces + 1)
        return _rates_per_step(self.states, self.row, last) / step_s

    @cached_property
    def powers(self) -> Floats:
        """Coefficients (4, 6, R) of the piece after each row, by falling power of the time since.

        Behind the last knot of a track there is none: these columns are of no use.
        """
        width = np.diff(self.knots_s, append=1.0)
        width[self.row + self.pieces] = 1.0
        values = self.states
        rate = self.rates
        slope = np.diff(values, append=0.0) / width
        after = np.append(rate[:, 1:], rate[:, :1], 1)
        bend = (rate + after - 2 * slope) / width
        return np.stack([bend / width, (slope - rate) / width - bend, rate, values])

    def state(self, track: Ints, time_s: Floats, components: int = 6) -> Floats:
        """The first components of states (components, ...) on tracks (by index) at finite times.

        Tracks and times broadcast. Outside of its span a track extrapolates.
        """
        after_s = time_s - self.first_s[track]
        row = self.row[track]
        left = after_s * self._per_s[track]
        np.maximum(left, 0, out=left)
        np.minimum(left, (self.pieces - 1)[track], out=left)
        row = row + left.astype(np.intp)
        after_s -= self.knots_s[row]
        values = self.powers[0, :components].take(row, axis=1)
        for power in self.powers[1:, :components]:
            values *= after_s
            values += power.take(row, axis=1)
        return values

    @cached_property
    def _per_s(self) -> Floats:
        """Pieces (N,) a second."""
        return self.pieces / self.knots_s[self.row + self.pieces]

    def ephemeris(self, some: Ints) -> Ephemeris:
        """The positions on some tracks as an ephemeris, each of them a satellite of it."""
        count = self.pieces[some] + 1
        rows = stretches(self.row[some], count)[1]
        step_s = self.knots_s[self.row[some] + 1]
        satellite = np.repeat(np.arange(len(some)), count)
        time_s = self.first_s[some][satellite] + self.knots_s[rows]
        time_s[np.cumsum(count) - 1] = self.last_s[some]
        node = np.stack([self.states[:3, rows], step_s[satellite] * self.rates[:3, rows]])
        return Ephemeris(satellite, time_s, step_s, node)


def contact_tracks(
    satellites: Sequence[Satellite], start: datetime, first_s: Floats, last_s: Floats
) -> Tracks:
    """Propagate each of N satellites over [first_s, last_s], seconds since the aware UTC `start`.

    A satellite that comes more than once is propagated over all its spans of a day at once. Knots
    are dense enough for the orbit's perigee. SGP4 itself jumps now and then in a few deep space
    orbits (where its inclination passes 0.2 rad, or its resonance integrator steps); next to such a
    jump the path is no better than the jump is high. Raises ValueError for a span that is not
    finite or does not last, a start without time zone, or where SGP4 fails.
    """
    since = Start.of(start)
    groups: dict[tuple[int, int, int], list[int]] = {}
    pieces = np.empty(len(satellites), np.int64)
    spans = zip(satellites, first_s.tolist(), last_s.tolist(), strict=True)
    for n, (satellite, begin_s, end_s) in enumerate(spans):
        if not (isfinite(begin_s) and isfinite(end_s) and end_s > begin_s):
            raise ValueError(f"track {begin_s} s to {end_s} s does not last; give a later last_s")
        motion_rad_s = satellite.model.no_kozai / 60
        fastest_rad_s = EARTH_RATE_RAD_S + perigee_rate_rad_s(motion_rad_s, satellite.model.ecco)
        pieces[n] = max(_LEAST_STEPS, ceil((end_s - begin_s) * fastest_rad_s / _TURN_RAD))
        # The Earth's angle is rounded otherwise where it is asked for over other days.
        days = (floor((since.second_of_day + t) / DAY_S) for t in (begin_s, end_s))
        groups.setdefault((id(satellite), *days), []).append(n)
    row = np.cumsum(pieces + 1) - (pieces + 1)
    count = int((pieces + 1).sum())
    place = stretches(np.zeros_like(pieces), pieces + 1)[1]
    step_s = np.repeat((last_s - first_s) / pieces, pieces + 1)
    knots_s = np.multiply(place, step_s, dtype=np.float64)
    knots_s[row + pieces] = last_s - first_s
    states = np.empty((6, count))
    for members in groups.values():
        some = np.array(members)
        rows = stretches(row[some], pieces[some] + 1)[1]
        begin_s, end_s = (np.repeat(x[some], pieces[some] + 1) for x in (first_s, last_s))
        time_s = np.minimum(begin_s + knots_s[rows], end_s)
        states[:, rows] = propagate(satellites[members[0]], since, time_s).T
    return Tracks(first_s, last_s, pieces, knots_s, states)


# Derivatives by five values at even times (Fornberg 1988, tables 1 and 3), to the fourth power of
# the step: between others, at the first of a stretch, and at its second.
_INSIDE = (1 / 12, -2 / 3, 0.0, 2 / 3, -1 / 12)
_AT_ENDS = ((-25 / 12, 4.0, -3.0, 4 / 3, -1 / 4), (-1 / 4, -5 / 6, 3 / 2, -1 / 2, 1 / 12))


def _rates_per_step(values: Floats, first: Ints, last: Ints) -> Floats:
    """Derivatives (C, R) of values (C, R) in stretches from columns `first` to `last` (N,)."""
    rates = np.empty_like(values)
    rates[:, 2:-2] = differences(values, _INSIDE)
    for ends, inwards in ((first, 1), (last, -1)):
        near = values[:, ends[:, None] + inwards * np.arange(5)]
        for place, weights in enumerate(_AT_ENDS):
            rates[:, ends + inwards * place] = inwards * differences(near, weights)[..., 0]
    return rates
