"""Orbits as a few numbers each: a precessing ellipse fitted to the positions of SGP4.

Positions every few seconds would make megabytes; an ellipse that a page can work out itself makes
a hundred bytes a satellite. Where one ellipse is off by more than :data:`MOST_OFF_DEG`, the run is
cut into shorter arcs, each with an ellipse of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import numpy as np

import orbit
from orbit.propagation import Stretch, good_stretch, propagate
from orbit.utc import Start
from sim.errors import InputError
from statements import Code
from statements.arrays import Floats

MOST_OFF_DEG = 0.2
"""How far, seen from the Earth's centre, an arc may be off: about a pixel of a globe."""
KEPT_OFF_DEG = 0.15
"""How far it may be off at the times that are looked at; between them it may be a little more."""
SAMPLES = 240
"""Positions that an arc is fitted to."""
BETWEEN = 241
"""Positions between them at which its error is measured as well."""
MOST_FIT_STEPS = 5
CONVERGED_RAD = 1e-5
"""A step of the fit that changes no angle by more (rad) is its last: the screen shows 1e-3."""
PROBE_STEP = 1e-6
"""Change of a number by which its effect is measured."""
LEAST_TOLD = 1e-4
"""Share of the best known direction below which the positions do not tell a direction."""
MOST_ECCENTRIC = 0.97
SHORTEST_S = 60.0
"""Arcs that are this short fit any orbit, or nothing does."""
FAILING_STEP_S = 300.0
FINE = 1e-6
"""Angles (rad) and shapes are rounded to it."""
TURN_RAD_S = 7.2921158553e-5
"""How fast the Earth turns against the stars."""
MU_KM3_S2 = 398600.4418


@dataclass(frozen=True)
class Arc:
    """An ellipse that turns evenly, Earth-fixed, good from ``first_s`` until ``last_s``.

    Angles are in radians, rates in rad/s, and times count from ``first_s``. ``node`` turns against
    the Earth. The argument of perigee is ``perigee + perigee_rate * t``, the mean anomaly
    ``anomaly + motion * t + change * t * t``. ``place`` in ``templates/sky.js`` evaluates the same.
    """

    first_s: float
    last_s: float
    inclination: float
    node: float
    node_rate: float
    perigee: float
    perigee_rate: float
    anomaly: float
    motion: float
    change: float
    eccentricity: float
    axis_km: float

    def rounded(self) -> Arc:
        """Return the arc with as many digits as matter: each number is off by far less than 0.001
        degrees at the arc's end."""
        lasts_s = max(self.last_s - self.first_s, 1.0)
        rates = dict.fromkeys(("node_rate", "perigee_rate", "motion"), FINE / lasts_s)
        fine = {"first_s": 1e-3, "last_s": 1e-3, "change": FINE / lasts_s**2, "axis_km": 0.01}
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return Arc(**{
            name: _rounded(value, (fine | rates).get(name, FINE)) for name, value in held.items()
        })  # fmt: skip

    def place_km(self, time_s: Floats) -> Floats:
        """Return Earth-fixed positions (T, 3) at times (T,) since the run's start."""
        t = time_s - self.first_s
        true, radius_km = _on_ellipse(
            self.anomaly + self.motion * t + self.change * t * t, self.eccentricity, self.axis_km
        )
        along = self.perigee + self.perigee_rate * t + true
        node = self.node + self.node_rate * t
        forward, across = np.cos(along), np.sin(along) * np.cos(self.inclination)
        x = np.cos(node) * forward - np.sin(node) * across
        y = np.sin(node) * forward + np.cos(node) * across
        z = np.sin(along) * np.sin(self.inclination)
        return np.stack([x, y, z], axis=1) * radius_km[:, None]


def _rounded(value: float, fine: float) -> float:
    """Return the value to a power of ten that is at most ``fine``."""
    return round(value, -int(np.floor(np.log10(fine))))


def _on_ellipse(mean: Floats, eccentricity: float, axis_km: float) -> tuple[Floats, Floats]:
    """Return true anomalies and radii for mean anomalies, by Newton's method."""
    excentric = mean + eccentricity * np.sin(mean)
    for _ in range(8 if eccentricity > 0.1 else 3):
        off = excentric - eccentricity * np.sin(excentric) - mean
        excentric = excentric - off / (1.0 - eccentricity * np.cos(excentric))
    half = np.sqrt((1.0 + eccentricity) / (1.0 - eccentricity))
    turns = excentric - np.mod(excentric + np.pi, 2 * np.pi) + np.pi
    true = turns + 2.0 * np.arctan(half * np.tan((excentric - turns) / 2.0))
    return true, axis_km * (1.0 - eccentricity * np.cos(excentric))


