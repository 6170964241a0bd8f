"""Experts on satellites: what an answer over links takes, who is in reach, and what is learnt."""

import itertools
import math
from dataclasses import replace
from typing import ClassVar
from unittest.mock import patch

import networkx
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from skyfield.api import EarthSatellite, load

import learning
import orbit
import scenarios
import sim
from learning import Traits
from tests.kit.inner import learning as seam
from tests.kit.inner.sim import MeshReach, Messages, flying_of, make_plan
from tests.kit.mesh import windows_text
from tests.kit.promises import check_tables
from tests.kit.scripted import Scripted, at, only, play
from tests.kit.small import merged
from tests.kit.small_nmoe import IN_ORBIT, nmoe, options

TIMESCALE = load.timescale(builtin=True)
START = pd.Timestamp(IN_ORBIT["start"])
LIGHT_KM_S = 299_792.458
NAMES = [f"P{plane:02}-S{number:02}" for plane in (1, 2) for number in range(1, 7)]
NODES = [seam.Node(name, 0) for name in NAMES]
RATE_BPS = 0.5e6


@learning.register("sending")
class Sending(Scripted):
    """A script that sends from satellite to satellite, over any links."""

    traits: ClassVar[Traits] = replace(Scripted.traits, sends_over_mesh=True)


def load_scenario(*changes):
    said = IN_ORBIT
    for change in changes:
        said = merged(said, change)
    return scenarios.from_dict(said)


def windows(rows, tmp_path):
    """Links of satellites by number, from a minute to another, and no others."""
    path = tmp_path / "windows.csv"
    path.write_text(windows_text(rows, NAMES, IN_ORBIT["start"]))
    isl = {"windows": str(path), "within_plane": "none", "between_planes": "all", "terminals": None}
    return {"link": {"isl": isl}}


def skyfield_km(plan, a, b, time_s):
    """Distance of two satellites by number, by Skyfield."""
    when = TIMESCALE.utc(START.year, START.month, START.day, 0, 0, time_s)
    one, other = (
        EarthSatellite.from_satrec(flying_of(plan)[NAMES[k]].model, TIMESCALE).at(when)
        for k in (a, b)
    )
    return (one - other).distance().km


def sent(rows, messages, tmp_path):
    """Send messages (time, from, to, bytes) over links; return arrivals, the plan and the run."""
    said = merged(IN_ORBIT, windows(rows, tmp_path))
    said["learning"] = {"method": "sending", "train": False, "model": {"kind": "vector-mlp"}}
    scenario = scenarios.from_dict(said)
    arrivals = []

    def script(me):
        tasks = [
            at(time_s, seam.Send(NODES[a], NODES[b], seam.Payload(f"{n}", size)))
            for n, (time_s, a, b, size) in enumerate(messages)
        ]
        arrivals.extend((yield seam.All(tuple(tasks))))

    run = play(scenario, only(NAMES[0], script))
    check_tables(run.tables)
    return arrivals, make_plan(scenario), run


def test_the_check_keeps_nothing_of_messages_that_are_over(tmp_path):
    """Over one link, and over two with a wait between them."""
    kept = []
    make = Messages.__init__

    def remembered(messages, *given):
        make(messages, *given)
        kept.append(messages)

    rows = [(0, 6, 0, 30), (1, 6, 12, 30)]
    asked = [(10.0 * n, 0, (6, 1)[n % 2], 500.0) for n in range(10)]
    with patch.object(Messages, "__init__", remembered):
        arrivals, _, run = sent(rows, asked, tmp_path)
    assert all(arrival.delivered for arrival in arrivals)
    assert run.transfers.peer.notna().sum() == 10 + 5
    [messages] = kept
    assert not any(map(len, (messages._first, messages._last, messages._got, messages._arrived)))


# What a message over links takes, by hand.


