"""Satellites, sites and windows that tests of orbits share; tests/truth/accuracy.py reads some."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sgp4
from skyfield.api import load

import orbit

START = datetime(2026, 8, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DAY_S = 86_400.0
TIMESCALE = load.timescale(builtin=True)
MUNICH = orbit.Site("Munich", 48.14, 11.58, 520.0)
SITES = (
    orbit.Site("north pole", 90.0, 0.0), orbit.Site("equator", 0.0, 10.0),
    orbit.Site("west of the antimeridian", -16.8, 179.99),
    orbit.Site("east of the antimeridian", 64.8, -179.9),
    orbit.Site("Altiplano", -16.5, -68.15, 5000.0), MUNICH,
)  # fmt: skip
SOUTH_POLE = ("south pole", -90.0, 40.0, 2835.0)
DEAD_SEA = ("Dead Sea", 31.5, 35.5, -430.0)
EIGHT_SITES = (*SITES, orbit.Site(*SOUTH_POLE), orbit.Site(*DEAD_SEA))
_ANGLES_DEG = np.random.default_rng(5).uniform(0, 360, (12, 2))
# From 300 to 1400 km, and from the equator to past the poles.
CIRCLES = [
    orbit.circular_satellite(f"c{k}", 300 + 100 * k, 15 * k + 5, raan_deg, argument_deg, START)
    for k, (raan_deg, argument_deg) in enumerate(_ANGLES_DEG.tolist())
]
_NAMES = (
    "semi_major_axis_km",
    "inclination_deg",
    "eccentricity",
    "raan_deg",
    "argument_of_perigee_deg",
    "mean_anomaly_deg",
    "bstar",
)
# Drag is in 1 / earth radii.
TYPED_IN = {
    "ISS": (6796.0, 51.64, 6e-4, 120.0, 80.0, 10.0, 2.5e-4),
    "OneWeb": (7578.0, 87.9, 2e-4, 30.0, 90.0, 50.0, 1e-4),
    "Starlink": (6928.0, 53.05, 1e-4, 200.0, 90.0, 270.0, 3e-4),
    "polar": (7078.0, 90.0, 1e-3, 60.0, 0.0, 0.0, 5e-5),
    "Molniya": (26562.0, 63.4, 0.72, 250.0, 270.0, 0.0, 0.0),
    "geostationary": (42165.0, 0.05, 1e-4, 60.0, 0.0, 0.0, 0.0),
}
# Catalogue numbers in the verification file of SGP4 (Vallado et al., AIAA 2006-6753).
VERIFICATION = {28057: "CBERS 2", 9880: "MOLNIYA 1-36", 8195: "MOLNIYA 2-14", 28626: "XM-3"}
VERIFICATION_FILE = Path(sgp4.__file__).parent / "SGP4-VER.TLE"

ONE = "1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997"
TWO = "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031"
(ISS,) = orbit.parse_satellites(f"ISS\n{ONE}\n{TWO}")
# The same with so much drag that it comes down four days later.
FALLING = orbit.parse_satellites(
    f"FALLING\n{ONE[:33]} .09133000  00000+0  90000-1 0  9997\n{TWO}", checksum="ignore"
)[0]


def typed_in() -> list[orbit.Satellite]:
    named: dict[str, dict[str, Any]] = {
        name: dict(zip(_NAMES, row, strict=True)) for name, row in TYPED_IN.items()
    }
    return [orbit.keplerian_satellite(name, START, **given) for name, given in named.items()]


@cache
def verified(number: int) -> Any:
    """A satellite that SGP4 itself is verified with, by its catalogue number."""
    every = orbit.read_satellites(VERIFICATION_FILE, checksum="ignore")
    return next(satellite for satellite in every if satellite.norad_id == number)


def verification() -> Any:
    return [replace(verified(number), name=name) for number, name in VERIFICATION.items()]


def start_of(satellite: Any) -> Any:
    """A whole second: the epoch of real elements."""
    return satellite.epoch.replace(microsecond=0) if satellite.norad_id else START


def element_file(name: str) -> Any:
    """A shared element file; the test is skipped where there is none."""
    return data_file("tle").joinpath(name)


def data_file(name: str) -> Any:
    """A shared file or folder; the test is skipped where there is none."""
    root = Path(__file__).resolve().parents[2]
    path = Path(os.environ.get("LEOMIX_DATA", root.parent / "shared" / "data")) / name
    if not path.exists():
        pytest.skip(f"no {name} here: set LEOMIX_DATA to the folder that holds it")
    return path


def windows_of(rows: Any) -> Any:
    """ContactWindows of (satellite, site, rise, set) rows, and nothing of geometry."""
    rows = sorted(rows, key=lambda row: (row[2], row[0], row[1]))
    satellite, site, rise_s, set_s = np.array(rows, dtype=float).reshape(-1, 4).T
    return orbit.bare_windows(
        satellite=satellite.astype(int), site=site.astype(int),
        rise_s=rise_s, culminate_s=(rise_s + set_s) / 2, set_s=set_s,
    )  # fmt: skip


def refused(words: str, ask: Any, *asked: Any, **named: Any) -> None:
    """A call raises ValueError with these words (a regular expression), in one line."""
    with pytest.raises(ValueError, match=words) as caught:
        ask(*asked, **named)
    assert "\n" not in str(caught.value)


def crossings(value: Callable[[Any], Any], time_s: Any, at: Any, tolerance_s: float) -> Any:
    """When a function of times changes its sign, between those of a grid, where it is ``at``."""
    left = np.flatnonzero((at[1:] >= 0) != (at[:-1] >= 0))
    return roots(value, time_s[left], time_s[left + 1], tolerance_s)


def roots(value: Callable[[Any], Any], a: Any, b: Any, tolerance_s: float) -> Any:
    """Roots between each a and b by regula falsi, Illinois form: an end that stays counts half."""
    if not a.size:
        return a
    at_a, at_b, step = value(a), value(b), b - a
    while np.abs(step).max() > tolerance_s:
        step = at_b * (a - b) / np.where(at_b == at_a, 1.0, at_b - at_a)
        middle = b + step
        at_middle = value(middle)
        other = (at_middle < 0) != (at_b < 0)
        a, at_a = np.where(other, b, a), np.where(other, at_b, at_a / 2)
        b, at_b = middle, at_middle
    return b