def arcs_of(satellite: orbit.Satellite, start: Start, span_s: float) -> list[Arc]:
    """Return arcs that follow each other from the start for ``span_s``, as far as SGP4 goes.

    Raises InputError where no arc is within :data:`MOST_OFF_DEG`.
    """
    good = good_stretch(satellite, start, span_s, FAILING_STEP_S)
    return [] if good is None else list(_arcs(satellite, start, good))


def _arcs(satellite: orbit.Satellite, start: Start, good: Stretch) -> Iterator[Arc]:
    waiting = [(good.first_s, good.last_s)]
    while waiting:
        first_s, last_s = waiting.pop()
        arc = _fitted(satellite, start, first_s, last_s)
        if arc is not None:
            yield arc
        elif last_s - first_s > SHORTEST_S:
            middle_s = (first_s + last_s) / 2
            waiting += [(middle_s, last_s), (first_s, middle_s)]
        else:
            raise InputError.of_option(
                "replay",
                Code.UNSUPPORTED,
                "the positions of {name!r} are not those of an orbit",
                name=satellite.name,
            )


def _fitted(satellite: orbit.Satellite, start: Start, first_s: float, last_s: float) -> Arc | None:
    """Return the ellipse of least squares between two times, None if it is off by too much."""
    time_s = _scattered(first_s, last_s, SAMPLES)
    state = propagate(satellite, start, time_s)
    arc = _refined(_first_guess(state, time_s), state[:, :3], time_s)
    arc = replace(arc, first_s=first_s, last_s=last_s).rounded()
    checked_s = np.linspace(first_s, last_s, BETWEEN)
    true_km = np.concatenate([state[:, :3], propagate(satellite, start, checked_s)[:, :3]])
    off_deg = apart_deg(arc.place_km(np.concatenate([time_s, checked_s])), true_km)
    return arc if off_deg.max() <= KEPT_OFF_DEG else None


def apart_deg(one_km: Floats, other_km: Floats) -> Floats:
    """Return the angles (T,) between positions (T, 3), seen from the centre of the Earth."""
    cross = np.linalg.norm(np.cross(one_km, other_km), axis=1)
    return np.degrees(np.arctan2(cross, np.sum(one_km * other_km, axis=1)))


def _scattered(first_s: float, last_s: float, count: int) -> Floats:
    """Return times from the first to the last, one in each of as many equal steps.

    They are not even, so that no number of them falls on the same place of every revolution.
    """
    golden = np.mod(np.arange(count) * 0.6180339887498949, 1.0)
    return first_s + (last_s - first_s) * (np.arange(count) + golden) / count


def _first_guess(state: Floats, time_s: Floats) -> Arc:
    """Return an ellipse by the osculating elements at each of the states (T, 6), Earth-fixed.

    The frame that it works in does not turn: it is the Earth's at the first time.
    """
    t = time_s - time_s[0]
    position, velocity = _unturned(state, t)
    radius = np.linalg.norm(position, axis=1)
    momentum = np.cross(position, velocity)
    normal = momentum / np.linalg.norm(momentum, axis=1)[:, None]
    inclination = float(np.mean(np.arccos(np.clip(normal[:, 2], -1.0, 1.0))))
    # Above the equator the node is anywhere, and steady.
    level = np.hypot(normal[:, 0], normal[:, 1]) < 1e-9
    ascending = np.where(level, 0.0, np.arctan2(normal[:, 0], -normal[:, 1]))
    node_rate, node = np.polyfit(t, np.unwrap(ascending), 1)
    along, _ = _in_plane(position, inclination, node + node_rate * t)
    toward = np.cross(velocity, momentum) / MU_KM3_S2 - position / radius[:, None]
    perigee_at, eccentricity = _in_plane(toward, inclination, node + node_rate * t)
    shape = float(np.clip(np.mean(eccentricity), 0.0, MOST_ECCENTRIC))
    steady = shape > 0.02  # else the direction of perigee says nothing
    mean_toward = np.angle(np.mean(eccentricity * np.exp(1j * perigee_at)))
    rate, perigee = np.polyfit(t, np.unwrap(perigee_at), 1) if steady else (0.0, mean_toward)
    if not steady:
        shape = float(np.abs(np.mean(eccentricity * np.exp(1j * perigee_at))))
    speed = np.sum(velocity**2, axis=1)
    axis_km = float(np.mean(1.0 / (2.0 / radius - speed / MU_KM3_S2)))
    mean = _mean_anomaly(along - perigee - rate * t, shape)
    motion = float(np.sqrt(MU_KM3_S2 / axis_km**3)) - rate
    change, more, anomaly = np.polyfit(t, np.unwrap(mean - motion * t), 2)
    return Arc(
        float(time_s[0]),
        float(time_s[-1]),
        inclination,
        float(node),
        float(node_rate) - TURN_RAD_S,
        float(perigee),
        float(rate),
        float(anomaly),
        float(motion + more),
        float(change),
        shape,
        axis_km,
    )


