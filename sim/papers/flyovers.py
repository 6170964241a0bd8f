"""The form of satellites that train when they fly over places: a rule that runs over two tables.

No method of leomix trains on a place's account. The passes over the station and over the places
are those of two runs; who uploads and who fetches is counted here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Literal

import numpy as np

from sim.papers.forms import PaperRun, Shown

Reading = Literal["again", "once", "newest only"]
"""What leaves open the rule by which satellites train and upload: see :func:`flyovers`."""
READINGS: tuple[Reading, ...] = ("again", "once", "newest only")
NEWEST_ONLY = READINGS[-1]


@dataclass
class Tally:
    """What visits to the station have come to, by plane; ``discarded`` are among ``fetched``."""

    uploaded: Counter[str] = field(default_factory=Counter)
    fetched: Counter[str] = field(default_factory=Counter)
    idle: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)
    planes_a_buffer: list[int] = field(default_factory=list)


def flyovers(
    runs: Sequence[PaperRun],
    *,
    station: str,
    places: str,
    buffer_size: int = 10,
    planes: Sequence[str] = (),
) -> Shown:
    """Count visits, uploads, fetched models and full buffers, by three readings of the rule.

    ``station`` and ``places`` are the variants with the passes over each; ``planes`` names those
    that have rows of their own, by what the names of their satellites begin with. A satellite that
    has trained since it uploaded or fetched uploads, any other fetches the model if it is newer.
    By the reading "again" it trains at the first place after an upload, too; by "once" only when
    it has fetched another model. By "newest only" the station discards what was trained on any
    other than its newest model, and gives that model to those whose updates it has used; all begin
    with the first. Figures are named ``FIGURE, READING`` and ``FIGURE, READING, PLANE``.
    """
    passes = {run.variant: run.result.contacts for run in runs}
    ordered = _in_order(passes[station], passes[places])
    measured: dict[str, float] = {}
    plane_of = {name: name.rpartition("-P")[0] for name, _ in ordered}
    visits = Counter(plane_of[name] for name, at_station in ordered if at_station)
    for reading in READINGS:
        tally = tallied(ordered, plane_of, buffer_size, reading)
        for plane in (None, *planes):
            behind = reading if plane is None else f"{reading}, {plane}"
            for what, counted in (
                ("visits", visits),
                ("uploads", tally.uploaded),
                ("fetched", tally.fetched),
                ("visits without use", tally.idle),
                *([("discarded", tally.discarded)] if reading == NEWEST_ONLY else []),
            ):
                measured[f"{what}, {behind}"] = counted.total() if plane is None else counted[plane]
        if reading == NEWEST_ONLY:
            trained = tally.uploaded.total() + tally.discarded.total()
            measured[f"trainings discarded (%), {reading}"] = (
                100 * tally.discarded.total() / trained if trained else math.nan
            )
        measured[f"full buffers, {reading}"] = len(tally.planes_a_buffer)
        measured[f"planes a buffer, {reading}"] = mean(tally.planes_a_buffer or [0])
    rows = [[name, f"{value:.5g}"] for name, value in measured.items()]
    return Shown(("figure, reading", "here"), rows, measured=measured)


def _in_order(station: Any, places: Any) -> list[tuple[str, bool]]:
    """Return satellite, and whether it rises over the station, of all passes in their order."""
    names = [*station.satellite, *places.satellite]
    over_station = np.arange(len(names)) < len(station)
    order = np.argsort([*station.rise_s, *places.rise_s], kind="stable")
    return [(names[index], bool(over_station[index])) for index in order]


def tallied(
    passes: Iterable[tuple[str, bool]], plane_of: dict[str, str], buffer_size: int, reading: Reading
) -> Tally:
    """Return what comes of passes in their order: satellite, and whether it is over the station."""
    tally = Tally()
    version = 0
    newest_only = reading == NEWEST_ONLY
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
