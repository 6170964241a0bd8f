"""The form of convergence: accuracy over complete cycles, a panel a value and a line another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median

import numpy as np
from matplotlib.ticker import FuncFormatter

from sim.analysis.curves import Steps, curve_of
from sim.errors import InputError
from sim.papers.forms import PaperRun, Shown, grouped, named_within, panels, spread, value_of
from sim.plots.accuracy import accuracy
from statements import Code, Statement

HEAD = ("", "", "cycles to {target:.2f}", "final accuracy", "largest fall", "in cycle")


def accuracy_over_cycles(
    runs: Sequence[PaperRun],
    *,
    panel: str,
    line: str,
    target: float = 0.85,
    baseline: str = "",
    rounds_per_cycle: int = 0,
) -> Shown:
    """Show accuracy on the global test set over complete cycles, or over training rounds.

    ``panel`` and ``line`` are swept keys, or ``variant``. Cycles to the ``target`` are medians with
    their range, the final accuracy is a mean, the largest fall below an earlier accuracy that of
    the worst seed. With ``rounds_per_cycle`` the axis counts so many rounds in each cycle. Where
    lines are variants, ``baseline`` names the one to whose cycles those of the others are compared.
    """
    by_panel = grouped(runs, lambda run: value_of(run, panel))
    figure, drawn = panels(len(by_panel))
    rows: list[list[str]] = []
    measured: dict[str, float] = {}
    for axes, (value, own) in zip(drawn, by_panel.items(), strict=True):
        lines = grouped(own, lambda run: value_of(run, line))
        curves = {name: [_curve(run) for run in each] for name, each in lines.items()}
        drawing = {_named(line, name): [run.result for run in each] for name, each in lines.items()}
        accuracy(drawing, axes, over="cycle", target=target)
        named_within(axes, _named(panel, value))
        if rounds_per_cycle:
            axes.set_xlabel("training rounds")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x * rounds_per_cycle:g}"))
        for name, each in curves.items():
            rows.append([_named(panel, value), _named(line, name), *_cells(each, target)])
            place = f"{_named(panel, value)}, {_named(line, name)}"
            falls = [_fall(curve) for curve in each]
            measured[f"{place}: largest fall"] = max(depth for depth, _ in falls)
            measured[f"{place}: cycle of the largest fall"] = max(falls)[1]
        measured |= _ratios(_named(panel, value), curves, target, baseline)
    return Shown([head.format(target=target) for head in HEAD], rows, figure, measured)


def _named(key: str, value: object) -> str:
    """Return how a value of a key is named: step sizes and the like by the last part of the key."""
    last = key.rpartition(".")[2].replace("_", " ")
    return str(value) if key == "variant" else f"{last} {value}"


def _curve(run: PaperRun) -> Steps:
    found = curve_of(run.result.tables, run.result.manifest["simulated_s"], over="cycle")
    if found is None:
        raise InputError(
            Statement.of(Code.NOT_RECORDED, "", "a run has no accuracy: it is timing-only")
        )
    return found


def _to(curve: Steps, target: float) -> float:
    """Return the complete cycles after which the accuracy is at a target; inf where it never is."""
    first = curve.first_at(target)
    return math.inf if first is None else first


def _fall(curve: Steps) -> tuple[float, float]:
    """Return how far the accuracy fell below an earlier one, and in which cycle it was lowest."""
    depth = np.maximum.accumulate(curve.values) - curve.values
    return float(depth.max()), float(curve.x[int(depth.argmax())])


def _cells(curves: Sequence[Steps], target: float) -> list[str]:
    depth, cycle = max(_fall(curve) for curve in curves)
    final = mean(float(curve.values[-1]) for curve in curves)
    cycles = spread(_to(curve, target) for curve in curves)
    return [cycles, f"{final:.3f}", f"{depth:.3f}", f"{cycle:g}" if depth else "-"]


def _ratios(
    panel: str, curves: Mapping[object, Sequence[Steps]], target: float, baseline: str
) -> dict[str, float]:
    """Return how many times as many cycles the baseline takes, by the median of each."""
    if baseline not in curves:
        return {}
    taken = {name: median(_to(c, target) for c in each) for name, each in curves.items()}
    return {
        f"{panel}: cycles of {baseline} over those of {name}": taken[baseline] / cycles
        for name, cycles in taken.items()
        if name != baseline and math.isfinite(cycles) and cycles > 0
    }