def _unturned(state: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Return positions and velocities (T, 3) in the frame that is the Earth's at t = 0."""
    cosine, sine = np.cos(TURN_RAD_S * t), np.sin(TURN_RAD_S * t)
    x, y, z, to_x, to_y, to_z = state.T
    to_x, to_y = to_x - TURN_RAD_S * y, to_y + TURN_RAD_S * x
    position = np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=1)
    velocity = np.stack([cosine * to_x - sine * to_y, sine * to_x + cosine * to_y, to_z], axis=1)
    return position, velocity


def _in_plane(vector: Floats, inclination: float, node: Floats) -> tuple[Floats, Floats]:
    """Return angles from the ascending node, and lengths, of vectors (T, 3) about in a plane."""
    x, y, z = vector.T
    forward = np.cos(node) * x + np.sin(node) * y
    across = np.cos(inclination) * (np.cos(node) * y - np.sin(node) * x) + np.sin(inclination) * z
    return np.arctan2(across, forward), np.hypot(forward, across)


def _mean_anomaly(true: Floats, eccentricity: float) -> Floats:
    half = np.sqrt((1.0 - eccentricity) / (1.0 + eccentricity))
    excentric = 2.0 * np.arctan2(half * np.sin(true / 2.0), np.cos(true / 2.0))
    return excentric - eccentricity * np.sin(excentric)


def _refined(arc: Arc, position_km: Floats, time_s: Floats) -> Arc:
    """Return the arc after a few steps of Gauss and Newton toward the positions (T, 3).

    Perigee and anomaly are fitted by their sum and by the two parts of the eccentricity's vector,
    which are well defined for a circle as well.
    """
    span_s = max(float(time_s[-1] - time_s[0]), 1.0)
    radius_km = float(np.linalg.norm(position_km, axis=1).mean())
    unit = position_km / radius_km
    # A rate counts by what it adds up to over the arc.
    scales = np.array([1, 1, 1 / span_s, 1, 1, 1, 1 / span_s, 1 / span_s, 1 / span_s**2, radius_km])
    own = _off(arc, unit, radius_km, time_s)
    numbers = _regular(arc)
    for _ in range(MOST_FIT_STEPS):
        columns = []
        for number, scale in enumerate(scales):
            moved = numbers.copy()
            moved[number] += PROBE_STEP * scale
            there = _off(_arc(moved, arc), unit, radius_km, time_s)
            columns.append((there - own) / PROBE_STEP)
        # What a short arc does not tell, such as how fast perigee turns, stays as it was.
        step, *_ = np.linalg.lstsq(np.stack(columns, axis=1), -own, rcond=LEAST_TOLD)
        numbers = numbers + step * scales
        if np.hypot(numbers[3], numbers[4]) > MOST_ECCENTRIC or numbers[9] <= 0.0:
            break
        now = _arc(numbers, arc)
        off = _off(now, unit, radius_km, time_s)
        if off @ off >= own @ own:
            break
        arc, own = now, off
        if np.abs(step).max() < CONVERGED_RAD:
            break
    return arc


def _off(arc: Arc, unit: Floats, radius_km: float, time_s: Floats) -> Floats:
    return (arc.place_km(time_s) / radius_km - unit).ravel()


def _regular(arc: Arc) -> Floats:
    """Return numbers of an arc of which none is undefined for a circle."""
    east = arc.eccentricity * np.cos(arc.perigee)
    north = arc.eccentricity * np.sin(arc.perigee)
    return np.array(
        [
            *(arc.inclination, arc.node, arc.node_rate, east, north, arc.perigee + arc.anomaly),
            *(arc.motion + arc.perigee_rate, arc.perigee_rate, arc.change, arc.axis_km),
        ]
    )


def _arc(numbers: Floats, like: Arc) -> Arc:
    inclination, node, node_rate, east, north, along, rate, turning, change, axis_km = numbers
    perigee = float(np.arctan2(north, east))
    return Arc(
        like.first_s,
        like.last_s,
        float(inclination),
        float(node),
        float(node_rate),
        perigee,
        float(turning),
        float(along) - perigee,
        float(rate - turning),
        float(change),
        float(np.hypot(east, north)),
        float(axis_km),
    )


def numbers_of(tracks: Sequence[Sequence[Arc]]) -> list[list[list[float]]]:
    """Return the arcs of each satellite as lists of numbers, in the order of :class:`Arc`."""
    return [[[*map(_short, astuple(arc))] for arc in arcs] for arcs in tracks]


def _short(value: float) -> Any:
    """Return a whole number as one: it has fewer letters."""
    return int(value) if value == int(value) and abs(value) < 1e9 else value
