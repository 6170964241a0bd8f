"""Planes in a buffer: satellites that train when they fly over places, and upload over a station.

    python papers/planes.py

No method of leomix trains on a place's account. The passes over the station and over the places are
those of two runs of 30 days (outside/planes.yaml); who uploads and who fetches is counted here, by
three readings.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Literal

import pandas as pd
from outside import beside, study_of
from paper_runs import runs, table

Reading = Literal["again", "once", "newest only"]
READINGS: tuple[Reading, ...] = ("again", "once", "newest only")
BUFFER = 10
SHOWN = ("plane-00", "plane-01", "plane-09")
"""Planes that have rows of their own."""


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
    both = pd.concat([station.assign(over=True), places.assign(over=False)])
    ordered = both.sort_values("rise_s", kind="stable")
    return [*zip(ordered.satellite, ordered.over, strict=True)]


def tallied(
    passes: Iterable[tuple[str, bool]],
    plane_of: Mapping[str, str],
    reading: Reading,
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
            if len(buffer) == BUFFER:
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
    study = study_of("planes")
    made = runs(study["scenario"], study["variants"], fixed=study["keys"])
    passes = {run.variant: run.result.contacts for run in made}
    measured = measured_by(in_order(passes["station"], passes["places"]))
    print(table(("figure, reading", "here"), [[k, f"{v:.5g}"] for k, v in measured.items()]))
    print("\n" + beside(study, measured))


if __name__ == "__main__":
    main()
