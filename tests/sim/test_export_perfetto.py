"""Traces for Perfetto, read back from its protobuf messages by a reader of our own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

import sim
from tests.kit.records import COLUMNS, KINDS
from tests.kit.results import MARKS, export, lanes_of
from tests.kit.small import ORBIT, orbit

NEAR = {"name": "Near", "latitude_deg": 58, "longitude_deg": 22, "devices": 1}


@dataclass
class Track:
    """A track as the messages tell of it."""

    place: tuple[str, ...]
    slices: list[dict[str, Any]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    values: list[tuple[int, float]] = field(default_factory=list)


class Reader:
    """Follows a trace packet by packet: descriptors, interned text, begins and ends."""

    def __init__(self, path: Path) -> None:
        trace = Trace()
        trace.ParseFromString(path.read_bytes())
        self.described: dict[int, Any] = {}
        self.tracks: dict[int, Track] = {}
        self.texts: dict[str, dict[int, str]] = defaultdict(dict)
        self.clocks: dict[int, int] = {}
        events = []
        for packet in trace.packet:
            for kind, entries in packet.interned_data.ListFields():
                for entry in entries:
                    text = entry.str.decode() if hasattr(entry, "str") else entry.name
                    assert entry.iid not in self.texts[kind.name]
                    self.texts[kind.name][entry.iid] = text
            for clock in packet.clock_snapshot.clocks:
                self.clocks[clock.clock_id] = clock.timestamp
            if packet.HasField("track_descriptor"):
                assert packet.track_descriptor.uuid not in self.described
                self.described[packet.track_descriptor.uuid] = packet.track_descriptor
            if packet.HasField("track_event"):
                events.append((packet.timestamp, packet.track_event))
        for time_ns, event in sorted(events, key=lambda pair: pair[0]):  # stable, as Perfetto is
            self.take(time_ns, event)
        assert all("end_ns" in one for track in self.tracks.values() for one in track.slices)

    def place(self, uuid: int) -> tuple[str, ...]:
        described = self.described[uuid]
        above = self.place(described.parent_uuid) if described.parent_uuid else ()
        return (*above, described.name)

    def take(self, time_ns: int, event: Any) -> None:
        track = self.tracks.setdefault(event.track_uuid, Track(self.place(event.track_uuid)))
        if event.type == TrackEvent.TYPE_COUNTER:
            assert self.described[event.track_uuid].HasField("counter")
            track.values.append((time_ns, event.double_counter_value))
        elif event.type == TrackEvent.TYPE_SLICE_END:
            assert "end_ns" not in track.slices[-1]
            track.slices[-1]["end_ns"] = time_ns
        elif event.type == TrackEvent.TYPE_INSTANT:
            track.marks.append({**self.said(time_ns, event), "end_ns": time_ns})
        else:
            # A slice that begins while another one of its track is open would overlap it.
            assert event.type == TrackEvent.TYPE_SLICE_BEGIN
            assert not track.slices or "end_ns" in track.slices[-1]
            track.slices.append(self.said(time_ns, event))

    def said(self, time_ns: int, event: Any) -> dict[str, Any]:
        said = {"begin_ns": time_ns, "name": self.texts["event_names"][event.name_iid]}
        for fact in event.debug_annotations:
            key = self.texts["debug_annotation_names"][fact.name_iid]
            value = getattr(fact, fact.WhichOneof("value"))
            if fact.HasField("string_value_iid"):
                value = self.texts["debug_annotation_string_values"][value]
            said[key] = value
        return said

    def rows(self, *place: str | None) -> pd.DataFrame:
        """All slices and marks of places like this one (None for any name), in order of begin."""
        found = [
            {**one, **{f"place_{depth}": name for depth, name in enumerate(track.place)}}
            for track in self.tracks.values()
            if len(track.place) == len(place)
            and all(b in (None, a) for a, b in zip(track.place, place, strict=True))
            for one in (*track.slices, *track.marks)
        ]
        return pd.DataFrame(found).sort_values(["begin_ns", "name"], ignore_index=True)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> sim.Result:
    """A run without learning, whose evaluations then get figures."""
    clusters, folder = [*ORBIT["ground"]["clusters"], NEAR], tmp_path_factory.mktemp("run") / "r"
    scenario = orbit(ground={"clusters": clusters}, stop={"days": 1}, learning={"train": False})
    done = sim.run(scenario, out=folder)
    accuracy, loss = np.linspace(0.1, 0.9, len(done.metrics)), 1 / (1 + done.metrics.index)
    metrics = done.metrics.assign(accuracy=accuracy, loss=loss)
    pq.write_table(pa.Table.from_pandas(metrics, preserve_index=False), folder / "metrics.parquet")
    measured = pq.read_table(folder / "metrics.parquet")
    return sim.Result({**done.tables, "metrics": measured}, done.manifest, folder)


@pytest.fixture(scope="module")
def trace(result: sim.Result) -> Reader:
    assert result.folder is not None
    [path] = export(result.folder, "perfetto").paths
    return Reader(path)


def nanoseconds(seconds: pd.Series) -> list[int]:
    return [round(value * 1e9) for value in seconds]


def test_transfers_are_those_of_the_table(result: sim.Result, trace: Reader) -> None:
    for direction in ("uplink", "downlink"):
        shown = trace.rows("clusters", None, None, direction).sort_values("transfer_id")
        rows = result.transfers[result.transfers.direction == direction].sort_values("transfer_id")
        assert len(rows) > 30
        assert shown.begin_ns.tolist() == nanoseconds(rows.start_s)
        assert shown.end_ns.tolist() == nanoseconds(rows.end_s)
        assert shown.name.tolist() == rows.payload.tolist()
        assert shown.place_1.tolist() == rows.cluster.tolist()
        assert shown.place_2.tolist() == [f"device {number}" for number in rows.device]
        for fact in ("contact_id", "version", "payload_bytes", "delivered_bytes", "outcome"):
            assert shown[fact].tolist() == rows[fact].tolist()


def test_training_lasts_as_long_as_its_rounds(result: sim.Result, trace: Reader) -> None:
    shown = trace.rows("clusters", None, None, "training")
    a_round_s = ORBIT["compute"]["seconds_per_round"]
    before_s = shown.rounds * a_round_s - (shown.end_ns - shown.begin_ns) / 1e9
    # A contact pauses a round: what was done of it before counts in what comes behind.
    assert before_s.between(-1e-6, a_round_s, inclusive="neither").all()
    assert (before_s.abs() < 1e-6).mean() > 0.5
    rounds = shown.rounds.groupby(shown.place_1).sum()
    booked = {row["cluster"]: row["device_rounds"] for row in result.manifest["energy"]}
    assert rounds.to_dict() == booked


def test_contacts_are_split_where_a_satellite_sees_two_clusters(
    result: sim.Result, trace: Reader
) -> None:
    places = [track.place for track in trace.tracks.values()]
    assert places.count(("satellites", "circular")) == 2
    shown = trace.rows("satellites", None).sort_values("contact_id")
    contacts = result.contacts.sort_values("contact_id")
    assert shown.name.tolist() == contacts.cluster.tolist()
    assert shown.begin_ns.tolist() == nanoseconds(contacts.rise_s)
    assert shown.end_ns.tolist() == nanoseconds(contacts.set_s)
    assert shown.served.tolist() == contacts.served.tolist()


def test_clusters_are_connected_as_the_events_say_and_all_others_are_marks(
    result: sim.Result, trace: Reader
) -> None:
    shown = trace.rows("clusters", None, "connected").sort_values("contact_id")
    for kind, column in (("connect", "begin_ns"), ("disconnect", "end_ns")):
        events = result.events[result.events.kind == kind].sort_values("contact_id")
        assert shown[column].tolist() == nanoseconds(events.time_s)
    shown = trace.rows("clusters", None, "events")
    events = result.events[result.events.kind.isin(MARKS)]
    assert shown.name.value_counts().to_dict() == events.kind.value_counts().to_dict()
    assert sorted(shown.detail) == sorted(events.detail)
    lasting = ("upload", "download", "train")
    paired = {f"{what}_{end}" for what in lasting for end in ("start", "end")}
    assert {*MARKS, *paired, "connect", "disconnect", "evaluate"} == set(KINDS)


def test_counters_are_the_metrics_and_time_begins_with_the_run(
    result: sim.Result, trace: Reader
) -> None:
    boot_time, real_time = 6, 1
    start_ns = int(pd.Timestamp("2026-08-22T00:00:00Z").value)
    assert trace.clocks == {boot_time: 0, real_time: start_ns}
    counters = {track.place: track.values for track in trace.tracks.values() if track.values}
    metrics = result.metrics
    curves = {"global": metrics[metrics.scope == "global"]}
    curves |= dict(iter(metrics[metrics.scope == "cluster"].groupby("cluster")))
    assert len(counters) == 2 * len(curves) == 8
    for name, rows in curves.items():
        for figure in ("accuracy", "loss"):
            expected = list(zip(nanoseconds(rows.time_s), rows[figure], strict=True))
            assert counters["learning", f"{figure} {name}"] == expected


def tables(**rows: list[dict[str, Any]]) -> dict[str, pa.Table]:
    return {
        name: pa.Table.from_pylist(rows.get(name, []), pa.schema(list(columns.items())))
        for name, columns in COLUMNS.items()
    }


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30), st.integers(1, 12)), max_size=40))
def test_lanes_hold_all_spans_apart_and_are_as_few_as_can_be(
    drawn: list[tuple[int, int, int]],
) -> None:
    about = {"cluster": "A", "direction": "uplink", "payload": "gate"}
    rows = [
        {**about, "device": device, "start_s": float(begin), "end_s": float(begin + lasts)}
        for device, begin, lasts in drawn
    ]
    lanes = lanes_of(tables(transfers=rows), 100.0)
    for lane in lanes:
        edges = [edge for span in lane.spans for edge in span[:2]]
        assert edges == sorted(edges)
    for device in (0, 1):
        own = [lane for lane in lanes if lane.place[2] == f"device {device}"]
        spans = [(begin, begin + lasts) for who, begin, lasts in drawn if who == device]
        shown = [(s.begin_ns / 1e9, s.end_ns / 1e9) for lane in own for s in lane.spans]
        assert sorted(shown) == sorted(spans)
        together = [sum(b <= at < e for b, e in spans) for at in np.arange(45) + 0.5]
        assert len(own) == max(together)


def test_a_halted_run_ends_its_spans_and_an_answer_that_never_came_is_a_mark() -> None:
    about = {"cluster": "A", "device": 0}
    events = [
        {"time_s": 0.0, "kind": "train_start", "rounds": 9, **about},
        {"time_s": 5.0, "kind": "train_end", "rounds": 2, **about},
        {"time_s": 5.0, "kind": "train_start", "rounds": 7, **about},
    ]
    [lane] = lanes_of(tables(events=events), 8.0)
    assert [span[:2] for span in lane.spans] == [(0, 5_000_000_000), (5_000_000_000, 8_000_000_000)]
    assert [span.facts["rounds"] for span in lane.spans] == [2, 7]
    about = {"cluster": "A", "device": 3, "time_s": 2.0}
    inferences = [
        {**about, "latency_s": 0.5, "outcome": "complete"},
        {**about, "latency_s": None, "outcome": "failed"},
    ]
    lanes = lanes_of(tables(inferences=inferences), 8.0)
    shown = sorted((s.name, s.begin_ns, s.end_ns) for lane in lanes for s in lane.spans)
    at_ns = 2_000_000_000
    assert shown == [("complete", at_ns, at_ns + 500_000_000), ("failed", at_ns, at_ns)]