def test_over_two_links_it_waits_for_the_second_one_to_open(tmp_path):
    """At a range that changes: neighbours in different planes, before and behind their meeting."""
    rows = [(0, 6, 0, 30), (1, 6, 12, 30)]
    messages = [(600.0, 0, 1, 500.0), (1200.0, 0, 1, 500.0)]
    (early, late), plan, _ = sent(rows, messages, tmp_path)
    sending_s = 4000.0 / RATE_BPS
    for arrival, from_s in ((early, 600.0), (late, 1200.0)):
        first_s = skyfield_km(plan, 0, 6, from_s + sending_s) / LIGHT_KM_S
        there_s = from_s + sending_s + first_s
        begin_s = max(there_s, 720.0)
        second_s = skyfield_km(plan, 1, 6, begin_s + sending_s) / LIGHT_KM_S
        assert arrival.time_s == pytest.approx(begin_s + sending_s + second_s, abs=1e-9)
        parts = (2, first_s + second_s, 2 * sending_s, begin_s - there_s, 0.0)
        assert arrival.journey == pytest.approx(parts, abs=1e-9)


# Who is in reach.


def paths(plan, source, now_s):
    """Every simple path of open links: to whom, over how many, and the light time."""
    isls = plan.isls
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(isls.names)))
    for a, b, start_s, end_s in zip(isls.a, isls.b, isls.start_s, isls.end_s, strict=True):
        if start_s <= now_s < end_s:
            flying = [flying_of(plan)[isls.names[k]] for k in (a, b)]
            graph.add_edge(
                a, b, light_s=orbit.RangesBetween(flying, plan.start).km(0, 1, now_s) / LIGHT_KM_S
            )
    for target in graph:
        if target == source:
            yield target, 0, 0.0
            continue
        for path in networkx.all_simple_paths(graph, source, target):
            each = (graph.edges[edge]["light_s"] for edge in itertools.pairwise(path))
            yield target, len(path) - 1, sum(each)


def test_reach_is_that_of_all_paths_on_random_plans(tmp_path):
    rng = np.random.default_rng(8)
    limited = 0
    for _ in range(12):
        rows = []
        for a, b in itertools.product((0, 2, 4), (6, 8, 10)):
            edges = np.sort(rng.choice(60, 2 * int(rng.integers(0, 3)), replace=False)).tolist()
            rows += [(a, b, *span) for span in zip(edges[::2], edges[1::2], strict=True)]
        plan = make_plan(load_scenario(windows(rows, tmp_path)))
        reach = MeshReach(plan.isls)
        now_s, source = float(rng.uniform(0, 3600)), int(rng.integers(6)) * 2
        every = list(paths(plan, source, now_s))
        for hops, within_s in itertools.product((None, 0, 1, 2), (None, 0.0, 0.03, 0.06)):
            wanted = {
                target for target, links, light_s in every
                if links <= (12 if hops is None else hops)
                and light_s <= (math.inf if within_s is None else within_s)
            }  # fmt: skip
            got = reach.within(NAMES[source], now_s, hops, within_s)
            assert set(np.flatnonzero(got).tolist()) == wanted
            limited += 1 < len(wanted) < 6
        # At all: flood from window to window, in order of time.
        there_s = {source: now_s}
        for _ in rows:
            for a, b, begin, end in rows:
                for one, other in ((a, b), (b, a)):
                    begin_s = max(there_s.get(one, math.inf), 60.0 * begin)
                    if begin_s < 60.0 * end:
                        there_s[other] = min(there_s.get(other, math.inf), begin_s)
        assert set(np.flatnonzero(reach.at_all(NAMES[source], now_s)).tolist()) == set(there_s)
    assert limited > 20


# Whole runs.


def asked(**said):
    return load_scenario({"learning": {"options": said}})


