"""Satellites that train: two rings with a station, links in windows of a file, and batteries."""

from __future__ import annotations

from typing import Any

from tests.kit.small import SLOTS

RING = 8


def isl_windows() -> Any:
    """Rows of a file of windows: a satellite and the next of its ring, in three of four hours."""
    rows = ["a,b,start_utc,end_utc"]
    for plane in (1, 2):
        for number in range(RING):
            one, other = sorted((number + 1, (number + 1) % RING + 1))
            for hour in range(0, 24, 4):
                day = f"2026-08-22T{hour:02}:00:00Z,2026-08-22T{hour + 3:02}:00:00Z"
                rows.append(f"P{plane:02}-S{one:02},P{plane:02}-S{other:02},{day}")
    return "\n".join(rows) + "\n"


SATELLITES = {
    "seed": 3,
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 0.5},
    "roles": {"server": "stations", "clients": "satellites"},
    "orbit": {
        "source": "walker",
        "altitude_km": 1200,
        "inclination_deg": 80,
        "satellites": 2 * RING,
        "planes": 2,
        "phasing": 1,
        "min_elevation_deg": 10,
    },
    "ground": {
        "antennas": "unlimited",
        "stations": [{"name": "Bremen", "latitude_deg": 53.1, "longitude_deg": 8.85}],
    },
    "link": {
        "preset": "physical",
        "isl": {"rate_mbps": 10, "within_plane": "ring", "windows": isl_windows()},
    },
    "compute": {
        "seconds_per_round": 300,
        "power_w": 15,
        "battery": {"capacity_wh": 6, "charge_w": 10, "idle_w": 4},
    },
    "learning": {
        **{key: SLOTS["learning"][key] for key in ("steps_per_round", "batch_size")},
        "method": "fedisl",
        "model": {"kind": "image-cnn"},
        "data": {"kind": "digit-images"},
    },
}
"""Seconds of training; windows may be given as text, or as a file of it."""
