"""Drawings: who is covered, what goes on when, and what was predicted beside what came out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sim.papers.forms import PaperRun, Shown, panels
from sim.papers.paper import Predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW_IN = 0.26
"""Height of a predicted figure, in inches."""
NARROW = 0.012
"""Width of a range without any, as a share of its row."""


def coverage(runs: Sequence[PaperRun], *, minute: float = 0.0) -> Shown:
    """Draw places, ground track and the circle of instantaneous coverage; list the contacts."""
    result = runs[0].result
    figure, [axes] = panels(1, (6.4, 3.6))
    result.plot.map(axes, minute)
    served = result.contacts[result.contacts.served]
    rows = [
        [cluster, f"{len(own)}", f"{(own.set_s - own.rise_s).mean() / 60:.1f}"]
        for cluster, own in served.groupby("cluster")
    ]
    return Shown(("cluster", "contacts", "mean length (min)"), rows, figure)


def schedule(runs: Sequence[PaperRun], *, cycles: int = 2) -> Shown:
    """Draw, a panel a variant, who is connected, trains and transfers in the first cycles."""
    firsts = {run.variant: run.result for run in reversed(runs)}
    figure, drawn = panels(len(firsts), (5.2, 3.0))
    rows = []
    for axes, (name, result) in zip(drawn, sorted(firsts.items()), strict=True):
        slots = result.contacts.sort_values("rise_s")
        cycle_s = (slots.set_s - slots.rise_s).iloc[0] * slots.cluster.nunique()
        result.plot.timeline(axes, days=cycles * cycle_s / 86400)
        axes.set_title(name, loc="right")
        events = result.events[result.events.time_s < cycles * cycle_s]
        ends = events[events.kind == "train_end"].groupby("cluster")
        rounds = ends.rounds.sum() / ends.device.nunique()
        rows += [[name, str(one), f"{rounds.get(one, 0):g}"] for one in slots.cluster.unique()]
    return Shown(
        ("scheme", "cluster", f"rounds of a device, ended in {cycles} cycles"), rows, figure
    )


def predictions(foreseen: Sequence[Predicted], measured: Mapping[str, float]) -> Figure:
    """Draw, a row a figure, the predicted range, what came out here and what the paper prints.

    Figures have units of their own, and so each row has its own scale, from the smallest to the
    largest of its numbers, which stand beside it. What the paper prints is a disc within the range,
    and a cross outside of it.
    """
    figure, [axes] = panels(1, (7.4, 0.6 + ROW_IN * len(foreseen)))
    beside = []
    for row, one in enumerate(foreseen):
        here = measured.get(one.figure, math.nan)
        read = math.nan if one.read is None or one.read.value is None else one.read.value
        known = [number for number in (one.low, one.high, here, read) if math.isfinite(number)]
        least, span = min(known), (max(known) - min(known)) or math.inf
        low, high, at, printed = (
            0.5 if math.isinf(span) and math.isfinite(number) else (number - least) / span
            for number in (one.low, one.high, here, read)
        )
        axes.barh(row, max(high - low, NARROW), left=low, height=0.5, color="0.8")
        axes.plot(at, row, "|", color="C0", markersize=11, markeredgewidth=2)
        axes.plot(printed, row, "o" if one.holds(read) else "X", color="C1", markersize=6)
        numbers = [f"{number:.5g}" if math.isfinite(number) else "-" for number in (here, read)]
        beside.append(" | ".join([one.ends_text, *numbers]))
    axes.set_yticks(range(len(foreseen)), [one.figure for one in foreseen])
    axes.set_xlim(-0.04, 1.04)
    axes.set_xticks([])
    numbered = axes.twinx()
    numbered.set_yticks(range(len(foreseen)), beside)
    axes.annotate("range | here | read", (1.02, 1.01), xycoords="axes fraction", va="bottom")
    for side in (axes, numbered):
        side.set_ylim(len(foreseen) - 0.5, -0.5)
        side.tick_params(length=0)
    marks = [
        axes.barh(math.nan, 0, color="0.8"),
        *axes.plot(math.nan, math.nan, "|", color="C0", markersize=11, markeredgewidth=2),
        *axes.plot(math.nan, math.nan, "o", color="C1", markersize=6),
        *axes.plot(math.nan, math.nan, "X", color="C1", markersize=6),
    ]
    names = ["predicted range", "computed here", "read, in the range", "read, out of it"]
    figure.legend(marks, names, loc="outside upper center", ncols=len(names), frameon=False)
    return figure
