"""Export to Perfetto: lanes of spans, and counters, as JSON in the Trace Event Format of Chrome.

https://ui.perfetto.dev opens it, and so does ``chrome://tracing``. Times are microseconds.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis import spans
from sim.analysis.ranking import natural
from sim.analysis.rounds import client_word
from sim.analysis.spans import Spans
from sim.execution.result import Result

TRACE_FILE = "run.trace.json"

TraceEvent = dict[str, Any]


def write_perfetto(run: Result, place: Path) -> list[str]:
    """Write ``run.trace.json``: a thread a lane, and counters of accuracy and loss."""
    about = json.dumps({"start_utc": run.manifest["start_utc"]})
    with (place / TRACE_FILE).open("w", encoding="utf-8") as file:
        file.write(f'{{"displayTimeUnit": "ms", "otherData": {about}, "traceEvents": [\n')
        file.writelines(
            f"{',' if number else ''}{json.dumps(event, allow_nan=False)}\n"
            for number, event in enumerate(_events(run))
        )
        file.write("]}\n")
    return []


def _events(run: Result) -> Iterator[TraceEvent]:
    processes: dict[str, int] = {}
    for (group, name), points in counters_of(run.tables).items():
        yield from _process(group, processes)
        figure, _, whose = name.partition(" ")
        for time_ns, value in points:
            if math.isfinite(value):
                where = {"pid": processes[group], "ts": time_ns / 1000}
                yield {"ph": "C", "name": figure, **where, "args": {whose: value}}
    for thread, (lane, shown) in enumerate(trace_lanes(run.tables, run.manifest), start=1):
        process, name = _names(lane)
        yield from _process(process, processes)
        where = {"pid": processes[process], "tid": thread}
        yield from _named("thread", name, thread, where)
        for span in shown:
            yield {**_span(span), **where}


def _names(place: LanePath) -> tuple[str, str]:
    """Return the names of the process and the thread at a place: a process a client, or a group."""
    depth = 1 if len(place) == 2 else 2
    return ": ".join(place[:depth]), ": ".join(place[depth:])


def _process(name: str, known: dict[str, int]) -> Iterator[TraceEvent]:
    """Name a process the first time that something stands in it."""
    if name not in known:
        known[name] = len(known) + 1
        yield from _named("process", name, known[name], {"pid": known[name]})


def _named(kind: str, name: str, rank: int, where: TraceEvent) -> Iterator[TraceEvent]:
    """Yield the name of a process or thread, and its place in the order shown."""
    yield {"ph": "M", "name": f"{kind}_name", **where, "args": {"name": name}}
    yield {"ph": "M", "name": f"{kind}_sort_index", **where, "args": {"sort_index": rank}}


def _span(span: Span) -> TraceEvent:
    """Return a span, or a mark where it takes no time, with the facts that are known."""
    facts = {key: value for key, value in span.facts.items() if _is_known(value)}
    event = {"name": span.name, "ts": span.begin_ns / 1000, "args": facts}
    if span.end_ns == span.begin_ns:
        return {"ph": "i", "s": "t", **event}
    return {"ph": "X", **event, "dur": (span.end_ns - span.begin_ns) / 1000}


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


LanePath = tuple[str, ...]
"""Where a lane stands: names from its group down to its own."""

MARKED_KINDS = ("wait", "assign", "aggregate", "infer", "drop", "fault")
"""Kinds of events that are shown as marks; the others begin or end what has a span, or measure."""


class Span(NamedTuple):
    """Nanoseconds since the start, a name, and facts (None if not known).

    One that ends where it begins is a mark.
    """

    begin_ns: int
    end_ns: int
    name: str
    facts: Mapping[str, Any]


def counters_of(tables: Mapping[str, pa.Table]) -> Mapping[LanePath, list[tuple[int, float]]]:
    """Accuracy and loss of the server's model over time in nanoseconds, global first."""
    series: dict[LanePath, list[tuple[int, float]]] = defaultdict(list)
    for row in tables["metrics"].to_pylist():
        whose = "global" if row["scope"] == "global" else row["cluster"]
        if row["scope"] == "client":
            whose = f"{whose}/{row['device']}"
        for name in ("accuracy", "loss"):
            if row[name] is not None:
                series["learning", f"{name} {whose}"].append((_ns(row["time_s"]), row[name]))
    return series


def trace_lanes(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]
) -> list[tuple[LanePath, list[Span]]]:
    """All lanes of a run by place: spans in order of begin.

    Spans of one place that overlap are in lanes of their own with that place.
    """
    found: dict[LanePath, list[Span]] = defaultdict(list)
    for part, place, name, facts in _sources(tables, manifest):
        pattern = "".join((*place, name))
        used = [key for key in part.rows.column_names if f"{{{key}}}" in pattern]
        spans_of_part = zip(
            part.rows.select(used).to_pylist(),
            part.begin_s.tolist(),
            part.end_s.tolist(),
            part.rows.select(facts).to_pylist(),
            strict=True,
        )
        for row, begin_s, end_s, known in spans_of_part:
            where = tuple(step.format_map(row) for step in place)
            span = Span(_ns(begin_s), _ns(end_s), name.format_map(row), known)
            found[where].append(span)
    in_order = sorted(found, key=lambda place: [natural(name) for name in place])
    return [(place, apart) for place in in_order for apart in _apart(found[place])]


