"""Pictures, pages and exports of a run whose clients are satellites name these and stations."""

import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import scenarios
import sim
from sim.page import report
from tests.kit.network import InputError, ground_sites, satellites_of
from tests.kit.orbit import ground_track
from tests.kit.results import export, lanes_of

CHANGES = {
    **{"stop.days": 0.5, "ground.stations_used": 3, "ground.antennas": 2},
    **{"orbit.use.planes": 2, "orbit.use.satellites_per_plane": 5},
    **{"learning.options.clients": 3},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return sim.run(scenarios.load("flystack", CHANGES), out=tmp_path_factory.mktemp("run") / "r")


def test_cesium_draws_links_from_satellites_to_stations(run):
    [path] = export(run.folder, "czml").paths
    packets = json.loads(path.read_text())
    names = {f"{packet['id']}#position": packet["name"] for packet in packets}
    shown = {
        tuple(names[end] for end in packet["polyline"]["positions"]["references"])
        for packet in packets
        if packet["id"].startswith("service/")
    }
    served = run.contacts[run.contacts.served]
    assert shown == set(zip(served.satellite, served.station, strict=True)) and len(shown) > 9
    assert {station for _, station in shown} == {"Sioux Falls", "Sanya", "Johannesburg"}


def test_lanes_are_of_stations_and_of_satellites(run):
    lanes = lanes_of(run.tables, run.manifest)
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
    tables = {"isl": run.tables["isl_windows"].to_pandas(), "hop": hops}
    [path] = export(run.folder, "czml").paths
    packets = json.loads(path.read_text())
    names = {f"{packet['id']}#position": packet["name"] for packet in packets}
    assert len(names) == len(packets)
    lanes = lanes_of(run.tables, run.manifest)
    for kind, lane in (("isl", "linked"), ("hop", "isl")):
        rows = tables[kind][["a", "b", "start_s", "end_s"]]
        drawn = set()
        for packet in packets:
            for text in packet["availability"] if packet["id"].startswith(f"{kind}/") else ():
                ends = (names[end] for end in packet["polyline"]["positions"]["references"])
                edges = (datetime.fromisoformat(end) - START for end in text.split("/"))
                drawn.add((*ends, *(edge.total_seconds() for edge in edges)))
        assert drawn == set(rows.round(6).itertuples(index=False, name=None)) and len(drawn) > 9
        whole = [(a, b, *(round(s * 1e9) for s in edges)) for a, b, *edges in rows.to_numpy()]
        if lane == "linked":
            whole += [(b, a, *edges) for a, b, *edges in whole]
        spans = ((place[1], span) for place, own in lanes for span in own if place[-1] == lane)
        shown = [(one, s.facts.get("peer", s.name)[:7], s.begin_ns, s.end_ns) for one, s in spans]
        assert sorted(shown) == sorted(whole)


def test_the_map_has_the_satellites_at_the_minute_that_is_asked_for(run):
    axes = run.plot.map(minute=90.0, hours=0.1)
    marks = [line for line in axes.lines if line.get_marker() == "^"]
    start = run.manifest["start_utc"]
    scenario = scenarios.from_dict(run.manifest["scenario"])
    assert scenario.start.isoformat() == start
    for satellite, mark in zip(satellites_of(scenario), marks, strict=True):
        at = ground_track(satellite, scenario.start + timedelta(minutes=90), np.zeros(1))
        assert (mark.get_xdata()[0], mark.get_ydata()[0]) == pytest.approx(
            (at.longitude_deg[0], at.latitude_deg[0])
        )
    assert sorted(text.get_text() for text in axes.texts) == sorted(
        site.name for site in ground_sites(scenario)
    )
    with pytest.raises(InputError, match="minute: got 721; the run has the minutes 0 to 720"):
        run.plot.map(minute=721.0)


def test_the_page_speaks_of_satellites_and_stations(run, tmp_path):
    text = report([run.folder], tmp_path / "page.html").read_text()
    body = re.sub(r"<(style|script|pre).*?</\1>", "", text, flags=re.DOTALL)
    assert "How long each round lasted" in body
    assert not re.search(r"\b(clusters?|beam|devices? of|device 0)\b", body)


def test_rounds_are_drawn_where_they_end(run):
    lasted, mean = run.plot.rounds().lines
    ends_s = run.events[run.events.kind == "aggregate"].time_s.to_numpy()
    assert lasted.get_xdata() == pytest.approx([0.0, *ends_s / 3600])
    assert lasted.get_ydata()[1:].sum() * 3600 == pytest.approx(ends_s[-1])
    assert mean.get_ydata()[0] == pytest.approx(run.summary["rounds"]["mean_s"] / 3600)


def test_who_turns_to_another_station_has_not_waited():
    changes = {"ground.antennas": "unlimited", "ground.stations_used": 13}
    run = sim.run(scenarios.load("flystack", CHANGES | changes))
    assert (run.contacts.service_end_s < run.contacts.set_s).any()
    assert run.summary["waits"] == 0
