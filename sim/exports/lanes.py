"""A run as lanes of spans and marks over time, as trace viewers show it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Place = tuple[str, ...]
"""Where a lane stands: names from its group down to its own."""

SPANNED = (
    *("connect", "disconnect", "train_start", "train_end", "evaluate"),
    *("upload_start", "upload_end", "download_start", "download_end"),
)
"""Kinds of events that are ends of spans, or counters; the others are marks."""


@dataclass(frozen=True)
class Lane:
    """Spans in order of begin: nanoseconds since the start, a name and facts each.

    A span that ends where it begins is a mark. Facts are None where they are not known.
    """

    place: Place
    begin_ns: Sequence[int]
    end_ns: Sequence[int]
    names: Sequence[str]
    facts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Counter:
    """A figure over time."""

    place: Place
    time_ns: Sequence[int]
    values: Sequence[float]


def counters_of(tables: Mapping[str, pa.Table]) -> Iterator[Counter]:
    """Accuracy and loss of the server's model, global first."""
    columns = _columns(tables["metrics"], "time_s", "scope", "cluster", "accuracy", "loss")
    series: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for time_s, scope, cluster, *figures in zip(*columns, strict=True):
        for name, value in zip(("accuracy", "loss"), figures, strict=True):
            if value is not None:
                series["global" if scope == "global" else cluster, name].append((time_s, value))
    for (whose, name), points in series.items():
        times, values = zip(*points, strict=True)
        yield Counter(("learning", f"{name} {whose}"), _ns(times), values)


def lanes_of(tables: Mapping[str, pa.Table], end_s: float) -> list[Lane]:
    """All lanes of a run that ended at ``end_s``, by place: clusters with devices, satellites."""
    lanes = [
        *_satellites(tables["contacts"]),
        *_served(tables["contacts"]),
        *_marks(tables["events"]),
        *_transfers(tables["transfers"]),
        *_trainings(tables["events"], end_s),
    ]
    if "inferences" in tables:
        lanes += _inferences(tables["inferences"])
    return sorted(lanes, key=lambda lane: [_natural(name) for name in lane.place])


def _satellites(contacts: pa.Table) -> Iterator[Lane]:
    facts = ("contact_id", "max_elevation_deg", "min_slant_range_km", "served")
    columns = _columns(contacts, "satellite", "cluster", "rise_s", "set_s")
    spans = _Spans()
    for row, (satellite, cluster, rise_s, set_s) in enumerate(zip(*columns, strict=True)):
        spans.add(("satellites", satellite), rise_s, set_s, cluster, row)
    return spans.lanes(contacts, facts)


def _served(contacts: pa.Table) -> Iterator[Lane]:
    facts = ("contact_id", "max_elevation_deg", "uplink_capacity_bytes_per_device")
    columns = _columns(contacts, "cluster", "satellite", "service_start_s", "service_end_s")
    spans = _Spans()
    for row, (cluster, satellite, begin_s, end_s) in enumerate(zip(*columns, strict=True)):
        if begin_s is not None:
            spans.add(("clusters", cluster, "connected"), begin_s, end_s, satellite, row)
    return spans.lanes(contacts, facts)


def _marks(events: pa.Table) -> Iterator[Lane]:
    facts = ("device", "contact_id", "version", "rounds", "detail")
    spans = _Spans()
    columns = _columns(events, "cluster", "time_s", "kind")
    for row, (cluster, time_s, kind) in enumerate(zip(*columns, strict=True)):
        if kind not in SPANNED:
            place = ("learning", "events") if cluster is None else ("clusters", cluster, "events")
            spans.add(place, time_s, time_s, kind, row)
    return spans.lanes(events, facts)


def _transfers(transfers: pa.Table) -> Iterator[Lane]:
    facts = (
        *("contact_id", "transfer_id", "version", "payload_bytes", "delivered_bytes"),
        *("outcome", "peer"),
    )
    columns = _columns(
        transfers, "cluster", "device", "direction", "start_s", "end_s", "payload"
    )
    spans = _Spans()
    for row, (cluster, device, direction, begin_s, end_s, payload) in enumerate(
        zip(*columns, strict=True)
    ):
        spans.add((*_device(cluster, device), direction), begin_s, end_s, payload, row)
    return spans.lanes(transfers, facts)


