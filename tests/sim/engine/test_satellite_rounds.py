"""Rounds of satellites end where FLySTacK's rules end them, with the models of its algorithms."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch

import scenarios
import sim
from tests.kit.inner.sim import build
from tests.kit.plain_loop import PlainLoop, compare, small_model

ROUND_S, ROUNDS = 300.0, 10
"""Ten local rounds are what a client trains."""


class Round(NamedTuple):
    """When a round ended, the passes of those who took part, and when updates came.

    It goes from row ``first`` of the table of passes to that before ``after``.
    """

    end_s: float
    passes_s: dict[str, list[float]]
    done_s: dict[str, float]
    first: int
    after: int


def reference(run, wanted, options, partial):
    """Rounds by the rules of FLySTacK's loops over passes, as the table of contacts has them."""
    passes = run.contacts[run.contacts.served]
    assert passes.rise_s.is_monotonic_increasing
    rows = list(zip(passes.rise_s, passes.cluster, strict=True))
    everybody = options.get("selection") == "scheduled"
    ring = options.get("intra_plane")
    rounds = []
    row = 0
    while True:
        passes_s = {}
        seen = Counter()
        done_s = {}
        first = row
        while len(done_s) < wanted:
            if row == len(rows):
                return rounds
            now_s, name = rows[row]
            plane = name.split("-")[0]
            row = row + 1
            if name in passes_s or everybody or len(passes_s) < wanted:
                passes_s.setdefault(name, []).append(now_s)
            seen[name] += 1
            trained = {n for n, at_s in passes_s.items() if now_s - at_s[0] > ROUNDS * ROUND_S}
            if name in passes_s and seen[name] >= 2 and (partial or name in trained):
                done_s.setdefault(name, now_s)
            # Passes count of those of the plane only whose update is not in by now.
            waiting = {n: k for n, k in seen.items() if n.startswith(plane) and n not in done_s}
            if ring and sum(waiting.values()) > 2:
                done_s |= {n: now_s for n, k in waiting.items() if k == 1 and n in trained}
        rounds.append(Round(now_s, passes_s, done_s, first, row))


def model_after(loop, rounds, mu):
    """w = sum of n_k / n w_k over the clients of each round, which all trained from its w."""
    for end_s, passes_s, done_s, _, _ in rounds:
        before = loop.x
        models = {}

        def proximal(tensor, w, x=before):
            return mu * (w - x[tensor])

        for name, at_s in passes_s.items():
            model, had = before, 0
            over_s = done_s.get(name, end_s)
            # It trains until passes of its own, or until another one of its plane brings its model.
            until_s = [now_s for now_s in at_s[1:] if now_s < over_s]
            for now_s in [*until_s, over_s] if name in done_s else until_s:
                have = min(ROUNDS, int((now_s - at_s[0]) / ROUND_S))
                model = loop.train(model, (name, 0), have - had, proximal)
                had = have
            models[name] = model
        n = sum(loop.p[name, 0] for name in done_s)
        loop.x = {t: sum(loop.p[k, 0] / n * models[k][t] for k in done_s) for t in before}
    return loop.x


RING = {"selection": "scheduled", "intra_plane": True}
CASES = {
    "first": ("fedavg-sat", {}),
    "scheduled": ("fedavg-sat", {"selection": "scheduled"}),
    "intra-plane": ("fedavg-sat", RING),
    "fedprox-sat": ("fedprox-sat", {}),
    "fedprox-sat drop": ("fedprox-sat", {"partial": "drop", "mu": 0.5}),
    "fedprox-sat intra-plane": ("fedprox-sat", RING),
}
LINKS = {"within_plane": "ring", "rate_mbps": 100}


def started(case, stations, days, changes):
    method, options = CASES[case]
    said = {"ground.stations_used": stations, "stop.days": days, "learning.method": method}
    said |= {f"learning.options.{key}": value for key, value in options.items()}
    return scenarios.load("flystack", said | changes)


OF_PLANES = [
    (case, 3, 3, {"planes": 10 if each == 2 else 5, "satellites_per_plane": each})
    for case in ("intra-plane", "fedprox-sat intra-plane") for each in (2, 5, 10)
]  # fmt: skip


ENDS = [
    (case, stations, days, None)
    for case in CASES if "fedprox-sat " not in case
    for stations, days in ((1, 4), (10, 0.4))
]  # fmt: skip


