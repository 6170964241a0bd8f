"""Export to Perfetto: lanes of spans, and counters."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis import spans
from sim.analysis.rounds import client_word
from sim.analysis.spans import Spans
from sim.execution.result import Result

FILE = "run.perfetto-trace"
PACKETS = 2000
"""Packets that are written together."""

_SEQUENCE = 1
_MICROSECOND = timedelta(microseconds=1)
# TracePacket.SequenceFlags: the first packet clears what names stand for, all others need it.
_CLEARED, _NEEDED = 1, 2
# Built-in clocks of Perfetto: wall clock, and the one that timestamps count on.
_REALTIME, _BOOTTIME = 1, 6
_EXPLICIT = 3  # TrackDescriptor.ChildTracksOrdering: by sibling_order_rank
_STRINGS = "debug_annotation_string_values"
_FIELDS = {bool: "bool_value", int: "int_value", float: "double_value"}


def write_perfetto(run: Result, place: Path) -> list[str]:
    """Write ``run.perfetto-trace``: a track a lane, and counters of accuracy and loss."""
    from perfetto.protos.perfetto.trace import (  # type: ignore[import-untyped]
        perfetto_trace_pb2 as messages,
    )

    with (place / FILE).open("wb") as file:
        trace = _Trace(file, messages)
        trace.begin(datetime.fromisoformat(run.manifest["start_utc"]))
        for where, points in counters_of(run.tables).items():
            trace.add_counter(where, points)
        for where, lane in lanes_of(run.tables, run.manifest):
            trace.add_lane(where, lane)
        trace.flush()
    return []


class _Trace:
    """Packets of one sequence, written in pieces; text that comes again is written once."""

    def __init__(self, file: IO[bytes], messages: Any) -> None:
        self._file = file
        self._messages = messages
        self._trace = messages.Trace()
        self._groups: dict[Place, int] = {}
        self._tracks = 0
        self._texts: dict[tuple[str, str], int] = {}

    def begin(self, start: datetime) -> None:
        """Begin the sequence; the run's zero of time is ``start``."""
        unix_ns = (start - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND * 1000
        clocks = [
            {"clock_id": _BOOTTIME, "timestamp": 0},
            {"clock_id": _REALTIME, "timestamp": unix_ns},
        ]
        snapshot = {"primary_trace_clock": _BOOTTIME, "clocks": clocks}
        self._packet(_CLEARED, first_packet_on_sequence=True, clock_snapshot=snapshot)

    def flush(self) -> None:
        """Write the packets that there are; pieces of a trace add up to one."""
        self._file.write(self._trace.SerializeToString())
        self._trace.Clear()

    def add_counter(self, place: Place, points: Iterable[tuple[int, float]]) -> None:
        """Add a counter and its values."""
        track, kind = self._track(place, counter={}), self._messages.TrackEvent.TYPE_COUNTER
        for time_ns, value in points:
            self._event(track, time_ns, kind, double_counter_value=value)

    def add_lane(self, place: Place, spans: Iterable[Span]) -> None:
        """Add a lane; those of the same place are shown as one."""
        track, event = self._track(place), self._messages.TrackEvent
        for span in spans:
            lasts = span.end_ns > span.begin_ns
            kind = event.TYPE_SLICE_BEGIN if lasts else event.TYPE_INSTANT
            self._describe(self._event(track, span.begin_ns, kind), span)
            if lasts:
                # Packets of one instant keep their order: an end comes before the next begin.
                self._event(track, span.end_ns, event.TYPE_SLICE_END)

    def _track(self, place: Place, **more: Any) -> int:
        """Describe a new track under its groups; return its number."""
        parent = 0
        for depth in range(1, len(place)):
            group = place[:depth]
            if group not in self._groups:
                self._groups[group] = self._described(group[-1], parent)
            parent = self._groups[group]
        return self._described(place[-1], parent, **more)

    def _described(self, name: str, parent: int, **more: Any) -> int:
        self._tracks += 1
        own = {"uuid": self._tracks, "name": name, "sibling_order_rank": self._tracks}
        under = {"parent_uuid": parent} if parent else {}
        self._packet(track_descriptor={**own, **under, "child_ordering": _EXPLICIT, **more})
        return self._tracks

    def _event(self, track: int, time_ns: int, kind: int, **more: Any) -> Any:
        event = {"track_uuid": track, "type": kind, **more}
        return self._packet(timestamp=time_ns, track_event=event)

    def _packet(self, flags: int = _NEEDED, **said: Any) -> Any:
        if len(self._trace.packet) >= PACKETS:
            self.flush()
        return self._trace.packet.add(
            trusted_packet_sequence_id=_SEQUENCE, sequence_flags=flags, **said
        )

    def _describe(self, packet: Any, span: Span) -> None:
        """Give an event its name and the facts that are known."""
        event = packet.track_event
        event.name_iid = self._number(packet, "event_names", span.name)
        for key, value in span.facts.items():
            if value is not None:
                fact = event.debug_annotations.add()
                fact.name_iid = self._number(packet, "debug_annotation_names", key)
                if isinstance(value, str):
                    fact.string_value_iid = self._number(packet, _STRINGS, value)
                else:
                    setattr(fact, _FIELDS[type(value)], value)

    def _number(self, packet: Any, kind: str, text: str) -> int:
        """Return what stands for ``text``, and say so in ``packet`` if it is new."""
        if (kind, text) not in self._texts:
            self._texts[kind, text] = len(self._texts) + 1
            entry = getattr(packet.interned_data, kind).add(iid=self._texts[kind, text])
            if kind == _STRINGS:
                entry.str = text.encode()
            else:
                entry.name = text
        return self._texts[kind, text]


# A run as lanes of spans and marks over time, as trace viewers show it.


Place = tuple[str, ...]
"""Where a lane stands: names from its group down to its own."""

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


def counters_of(tables: Mapping[str, pa.Table]) -> Mapping[Place, list[tuple[int, float]]]:
    """Accuracy and loss of the server's model over time in nanoseconds, global first."""
    series: dict[Place, list[tuple[int, float]]] = defaultdict(list)
    for row in tables["metrics"].to_pylist():
        whose = "global" if row["scope"] == "global" else row["cluster"]
        for name in ("accuracy", "loss"):
            if row[name] is not None:
                series["learning", f"{name} {whose}"].append((_ns(row["time_s"]), row[name]))
    return series


def lanes_of(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]
) -> list[tuple[Place, list[Span]]]:
    """All lanes of a run by place: spans in order of begin.

    Spans of one place that overlap are in lanes of their own with that place.
    """
    found: dict[Place, list[Span]] = defaultdict(list)
    for part, place, name, facts in _sources(tables, manifest):
        said = "".join((*place, name))
        used = [key for key in part.rows.column_names if f"{{{key}}}" in said]
        rows, known = (part.rows.select(keys).to_pylist() for keys in (used, facts))
        edges_s = part.begin_s.tolist(), part.end_s.tolist()
        for row, begin_s, until_s, fact in zip(rows, *edges_s, known, strict=True):
            where = tuple(step.format_map(row) for step in place)
            span = Span(_ns(begin_s), _ns(until_s), name.format_map(row), fact)
            found[where].append(span)
    in_order = sorted(found, key=lambda place: [_natural(name) for name in place])
    return [(place, apart) for place in in_order for apart in _apart(found[place])]


