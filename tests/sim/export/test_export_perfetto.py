"""Traces for Perfetto, read back from Chrome's trace events by a reader of our own."""

import json
from collections import defaultdict

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim
from tests.kit.folders import without_checksums
from tests.kit.handmade import tables_of
from tests.kit.inner.sim import KINDS, MARKED_KINDS, export, trace_lanes
from tests.kit.small import ORBIT, orbit

NEAR = {"name": "Near", "latitude_deg": 58, "longitude_deg": 22, "devices": 1}


class Reader:
    """Follows a trace event by event: names, spans, marks and counters, by place."""

    def __init__(self, path):
        self.spans = []
        self.values = defaultdict(list)
        trace = json.loads(path.read_text())
        self.about = trace["otherData"]
        names = {}
        for event in trace["traceEvents"]:
            key = event["pid"], event.get("tid")
            time_ns = round(1000 * event.get("ts", 0))
            if event["name"] in ("process_name", "thread_name"):
                names[key] = tuple(event["args"]["name"].split(": "))
            elif event["ph"] == "C":
                [(whose, value)] = event["args"].items()
                self.values[f"{event['name']} {whose}"].append((time_ns, value))
            elif event["ph"] in "Xi":
                end_ns = time_ns + round(1000 * event.get("dur", 0))
                about = {"thread": key, "place": names[key[0], None] + names[key]}
                about |= {"begin_ns": time_ns, "end_ns": end_ns, "name": event["name"]}
                self.spans.append(about | event["args"])

    def rows(self, group, last):
        """All slices and marks of places that begin and end like this."""
        ends = group, last
        found = [s for s in self.spans if (s["place"][0], s["place"][-1]) == ends]
        return pd.DataFrame(found)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A run without learning, whose evaluations then get figures."""
    clusters = [*ORBIT["ground"]["clusters"], NEAR]
    folder = tmp_path_factory.mktemp("run") / "r"
    scenario = orbit(ground={"clusters": clusters}, stop={"days": 1}, learning={"train": False})
    done = sim.run(scenario, out=folder)
    accuracy = np.linspace(0.1, 0.9, len(done.metrics))
    loss = 1 / (1 + done.metrics.index)
    metrics = done.metrics.assign(accuracy=accuracy, loss=loss)
    same = done.tables["metrics"].schema
    pq.write_table(
        pa.Table.from_pandas(metrics, schema=same, preserve_index=False), folder / "metrics.parquet"
    )
    return sim.load(without_checksums(folder))


@pytest.fixture(scope="module")
def trace(result):
    [path] = export(result.folder, "perfetto").paths
    return Reader(path)


def nanoseconds(seconds):
    return [round(value * 1e9) for value in seconds]


def test_spans_and_marks_are_those_of_the_tables(result, trace):
    contacts = result.contacts
    moved = result.transfers
    events = result.events
    served = contacts[contacts.served.astype(bool)]
    up = moved.direction == "uplink"
    of_contacts = ["rise_s", "set_s", "cluster", "contact_id"]
    of_services = ["service_start_s", "service_end_s", "satellite", "contact_id"]
    of_transfers = ["start_s", "end_s", "payload", "transfer_id", "payload_bytes", "outcome"]
    for place, table, (begin, end, name, *facts) in (
        (("satellites", "circular"), contacts, of_contacts),
        (("clusters", "connected"), served, of_services),
        (("clusters", "uplink"), moved[up], of_transfers),
        (("clusters", "downlink"), moved[~up], of_transfers),
    ):
        shown = trace.rows(*place).sort_values(facts[0])
        rows = table.sort_values(facts[0])
        assert shown.begin_ns.tolist() == nanoseconds(rows[begin])
        assert shown.end_ns.tolist() == nanoseconds(rows[end])
        assert shown.name.tolist() == rows[name].tolist()
        assert shown[facts].to_dict("list") == rows[facts].to_dict("list")
        if place[0] == "clusters":
            assert [at[1] for at in shown.place] == rows.cluster.tolist()
        if name == "payload":
            assert [at[2] for at in shown.place] == [f"device {number}" for number in rows.device]
    # It sees two clusters at once.
    assert trace.rows("satellites", "circular").thread.nunique() == 2
    marks = trace.rows("clusters", "events")
    events = events[events.kind.isin(MARKED_KINDS)]
    said = sorted(zip(events.kind, events.detail, strict=True))
    assert sorted(zip(marks.name, marks.detail, strict=True)) == said
    others = {kind for kind in KINDS if not kind.endswith(("_start", "_end"))} - {*MARKED_KINDS}
    told = "neither a span nor a mark: add it to MARKED_KINDS of sim/export/perfetto.py, or here"
    assert others == {"connect", "disconnect", "evaluate"}, told


def test_counters_are_the_metrics_and_time_begins_with_the_run(result, trace):
    assert pd.Timestamp(trace.about["start_utc"]) == pd.Timestamp("2026-08-22T00:00:00Z")
    metrics = result.metrics
    curves = {"global": metrics[metrics.scope == "global"]}
    curves |= dict(iter(metrics[metrics.scope == "cluster"].groupby("cluster")))
    assert len(trace.values) == 2 * len(curves) == 8
    for name, rows in curves.items():
        for figure in ("accuracy", "loss"):
            expected = list(zip(nanoseconds(rows.time_s), rows[figure], strict=True))
            assert trace.values[f"{figure} {name}"] == expected


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30), st.integers(1, 12)), max_size=40))
def test_lanes_hold_all_spans_apart_and_are_as_few_as_can_be(drawn):
    about = {"cluster": "A", "direction": "uplink", "payload": "gate"}
    rows = [
        {**about, "device": device, "start_s": float(begin), "end_s": float(begin + lasts)}
        for device, begin, lasts in drawn
    ]
    lanes = trace_lanes(tables_of(transfers=rows), {"simulated_s": 100.0})
    for _, lane in lanes:
        edges = [edge for span in lane for edge in span[:2]]
        assert edges == sorted(edges)
    for device in (0, 1):
        own = [lane for place, lane in lanes if place[2] == f"device {device}"]
        spans = [(begin, begin + lasts) for who, begin, lasts in drawn if who == device]
        shown = [(s.begin_ns / 1e9, s.end_ns / 1e9) for lane in own for s in lane]
        assert sorted(shown) == sorted(spans)
        together = [sum(b <= at < e for b, e in spans) for at in np.arange(45) + 0.5]
        assert len(own) == max(together)


def test_device_2_stands_before_device_10():
    about = {"direction": "uplink", "payload": "gate", "start_s": 0.0, "end_s": 1.0}
    rows = [about | {"cluster": "A", "device": device} for device in (10, 2, 1)]
    lanes = trace_lanes(tables_of(transfers=rows), {"simulated_s": 2.0})
    assert [place[2] for place, _ in lanes] == ["device 1", "device 2", "device 10"]


def test_a_halted_run_ends_its_spans_and_an_answer_that_never_came_is_a_mark():
    about = {"cluster": "A", "device": 0}
    trained = [(0.0, "train_start", 9), (5.0, "train_end", 2), (5.0, "train_start", 7)]
    events = [about | {"time_s": t, "kind": kind, "rounds": n} for t, kind, n in trained]
    asked = {"cluster": "A", "device": 3, "time_s": 2.0}
    inferences = [{**asked, "latency_s": 0.5, "outcome": "local"}, {**asked, "outcome": "failed"}]
    lanes = trace_lanes(tables_of(events=events, inferences=inferences), {"simulated_s": 8.0})
    spans = [span for _, lane in lanes for span in lane]
    shown = [(s.name, s.begin_ns / 1e9, s.end_ns / 1e9, s.facts.get("rounds")) for s in spans]
    assert shown[:2] == [("training", 0.0, 5.0, 2), ("training", 5.0, 8.0, 7)]
    assert sorted(shown[2:]) == [("failed", 2.0, 2.0, None), ("local", 2.0, 2.5, None)]
