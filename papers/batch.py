"""Many settings of a scenario: what each run came to, and tables of that over seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from statistics import mean, median
from typing import Any, ClassVar, TypeVar

from paper_runs import PROCESSES, runs, spread

import learning
import leomix

Settings = Mapping[str, Any]
Point = tuple[str, Settings]
P = TypeVar("P")
T = TypeVar("T")
TARGET = 0.85
METHODS = ("synchronous", "emsfl", "emsfl-enhanced")
ONE_DRAW: Settings = {"learning.options.threshold": 0.0, "learning.options.resplit_cycles": 0}
"""How EMS-FL draws its experts in tables that were not made anew since: once, all of them."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    ``cycles``, ``hours``, ``gradient_steps`` and ``energy_j`` count until the target is reached
    (inf: never), the last two over all devices. ``final`` is the last accuracy, ``fall`` the
    farthest that it fell below an earlier one. ``mass`` is the own gate mass at start and end, None
    without a model splitting. ``up_bytes`` and ``received_bytes`` (a broadcast once for each
    device) are those of the whole run.
    """

    cycles: float
    hours: float
    gradient_steps: float
    energy_j: float
    final: float
    fall: float
    mass: tuple[float, float] | None
    up_bytes: float
    received_bytes: float


def slot_s_of(scenario: str) -> float:
    """Return how long a slot of the scenario lasts."""
    seconds: float = leomix.load(scenario).orbit.slots.seconds
    return seconds


def using(method: str, scenario: str) -> Settings:
    """Return the settings for a method."""
    once = ONE_DRAW if method.startswith("emsfl") and scenario == "paper-exp2-cifar" else {}
    return {"learning.method": method, **once}


def outcome(result: Any) -> Outcome:
    """Return what a run came to."""
    rows = result.metrics[result.metrics.scope == "global"]
    hit = rows[rows.accuracy >= TARGET]
    # An evaluation in between belongs to the cycle that is going on.
    ends = rows.groupby("cycle").time_s.min()
    complete = dict(ends.items())
    summary = result.summary
    spent = summary["targets"].get(f"{TARGET:.2f}") or {}
    mass = summary["own_mass"]
    return Outcome(
        cycles=_cycle(hit.iloc[0], complete) if len(hit) else math.inf,
        hours=float(hit.time_s.iloc[0]) / 3600 if len(hit) else math.inf,
        gradient_steps=spent.get("gradient_steps", math.inf),
        energy_j=spent.get("energy_j", math.inf),
        final=float(rows.accuracy.iloc[-1]),
        fall=float((rows.accuracy.cummax() - rows.accuracy).max()),
        mass=None if mass is None else (mass["start"], mass["end"]),
        up_bytes=summary["uplink_bytes"],
        received_bytes=summary["downlink_received_bytes"],
    )


def _cycle(hit: Any, complete: Mapping[int, float]) -> float:
    """Return the cycle at whose end a row stands, or in which it falls."""
    return float(hit.cycle if hit.time_s <= complete[hit.cycle] else hit.cycle + 1)


class Bare(learning.GlobalModelMethod):
    """Trains nothing: its learner is there to be asked about the start model, and about others."""

    made: ClassVar[list[Any]] = []

    def __init__(self, world: learning.World, options: Any = None) -> None:
        super().__init__(world, options)
        self.made.append(self.learner)

    def cluster(self, me: Any) -> Any:
        """Ask for nothing."""
        yield from ()


def learner_of(scenario: str, settings: Settings) -> Any:
    """Return the learner of a scenario: its start model, its data, its gate."""
    bare = {"learning.method": f"{__name__}:{Bare.__name__}", "learning.options": {}}
    leomix.run(leomix.load(scenario, {**settings, **bare, "stop.cycles": 1}))
    return Bare.made.pop()


def relevance(learner: Any, result: Any) -> list[list[float]]:
    """Return the relevance (C, E) of the experts of the model that a run has ended with."""
    model = learner.make(tensors_of, folder=str(result.folder))
    found: list[list[float]] = learner.relevance(model)
    return found


def tensors_of(_task: Any, *, folder: str) -> Any:
    """Return the tensors that a run has ended with."""
    return leomix.load(folder).model()


def seeded(points: Iterable[Point], seeds: int) -> list[Point]:
    """Return every point with each of the seeds 0 to ``seeds`` - 1."""
    return [(name, {**s, "seed": seed}) for name, s in points for seed in range(seeds)]


def results(points: Sequence[Point]) -> list[Any]:
    """Return the runs of all settings of a scenario, in the order given."""
    [scenario] = {name for name, _ in points}
    variants = {str(number): settings for number, (_, settings) in enumerate(points)}
    digest = sha256(json.dumps([scenario, variants]).encode()).hexdigest()[:12]
    return [run.result for run in runs(f"{scenario}-{digest}", scenario, {}, variants)]


def run_all(points: Sequence[Point]) -> list[Outcome]:
    """Run all settings of a scenario, and return what they came to, in the order given."""
    return list(map(outcome, results(points)))


def in_processes(run: Callable[[P], T], points: Sequence[P]) -> list[T]:
    """Return what ``run`` gives for each of the points, in their order."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run, points))


def grouped(outcomes: Sequence[T], seeds: int) -> list[list[T]]:
    """Put the seeds of each point together again."""
    return [list(outcomes[i : i + seeds]) for i in range(0, len(outcomes), seeds)]


Columns = Mapping[str, tuple[Callable[[Outcome], float], str]]
"""Figures of an outcome by their heads, and how each is written."""


def print_columns(found: Mapping[str, Sequence[Outcome]], columns: Columns) -> None:
    """Print a row a method: median and range of each figure."""
    print(f"{'method':<16}" + "".join(f"{name:>24}" for name in columns))
    for method, rows in found.items():
        cells = (spread(map(get, rows), form) for get, form in columns.values())
        print(f"{method:<16}" + "".join(f"{cell:>24}" for cell in cells))


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
