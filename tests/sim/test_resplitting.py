"""Periodic re-splitting (Algorithm 1): experts change hands, and two clusters never train one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learning
import sim
from tests.kit.learning import (
    NOBODY,
    ClusterSide,
    EmsFl,
    EnhancedEmsFl,
    ExpertRegistry,
    Splitting,
    Upload,
    Work,
    stream,
)
from tests.kit.network import build
from tests.kit.records import Trace
from tests.kit.small import orbit, slots


class Restless:
    """Relevance that has nothing to do with what it was before."""

    def measure_relevance(self, name):
        yield from ()
        shape = len(self.world.clusters), len(self.experts)
        draw = stream(self.world.seed, "relevance of a test", name, self.splitting.number)
        return draw.dirichlet(np.ones(shape[1]), size=shape[0])


@learning.register("restless")
class RestlessEmsFl(Restless, EmsFl):
    """Standard EMS-FL whose experts change hands at most splittings."""


@learning.register("restless-enhanced")
class RestlessEnhanced(Restless, EnhancedEmsFl):
    """The enhanced form of it."""


class Spy:
    """Local rounds (K, E) of each cluster by what became of them, and who trained what until when.

    Kept from the outside of :class:`ClusterSide`, by what its calls are given and answer.
    """

    def __init__(self) -> None:
        self.sides: dict[str, ClusterSide] = {}
        self.trainings: list[tuple[str, tuple[int, ...], int, float]] = []
        self.counts: dict[str, dict[str, np.ndarray]] = defaultdict(dict)

    def of(self, side: ClusterSide, what: str) -> np.ndarray:
        return self.counts[side.name].setdefault(what, np.zeros_like(side.unsent))

    @contextmanager
    def watching(self) -> Iterator[Spy]:
        calls = {name: getattr(ClusterSide, name) for name in WATCHED}
        spies = {name: self._around(name, call) for name, call in calls.items()}
        with patch.multiple(ClusterSide, **spies):
            yield self

    def _around(self, name: str, call: Any) -> Any:
        def around(side: ClusterSide, *given: Any, **named: Any) -> Any:
            self.sides[side.name] = side
            before = side.unsent.copy(), side.pending.copy()
            answer = call(side, *given, **named)
            getattr(self, name)(side, before, answer, *given)
            return answer

        return around

    def train(self, side, before, answer, work, experts, *rest) -> None:
        columns = np.isin(np.arange(side.unsent.shape[1]), experts)
        self.of(side, "trained")[:] += work.rounds[:, None] * columns
        for device in np.flatnonzero(work.rounds):
            self.trainings.append((side.name, tuple(experts), device, work.end_s[device]))

    def offer(self, side, before, answer, *rest) -> None:
        self.of(side, "on its way")[:] += before[0] - side.unsent

    def forget(self, side, before, answer, *rest) -> None:
        self.of(side, "lost")[:] += before[0] - side.unsent

    def deliver(self, side, before, done, *rest) -> None:
        way = self.of(side, "on its way")
        self.of(side, "delivered")[done] += way[done]
        gone = before[1] & ~side.pending & ~done
        self.of(side, "lost")[gone] += way[gone]
        way[done | gone] = 0

    def _take(self, side, before, answer, server, version, who, experts, changes) -> None:
        dropped = ~np.isin(np.arange(side.unsent.shape[1]), experts)
        assert not who.any() or (side.unsent[:, dropped] == 0).all()


WATCHED = ("train", "offer", "forget", "deliver", "_take")


def intervals(spy: Spy, result: sim.Result) -> dict[int, list[tuple[float, float, str]]]:
    """When each expert was trained by whom, as the events table and the spy say together."""
    events = result.events
    rows = events[events.kind.isin(["train_start", "train_end"])]
    starts: dict[tuple[str, int, float], float] = {}
    for (cluster, device), mine in rows.groupby(["cluster", "device"]):
        begin = np.sort(mine[mine.kind == "train_start"].time_s.to_numpy())
        end = np.sort(mine[mine.kind == "train_end"].time_s.to_numpy())
        starts |= {(cluster, device, e): b for b, e in zip(begin, end, strict=True)}
    found = defaultdict(list)
    for cluster, experts, device, end_s in spy.trainings:
        for expert in experts:
            found[expert].append((starts[cluster, device, end_s], end_s, cluster))
    return found


def check_nobody_shares(spy: Spy, result: sim.Result) -> int:
    """Return how often an expert went from one cluster to another."""
    changes = 0
    for spans in intervals(spy, result).values():
        spans.sort()
        latest_s = {cluster: -np.inf for _, _, cluster in spans}
        for begin_s, end_s, cluster in spans:
            others = [value for name, value in latest_s.items() if name != cluster]
            assert all(begin_s >= other_s - 1e-6 for other_s in others)
            latest_s[cluster] = max(latest_s[cluster], end_s)
        changes += sum(a[2] != b[2] for a, b in itertools.pairwise(spans))
    return changes


def check_conserved(spy: Spy) -> None:
    for name, side in spy.sides.items():
        counts = spy.counts[name]
        parts = [counts.get(what, 0) for what in ("delivered", "lost", "on its way")]
        assert np.array_equal(counts["trained"], sum(parts) + side.unsent), name


def check_owners(result: sim.Result) -> None:
    """Gives and takes follow each other for every expert, and begin with the first owner."""
    rows = result.events[result.events.kind == "assign"]
    owner: dict[int, str | None] = {}
    for row in rows[rows.time_s == 0].itertuples():
        owner |= dict.fromkeys(numbers(row.detail), row.cluster)
    for row in rows.itertuples():
        verb, _, listed = row.detail.rpartition(" ")
        for expert in numbers(listed) if verb else ():
            assert owner[expert] == (row.cluster if verb == "gives" else None)
            owner[expert] = None if verb == "gives" else row.cluster


def check_new_owners(spy: Spy, result: sim.Result) -> int:
    """A new owner trains from a model in which all of its expert is aggregated; return how often.

    That has come down whole, after the cluster took it and in the version of then or a later one.
    """
    rows, downs = result.events, result.transfers[result.transfers.direction == "downlink"]
    through = downs[downs.outcome == "delivered"]
    spans = intervals_by_device(spy, result)
    found = 0
    for row in rows[rows.detail.fillna("").str.startswith("takes")].itertuples():
        mine = through[
            (through.cluster == row.cluster)
            & (through.end_s >= row.time_s)
            & (through.version >= row.version)
        ]
        for expert in numbers(row.detail.removeprefix("takes ")):
            for device, begin_s in spans.get((row.cluster, expert), []):
                if begin_s < row.time_s - 1e-6:
                    continue
                found += 1
                assert mine[mine.device == device].end_s.min() <= begin_s + 1e-6
    return found


def intervals_by_device(
    spy: Spy, result: sim.Result
) -> dict[tuple[str, int], list[tuple[int, float]]]:
    """Which device of a cluster began to train an expert when."""
    events = result.events
    starts = events[events.kind == "train_start"]
    ends = events[events.kind == "train_end"]
    begin: dict[tuple[str, int, float], float] = {}
    for (cluster, device), mine in ends.groupby(["cluster", "device"]):
        first = starts[(starts.cluster == cluster) & (starts.device == device)].time_s
        pairs = zip(np.sort(first), np.sort(mine.time_s), strict=True)
        begin |= {(cluster, device, end_s): begin_s for begin_s, end_s in pairs}
    found = defaultdict(list)
    for cluster, experts, device, end_s in spy.trainings:
        for expert in experts:
            found[cluster, expert].append((device, begin[cluster, device, end_s]))
    return found


def numbers(listed: str) -> list[int]:
    return [int(number) for number in listed.removeprefix("experts:").split(",") if number]


def learned(method: str, **more: Any) -> dict[str, Any]:
    experts = more.pop("experts", 5)
    options = {"threshold": 0.1, "resplit_cycles": more.pop("every", 1)}
    return {
        "method": method,
        "train": False,
        "options": options,
        "model": {"experts": experts, "hidden": 16, "expert_hidden": 16},
        **more,
    }


@settings(max_examples=12, deadline=None)
@given(
    method=st.sampled_from(["restless", "restless-enhanced"]),
    uplink=st.sampled_from([2e-5, 1e-4, 1.0]),
    downlink=st.sampled_from([1e-4, 1e-3, 1.0]),
    cut=st.sampled_from(["resume", "restart", "drop"]),
    radius=st.sampled_from([0, 500]),
    every=st.integers(1, 3),
    experts=st.integers(1, 5),
    backbone=st.booleans(),
    seed=st.integers(0, 50),
)
def test_two_clusters_never_train_one_expert(
    method, uplink, downlink, cut, radius, every, experts, backbone, seed
) -> None:
    """Through links that carry a payload at once, over several passes, or hardly ever."""
    link = {side: {"rate": "fixed", "fixed_rate_mbps": rate} for side, rate in
            (("uplink", uplink), ("downlink", downlink))}  # fmt: skip
    clusters = [
        {"name": f"c{i}", "latitude_deg": 20 * i, "longitude_deg": 40 * i, "devices": 2,
         "radius_km": radius}
        for i in range(3)
    ]  # fmt: skip
    with Spy().watching() as spy:
        result = sim.run(
            orbit(
                seed=seed,
                stop={"days": 4},
                ground={"clusters": clusters},
                link={**link, "cut_transfers": cut},
                learning=learned(method, every=every, experts=experts, trains_backbone=backbone),
            )
        )
    check_nobody_shares(spy, result)
    check_conserved(spy)
    check_owners(result)
    check_new_owners(spy, result)


@pytest.mark.parametrize("method", ["restless", "restless-enhanced"])
def test_experts_do_change_hands(method: str) -> None:
    """In slots every cluster meets the server once a cycle: a hand-over takes two of them."""
    with Spy().watching() as spy:
        result = sim.run(slots(stop={"cycles": 12}, learning=learned(method)))
    assert check_nobody_shares(spy, result) > 5
    check_conserved(spy)
    check_owners(result)
    times = result.assignments.time_s.unique()
    # At the start, at the first contact after each complete cycle, and at the end.
    assert times == pytest.approx([1800.0 * n for n in range(12)] + [12 * 1800.0 - 600])


def test_a_new_owner_downloads_what_the_old_one_has_trained() -> None:
    """It trains nothing before a version has come down in which the expert was aggregated."""
    result = sim.run(
        slots(stop={"cycles": 12}, learning=learned("restless-enhanced", gate_tuning_cycles=0))
    )
    events, downs = result.events, result.transfers[result.transfers.direction == "downlink"]
    takes = events[(events.kind == "assign") & events.detail.str.startswith("takes")]
    assert len(takes) > 3
    for row in takes.itertuples():
        mine = downs[(downs.cluster == row.cluster) & (downs.start_s >= row.time_s)]
        got = mine[mine.contact_id == row.contact_id]
        assert len(got) > 0
        assert (got.version >= row.version).all()
        assert set(numbers(row.detail.split()[1])) <= set(numbers(got.payload.iloc[0]))


def test_splitting_as_before_changes_nothing_else() -> None:
    """A timing-only run measures the same relevance every time, and one expert a cluster."""
    runs = [
        sim.run(slots(stop={"cycles": 6}, learning=learned("emsfl", every=every, experts=2)))
        for every in (0, 1, 2)
    ]
    assert [len(run.assignments.time_s.unique()) for run in runs] == [2, 7, 4]
    for run in runs[1:]:
        assert run.transfers.equals(runs[0].transfers)


def test_a_device_that_never_answers_does_not_hold_a_hand_over_up() -> None:
    """Device 1 of North sees nothing but the zenith, and never a satellite."""
    north = {
        "name": "North",
        "latitude_deg": 60,
        "longitude_deg": 20,
        "devices": None,
        "places": [
            {"name": "a", "latitude_deg": 60, "longitude_deg": 20},
            {"name": "b", "latitude_deg": 60, "longitude_deg": 20, "min_elevation_deg": 89.9},
        ],
    }
    south = {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "devices": 2}
    with Spy().watching() as spy:
        result = sim.run(
            orbit(
                stop={"days": 6},
                ground={"clusters": [north, south]},
                learning=learned("restless", experts=3),
            )
        )
    assert check_nobody_shares(spy, result) > 5
    check_conserved(spy)
    lost = result.events[result.events.detail.fillna("").str.startswith("hand-over without")]
    assert len(lost) > 0
    assert set(lost.cluster) == {"North"}
    assert lost.detail.str.contains("devices:1/2").all()
    assert spy.counts["North"]["lost"][0].sum() == 0
    assert spy.counts["North"]["lost"][1].sum() > 0


def test_a_large_snapshot_is_finished_before_its_expert_goes() -> None:
    """Each upload takes about three passes: nothing is given up, and experts still change hands."""
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}
    with Spy().watching() as spy:
        result = sim.run(
            orbit(stop={"days": 12}, link=link, learning=learned("restless", every=3, experts=3))
        )
    outcomes = result.transfers[result.transfers.direction == "uplink"].outcome
    assert (outcomes == "carried").sum() > 20
    assert check_nobody_shares(spy, result) >= 2
    check_conserved(spy)
    assert not any(counts.get("lost", np.zeros(1)).any() for counts in spy.counts.values())


@pytest.mark.parametrize("method", ["emsfl", "emsfl-enhanced"])
def test_training_goes_on_while_experts_change_hands(method: str) -> None:
    """On data that do not keep to their experts, so that splittings differ."""
    more = {"train": True, "data": {"own_domain_fraction": 0.5}}
    changed = {"stop": {"cycles": 5}, "learning": {**learned(method, experts=4), **more}}
    first, second = (sim.run(slots(**changed)) for _ in range(2))
    assert first.manifest["trace_sha256"] == second.manifest["trace_sha256"]
    assert np.isfinite(first.metrics.loss).all()
    assert first.events.detail.fillna("").str.startswith("takes").any()


moves = st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 1000)), max_size=40)


@given(moves)
def test_an_expert_is_owned_by_one_or_nobody_and_lost_to_nobody(turns) -> None:
    """Any order of splittings and contacts ends with every expert where it was last drawn to."""
    splitting = Splitting(ExpertRegistry(np.ones(6)), 4)
    splitting.begin(np.arange(6) % 4)
    for again, cluster, seed in turns:
        before = splitting.owner.copy()
        if again:
            splitting.redraw(splitting.number + 1, stream(seed, "drawn").integers(0, 4, 6))
            continue
        splitting.change_hands(cluster)
        moved = np.flatnonzero(before != splitting.owner)
        for expert in moved:
            pair = {int(before[expert]), int(splitting.owner[expert])}
            assert pair == {NOBODY, cluster}
    for _ in range(2):
        for cluster in range(4):
            splitting.change_hands(cluster)
    assert splitting.owner.tolist() == splitting.drawn.tolist()


@pytest.mark.parametrize("method", ["restless", "restless-enhanced"])
def test_a_new_owner_rests_until_its_download_is_through(method: str) -> None:
    """Downloads of several passes: the devices hold the model before, and must not train it."""
    down = {"restless": 3e-5, "restless-enhanced": 1e-5}[method]
    link = {"downlink": {"rate": "fixed", "fixed_rate_mbps": down}}
    with Spy().watching() as spy:
        result = sim.run(
            orbit(stop={"days": 8}, link=link, learning=learned(method, every=2, experts=3))
        )
    assert check_new_owners(spy, result) > 5
    downs = result.transfers[result.transfers.direction == "downlink"]
    assert (downs.outcome == "carried").sum() > 5


def test_experts_that_leave_stay_on_the_device_until_they_are_sent() -> None:
    """With the backbone trained, each contact downloads E_c: what is still owed is part of it."""
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 2e-5}}
    with Spy().watching() as spy:
        result = sim.run(
            orbit(
                stop={"days": 6},
                link=link,
                learning=learned("restless-enhanced", experts=5, trains_backbone=True),
            )
        )
    assert check_nobody_shares(spy, result) > 3
    check_conserved(spy)


def test_while_experts_leave_only_those_are_offered_who_owe_something_of_them() -> None:
    method = build(slots(learning=learned("restless", experts=2))).new_method()
    assert isinstance(method, EmsFl)
    cluster = method.world.clusters[0]
    side = ClusterSide(method.learner, cluster)
    side.provide(method.server, [0, 1])
    method.splitting.begin(np.zeros(2, np.int64))
    method.splitting.redraw(1, np.array([0, 1]))
    nobody = np.zeros(2, bool)
    side.train(Work(np.array([1, 1]), np.ones(2), nobody), [0])
    side.train(Work(np.array([1, 0]), np.ones(2), nobody), [1])
    upload = next(method.upload_experts(cluster, side, changing=True))
    assert isinstance(upload, Upload)
    assert upload.who is not None
    assert upload.who.tolist() == [True, False]
    assert side.owing([0]).tolist() == [False, True]


def test_who_gives_is_listed_before_who_takes_at_the_same_instant() -> None:
    trace = Trace()
    row = {"kind": "assign", "contact_id": 1, "version": 4}
    for cluster, time_s, detail in (
        ("D", 5.0, "gives experts:6"),
        ("A", 5.0, "takes experts:6"),
        ("A", 5.0, "gives experts:2"),
        ("C", 5.0, "takes experts:2"),
        ("C", 3.0, "takes experts:9"),
        ("B", 5.0, "experts:1"),
    ):
        trace.add("events", time_s=time_s, cluster=cluster, detail=detail, **row)
    listed = [(r["cluster"], r["detail"]) for r in trace.tables()["events"].to_pylist()]
    assert listed == [
        ("C", "takes experts:9"),
        ("A", "gives experts:2"),
        ("B", "experts:1"),
        ("D", "gives experts:6"),
        ("A", "takes experts:6"),
        ("C", "takes experts:2"),
    ]


def test_the_last_assignment_is_that_of_the_holders() -> None:
    """In each cycle experts are drawn anew, and go over one and two contacts later."""
    result = sim.run(slots(stop={"cycles": 6}, learning=learned("restless")))
    events = result.events[result.events.kind == "assign"]
    owner: dict[int, str | None] = {}
    for row in events[events.time_s == 0].itertuples():
        owner |= dict.fromkeys(numbers(row.detail), row.cluster)
    for row in events.itertuples():
        verb, _, listed = row.detail.rpartition(" ")
        for expert in numbers(listed) if verb else ():
            owner[expert] = None if verb == "gives" else row.cluster
    blocks = result.assignments.time_s.unique()
    last = result.assignments[result.assignments.time_s == blocks[-1]]
    held = {row.expert: row.cluster for row in last[last.assigned].itertuples()}
    assert held == {expert: cluster for expert, cluster in owner.items() if cluster is not None}
    drawn = result.assignments[result.assignments.time_s == blocks[-2]]
    shall = {row.expert: row.cluster for row in drawn[drawn.assigned].itertuples()}
    assert len(shall) == 5
    assert held != shall
