"""Planes in a buffer: satellites that train when they fly over places, and upload over a station.

    python papers/planes.py

No method of leomix trains on a place's account. The passes over the station and over the places are
those of two runs of 30 days; who uploads and who fetches is counted here, by three readings.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Literal

from paper_runs import runs, table
from predicted import Predicted, beside

Reading = Literal["again", "once", "newest only"]
READINGS: tuple[Reading, ...] = ("again", "once", "newest only")
BUFFER = 10
SHOWN = ("plane-00", "plane-01", "plane-09")
"""Planes that have rows of their own."""
FIRST = {
    "name": "plane-00",
    "semi_major_axis_km": 6938.1174,
    "inclination_deg": 80,
    "raan_deg": 345.2065,
    "argument_of_latitude_deg": 271.106,
}
OTHERS = [
    {
        "name": f"plane-{number:02}",
        "semi_major_axis_km": 6938.9433,
        "inclination_deg": 70,
        "raan_deg": raan,
        "argument_of_latitude_deg": latitude,
    }
    for number, (raan, latitude) in enumerate(
        [
            (352.0257, 291.0876),
            (13.2022, 292.6002),
            (34.3786, 294.1128),
            (55.5551, 295.6254),
            (76.7316, 297.138),
            (97.9081, 298.6506),
            (119.0845, 300.1632),
            (140.261, 301.6758),
            (161.4375, 303.1884),
            (182.6139, 304.701),
            (203.7904, 306.2136),
            (224.9669, 307.7262),
            (246.1434, 309.2388),
            (267.3198, 310.7514),
            (288.4963, 312.264),
            (309.6728, 313.7767),
        ],
        1,
    )
]
KEYS = {
    "start": "2026-02-18T02:05:34Z",
    "stop.days": 30,
    "learning.train": False,
    "learning.data": {"kind": "digits", "split": {"over": "clients", "kind": "iid"}},
    "learning.model": {"kind": "vector-mlp", "hidden": 105},
    "learning.method": "fedbuff",
    "learning.options": {"buffer_size": BUFFER},
    "orbit": {
        "source": "walker",
        "shells": [{**shell, "satellites": 14, "planes": 1} for shell in (FIRST, *OTHERS)],
        "min_elevation_deg": 10,
    },
}
SEOUL = {
    "name": "Seoul",
    "latitude_deg": 37.5665,
    "longitude_deg": 126.978,
    "altitude_m": 34,
}
PLACES = [
    {"name": "Forest", "latitude_deg": -3.47, "longitude_deg": -62.37, "altitude_m": 100},
    {"name": "Reef", "latitude_deg": -18.29, "longitude_deg": 147.77},
    {"name": "North", "latitude_deg": 68.35, "longitude_deg": 18.79, "altitude_m": 420},
]
VARIANTS: dict[str, dict[str, Any]] = {
    "station": {"ground.stations": [SEOUL]},
    "places": {"ground.stations": PLACES, "orbit.min_elevation_deg": 30},
}
PREDICTED = [
    Predicted("visits, again", 25197, 25000, 25400, "visits", 25195),
    Predicted("visits, again, plane-00", 1397, 1375, 1420, "visits", 1397),
    Predicted("visits, again, plane-01", 1497, 1475, 1520, "visits", 1497),
    Predicted("uploads, again", 22112, 21000, 23200, "uploads", 2970),
    Predicted("uploads, once", 11359, 10800, 11950, "uploads", 2970),
    Predicted("fetched, again", 3085, 2750, 3400, "downloads", 21576),
    Predicted("fetched, once", 13838, 13100, 14600, "downloads", 21576),
    Predicted("uploads, again, plane-00", 1294, 1225, 1360, "uploads", 109),
    Predicted("uploads, once, plane-00", 688, 650, 725, "uploads", 109),
    Predicted("visits without use, again", 0, 0, 50, "visits", 649),
    Predicted("visits without use, once", 0, 0, 50, "visits", 649),
    Predicted("full buffers, again", 2211, 2100, 2320, "buffers", 297),
    Predicted("full buffers, once", 1135, 1080, 1195, "buffers", 297),
    Predicted("planes a buffer, again", 4.09, 3.8, 4.4, "planes", 2.91),
    Predicted("planes a buffer, once", 3.84, 3.5, 4.2, "planes", 2.91),
]


@dataclass
class Tally:
    """What visits to the station have come to, by plane; ``discarded`` are among ``fetched``."""

    uploaded: Counter[str] = field(default_factory=Counter)
    fetched: Counter[str] = field(default_factory=Counter)
    idle: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)
    planes_a_buffer: list[int] = field(default_factory=list)


def in_order(station: Any, places: Any) -> list[tuple[str, bool]]:
    """Return satellite, and whether it rises over the station, of all passes in their order."""
    both = [
        (rise, name, True) for rise, name in zip(station.rise_s, station.satellite, strict=True)
    ]
    both += [
        (rise, name, False) for rise, name in zip(places.rise_s, places.satellite, strict=True)
    ]
    return [(name, over) for _, name, over in sorted(both, key=lambda one: one[0])]


def tallied(
    passes: Iterable[tuple[str, bool]],
    plane_of: Mapping[str, str],
    reading: Reading,
    buffer_size: int = BUFFER,
) -> Tally:
    """Return what comes of passes in their order: satellite, and whether it is over the station.

    A satellite that has trained since it uploaded or fetched uploads, any other fetches the model
    if it is newer. By the reading "again" it trains at the first place after an upload, too; by
    "once" only when it has fetched another model. By "newest only" the station discards what was
    trained on any other than its newest model, and gives that model to those whose updates it has
    used; all begin with the first.
    """
    tally = Tally()
    version = 0
    newest_only = reading == "newest only"
    model: dict[str, int] = dict.fromkeys(plane_of, 0) if newest_only else {}
    trained: set[str] = set()
    spent: set[str] = set()
    buffer: list[str] = []
    for satellite, at_station in passes:
        plane = plane_of[satellite]
        if not at_station:
            if satellite in model and satellite not in spent:
                trained.add(satellite)
        elif satellite in trained:
            trained.discard(satellite)
            if newest_only and model[satellite] != version:
                model[satellite] = version
                tally.fetched[plane] += 1
                tally.discarded[plane] += 1
                continue
            if reading == "once":
                spent.add(satellite)
            tally.uploaded[plane] += 1
            buffer.append(satellite)
            if len(buffer) == buffer_size:
                version += 1
                tally.planes_a_buffer.append(len({plane_of[one] for one in buffer}))
                if newest_only:
                    model |= dict.fromkeys(buffer, version)
                buffer = []
        elif model.get(satellite) != version:
            model[satellite] = version
            spent.discard(satellite)
            tally.fetched[plane] += 1
        else:
            tally.idle[plane] += 1
    return tally


def measured_by(ordered: Sequence[tuple[str, bool]]) -> dict[str, float]:
    """Return visits, uploads, fetched models and full buffers: ``FIGURE, READING[, PLANE]``."""
    plane_of = {name: name.rpartition("-P")[0] for name, _ in ordered}
    visits = Counter(plane_of[name] for name, at_station in ordered if at_station)
    found: dict[str, float] = {}
    for reading in READINGS:
        tally = tallied(ordered, plane_of, reading)
        counted = {
            "visits": visits,
            "uploads": tally.uploaded,
            "fetched": tally.fetched,
            "visits without use": tally.idle,
        }
        if reading == "newest only":
            counted["discarded"] = tally.discarded
        for what, by_plane in counted.items():
            found[f"{what}, {reading}"] = by_plane.total()
        for plane in SHOWN:
            for what, by_plane in counted.items():
                found[f"{what}, {reading}, {plane}"] = by_plane[plane]
        if reading == "newest only":
            trained = tally.uploaded.total() + tally.discarded.total()
            share = 100 * tally.discarded.total() / trained if trained else math.nan
            found[f"trainings discarded (%), {reading}"] = share
        found[f"full buffers, {reading}"] = len(tally.planes_a_buffer)
        found[f"planes a buffer, {reading}"] = mean(tally.planes_a_buffer or [0])
    return found


def main() -> None:
    """Run the passes, count by all readings, and print that beside what was predicted."""
    passes = {run.variant: run.result.contacts for run in runs("planes", "fedsat", KEYS, VARIANTS)}
    measured = measured_by(in_order(passes["station"], passes["places"]))
    print(table(("figure, reading", "here"), [[k, f"{v:.5g}"] for k, v in measured.items()]))
    print("\n" + beside(PREDICTED, measured))


if __name__ == "__main__":
    main()
