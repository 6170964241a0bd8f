"""Export to Perfetto: lanes of spans, and counters."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis import spans
from sim.analysis.spans import Spans

if TYPE_CHECKING:
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
        for counter in counters_of(run.tables):
            trace.add_counter(counter)
        for lane in lanes_of(run.tables, run.manifest["simulated_s"]):
            trace.add_lane(lane)
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
        packet = self._packet(flags=_CLEARED)
        packet.first_packet_on_sequence = True
        snapshot = packet.clock_snapshot
        snapshot.primary_trace_clock = _BOOTTIME
        unix_ns = (start - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND * 1000
        snapshot.clocks.add(clock_id=_BOOTTIME, timestamp=0)
        snapshot.clocks.add(clock_id=_REALTIME, timestamp=unix_ns)

    def flush(self) -> None:
        """Write the packets that there are; pieces of a trace add up to one."""
        self._file.write(self._trace.SerializeToString())
        self._trace.Clear()

    def add_counter(self, counter: Counter) -> None:
        """Add a counter and its values."""
        track = self._track(counter.place, is_counter=True)
        for time_ns, value in counter.points:
            event = self._event(track, time_ns, self._messages.TrackEvent.TYPE_COUNTER)
            event.track_event.double_counter_value = value

    def add_lane(self, lane: Lane) -> None:
        """Add a lane; those of the same place are shown as one."""
        track, event = self._track(lane.place), self._messages.TrackEvent
        for span in lane.spans:
            lasts = span.end_ns > span.begin_ns
            kind = event.TYPE_SLICE_BEGIN if lasts else event.TYPE_INSTANT
            self._describe(self._event(track, span.begin_ns, kind), span)
            if lasts:
                # Packets of one instant keep their order: an end comes before the next begin.
                self._event(track, span.end_ns, event.TYPE_SLICE_END)

    def _track(self, place: Place, is_counter: bool = False) -> int:
        """Describe a new track under its groups; return its number."""
        parent = 0
        for depth in range(1, len(place)):
            group = place[:depth]
            if group not in self._groups:
                self._groups[group] = self._described(group[-1], parent).uuid
            parent = self._groups[group]
        track = self._described(place[-1], parent)
        if is_counter:
            track.counter.SetInParent()
        number: int = track.uuid
        return number

    def _described(self, name: str, parent: int) -> Any:
        self._tracks += 1
        track = self._packet().track_descriptor
        track.uuid, track.name = self._tracks, name
        track.sibling_order_rank = self._tracks
        track.child_ordering = _EXPLICIT
        if parent:
            track.parent_uuid = parent
        return track

    def _event(self, track: int, time_ns: int, kind: int) -> Any:
        packet = self._packet()
        packet.timestamp = time_ns
        packet.track_event.track_uuid = track
        packet.track_event.type = kind
        return packet

    def _packet(self, flags: int = _NEEDED) -> Any:
        if len(self._trace.packet) >= PACKETS:
            self.flush()
        return self._trace.packet.add(trusted_packet_sequence_id=_SEQUENCE, sequence_flags=flags)

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
    found: dict[Place, list[Span]] = defaultdict(list)
    for place, begin_s, until_s, name, facts in (
        *_contacts(tables["contacts"]),
        *_marks(tables["events"]),
        *_transfers(tables["transfers"]),
        *_trainings(tables["events"], end_s),
        *_inferences(tables.get("inferences")),
    ):
        found[place].append(Span(_ns(begin_s), _ns(until_s), name, facts))
    in_order = sorted(found, key=lambda place: [_natural(name) for name in place])
    return [Lane(place, apart) for place in in_order for apart in _apart(found[place])]


def _contacts(contacts: pa.Table) -> Iterator[Found]:
    names = ("satellite", "cluster")
    facts = ("contact_id", "max_elevation_deg", "min_slant_range_km", "served")
    for (satellite, cluster), *edges_s, known in _each(spans.in_view(contacts), names, facts):
        yield ("satellites", satellite), *edges_s, cluster, known
    capacity = ("contact_id", "max_elevation_deg", "uplink_capacity_bytes_per_device")
    for (satellite, cluster), *edges_s, known in _each(spans.connected(contacts), names, capacity):
        yield ("clusters", cluster, "connected"), *edges_s, satellite, known


def _marks(events: pa.Table) -> Iterator[Found]:
    facts = ("device", "contact_id", "version", "rounds", "detail")
    rows = events.filter(pc.is_in(events["kind"], pa.array(MARKS)))
    time_s = rows["time_s"].to_numpy()
    for (cluster, kind), *edges_s, known in _each(
        Spans(rows, time_s, time_s), ("cluster", "kind"), facts
    ):
        place = ("learning", "events") if cluster is None else ("clusters", cluster, "events")
        yield place, *edges_s, kind, known


def _transfers(transfers: pa.Table) -> Iterator[Found]:
    facts = (
        *("contact_id", "transfer_id", "version", "payload_bytes", "delivered_bytes"),
        *("outcome", "peer"),
    )
    names = ("cluster", "device", "direction", "payload")
    for row, *edges_s, known in _each(spans.transferring(transfers), names, facts):
        cluster, device, direction, payload = row
        yield (*_device(cluster, device), direction), *edges_s, payload, known


def _trainings(events: pa.Table, end_s: float) -> Iterator[Found]:
    """Trainings with the facts of their ends; what goes on at the end of the run ends there."""
    begun, ended = spans.training(events)
    names, facts = ("cluster", "device"), ("contact_id", "rounds")
    done = ended.select(facts).to_pylist()
    for (row, begin_s, until_s, known), at_end in zip(
        _each(begun, names, facts), done, strict=True
    ):
        place = (*_device(*row), "training")
        if until_s < math.inf:
            yield place, begin_s, until_s, "training", at_end
        else:
            yield place, begin_s, end_s, "training", known


def _inferences(inferences: pa.Table | None) -> Iterator[Found]:
    if inferences is None:
        return
    time_s = inferences["time_s"].to_numpy()
    answered_s = time_s + inferences["latency_s"].fill_null(0.0).to_numpy()  # none where it failed
    asked = Spans(inferences, time_s, answered_s)
    facts = ("batch", "experts", "samples", "sent_bytes")
    for row, *edges_s, known in _each(asked, ("cluster", "device", "outcome"), facts):
        cluster, device, outcome = row
        yield (*_device(cluster, device), "inference"), *edges_s, outcome, known


def _device(cluster: str, device: int) -> Place:
    return "clusters", cluster, f"device {device}"


def _each(
    part: Spans, columns: Sequence[str], facts: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], float, float, dict[str, Any]]]:
    """For every span the values of ``columns``, begin and end, and its ``facts`` by name."""
    values = zip(*(part.rows[name].to_pylist() for name in columns), strict=True)
    edges_s = part.begin_s.tolist(), part.end_s.tolist()
    yield from zip(values, *edges_s, part.rows.select(facts).to_pylist(), strict=True)


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