Source = tuple[Spans, Place, str, list[str]]
"""Spans, and of the columns of their rows: place and name of each, and the facts beside it."""


def _sources(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> Iterator[Source]:
    contacts, events, who = tables["contacts"], tables["events"], client_word(manifest)
    servers, server, client = "satellites", "{satellite}", ("clusters", "{cluster}")
    device: Place = (*client, "device {device}")
    if spans.of_stations(contacts):
        servers, server, client = "stations", "{station}", (f"{who}s", "{cluster}")
        device = client  # a satellite, and a plane, is one device
    seen = ["contact_id", "max_elevation_deg", "min_slant_range_km", "served"]
    yield spans.in_view(contacts), (servers, server), "{cluster}", seen
    served = ["contact_id", "max_elevation_deg", "uplink_capacity_bytes_per_device"]
    served += ["capacity_direction"]
    yield spans.connected(contacts), (*client, "connected"), server, served
    marks = events.filter(pc.is_in(events["kind"], pa.array(MARKS)))
    said = ["device", "contact_id", "version", "rounds", "detail"]
    for nobodys, place in ((True, ("learning", "events")), (False, (*client, "events"))):
        mine = marks.filter(pc.equal(pc.is_null(marks["cluster"]), nobodys))
        time_s = mine["time_s"].to_numpy()
        yield Spans(mine, time_s, time_s), place, "{kind}", said
    moved = ["contact_id", "transfer_id", "version", "payload_bytes", "delivered_bytes"]
    moved += ["outcome", "peer"]
    yield spans.transferring(tables["transfers"]), (*device, "{direction}"), "{payload}", moved
    if (isls := tables.get("isl_windows")) is not None:
        linked, facts = spans.transferring(isls), ["min_range_km", "max_range_km"]
        for one, other in (("{a}", "{b}"), ("{b}", "{a}")):
            yield linked, ("satellites", one, "linked"), other, facts
    # Trainings have the facts of their ends; what goes on at the end of the run ends there.
    begun, ended = spans.training(events)
    open_still = np.isinf(begun.end_s)
    rows, facts = begun.rows, ["contact_id", "rounds"]
    for key in facts:
        values = pc.if_else(pa.array(open_still), rows[key], ended[key])
        rows = rows.set_column(rows.column_names.index(key), key, values)
    trained = Spans(rows, begun.begin_s, np.where(open_still, manifest["simulated_s"], begun.end_s))
    yield trained, (*device, "training"), "training", facts
    if (asked := tables.get("inferences")) is not None:
        facts = ["batch", "experts", "samples", "sent_bytes"]
        time_s, lasted_s = asked["time_s"].to_numpy(), asked["latency_s"].fill_null(0.0).to_numpy()
        # One that failed has no latency: it is a mark.
        answered = Spans(asked, time_s, time_s + lasted_s)
        yield answered, (*device, "inference"), "{outcome}", facts


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
