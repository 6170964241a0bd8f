"""A run as lanes of spans and marks over time, as trace viewers show it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

Place = tuple[str, ...]
"""Where a lane stands: names from its group down to its own."""

Found = tuple[Place, float, float, str, Mapping[str, Any]]
"""A span in seconds since the start, and where it belongs."""

MARKS = ("wait", "assign", "aggregate", "infer", "drop", "fault")
"""Kinds of events that are shown as marks; the others begin or end what has a span, or measure."""


class Span(NamedTuple):
    """Nanoseconds since the start, a name, and facts (None if not known).

    One that ends where it begins is a mark.
    """

    begin_ns: int
    end_ns: int
    name: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Lane:
    """Spans in order of begin that do not overlap."""

    place: Place
    spans: Sequence[Span]


@dataclass(frozen=True)
class Counter:
    """A figure over time, in nanoseconds since the start."""

    place: Place
    points: Sequence[tuple[int, float]]


def counters_of(tables: Mapping[str, pa.Table]) -> list[Counter]:
    """Accuracy and loss of the server's model, global first."""
    series: dict[Place, list[tuple[int, float]]] = defaultdict(list)
    for row in tables["metrics"].to_pylist():
        whose = "global" if row["scope"] == "global" else row["cluster"]
        for name in ("accuracy", "loss"):
            if row[name] is not None:
                series["learning", f"{name} {whose}"].append((_ns(row["time_s"]), row[name]))
    return [Counter(place, points) for place, points in series.items()]


def lanes_of(tables: Mapping[str, pa.Table], end_s: float) -> list[Lane]:
    """All lanes of a run that ended at ``end_s``, by place.

    Spans of one place that overlap are in lanes of their own with that place.
    """
    spans: dict[Place, list[Span]] = defaultdict(list)
    for place, begin_s, until_s, name, facts in (
        *_satellites(tables["contacts"]),
        *_served(tables["contacts"]),
        *_marks(tables["events"]),
        *_transfers(tables["transfers"]),
        *_trainings(tables["events"], end_s),
        *_inferences(tables.get("inferences")),
    ):
        spans[place].append(Span(_ns(begin_s), _ns(until_s), name, facts))
    in_order = sorted(spans, key=lambda place: [_natural(name) for name in place])
    return [Lane(place, apart) for place in in_order for apart in _apart(spans[place])]


def _satellites(contacts: pa.Table) -> Iterator[Found]:
    facts = ("contact_id", "max_elevation_deg", "min_slant_range_km", "served")
    for row, known in _rows(contacts, ("satellite", "cluster", "rise_s", "set_s"), facts):
        satellite, cluster, rise_s, set_s = row
        yield ("satellites", satellite), rise_s, set_s, cluster, known


def _served(contacts: pa.Table) -> Iterator[Found]:
    facts = ("contact_id", "max_elevation_deg", "uplink_capacity_bytes_per_device")
    columns = ("cluster", "satellite", "service_start_s", "service_end_s")
    served = contacts.filter(pc.is_valid(contacts.column("service_start_s")))
    for (cluster, satellite, begin_s, end_s), known in _rows(served, columns, facts):
        yield ("clusters", cluster, "connected"), begin_s, end_s, satellite, known


def _marks(events: pa.Table) -> Iterator[Found]:
    facts = ("device", "contact_id", "version", "rounds", "detail")
    for row, known in _rows(_of(events, MARKS), ("cluster", "time_s", "kind"), facts):
        cluster, time_s, kind = row
        place = ("learning", "events") if cluster is None else ("clusters", cluster, "events")
        yield place, time_s, time_s, kind, known


def _transfers(transfers: pa.Table) -> Iterator[Found]:
    facts = (
        *("contact_id", "transfer_id", "version", "payload_bytes", "delivered_bytes"),
        *("outcome", "peer"),
    )
    columns = ("cluster", "device", "direction", "start_s", "end_s", "payload")
    for row, known in _rows(transfers, columns, facts):
        cluster, device, direction, begin_s, end_s, payload = row
        yield (*_device(cluster, device), direction), begin_s, end_s, payload, known


def _trainings(events: pa.Table, end_s: float) -> Iterator[Found]:
    """Trainings from their two events: a device's n-th end belongs to its n-th begin.

    What goes on at the end of the run ends there.
    """
    columns, facts = ("cluster", "device", "time_s"), ("contact_id", "rounds")
    ends: dict[Place, list[tuple[float, Mapping[str, Any]]]] = defaultdict(list)
    for (cluster, device, time_s), known in _rows(_of(events, ["train_end"]), columns, facts):
        ends[_device(cluster, device)].append((time_s, known))
    left = {place: iter(found) for place, found in ends.items()}
    for (cluster, device, begin_s), known in _rows(_of(events, ["train_start"]), columns, facts):
        place = _device(cluster, device)
        until_s, done = next(left.get(place, iter(())), (end_s, known))
        yield (*place, "training"), begin_s, until_s, "training", done


def _inferences(inferences: pa.Table | None) -> Iterator[Found]:
    if inferences is None:
        return
    facts = ("batch", "experts", "samples", "sent_bytes")
    columns = ("cluster", "device", "time_s", "latency_s", "outcome")
    for (cluster, device, time_s, latency_s, outcome), known in _rows(inferences, columns, facts):
        # What failed has no latency.
        place = (*_device(cluster, device), "inference")
        yield place, time_s, time_s + (latency_s or 0.0), outcome, known


def _device(cluster: str, device: int) -> Place:
    return "clusters", cluster, f"device {device}"


def _of(events: pa.Table, kinds: Sequence[str]) -> pa.Table:
    """The events of some kinds."""
    return events.filter(pc.is_in(events.column("kind"), pa.array(kinds)))


def _rows(
    table: pa.Table, columns: Sequence[str], facts: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """For every row its values of ``columns``, and its ``facts`` by name."""
    values = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    known = zip(*(table.column(name).to_pylist() for name in facts), strict=True)
    for row, fact in zip(values, known, strict=True):
        yield row, dict(zip(facts, fact, strict=True))


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


def _natural(name: str) -> list[str | int]:
    """A key by which device 2 comes before device 10."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _ns(time_s: float) -> int:
    return round(time_s * 1e9)
