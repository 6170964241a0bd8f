"""The page of one run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sim.reports import learnt, provenance, whereabouts
from sim.reports.drawing import figure, sentence
from sim.reports.page import Block, Facts, Page, Section, Text, Timeline
from sim.reports.reading import RunData, read
from sim.reports.spans import MOST_DEVICE_LANES, timeline
from sim.reports.words import sentences
from sim.text import summary_rows

UNMEASURED = {
    True: "Not measured: the run ended before its first evaluation.",
    False: "Not measured: the run simulated the timing only.",
}
MAP_SIZE_IN = (4.6, 2.6)


def page(folder: Path) -> Page:
    """Return the report of the run in ``folder``; raise InputError if there is none."""
    run = read(folder)
    manifest = run.manifest
    return Page(
        title=f"{manifest.get('name') or folder.name}: {manifest['method']}",
        subtitle=f"seed {manifest['seed']}, {manifest['status']}, begins {_begins(manifest)}",
        sections=list(_sections(run)),
        notices=run.notices,
    )


def _begins(manifest: dict[str, Any]) -> str:
    start = datetime.fromisoformat(manifest["start_utc"])
    return f"{start:%Y-%m-%d %H:%M:%S} UTC"


def _sections(run: RunData) -> Iterator[Section]:
    pictures = run.pictures
    yield Section("summary", "Summary", _summary(run))
    yield Section("accuracy", "Accuracy", _accuracy(run))
    yield Section("timeline", "Timeline", _timeline(run))
    yield Section("map", "Ground track and sites", [_map(run)], half=True)
    yield Section("contact", "One contact", [_contact(run)], half=True)
    yield Section("assignment", "Assignment of experts", learnt.assignment(run))
    yield Section("time", "Where the time went", whereabouts.of_run(run))
    if run.manifest["method"] == "nmoe":
        shown = figure("gating", pictures.gating, "Share of each client's samples by first expert")
        yield Section("gating", "Gating pattern", [shown], half=True)
        yield Section("inference", "Inference", learnt.inference(run), half=True)
    if run.manifest["method"] == "aligned":
        yield Section("alignment", "Load and fitness", learnt.alignment(run))
    yield Section("scenario", "Scenario and versions", provenance.blocks(run))


def _summary(run: RunData) -> list[Block]:
    rows = [list(row) for row in summary_rows(run.summary)]
    warnings = [Text(warning, "warning") for warning in run.manifest.get("warnings", [])]
    words = Text(" ".join(sentences(run)))
    return [words, *warnings, Facts("Figures of the run", rows)]


def _accuracy(run: RunData) -> list[Block]:
    if run.summary["accuracy_final"] is None:
        return [Text(UNMEASURED[run.trains], "note")]
    pictures = run.pictures
    return [
        figure(
            "accuracy-time",
            lambda axes: pictures.accuracy(axes, over="time"),
            "Accuracy of the server's model over simulated time",
        ),
        figure(
            "accuracy-cycle",
            lambda axes: pictures.accuracy(axes, over="cycle"),
            "Accuracy of the server's model over complete cycles",
        ),
    ]


def _timeline(run: RunData) -> list[Block]:
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
    still = figure("still", run.pictures.timeline, caption, (4.6, 1.2 + 0.45 * clusters))
    shown = [Text(sentence("; ".join(notes)), "note")] if notes else []
    return [*shown, Timeline(data, still)]


def _map(run: RunData) -> Block:
    caption = "Ground track, clusters, and from where they see the satellite above their mask"
    return figure("map", run.pictures.map, caption, MAP_SIZE_IN)


def _contact(run: RunData) -> Block:
    contact = _longest_service(run.tables["contacts"])
    if contact is None:
        return Text("The run served no contact.", "note")
    number = contact["contact_id"]
    caption = (
        f"Contact {number}, the one with the longest service: {contact['satellite']} over "
        f"{contact['cluster']}, from {contact['rise_utc']:%Y-%m-%d %H:%M:%S} UTC"
    )
    return figure("contact", lambda axes: run.pictures.contact(number, axes), caption)


def _longest_service(contacts: pa.Table) -> dict[str, Any] | None:
    lasted_s = pc.subtract(contacts["service_end_s"], contacts["service_start_s"])
    rows: list[dict[str, Any]] = contacts.filter(pc.equal(lasted_s, pc.max(lasted_s))).to_pylist()
    return rows[0] if rows else None
