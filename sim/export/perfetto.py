"""Export to Perfetto: lanes of spans, and counters, as packets of a trace."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from sim.execution.result import Result
from sim.export.lanes import Place, Span, counters_of, lanes_of

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