def test_an_answer_is_the_sum_of_its_parts_and_those_of_its_hops(runs):
    run = runs.result("experts")
    rows = run.answers
    assert len(rows) > 40 and rows.latency_s.notna().all()
    parts = [f"{way}_{part}_s" for way in ("request", "answer")
             for part in ("propagation", "transmission", "window", "queue")]  # fmt: skip
    whole = rows[parts].sum(axis=1) + rows.computing_s
    np.testing.assert_allclose(rows.latency_s, whole, atol=1e-9)
    assert (rows[parts].to_numpy() >= 0.0).all() and rows.answer_queue_s.max() > 0.0
    # The transfers are the hops: as many, and as long on the air, of all messages together.
    for payload, way in (("feature", "request"), ("output", "answer")):
        own = run.transfers[run.transfers.payload == payload]
        assert len(own) == rows[f"{way}_hops"].sum() > len(rows)
        air_s = (8.0 * own.payload_bytes / RATE_BPS).sum()
        assert rows[f"{way}_transmission_s"].sum() == pytest.approx(air_s)
    # And what a client waits for is its slowest expert.
    by = rows.groupby(["cluster", "batch"])[["time_s", "latency_s"]].max()
    whole = run.inferences[run.inferences.outcome == "complete"]
    for key, own in whole.groupby(["cluster", "batch"]):
        waited_s = by.time_s[key] - own.time_s.iloc[0] + by.latency_s[key]
        assert own.latency_s.max() == pytest.approx(waited_s)


def learnt(run):
    last = run.metrics[run.metrics.scope == "cluster"].groupby("cluster").last()
    return last[["accuracy", "loss", "f1", "local_ratio"]]


def weights(folder):
    """All tensors of a run's model, by name, as bytes."""
    tensors = load_file(folder / "model" / "model.safetensors")
    return {name: tensor.tobytes() for name, tensor in tensors.items()}


@pytest.mark.wide
def test_over_the_mesh_it_learns_what_devices_learn(tmp_path, runs):
    """The same clients, data and seeds: to the last bit, as long as nothing is lost.

    Devices are clusters of one, with the names of the satellites, under sidelinks and a satellite
    each in turn; with ``direct`` the satellites send in their own passes.
    """
    clusters = [{"name": name, "devices": 1} for name in NAMES]
    keys = ("steps_per_round", "batch_size", "step_size", "gate_step_size_ratio", "model", "data")
    told = {key: IN_ORBIT["learning"][key] for key in keys}
    sidelink = {"rate_mbps": 1, "distance_km": 0.3}
    ground = nmoe(
        seed=3, stop={"cycles": 200}, ground={"clusters": clusters},
        orbit={"slots": {"seconds": 20}}, link={"sidelink": sidelink, "relay": "store"},
        learning=told | options(**IN_ORBIT["learning"]["options"], exchange="auto",
                                inference_deadline_s=1e6),
    )  # fmt: skip
    mesh = runs.result("experts")
    devices = sim.run(ground, tmp_path / "devices")
    passes = {"link": {"isl": {"route": "direct"}}, "stop": {"days": 4}}
    direct = sim.run(load_scenario(passes), tmp_path / "direct")
    assert weights(runs["experts"]) == weights(tmp_path / "devices")
    assert weights(runs["experts"]) == weights(tmp_path / "direct")
    pd.testing.assert_frame_equal(learnt(mesh), learnt(devices))
    pd.testing.assert_frame_equal(learnt(mesh), learnt(direct))
    # All is in reach: every sample goes to the same expert, and is answered alike.
    last = mesh.metrics[mesh.metrics.scope == "global"].iloc[-1]
    assert last.reach_accuracy == last.accuracy and last.local_reach_ratio == last.local_ratio
    columns = ["cluster", "batch", "experts", "samples", "correct"]
    both = [run.inferences.sort_values(columns[:3])[columns].values.tolist()
            for run in (mesh, devices)]  # fmt: skip
    assert both[0] == both[1]
    assert mesh.summary["inference"]["accuracy"] == devices.summary["inference"]["accuracy"]


@pytest.mark.wide
def test_a_gate_asks_experts_in_reach_only_and_alone_its_own(runs):
    alone = sim.run(asked(reach_hops=0))
    local = sim.run(asked(gate="local"))
    assert set(alone.inferences.outcome) == {"local"} and alone.answers.empty
    columns = ["cluster", "batch", "samples", "correct"]
    told = [run.inferences.sort_values(columns)[columns].values.tolist() for run in (alone, local)]
    assert told[0] == told[1]
    everybody = runs.result("experts")
    near = sim.run(asked(reach_hops=1))
    reach = MeshReach(make_plan(asked()).isls)
    for row in near.answers.itertuples():
        assert reach.within(row.cluster, row.time_s, 1)[row.expert]
    for one in (near, everybody):
        assert learnt(one).equals(learnt(alone))
