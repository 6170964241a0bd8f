"""Pictures, pages and exports of a run whose clients are satellites name these and stations."""

import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import scenarios
import sim
from sim.page import report
from tests.kit.inner.orbit import ground_track
from tests.kit.inner.sim import export, ground_sites, satellites_of, trace_lanes

CHANGES = {
    **{"stop.days": 0.5, "ground.stations_used": 3, "ground.antennas": 2},
    **{"orbit.use.planes": 2, "orbit.use.satellites_per_plane": 5},
    **{"learning.options.clients": 3},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return sim.run(scenarios.load("flystack", CHANGES), out=tmp_path_factory.mktemp("run") / "r")


def test_lanes_are_of_stations_and_of_satellites(run):
    lanes = trace_lanes(run.tables, run.manifest)
    over = {}
    for place, spans in lanes:
        if place[0] == "stations":
            over.setdefault(place[1], []).extend(span.name for span in spans)
    for station, rows in run.contacts.groupby("station"):
        assert sorted(over[str(station)]) == sorted(rows.satellite)
    clients = {place[1] for place, _ in lanes if place[0] == "satellites"}
    assert clients == set(run.contacts.satellite)
    parts = {place[2] for place, _ in lanes if place[0] == "satellites"}
    assert parts == {"connected", "events", "training", "uplink", "downlink"}


START = datetime(2026, 8, 22, tzinfo=UTC)
HOPS = {"stop.rounds": 2, "learning.train": False, "orbit.satellites": 16, "orbit.planes": 2}


def test_links_between_satellites_are_drawn_and_have_lanes(tmp_path):
    run = sim.run(scenarios.load("fedisl", HOPS), out=tmp_path / "r")
    hops = run.transfers[run.transfers.direction == "isl"]
    hops = hops.assign(a=hops.cluster, b=hops.peer.str.removesuffix("/0"))
    [path] = export(run.folder, "czml").paths
    packets = json.loads(path.read_text())
    names = {f"{packet['id']}#position": packet["name"] for packet in packets}
    lanes = trace_lanes(run.tables, run.manifest)
    columns = ["a", "b", "start_s", "end_s"]
    for kind, table in (("isl", run.tables["isl_windows"].to_pandas()), ("hop", hops)):
        drawn = {
            (*(names[end] for end in packet["polyline"]["positions"]["references"]), *edges_s(text))
            for packet in packets
            if packet["id"].startswith(f"{kind}/")
            for text in packet["availability"]
        }
        rows = set(table[columns].round(6).itertuples(index=False, name=None))
        assert drawn == rows and len(drawn) > 9
        lane = {"isl": "linked", "hop": "isl"}[kind]
        spans = [(place[1], span) for place, own in lanes for span in own if place[-1] == lane]
        shown = {(one, s.facts.get("peer", s.name)[:7], s.begin_ns, s.end_ns) for one, s in spans}
        whole = {
            (a, b, *(round(s * 1e9) for s in edges)) for a, b, *edges in table[columns].to_numpy()
        }
        turned = {(b, a, *edges) for a, b, *edges in whole} if kind == "isl" else set()
        assert shown == whole | turned and len(spans) == len(shown)


def edges_s(text):
    """An interval of CZML in seconds since the start."""
    return ((datetime.fromisoformat(end) - START).total_seconds() for end in text.split("/"))


def test_the_map_has_the_satellites_at_the_minute_that_is_asked_for(run):
    axes = run.plot.map(minute=90.0, hours=0.1)
    marks = [line for line in axes.lines if line.get_marker() == "^"]
    scenario = run.scenario
    for satellite, mark in zip(satellites_of(scenario), marks, strict=True):
        at = ground_track(satellite, scenario.start + timedelta(minutes=90), np.zeros(1))
        shown = mark.get_xdata()[0], mark.get_ydata()[0]
        assert shown == pytest.approx((at.longitude_deg[0], at.latitude_deg[0]))
    names = sorted(site.name for site in ground_sites(scenario))
    assert sorted(text.get_text() for text in axes.texts) == names


def test_the_page_speaks_of_satellites_and_stations(run, tmp_path):
    text = report([run.folder], tmp_path / "page.html").read_text()
    body = re.sub(r"<(style|script|pre).*?</\1>", "", text, flags=re.DOTALL)
    assert "How long each round lasted" in body
    assert not re.search(r"\b(clusters?|beam|devices? of|device 0)\b", body)
