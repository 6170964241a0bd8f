"""Run many settings of a scenario on two processes, and tell when each reached an accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from typing import Any

Settings = Mapping[str, Any]
TARGET = 0.85
METHODS = ("synchronous", "emsfl", "emsfl-enhanced")


@dataclass(frozen=True)
class Outcome:
    """Complete cycles and hours to the target (inf: never), final accuracy, own gate mass."""

    cycles: float
    hours: float
    final: float
    mass: tuple[float, float] | None


def run_one(point: tuple[str, Settings]) -> Outcome:
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
    mass = result.summary["own_mass"]
    return Outcome(
        cycles=_cycle(hit.iloc[0], complete) if len(hit) else math.inf,
        hours=float(hit.time_s.iloc[0]) / 3600 if len(hit) else math.inf,
        final=float(rows.accuracy.iloc[-1]),
        mass=None if mass is None else (mass["start"], mass["end"]),
    )


def _cycle(hit: Any, complete: Mapping[int, float]) -> float:
    """Return the cycle at whose end a row stands, or in which it falls."""
    return float(hit.cycle if hit.time_s <= complete[hit.cycle] else hit.cycle + 1)


def run_all(points: Sequence[tuple[str, Settings]], processes: int = 2) -> list[Outcome]:
    """Run all settings, in the order given."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run_one, points))


def spread(values: Iterable[float], form: str = "{:g}") -> str:
    """Show median and range of figures over seeds."""
    known = sorted(values)
    shown = [form.format(v) if math.isfinite(v) else "never" for v in known]
    middle = median(known)
    centre = form.format(middle) if math.isfinite(middle) else "never"
    return f"{centre} ({shown[0]}..{shown[-1]})"


def ratio(reference: Iterable[float], own: Iterable[float]) -> str:
    """Show how many times more the reference takes than the own runs, as medians."""
    high, low = median(reference), median(own)
    if not math.isfinite(low):
        return "-" if not math.isfinite(high) else "never"
    if not math.isfinite(high):
        return "> all"
    return f"{high / low:.1f}x" if low else "-"
