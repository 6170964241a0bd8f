"""What figures 5 to 9 of the EMS-FL paper share: accuracy over cycles, and on each test set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from matplotlib.figure import Figure
from paper_runs import Run, mean_and_range, spread

TARGET = 0.85
HEAD = ("", "", f"cycles to {TARGET:.2f}", "final accuracy", "largest fall", "in cycle")


def curve(run: Run) -> Any:
    """Return the accuracy on the global test set at the first evaluation of each cycle."""
    rows = run.result.metrics
    return rows[(rows.scope == "global") & rows.accuracy.notna()].groupby("cycle").accuracy.first()


def cycles(run: Run) -> float:
    """Return the complete cycles after which the accuracy is at the target; inf if never."""
    found = curve(run)
    there = found.index[found >= TARGET]
    return float(there[0]) if len(there) else math.inf


def fall(run: Run) -> tuple[float, float]:
    """Return how far the accuracy fell below an earlier one, and in which cycle."""
    depth = curve(run).cummax() - curve(run)
    return float(depth.max()), float(depth.idxmax())


def cells(made: Sequence[Run]) -> list[str]:
    """Return the median of cycles, the mean last accuracy, and the fall of the worst seed."""
    depth, cycle = max(map(fall, made))
    final = mean(float(curve(run).iloc[-1]) for run in made)
    where = f"{cycle:g}" if depth else "-"
    return [spread(map(cycles, made)), f"{final:.3f}", f"{depth:.3f}", where]


def ratio(baseline: Sequence[Run], made: Sequence[Run]) -> float:
    """Return how many times as many cycles the baseline takes, by the median of each."""
    return median(map(cycles, baseline)) / median(map(cycles, made))


def curves(panels: Mapping[str, Mapping[str, Sequence[Run]]]) -> Figure:
    """Draw a panel for each title: the mean over seeds of each label, and the target."""
    figure = Figure(figsize=(4.6 * len(panels), 3.2), layout="constrained")
    drawn = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, lines) in zip(drawn, panels.items(), strict=True):
        for label, made in lines.items():
            shown = sum(map(curve, made)) / len(made)
            axes.step(shown.index, shown, where="post", label=label)
        axes.axhline(TARGET, color="0.5", linewidth=0.5)
        axes.set(title=title, xlabel="complete cycles", ylabel="accuracy")
        axes.legend()
    return figure


def by_set(result: Any, *, first: bool = False) -> dict[str, float]:
    """Return the accuracy on each test set at the end of a run, or at its first evaluation."""
    rows = result.metrics
    rows = rows[rows.time_s == (rows.time_s.min() if first else rows.time_s.max())]
    pooled = rows.scope == "global"
    own = dict(zip(rows[~pooled].cluster, rows[~pooled].accuracy, strict=True))
    return own | {"global": rows[pooled].accuracy.iloc[0]}


def rows_by_set(models: Mapping[str, Sequence[Mapping[str, float]]]) -> list[list[str]]:
    """Return a head, and a row for each model: means over seeds with their range."""
    sets = list(next(iter(models.values()))[0])
    return [
        ["", *sets],
        *([name, *(mean_and_range([o[s] for o in own]) for s in sets)]
          for name, own in models.items()),
    ]  # fmt: skip


def bars(models: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw the means over seeds, a group of bars for each test set."""
    sets = list(next(iter(models.values()))[0])
    figure = Figure(figsize=(1.4 + 1.2 * len(sets), 3.0), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(models)
    for number, (name, own) in enumerate(models.items()):
        left = [place + number * width for place in range(len(sets))]
        axes.bar(left, [mean(one[s] for one in own) for s in sets], width, label=name)
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(sets))], sets)
    axes.set(ylabel="accuracy", xlabel="test set", ylim=(0, 1))
    axes.legend()
    return figure
