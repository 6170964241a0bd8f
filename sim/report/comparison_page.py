"""The page of several runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sim.analysis.comparison import Group, compare_groups, group_runs
from sim.analysis.text import (
    MEAN,
    mean_text,
    measured,
    spread,
    stand_in_lines,
    test_notes,
    test_rows,
)
from sim.errors import InputError
from sim.execution.result import Result, load
from sim.formatting import data_size
from sim.plots.accuracy import OVER, accuracy
from sim.report import findings
from sim.report.figures import figure, sentence
from sim.report.page import Block, Page, Section, Table, Text

MOST_CURVES = 12
"""Groups up to which curves are drawn over each other."""

LEGEND_LINE_IN = 0.16
UNKNOWN = "not measured"

Row = dict[str, Any]


def page(folders: Sequence[Path]) -> Page:
    """Return the comparison of the runs in ``folders``; raise InputError if there is none."""
    places = list({folder.resolve(): folder for folder in folders}.values())
    if not places:
        raise InputError("report: none of the sweep's points is complete")
    runs = [load(place) for place in places]
    groups = group_runs(runs)
    names = sorted({str(run.manifest.get("name")) for run in runs})
    return Page(
        title=f"Comparison of {len(runs)} runs",
        subtitle=f"{len(groups)} groups of {', '.join(names)}; runs of a group differ in their "
        "seed only",
        sections=list(sections(groups)),
        notices=[notice for run in runs for notice in findings.notices(run)],
    )


def sections(groups: Sequence[Group[Result]]) -> Iterator[Section]:
    """Return the parts of a comparison: words, groups, ratios, curves, where the time went."""
    comparison = compare_groups(groups)
    rows, reference = comparison["groups"], comparison["reference"]
    targets, common = comparison["targets"], comparison["common_target"]
    yield Section("summary", "Summary", [Text(text) for text in _words(rows, reference, common)])
    yield Section("groups", "Groups of runs", [_groups(rows), *_tests(comparison)])
    yield Section("ratios", "Cycles and time to targets", _targets(rows, reference, targets))
    yield Section("accuracy", "Accuracy over time", _curves(groups))
    yield Section("time", "Where the time went", findings.of_groups(groups))
    yield Section("runs", "Runs", [_runs(groups)])


def _words(rows: Sequence[Row], reference: str, name: str | None) -> Iterator[str]:
    yield from map(sentence, stand_in_lines(rows))
    if name is None:
        yield "There is no accuracy that all groups have reached."
        return
    first = min(rows, key=lambda row: float(row["hours_to"][name]["median"]))
    days = first["hours_to"][name]["median"] / 24
    text = f"{first['label']} is the first to reach {name} accuracy, after {days:.2f} days"
    ratio = first["ratio"][name]
    if first["label"] != reference and ratio is not None:
        text += f" and with {ratio:.1f} times fewer cycles than {reference}"
    yield f"{text} (medians); {name} is the highest target that all have reached."


def _groups(rows: Sequence[Row]) -> Table:
    columns = {
        "seeds": [str(row["runs"]) for row in rows],
        "cycles": [spread(row["cycles"], "{:g}".format) for row in rows],
        "contacts served": [spread(row["contacts_served"], "{:g}".format) for row in rows],
        "hours served": [spread(row["service_hours"], "{:.1f}".format) for row in rows],
        "accuracy at the start": [measured(row["accuracy_start"], UNKNOWN) for row in rows],
        "final accuracy": [measured(row["accuracy_final"], UNKNOWN) for row in rows],
        MEAN: [mean_text(row["accuracy_final"], UNKNOWN) for row in rows],
        "final loss": [measured(row["loss_final"], UNKNOWN) for row in rows],
        "mean staleness": [measured(row["staleness_mean"], UNKNOWN) for row in rows],
        "uplink": [data_size(row["uplink_bytes"]["median"] or 0.0) for row in rows],
        "downlink": [data_size(row["downlink_bytes"]["median"] or 0.0) for row in rows],
        "device rounds": [spread(row["device_rounds"], "{:g}".format) for row in rows],
    }
    known = {head: cells for head, cells in columns.items() if set(cells) != {UNKNOWN}}
    cells = [list(line) for line in zip([r["label"] for r in rows], *known.values(), strict=True)]
    return Table(
        "Median over the seeds of a group, and its range", ["group", *known], cells, wide=True
    )


def _tests(comparison: Mapping[str, Any]) -> Iterator[Block]:
    """The differences from the reference on the same seeds, or what is missing for them."""
    if lines := test_rows(comparison):
        heads = ["group", "figure", "seeds", "mean difference (95 %)", "p (t)", "p (Wilcoxon)"]
        caption = f"Paired differences from {comparison['reference']} on the same seeds"
        yield Table(caption, heads, lines, wide=True)
    for note in test_notes(comparison):
        yield Text(note, "note")


def _targets(rows: Sequence[Row], reference: str, targets: Sequence[str]) -> list[Block]:
    reached = [
        name for name in targets if any(row["cycles_to"][name]["min"] is not None for row in rows)
    ]
    if not reached:
        return [Text("No run has reached any of the targets.", "note")]
    heads = ["group", *reached]
    cycles = [[row["label"], *(_with_ratio(row, name) for name in reached)] for row in rows]
    days = [
        [row["label"], *(spread(row["hours_to"][name], "{:.2f}".format, 24.0) for name in reached)]
        for row in rows
    ]
    caption = f"Cycles to a target; in brackets how many times fewer than {reference} needs"
    return [
        Table(caption, heads, cycles, wide=True),
        Table("Days to a target", heads, days, wide=True),
    ]


def _with_ratio(row: Row, name: str) -> str:
    shown, ratio = spread(row["cycles_to"][name], "{:g}".format), row["ratio"][name]
    return shown if ratio is None else f"{shown} ({ratio:.1f}x)"


def _curves(groups: Sequence[Group[Result]]) -> list[Block]:
    if all(run.summary["accuracy_final"] is None for group in groups for run in group.runs):
        return [Text("Not measured: these runs simulated the timing only.", "note")]
    notes: list[Block] = []
    if len(groups) > MOST_CURVES:
        notes.append(Text(f"The first {MOST_CURVES} of {len(groups)} groups.", "note"))
    runs = {group.label: group.runs for group in groups[:MOST_CURVES]}
    size_in = 4.6, 2.9 + LEGEND_LINE_IN * len(runs)
    return [
        *notes,
        *(
            figure(
                f"accuracy-{over}",
                partial(accuracy, runs, over=over),
                f"Accuracy of the server's model over {axis}: a colour per group, a line per seed",
                size_in,
            )
            for over, axis in OVER.items()
        ),
        *([_loss(runs, size_in)] if _has_loss(groups) else []),
    ]


def _has_loss(groups: Sequence[Group[Result]]) -> bool:
    return any(run.summary["loss_final"] is not None for group in groups for run in group.runs)


def _loss(runs: Mapping[str, Sequence[Result]], size_in: tuple[float, float]) -> Block:
    caption = "Loss of the server's model over simulated time: a colour per group, a line per seed"
    return figure("loss", partial(accuracy, runs, what="loss"), caption, size_in)


def _runs(groups: Sequence[Group[Result]]) -> Table:
    heads = ["folder", "group", "seed", "status", "final accuracy", "trace sha256"]
    cells = [
        [
            str(run.folder),
            group.label,
            str(run.manifest["seed"]),
            str(run.manifest["status"]),
            UNKNOWN
            if run.summary["accuracy_final"] is None
            else f"{run.summary['accuracy_final']:.3f}",
            str(run.manifest["trace_sha256"])[:16],
        ]
        for group in groups
        for run in group.runs
    ]
    return Table("Every run that is compared", heads, cells, numeric=False, wide=True)
