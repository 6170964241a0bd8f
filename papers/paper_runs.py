"""What the scripts of this folder share: runs as a sweep, tables, and figures over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import leomix

FOLDER = Path("runs/papers")
"""Where runs and pictures land; what is there is not run again."""
PROCESSES = 2
Keys = Mapping[str, Any]


class Run(NamedTuple):
    """A run of a figure: its variant, the values of the keys that vary, its seed and result."""

    variant: str
    values: Keys
    seed: int
    result: Any


def runs(
    name: str,
    scenario: str,
    overrides: Keys,
    variants: Mapping[str, Keys],
    vary: Mapping[str, Sequence[Any]] | None = None,
    seeds: int = 1,
) -> list[Run]:
    """Run variants of a scenario, for all values of the keys that vary and so many seeds."""
    folder = FOLDER / name
    swept = leomix.sweep(
        scenario,
        vary or {},
        folder,
        overrides=overrides,
        variants=variants,
        replications=seeds,
        jobs=PROCESSES,
        resume=folder.exists(),
    )
    found = []
    for row, place in zip(swept.rows.to_pylist(), swept.folders, strict=True):
        if row["status"] != "complete":
            raise SystemExit(f"{place}: is {row['status']}")
        values = {key: row[key] for key in vary or {}}
        found.append(Run(row["variant"], values, row["seed"], leomix.load(place)))
    return found


def by_variant(made: Iterable[Run]) -> dict[str, list[Run]]:
    """Sort runs by their variant."""
    found: dict[str, list[Run]] = {}
    for run in made:
        found.setdefault(run.variant, []).append(run)
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


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align columns: the first to the left, all others to the right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def printed(measured: Mapping[str, float], paper: Mapping[str, tuple[str, bool]]) -> str:
    """Show what a paper prints beside what came out, and whether that is equal."""
    rows = (
        [figure, text, f"{measured[figure]:.4g}", "equal" if same else "different"]
        for figure, (text, same) in paper.items()
    )
    return table(("the paper prints", "paper", "here", ""), rows)


def save(figure: Any, name: str) -> None:
    """Write a picture of matplotlib beside the runs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
