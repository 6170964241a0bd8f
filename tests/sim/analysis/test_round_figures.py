"""Figures of rounds and of satellites as clients, against tables that are small enough to count."""

import json
import re
from itertools import accumulate, combinations

import numpy as np
import pyarrow.parquet as pq
import pytest

import scenarios
import sim
from tests.kit.handmade import tables_of

CHANGES = {
    **{"stop.days": 2, "ground.stations_used": 3, "orbit.use.planes": 5},
    **{"orbit.use.satellites_per_plane": 2, "learning.options.clients": 4},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return sim.run(scenarios.load("flystack", CHANGES), out=tmp_path_factory.mktemp("run") / "r")


def test_planes_of_a_round_beside_those_of_all_ways_to_draw_it(run):
    held = run.updates.assign(plane=run.updates.cluster.str[:3]).groupby("round").plane.nunique()
    clients = [plane for plane in range(5) for _ in range(2)]
    ways = [len(set(drawn)) for drawn in combinations(clients, 4)]
    assert run.summary["rounds"]["planes"] == pytest.approx(held.mean())
    assert run.summary["rounds"]["planes_even"] == pytest.approx(np.mean(ways))


def test_who_is_idle_neither_trains_nor_transfers(run):
    trained_s = sum(row["computed_s"] for row in run.manifest["energy"])
    moved_s = (run.transfers.end_s - run.transfers.start_s).sum()
    idle = 1 - (trained_s + moved_s) / (10 * run.manifest["simulated_s"])
    assert run.summary["client_idle_share"] == pytest.approx(idle, rel=1e-12)


def test_a_method_without_rounds_has_none_and_devices_no_share_of_clients(runs):
    assert runs.result("slots-timing").summary["rounds"] is None
    result = runs.result("fedavg")
    found = result.summary
    assert found["rounds"]["count"] == (result.events.kind == "aggregate").sum() > 0
    assert found["rounds"]["planes"] is None and found["client_idle_share"] is None


def test_show_says_how_long_rounds_took_in_the_mean_in_the_middle_and_95_percent_of_them(
    leomix, runs, tmp_path
):
    """Twenty-one rounds: ten of an hour, then of 2 to 12 hours. All three figures differ."""
    place = runs.copy("fedavg", tmp_path)
    lasted_h = [*[1] * 10, *range(2, 13)]
    ends_s = [3600.0 * end_h for end_h in accumulate(lasted_h[::-1])]
    rows = [{"time_s": end_s, "kind": "aggregate", "clusters": 2} for end_s in ends_s]
    pq.write_table(tables_of(events=rows)["events"], place / "events.parquet")
    figures = []
    for more in ((), ("--all",)):
        text = leomix("show", place, *more).out
        [line] = re.findall(r"^rounds .*(?:\n .*)*", text, flags=re.MULTILINE)
        figures.append([float(hours) for hours in re.findall(r"([\d.]+) h\b", line)])
        assert re.match(r"rounds +21\b", line)
    assert figures == [[4.1, 11.0], [4.14, 2.0, 11.0]]  # the mean is 87 h / 21


@pytest.mark.parametrize("name", ["slots-synchronous", "orbit-timing", "slots-enhanced"])
def test_a_run_folder_lists_what_was_carried(name, runs):
    result = runs.result(name)
    text = (runs[name] / "model" / "payloads.json").read_text()
    rows = {(row["direction"], row["payload"]): row for row in json.loads(text)}
    moved = result.transfers.groupby(["direction", "payload"])
    assert set(moved.groups) <= set(rows)
    for key, group in moved:
        row = rows[key]
        assert row["bytes"] == group.payload_bytes.max()
        assert row["first_version"] <= group.version.min()
        assert row["last_version"] >= group.version.max()
        if row["tensors"]:
            assert sum(tensor["bytes"] for tensor in row["tensors"]) == row["bytes"]
    listed = [(row["direction"], row["payload"]) for row in result.summary["payloads"]]
    assert listed == [key for key in rows if key in moved.groups]
