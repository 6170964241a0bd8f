"""Run many settings of a scenario on two processes, and tell what each came to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from over_seeds import spread

Settings = Mapping[str, Any]
Point = tuple[str, Settings]
P = TypeVar("P")
T = TypeVar("T")
TARGET = 0.85
EARLY = 0.8
"""A target that is below what a city reaches by itself."""
METHODS = ("synchronous", "emsfl", "emsfl-enhanced")
PROCESSES = 2
ONE_DRAW: Settings = {
    "learning.options.threshold": 0.1,
    "learning.options.resplit_cycles": 0,
}
"""How EMS-FL's experts were drawn in the tables that stand: once, at a threshold of 0.1."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    ``cycles``, ``hours``, ``gradient_steps`` and ``energy_j`` count until the target is reached
    (inf: never), the last two over all devices. ``final`` is the last accuracy, ``fall`` the
    farthest that it fell below an earlier one. ``mass`` is the own gate mass at start and end,
    ``density`` the mean of the clusters' density ratios, both None without a model splitting.
    ``up_bytes`` and ``received_bytes`` (a broadcast once for each device) are those of the whole
    run, ``steps_per_day`` are its gradient steps a day over all devices. ``early_hours`` count
    until ``EARLY`` is reached (inf: never). ``memory_bytes`` is what the fullest device holds.
    """

    cycles: float
    hours: float
    gradient_steps: float
    energy_j: float
    final: float
    fall: float
    mass: tuple[float, float] | None
    density: float | None
    up_bytes: float
    received_bytes: float
    steps_per_day: float
    early_hours: float
    memory_bytes: float


def slot_s_of(scenario: str) -> float:
    """Return how long a slot of the scenario lasts."""
    import scenarios

    seconds: float = scenarios.load(scenario).orbit.slots.seconds  # type: ignore[union-attr]
    return seconds


def using(method: str, scenario: str) -> Settings:
    """Return the settings for a method.

    The gate of Experiment 2 is random, and no expert far from 2 in 8: nothing is truncated there.
    """
    if not method.startswith("emsfl"):
        return {"learning.method": method}
    if scenario.startswith("paper-exp2"):
        return {"learning.method": method, **ONE_DRAW, "learning.options.threshold": 0.0}
    return {"learning.method": method, **ONE_DRAW}


def run_one(point: Point) -> Outcome:
    """Run one setting in this process."""
    import scenarios
    import sim

    name, settings = point
    result = sim.run(scenarios.load(name, settings))
    rows = result.metrics[result.metrics.scope == "global"]
    hit = rows[rows.accuracy >= TARGET]
    # An evaluation in between belongs to the cycle that is going on.
    ends = rows.groupby("cycle").time_s.min()
    complete = dict(ends.items())
    summary = result.summary
    spent = summary["targets"].get(f"{TARGET:.2f}") or {}
    early = summary["targets"].get(f"{EARLY:.2f}") or {}
    mass, density = summary["own_mass"], summary["density_ratio"]
    known = [ratio for ratio in (density or {}).values() if ratio is not None]
    return Outcome(
        cycles=_cycle(hit.iloc[0], complete) if len(hit) else math.inf,
        hours=float(hit.time_s.iloc[0]) / 3600 if len(hit) else math.inf,
        gradient_steps=spent.get("gradient_steps", math.inf),
        energy_j=spent.get("energy_j", math.inf),
        final=float(rows.accuracy.iloc[-1]),
        fall=float((rows.accuracy.cummax() - rows.accuracy).max()),
        mass=None if mass is None else (mass["start"], mass["end"]),
        density=mean(known) if known else None,
        up_bytes=summary["uplink_bytes"],
        received_bytes=summary["downlink_received_bytes"],
        steps_per_day=summary["gradient_steps"] / (summary["hours"] / 24),
        early_hours=early.get("hours", math.inf),
        memory_bytes=summary["device_memory_bytes"],
    )


def _cycle(hit: Any, complete: Mapping[int, float]) -> float:
    """Return the cycle at whose end a row stands, or in which it falls."""
    return float(hit.cycle if hit.time_s <= complete[hit.cycle] else hit.cycle + 1)


def run_with_model(scenario: Any) -> tuple[Any, dict[str, Any]]:
    """Run a scenario, and return its result with the tensors of the trained model by name."""
    from safetensors.torch import load_file

    import sim

    with TemporaryDirectory() as folder:
        result = sim.run(scenario, out=Path(folder) / "run")
        return result, load_file(Path(folder) / "run" / "model" / "model.safetensors")


def seeded(points: Iterable[Point], seeds: int) -> list[Point]:
    """Return every point with each of the seeds 0 to ``seeds`` - 1."""
    return [(name, {**s, "seed": seed}) for name, s in points for seed in range(seeds)]


def run_all(points: Sequence[Point]) -> list[Outcome]:
    """Run all settings, in the order given."""
    return in_processes(run_one, points)


def in_processes(run: Callable[[P], T], points: Sequence[P]) -> list[T]:
    """Return what ``run`` gives for each of the points, in their order."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run, points))


def grouped(outcomes: Sequence[Outcome], seeds: int) -> list[list[Outcome]]:
    """Put the seeds of each point together again."""
    return [list(outcomes[i : i + seeds]) for i in range(0, len(outcomes), seeds)]


Columns = Mapping[str, tuple[Callable[[Outcome], float], str]]
"""Figures of an outcome by their heads, and how each is written."""


def print_columns(
    found: Mapping[str, Sequence[Outcome]], columns: Columns, first: int = 16, other: int = 24
) -> None:
    """Print a row a method: median and range of each figure.

    ``first`` and ``other`` are the widths of the first column and of all others, in characters.
    """
    print(f"{'method':<{first}}" + "".join(f"{name:>{other}}" for name in columns))
    for method, rows in found.items():
        cells = (spread(map(get, rows), form) for get, form in columns.values())
        print(f"{method:<{first}}" + "".join(f"{cell:>{other}}" for cell in cells))


def ratio(reference: Iterable[float], own: Iterable[float]) -> str:
    """Show how many times more the reference takes than the own runs, as medians."""
    high, low = median(reference), median(own)
    if not math.isfinite(low):
        return "-" if not math.isfinite(high) else "never"
    if not math.isfinite(high):
        return "> all"
    return f"{high / low:.1f}x" if low else "-"


def masses(rows: Sequence[Outcome]) -> str:
    """Show the least own gate mass of all seeds, at start and end."""
    if rows[0].mass is None:
        return "-"
    start, end = (min(row.mass[i] for row in rows if row.mass) for i in (0, 1))
    return f">= {start:.2f}, {end:.2f}"


def final(rows: Sequence[Outcome]) -> str:
    """Show the mean final accuracy."""
    return f"{mean(row.final for row in rows):.3f}"
