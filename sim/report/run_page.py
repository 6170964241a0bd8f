"""The page of one run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from learning.policies.alignment import variation
from sim.analysis.experts import Alignment, alignments, by_cluster, inference_figures
from sim.analysis.summary import staleness
from sim.analysis.text import alignment_lines, summary_rows
from sim.execution.result import Result, load
from sim.formatting import data_size, seconds
from sim.plots.accuracy import OVER
from sim.plots.canvas import colour
from sim.plots.contact import longest_service
from sim.report import findings
from sim.report.figures import figure, sentence
from sim.report.findings import sentences
from sim.report.page import Block, Code, Facts, Page, Section, Table, Text, Timeline
from sim.report.timeline import MOST_DEVICE_LANES, timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes


UNMEASURED = {
    True: "Not measured: the run ended before its first evaluation.",
    False: "Not measured: the run simulated the timing only.",
}
MAP_SIZE_IN = (4.6, 2.6)


def page(folder: Path) -> Page:
    """Return the report of the run in ``folder``; raise InputError if there is none."""
    run = load(folder)
    manifest = run.manifest
    return Page(
        title=f"{manifest.get('name') or folder.name}: {manifest['method']}",
        subtitle=f"seed {manifest['seed']}, {manifest['status']}, begins "
        f"{datetime.fromisoformat(manifest['start_utc']):%Y-%m-%d %H:%M:%S} UTC",
        sections=list(_sections(run)),
        notices=findings.notices(run),
    )


def _sections(run: Result) -> Iterator[Section]:
    yield Section("summary", "Summary", _summary(run))
    yield Section("accuracy", "Accuracy", _accuracy(run))
    yield Section("timeline", "Timeline", _timeline(run))
    caption = "Ground track, clusters, and from where they see the satellite above their mask"
    ground = figure("map", run.plot.map, caption, MAP_SIZE_IN)
    yield Section("map", "Ground track and sites", [ground], half=True)
    yield Section("contact", "One contact", [_contact(run)], half=True)
    if "clients" in run.tables:
        yield Section("clients", "Samples by client", [_clients(run)], half=True)
    yield Section("assignment", "Assignment of experts", assignment(run))
    yield Section("time", "Where the time went", findings.of_run(run))
    yield Section("updates", "Staleness of updates", updates(run), half=True)
    if run.manifest["method"] == "nmoe":
        shown = figure("gating", run.plot.gating, "Share of each client's samples by first expert")
        yield Section("gating", "Gating pattern", [shown], half=True)
        yield Section("inference", "Inference", inference(run), half=True)
    if run.manifest["method"] == "aligned":
        yield Section("alignment", "Load and fitness", alignment(run))
    yield Section("scenario", "Scenario and versions", blocks(run))


def _summary(run: Result) -> list[Block]:
    rows = [list(row) for row in summary_rows(run.summary)]
    warnings = [Text(warning, "warning") for warning in run.manifest.get("warnings", [])]
    words = Text(" ".join(sentences(run)))
    return [words, *warnings, Facts("Figures of the run", rows)]


def _accuracy(run: Result) -> list[Block]:
    if run.summary["accuracy_final"] is None:
        return [Text(UNMEASURED[findings.trains(run)], "note")]
    drawn = [
        figure(
            f"accuracy-{over}",
            partial(run.plot.accuracy, over=over),
            f"Accuracy of the server's model over {axis}",
        )
        for over, axis in OVER.items()
    ]
    if run.summary["loss_final"] is not None:
        drawn.append(figure("loss", run.plot.loss, "Loss of the server's model over time"))
    return drawn


def _timeline(run: Result) -> list[Block]:
    manifest = run.manifest
    data = timeline(run.tables, manifest["simulated_s"], manifest["start_utc"])
    if not data["lanes"]:
        return [Text("Nothing happened in this run.", "note")]
    notes = []
    if not data["by_device"]:
        notes.append(f"more than {MOST_DEVICE_LANES} devices: those of a cluster share a lane")
    if data["joined_s"]:
        notes.append(f"bars less than {data['joined_s']:.3g} s apart are joined to one")
    clusters = sum(lane["level"] == 0 for lane in data["lanes"])
    caption = "Contacts, transfers and training by cluster"
    still = figure("still", run.plot.timeline, caption, (4.6, 1.2 + 0.45 * clusters))
    shown = [Text(sentence("; ".join(notes)), "note")] if notes else []
    return [*shown, Timeline(data, still)]


def _contact(run: Result) -> Block:
    contact = longest_service(run.tables["contacts"])
    if contact is None:
        return Text("The run served no contact.", "note")
    number = contact["contact_id"]
    caption = (
        f"Contact {number}, the one with the longest service: {contact['satellite']} over "
        f"{contact['cluster']}, from {contact['rise_utc']:%Y-%m-%d %H:%M:%S} UTC"
    )
    return figure("contact", lambda axes: run.plot.contact(number, axes), caption)


def _clients(run: Result) -> Block:
    split = run.manifest["scenario"]["learning"]["data"].get("split")
    caption = "Training samples by class"
    if split is not None:
        given = [f"{key} {split[key]:g}" for key in ("alpha", "classes") if split[key] is not None]
        caption += f"; split over {split['over']}: {', '.join([split['kind'], *given])}"
    return figure("clients", run.plot.clients, caption)


# What a run came from: scenario, versions, hashes.


HASHES = ("identity", "trace_sha256", "timing_sha256")


def blocks(run: Result) -> list[Block]:
    """Return the scenario as YAML, versions of libraries, and hashes of the traces."""
    manifest = run.manifest
    versions = [[name, str(value)] for name, value in manifest.get("versions", {}).items()]
    hashes = [[name, str(manifest.get(name))] for name in HASHES]
    scenario = _without_empty(manifest["scenario"])
    text = yaml.safe_dump(scenario, sort_keys=False, allow_unicode=True, width=100)
    return [
        Facts("Hashes and versions", [*hashes, *versions]),
        Code("What the scenario says (keys without a value are left out)", text),
    ]


def _without_empty(value: object) -> object:
    if not isinstance(value, dict):
        return value
    inner = ((key, _without_empty(part)) for key, part in value.items())
    return {key: part for key, part in inner if part not in (None, {}, [])}


# What was learnt by whom: assignment of experts, inference, load and fitness.


MOST_EXPERTS = 32
"""Experts up to which the last assignment is shown as a table."""


def assignment(run: Result) -> list[Block]:
    """Who trains which expert by cycle, and the last split in figures."""
    rows = run.tables["assignments"]
    if not len(rows):
        return [Text(f"Method {run.manifest['method']} assigns no experts.", "note")]
    drawing = figure("assignment", run.plot.assignment, "Who trains which expert, by cycle")
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


def updates(run: Result) -> list[Block]:
    """How many versions of the server's model lay between a device's download and its update."""
    counts = staleness(run.tables)
    if not counts:
        return [Text("The server used no update of a device.", "note")]

    def draw(axes: Axes) -> None:
        axes.bar(list(counts), list(counts.values()), color=colour(0))
        axes.set_xlabel("staleness (versions)")
        axes.set_ylabel("updates of devices")

    return [figure("staleness", draw, "Updates that the server used, by their staleness")]


def inference(run: Result) -> list[Block]:
    """How fast networked experts answer, all together and by cluster."""
    rows = run.tables.get("inferences")
    if not rows:
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


def alignment(run: Result) -> list[Block]:
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