class LaneSource(NamedTuple):
    """Spans of one kind: where they stand, what each is called, and the columns beside it.

    ``place`` and ``name`` are patterns, filled in with the columns of a row.
    """

    spans: Spans
    place: LanePath
    name: str
    facts: list[str]


@dataclass(frozen=True)
class _Places:
    """Where the lanes of a run stand, by who the clients and the servers are."""

    servers: str
    server: str
    client: LanePath
    device: LanePath

    @classmethod
    def of(cls, contacts: pa.Table, manifest: Mapping[str, Any]) -> Self:
        if spans.of_stations(contacts):
            client: LanePath = (f"{client_word(manifest)}s", "{cluster}")
            # A satellite, and a plane, is one device.
            return cls("stations", "{station}", client, device=client)
        client = ("clusters", "{cluster}")
        return cls("satellites", "{satellite}", client, device=(*client, "device {device}"))


def _sources(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> Iterator[LaneSource]:
    places = _Places.of(tables["contacts"], manifest)
    yield from _contacts(tables["contacts"], places)
    yield from _marks(tables["events"], places)
    yield LaneSource(
        spans.transferring(tables["transfers"]),
        (*places.device, "{direction}"),
        "{payload}",
        [
            "contact_id",
            "transfer_id",
            "version",
            "payload_bytes",
            "delivered_bytes",
            "outcome",
            "peer",
        ],
    )
    if (isls := tables.get("isl_windows")) is not None:
        linked = spans.transferring(isls)
        facts = ["min_range_km", "max_range_km"]
        yield LaneSource(linked, ("satellites", "{a}", "linked"), "{b}", facts)
        yield LaneSource(linked, ("satellites", "{b}", "linked"), "{a}", facts)
    if (feeder := tables.get("feeder_windows")) is not None:
        linked = spans.transferring(feeder)
        facts = ["max_elevation_deg", "min_range_km"]
        yield LaneSource(linked, ("stations", "{station}", "linked"), "{satellite}", facts)
        yield LaneSource(linked, ("satellites", "{satellite}", "linked"), "{station}", facts)
    yield _trainings(tables["events"], manifest["simulated_s"], places)
    if (inferences := tables.get("inferences")) is not None:
        yield _inferences(inferences, places)


def _contacts(contacts: pa.Table, places: _Places) -> Iterator[LaneSource]:
    """Yield what is in view of each server, and what serves each client."""
    yield LaneSource(
        spans.in_view(contacts),
        (places.servers, places.server),
        "{cluster}",
        ["contact_id", "max_elevation_deg", "min_slant_range_km", "served"],
    )
    yield LaneSource(
        spans.connected(contacts),
        (*places.client, "connected"),
        places.server,
        [
            "contact_id",
            "max_elevation_deg",
            "uplink_capacity_bytes_per_device",
            "downlink_capacity_bytes_per_device",
            "isl_capacity_bytes_per_device",
            "capacity_direction",
        ],
    )


def _marks(events: pa.Table, places: _Places) -> Iterator[LaneSource]:
    """Yield the events that take no time: those of nobody, and those of each client."""
    marks = events.filter(pc.is_in(events["kind"], pa.array(MARKED_KINDS)))
    of_nobody = pc.is_null(marks["cluster"])
    facts = ["device", "contact_id", "version", "rounds", "detail"]
    for rows, place in (
        (marks.filter(of_nobody), ("learning", "events")),
        (marks.filter(pc.invert(of_nobody)), (*places.client, "events")),
    ):
        time_s = rows["time_s"].to_numpy()
        yield LaneSource(Spans(rows, time_s, time_s), place, "{kind}", facts)


def _trainings(events: pa.Table, simulated_s: float, places: _Places) -> LaneSource:
    """Return trainings with the facts of their ends; what goes on at the run's end ends there."""
    begun, ended = spans.training(events)
    is_open = np.isinf(begun.end_s)
    rows = begun.rows
    facts = ["contact_id", "rounds"]
    for key in facts:
        values = pc.if_else(pa.array(is_open), rows[key], ended[key])
        rows = rows.set_column(rows.column_names.index(key), key, values)
    end_s = np.where(is_open, simulated_s, begun.end_s)
    trained = Spans(rows, begun.begin_s, end_s)
    return LaneSource(trained, (*places.device, "training"), "training", facts)


def _inferences(inferences: pa.Table, places: _Places) -> LaneSource:
    """Return answers that clients got from others; one that failed has no latency: it is a mark."""
    time_s = inferences["time_s"].to_numpy()
    lasted_s = inferences["latency_s"].fill_null(0.0).to_numpy()
    answered = Spans(inferences, time_s, time_s + lasted_s)
    facts = ["batch", "experts", "samples", "sent_bytes"]
    return LaneSource(answered, (*places.device, "inference"), "{outcome}", facts)


def _apart(spans: Iterable[Span]) -> list[list[Span]]:
    """Split spans into as few lanes as possible without overlaps, each in order of begin."""
    lanes: list[list[Span]] = []
    free: list[tuple[int, int]] = []  # when a lane's last span ends, and which lane
    for span in sorted(spans, key=lambda span: span[:2]):
        if free and free[0][0] <= span.begin_ns:
            _, lane = heappop(free)
        else:
            lane = len(lanes)
            lanes.append([])
        lanes[lane].append(span)
        heappush(free, (span.end_ns, lane))
    return lanes


def _ns(time_s: float) -> int:
    return round(time_s * 1e9)
