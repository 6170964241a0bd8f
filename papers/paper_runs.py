"""Runs of variants of a scenario over seeds, and the rows of tables.

Runs are kept in `runs/papers`, relative to the current folder, and not run again. The environment
variable JOBS says how many are run at a time.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import leomix
from sim.sweep import Sweep

FOLDER = Path("runs/papers")
JOBS = int(os.environ.get("JOBS", "2"))
INSTRUCTIONS = "ATEN_CPU_CAPABILITY"
"""The environment variable that names the instruction set of torch."""
Keys = Mapping[str, Any]


class Run(NamedTuple):
    """A run: its variant, the values of the keys that vary, its seed and its result."""

    variant: str
    values: Keys
    seed: int
    result: Any


def sweep(
    scenario: str,
    variants: Mapping[str, Keys],
    vary: Mapping[str, Sequence[Any]],
    *,
    fixed: Keys,
    seeds: int,
    keep_going: bool = False,
) -> Sweep:
    """Run all combinations with ``seeds`` seeds, from that of the scenario on, and ``fixed`` keys.

    With ``keep_going`` a run that fails does not stop the others.
    """
    asked = [scenario, variants, vary, fixed, seeds, os.environ.get(INSTRUCTIONS)]
    digest = sha256(json.dumps(asked).encode()).hexdigest()[:12]
    out = FOLDER / f"{scenario}-{digest}"
    return leomix.sweep(
        scenario,
        vary,
        out,
        overrides=fixed,
        variants=variants,
        replications=seeds,
        jobs=JOBS,
        resume=out.exists(),
        keep_going=keep_going,
    )


def runs(
    scenario: str,
    variants: Mapping[str, Keys],
    vary: Mapping[str, Sequence[Any]] | None = None,
    *,
    fixed: Keys | None = None,
    seeds: int = 1,
) -> list[Run]:
    """Return the runs of all combinations, the seeds of each one after another."""
    vary = vary or {}
    swept = sweep(scenario, variants, vary, fixed=fixed or {}, seeds=seeds)
    found = []
    for row, folder in zip(swept.rows.to_pylist(), swept.folders, strict=True):
        if row["status"] != "complete":
            raise SystemExit(f"{folder}: is {row['status']}")
        values = {key: row[key] for key in vary}
        found.append(Run(row["variant"], values, row["seed"], leomix.load(folder)))
    return found


def by_variant(made: Iterable[Run]) -> dict[str, list[Any]]:
    """Return the results of runs by their variant, in order."""
    found: dict[str, list[Any]] = {}
    for run in made:
        found.setdefault(run.variant, []).append(run.result)
    return found


def spread(values: Iterable[float], form: str = "{:g}") -> str:
    """Show the median and the range of figures over seeds; of one seed the figure alone."""
    known = sorted(values)
    middle, low, high = (
        form.format(value) if math.isfinite(value) else "never"
        for value in (median(known), known[0], known[-1])
    )
    return middle if len(known) == 1 else f"{middle} ({low}..{high})"


def mean_and_range(values: Sequence[float]) -> str:
    """Show the mean and the range of accuracies over seeds; of one seed the accuracy alone."""
    centre = f"{mean(values):.3f}"
    return centre if len(values) == 1 else f"{centre} ({min(values):.3f}..{max(values):.3f})"


def ratio(reference: Iterable[float], values: Iterable[float]) -> str:
    """Show how many times more the median of a reference is than that of values; inf is never."""
    high, low = median(reference), median(values)
    if not math.isfinite(low):
        return "-" if not math.isfinite(high) else "never"
    if not math.isfinite(high):
        return "> all"
    return f"{high / low:.1f}x" if low else "-"


def line(name: object, first: int, cells: Iterable[object], width: int) -> str:
    """Return a row of a table: a name of ``first`` characters, and cells of ``width`` each."""
    return f"{name!s:<{first}}" + "".join(f"{cell!s:>{width}}" for cell in cells)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align columns: the first to the left, all others to the right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