def _trainings(events: pa.Table, end_s: float) -> Iterator[Lane]:
    """Trainings from their two events: a device's n-th end belongs to its n-th begin.

    What goes on at the end of the run ends there.
    """
    columns = _columns(events, "kind", "cluster", "device", "time_s")
    begun: dict[Place, list[tuple[float, int]]] = defaultdict(list)
    ended: dict[Place, list[tuple[float, int]]] = defaultdict(list)
    for row, (kind, cluster, device, time_s) in enumerate(zip(*columns, strict=True)):
        if kind in ("train_start", "train_end"):
            to = begun if kind == "train_start" else ended
            to[(*_device(cluster, device), "training")].append((time_s, row))
    spans = _Spans()
    for place, starts in begun.items():
        open_ = [(end_s, row) for _, row in starts[len(ended[place]) :]]
        for (begin_s, _), (until_s, row) in zip(starts, ended[place] + open_, strict=True):
            spans.add(place, begin_s, until_s, "training", row)
    return spans.lanes(events, ("contact_id", "rounds"))


def _inferences(inferences: pa.Table) -> Iterator[Lane]:
    facts = ("batch", "experts", "samples", "sent_bytes")
    columns = _columns(inferences, "cluster", "device", "time_s", "latency_s", "outcome")
    spans = _Spans()
    for row, (cluster, device, time_s, latency_s, outcome) in enumerate(zip(*columns, strict=True)):
        # What failed has no latency.
        lasts_s = latency_s if latency_s is not None and np.isfinite(latency_s) else 0.0
        place = (*_device(cluster, device), "inference")
        spans.add(place, time_s, time_s + lasts_s, outcome, row)
    return spans.lanes(inferences, facts)


def _device(cluster: str, device: int) -> Place:
    return "clusters", cluster, f"device {device}"


class _Spans:
    """Collects spans by lane; a lane whose spans overlap becomes several of the same place."""

    def __init__(self) -> None:
        self._of: dict[Place, list[tuple[float, float, str, int]]] = defaultdict(list)

    def add(self, place: Place, begin_s: float, end_s: float, name: str, row: int) -> None:
        self._of[place].append((begin_s, end_s, name, row))

    def lanes(self, table: pa.Table, facts: Sequence[str]) -> Iterator[Lane]:
        """Yield the lanes, each span with ``facts`` from its row of ``table``."""
        columns = _columns(table, *facts)
        known = [dict(zip(facts, row, strict=True)) for row in zip(*columns, strict=True)]
        for place, spans in self._of.items():
            begin_s, end_s, names, rows = zip(*spans, strict=True)
            begin_ns, end_ns = _ns(begin_s), _ns(end_s)
            for chosen in _apart(begin_ns, end_ns):
                yield Lane(
                    place,
                    [begin_ns[i] for i in chosen],
                    [end_ns[i] for i in chosen],
                    [names[i] for i in chosen],
                    [known[rows[i]] for i in chosen],
                )


def _apart(begin_ns: Sequence[int], end_ns: Sequence[int]) -> list[list[int]]:
    """Split spans, by index, into as few lanes as possible without overlaps, in order of begin."""
    lanes: list[list[int]] = []
    free: list[tuple[int, int]] = []  # when a lane's last span ends, and which lane
    for i in sorted(range(len(begin_ns)), key=lambda i: (begin_ns[i], end_ns[i])):
        if free and free[0][0] <= begin_ns[i]:
            _, lane = heappop(free)
        else:
            lane = len(lanes)
            lanes.append([])
        lanes[lane].append(i)
        heappush(free, (end_ns[i], lane))
    return lanes


def _natural(name: str) -> list[str | int]:
    """A key by which device 2 comes before device 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


def _columns(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table.column(name).to_pylist() for name in names]


def _ns(times_s: Sequence[float]) -> list[int]:
    nanoseconds: list[int] = np.rint(np.asarray(times_s) * 1e9).astype(np.int64).tolist()
    return nanoseconds
