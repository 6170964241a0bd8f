"""What was learnt by whom: assignment of experts, inference, load and fitness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.policies.alignment import variation
from sim.alignment_summary import Alignment, alignments
from sim.networked_summary import inference_figures
from sim.reports.drawing import figure
from sim.reports.page import Block, Facts, Table, Text
from sim.reports.reading import RunData
from sim.summary import by_cluster
from sim.system_text import alignment_lines
from sim.units_text import data_size, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_EXPERTS = 32
"""Experts up to which the last assignment is shown as a table."""


def assignment(run: RunData) -> list[Block]:
    """Who trains which expert by cycle, and the last split in figures."""
    rows = run.tables["assignments"]
    if not len(rows):
        return [Text(f"Method {run.manifest['method']} assigns no experts.", "note")]
    drawing = figure("assignment", run.pictures.assignment, "Who trains which expert, by cycle")
    return [drawing, *_last_split(by_cluster(rows))]


def _last_split(rows: pa.Table) -> list[Block]:
    if not len(rows):
        return []
    last = rows.filter(pc.equal(rows["time_s"], pc.max(rows["time_s"]))).to_pandas()
    share = last.pivot_table(index="cluster", columns="expert", values="relevance", dropna=False)
    own = last.pivot_table(index="cluster", columns="expert", values="assigned", aggfunc="max")
    if share.shape[1] > MOST_EXPERTS or share.empty:
        return []
    cells = [
        [name, *(_relevance(*pair) for pair in zip(share.loc[name], own.loc[name], strict=True))]
        for name in share.index
    ]
    caption = "Relevance of experts to clusters at the last split; * marks who trains it"
    return [Table(caption, ["cluster", *(f"expert {n}" for n in share.columns)], cells)]


def _relevance(value: float, assigned: bool) -> str:
    return ("-" if np.isnan(value) else f"{value:.3f}") + (" *" if assigned else "")


def inference(run: RunData) -> list[Block]:
    """How fast networked experts answer, all together and by cluster."""
    rows = run.tables["inferences"]
    if not len(rows):
        return [Text("The run asked for no inference.", "note")]
    clusters = sorted(pc.unique(rows["cluster"]).to_pylist())
    parts = [rows, *(rows.filter(pc.equal(rows["cluster"], name)) for name in clusters)]
    answers = [_answers(part) for part in parts]
    outcomes = sorted(set(pc.unique(rows["outcome"]).to_pylist()))
    names = ["samples", "mean latency", "95 % within", "sent", *outcomes]
    cells = [[name, *(answer.get(name, "0") for answer in answers)] for name in names]
    return [Table("Inference with neighbours", ["", "all", *clusters], cells)]


def _answers(rows: pa.Table) -> dict[str, str]:
    found = inference_figures(rows)
    assert found is not None  # there are rows
    mean_s, late_s = found["latency_mean_s"], found["latency_p95_s"]
    return {
        "samples": str(found["samples"]),
        "mean latency": "-" if mean_s is None else seconds(mean_s),
        "95 % within": "-" if late_s is None else seconds(late_s),
        "sent": data_size(found["sent_bytes"]),
        **{name: str(count) for name, count in found["outcomes"].items()},
    }


def alignment(run: RunData) -> list[Block]:
    """How evenly experts are used and how fit their trainers are, round by round."""
    rounds = [one for one in alignments(run.tables["assignments"]) if one.assigned.any()]
    if not rounds:
        return [Text("No round was assigned.", "note")]
    cells = [list(line) for line in alignment_lines(run.summary["alignment"])]
    return [
        figure(
            "alignment",
            lambda axes: _draw(rounds, axes),
            "Mean fitness of assigned pairs, and how the experts' loads vary",
        ),
        Facts("Over all rounds", cells),
    ]


def _draw(rounds: list[Alignment], axes: Axes) -> None:
    days = [one.time_s / 86400 for one in rounds]
    fitness = [float(one.fitness[one.assigned].mean()) for one in rounds]
    load = [variation(one.samples.sum(axis=0)) if one.samples.any() else np.nan for one in rounds]
    axes.plot(days, fitness, marker="o", markersize=3, color="#0072b2", label="mean fitness")
    axes.plot(
        *(days, load),
        marker="s",
        markersize=3,
        color="#d55e00",
        label="variation of load (samples)",
    )
    axes.set_xlabel("simulated time (days)")
    axes.set_ylabel("fitness, variation")
    axes.set_ylim(bottom=0)
    axes.legend()