@pytest.mark.parametrize(("case", "stations", "days", "use"), ENDS + OF_PLANES)
@pytest.mark.quick(2)
def test_rounds_end_with_the_passes_that_the_rules_name(case, stations, days, use):
    """Of 10 stations two are over some of the satellites at the start, and both passes count.

    A satellite whose update is in counts no more: few of a plane are left that do.
    """
    run = sim.run(started(case, stations, days, {"orbit.use": use} if use else {}))
    said = reference(run, 10, CASES[case][1], case.startswith("fedprox"))
    ends_s = run.events[run.events.kind == "aggregate"].time_s.tolist()
    assert len(said) == len(ends_s) > 3
    # A model is on its way for a millisecond.
    assert ends_s == pytest.approx([one.end_s for one in said], abs=0.01)
    if use:
        took_part = [set(updates.cluster) for _, updates in run.updates.groupby("round")]
        assert took_part == [set(one.done_s) for one in said]
    # The loops count a round from the first of its rows to the next one behind it.
    rows = run.contacts[run.contacts.served]
    to = "set" if case == "first" else "rise"
    lasted_s = [
        rows[f"{to}_s"].iloc[one.after] - rows.rise_s.iloc[one.first]
        for one in said
        if one.after < len(rows)
    ]
    found = run.summary["rounds"]
    assert found["passes_to"] == to
    assert found["passes_mean_s"] == pytest.approx(np.mean(lasted_s))
    assert found["passes_median_s"] == pytest.approx(np.median(lasted_s))
    assert found["passes_p95_s"] == pytest.approx(np.quantile(lasted_s, 0.95))


@pytest.mark.wide
@pytest.mark.parametrize("case", CASES)
def test_the_model_is_that_of_a_plain_loop_over_the_passes(case, tmp_path):
    """Over links of a ring too, which bring updates of a plane some milliseconds later."""
    method, options = CASES[case]
    rings = "intra_plane" in options
    options = options | {"clients": 6 if rings else 4}
    learning = small_model(method, options) | {"personal": ["head"] if rings else []}
    learning["data"] = {"split": {"kind": "quantity", "alpha": 2}}
    few = {"orbit.use": {"planes": 2, "satellites_per_plane": 10 if rings else 5}}
    few |= {"learning": learning, "link.isl": LINKS if rings else None}
    days = (0.3 if rings else 0.5) if "selection" in options else 1.0
    said = started(case, 3, days, few)
    run = sim.run(started(case, 3, days, few | {"learning.train": False}))
    partial = method == "fedprox-sat" and "partial" not in options
    rounds = reference(run, options["clients"], options, partial)
    loop = PlainLoop(said)
    mu = options.get("mu", 0.01) if method == "fedprox-sat" else 0.0
    told = compare(tmp_path, said, model_after(loop, rounds, mu), atol=1e-9)
    assert len(told) == len(rounds) > 3 and len(set(loop.p.values())) > 3
    assert told.time_s.tolist() == pytest.approx([one.end_s for one in rounds], abs=5.0)
    moved = run.transfers[run.transfers.outcome == "delivered"]
    down = moved[(moved.direction == "downlink") & (moved.end_s <= told.time_s.max())]
    assert set(moved[moved.direction == "isl"].payload) == ({"aggregate"} if rings else set())
    if rings:  # a plane's updates come down as one model
        assert len(run.updates) > len(down) >= (down.payload == "aggregate").sum() > 2


@pytest.mark.wide
def test_a_plane_that_is_one_client_has_the_passes_and_the_samples_of_its_satellites():
    few = {"orbit.use.satellites_per_plane": 5, "learning.options.clients": 4}
    few["learning.data.split"] = {"kind": "dirichlet", "alpha": 0.5}
    both = [few | {"roles.clients": who} for who in ("satellites", "planes")]
    each, planes = (sim.run(started("scheduled", 3, 0.5, keys)) for keys in both)
    ends = ["satellite", "station", "rise_s", "set_s", "max_elevation_deg"]
    passes = [run.contacts[ends].sort_values(ends, ignore_index=True) for run in (each, planes)]
    assert passes[0].equals(passes[1])
    assert (planes.contacts.cluster == planes.contacts.satellite.str[:3]).all()
    rounds = reference(planes, 4, {"selection": "scheduled"}, False)
    ends_s = planes.events[planes.events.kind == "aggregate"].time_s.tolist()
    assert ends_s == pytest.approx([one.end_s for one in rounds], abs=0.01) and len(rounds) > 3
    trained = {"learning.train": True}
    apart, joined = (
        build(started("scheduled", 3, 0.5, keys | trained)).learner.task.shards for keys in both
    )
    for plane, held in joined.items():
        mine = [apart[name].samples.x for name in sorted(apart) if name.startswith(plane)]
        assert torch.equal(held.samples.x, torch.cat(mine)) and len(mine) == 5


def test_a_run_stops_at_the_last_round_that_is_wanted():
    changes = {"ground.stations_used": 1, "stop.days": 4}
    whole, cut = (
        sim.run(scenarios.load("flystack", changes | {"stop.rounds": rounds}))
        for rounds in (None, 2)
    )
    ends_s = [run.events[run.events.kind == "aggregate"].time_s.tolist() for run in (whole, cut)]
    assert ends_s[1] == ends_s[0][:2] != ends_s[0]
    assert cut.manifest["simulated_s"] == ends_s[1][-1]
