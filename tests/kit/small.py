"""Small scenarios for the tests of ``sim``."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import scenarios

SLOTS: dict[str, Any] = {
    "seed": 3,
    "stop": {"cycles": 3},
    "orbit": {"source": "slots", "slots": {"seconds": 600, "idle": 1}},
    "ground": {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3}]},
    "link": {"preset": "paper"},
    "compute": {"seconds_per_round": 200},
    "learning": {
        "method": "emsfl",
        "steps_per_round": 1,
        "batch_size": 4,
        "gate_tuning_cycles": 1,
        "lora": {"rank": 2},
        "pretraining": {"backbone_steps": 3, "expert_steps": 3, "gate_steps": 3},
        "model": {"experts": 2, "hidden": 16, "expert_hidden": 16},
    },
}
"""Two clusters in three slots, a few milliseconds of training a contact."""

ORBIT: dict[str, Any] = {
    **deepcopy(SLOTS),
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 1.5},
    "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
    "ground": {
        "clusters": [
            {
                "name": "North",
                "latitude_deg": 60,
                "longitude_deg": 20,
                "devices": 3,
                "radius_km": 60,
            },
            {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "devices": 2},
        ]
    },
    "link": {"preset": "physical"},
}
"""A real orbit over two clusters."""

NEAR = [
    {"name": "Here", "latitude_deg": 60, "longitude_deg": 20},
    {"name": "There", "latitude_deg": 58, "longitude_deg": 25},
    {"name": "Yonder", "latitude_deg": 62, "longitude_deg": 27},
]
"""Three clusters that one satellite sees at once."""


OVER_GRID: dict[str, Any] = {
    **{"learning.train": False, "learning.method": "fedavg", "learning.options": {}},
    **{"link.isl.route": "earliest", "link.isl.between_planes": "grid"},
}
"""Keys over ``iridium-isl``: FedAvg for its timing, over a mesh of four links a satellite."""


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def slots(**changes: Any) -> scenarios.Scenario:
    return scenarios.from_dict(merged(SLOTS, changes))


def orbit(**changes: Any) -> scenarios.Scenario:
    return scenarios.from_dict(merged(ORBIT, changes))


def fixed(**rates_mbps: float) -> dict[str, Any]:
    """Links of fixed rates: ``fixed(uplink=1e-5)``."""
    return {way: {"rate": "fixed", "fixed_rate_mbps": rate} for way, rate in rates_mbps.items()}


RATE_MBPS = 8.0
"""A megabyte a second."""
FIXED = fixed(uplink=RATE_MBPS, downlink=RATE_MBPS)
FIXED["downlink"]["delivery"] = "unicast"
STUDY: dict[str, Any] = {
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 0.5},
    "roles": {"server": "stations", "clients": "satellites"},
    "orbit": {
        **{"source": "walker", "satellites": 8, "planes": 2, "phasing": 1},
        **{"altitude_km": 600, "inclination_deg": 60, "min_elevation_deg": 10},
    },
    "ground": {
        "stations": [
            {"name": "Bremen", "latitude_deg": 53.1, "longitude_deg": 8.85},
            {"name": "Perth", "latitude_deg": -31.8, "longitude_deg": 115.9},
        ]
    },
    "link": FIXED,
}
"""Eight satellites over two stations, in which nobody learns."""

RING = 8


def clock(second: int) -> str:
    return f"2026-08-22T00:{second // 60:02}:{second % 60:02}Z"


def pass_table(rows: Any) -> str:
    """A table of passes: satellite, site, and the seconds of rise and set."""
    lines = (f"{sat},{site},{clock(rise)},{clock(sets)}" for sat, site, rise, sets in rows)
    return "\n".join(["satellite,site,rise_utc,set_utc", *lines]) + "\n"


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
    **STUDY,
    "seed": 3,
    "orbit": STUDY["orbit"] | {"altitude_km": 1200, "inclination_deg": 80, "satellites": 2 * RING},
    "ground": {"antennas": "unlimited", "stations": STUDY["ground"]["stations"][:1]},
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
