"""Packed numbers of a replay read anew, and where Skyfield sees its satellites."""

from __future__ import annotations

import base64
import itertools
from datetime import timedelta
from typing import Any

import numpy as np
from skyfield.api import EarthSatellite
from skyfield.framelib import itrs

import orbit
from tests.kit.skies import START, TIMESCALE


def numbers(text: str) -> Any:
    """The whole numbers of a packed text, byte by byte."""
    one, _, count = text.partition("*")
    if count:
        return np.full(int(count), int(one))
    found: list[int] = []
    value = bits = 0
    for byte in base64.b64decode(text):
        value |= (byte & 127) << bits
        bits += 7
        if byte < 128:
            found.append(-(value + 1) // 2 if value % 2 else value // 2)
            value = bits = 0
    return np.array(found, dtype=np.int64)


def skyfield_km(satellite: Any, time_s: Any) -> Any:
    """Earth-fixed positions (T, 3) by Skyfield at times since START."""
    own = EarthSatellite.from_satrec(satellite.model, TIMESCALE)
    at = TIMESCALE.from_datetimes([START + timedelta(seconds=t) for t in time_s.tolist()])
    return own.at(at).frame_xyz(itrs).km.T


ECCENTRIC = [
    orbit.keplerian_satellite(
        f"e={eccentricity}", START, semi_major_axis_km=6971 / (1 - eccentricity),
        eccentricity=eccentricity, inclination_deg=inclination_deg, argument_of_perigee_deg=70,
    )
    for eccentricity, inclination_deg in itertools.product((0.0, 0.01, 0.05, 0.2), (0.0, 53.0))
]  # fmt: skip
