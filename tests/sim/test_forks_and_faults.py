"""Forks of runs with faults, runs that others have sent, and what quorums leave of a round."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import scenarios
import sim
from channel import LinkCurve
from sim.forking import fork
from tests.kit.learning import Cluster, FedAvg, Update
from tests.kit.network import build
from tests.kit.records import WAITING, Coded, Moved, Versions, read_manifest
from tests.kit.scenarios import apply_overrides
from tests.kit.small import merged, orbit, slots
from tests.kit.talk import contact, talk, upload

ALL = {
    "outages": {"per_day": 4, "mean_hours": 0.5},
    "churn": {"mean_present_hours": 3, "mean_away_hours": 1},
    "stragglers": {"share": 0.5, "slowdown": 2},
    "packets": {"loss": 0.2, "bytes": 100},
    "uploads": {"corrupted": 0.2, "not_finite": 0.2, "late": 0.3, "late_minutes": 2},
}
QUORUM = {"when": "quorum", "quorum": 0.6}
TIMING = {"train": False, "aggregation": QUORUM}
PARENTS: dict[str, tuple[scenarios.Scenario, tuple[float, ...]]] = {
    "slots": (
        slots(stop={"cycles": 6}, faults=ALL, learning=TIMING),
        (0.001, 700.0, 3600.0, 9000.0),
    ),
    "orbit": (
        orbit(faults=ALL, learning=TIMING, link={"cut_transfers": "restart"}),
        (0.001, 40_000.0, 72_000.0, 129_500.0),
    ),
}


@pytest.fixture(scope="module")
def rough(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    place = tmp_path_factory.mktemp("rough")
    for name, (scenario, _) in PARENTS.items():
        sim.run(scenario, place / name)
    return {name: place / name for name in PARENTS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing fails in it."""
    place = tmp_path_factory.mktemp("plain") / "run"
    sim.run(slots(stop={"cycles": 6}, learning={"train": False}), place)
    return place


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing fails in it, and until its first contact nobody does anything."""
    place = tmp_path_factory.mktemp("idle") / "run"
    sim.run(orbit(learning={"train": False, "method": "synchronous"}), place)
    return place


def sha(folder: Path) -> Any:
    return read_manifest(folder)["trace_sha256"]


def rows(table: pa.Table) -> Counter[tuple[Any, ...]]:
    """All rows but those that tell of spells and slow devices as the run, or a fork, begins."""
    counted = [name for name in ("transfer_id",) if name in table.column_names]
    found = (tuple(row.values()) for row in table.drop_columns(counted).to_pylist())
    return Counter(row for row in found if not ("fault" in row and row[0] <= 1.0))


# -- nothing changed


@pytest.mark.parametrize(
    ("name", "at_s"), [(name, at_s) for name, (_, times_s) in PARENTS.items() for at_s in times_s]
)
def test_a_fork_of_a_run_with_faults_is_its_parent(
    rough: Mapping[str, Path], name: str, at_s: float
) -> None:
    assert fork(rough[name], at_s, {}).manifest["trace_sha256"] == sha(rough[name])


def test_contacts_that_rise_at_the_same_time_keep_their_order(tmp_path: Path) -> None:
    """Two satellites come at once, one for each cluster; B goes on from one before that fork."""
    (tmp_path / "passes.csv").write_text(windows(("S1", "B", 5, 10), ("S2", "A", 15, 20),
                                                 ("S3", "B", 15, 20)))  # fmt: skip
    run = tmp_path / "run"
    scenario = ready(tmp_path / "passes.csv", serving="any", beams=2, hand_over_gap_s=400)
    sim.run(scenario, run)
    assert sim.load(run).contacts.rise_s.tolist() == [300.0, 900.0, 900.0]
    assert fork(run, 400.0, {}).manifest["trace_sha256"] == sha(run)


def windows(*each: tuple[str, str, int, int]) -> str:
    """A file of windows: satellite, cluster, and the minutes of rise and set."""
    lines = [
        f"{satellite},{site},2026-08-22T00:{rise:02}:00Z,2026-08-22T00:{fall:02}:00Z"
        for satellite, site, rise, fall in each
    ]
    return "\n".join(["satellite,site,rise_utc,set_utc", *lines, ""])


def ready(path: Path, stop: dict[str, float] | None = None, **said: Any) -> scenarios.Scenario:
    base = slots().model_dump(mode="json", exclude_unset=True)
    base |= {
        "start": "2026-08-22T00:00:00Z",
        "stop": stop or {},
        "orbit": {"source": "contacts", "windows": path.read_text(), **said},
    }
    return scenarios.from_dict(merged(base, {"learning": {"train": False}}))


def test_a_fork_behind_the_last_contact_is_its_parent(tmp_path: Path) -> None:
    path, run = tmp_path / "passes.csv", tmp_path / "run"
    path.write_text(windows(("S1", "A", 5, 15), ("S1", "B", 20, 30), ("S1", "A", 40, 50)))
    whole = sim.run(ready(path, {"days": 0.1}), run)
    assert whole.contacts.set_s.max() == 3000.0
    assert whole.manifest["simulated_s"] == 8640.0
    for at_s in (3001.0, 5000.0, 8639.0):
        assert fork(run, at_s, {}).manifest["trace_sha256"] == sha(run)


# -- something changed


CHANGES = {
    "outages": {"faults.outages": "{per_day: 20, mean_hours: 1}"},
    "churn": {"faults.churn": "{mean_present_hours: 1, mean_away_hours: 1}"},
    "stragglers": {"faults.stragglers": "{share: 1, slowdown: 1.5}"},
    "packets": {"faults.packets": "{loss: 0.5}"},
    "corrupted": {"faults.uploads.corrupted": "0.5"},
    "late": {"faults.uploads": "{late: 0.8, late_minutes: 3}"},
    "quorum": {"learning.aggregation": "{when: quorum, quorum: 0.5}"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_just_behind_the_start_it_is_the_changed_scenario(idle: Path, name: str) -> None:
    """Nothing has begun by then, so that all rows are those of the changed scenario."""
    said = read_manifest(idle)["scenario"]
    apply_overrides(said, CHANGES[name])
    direct, forked = sim.run(scenarios.from_dict(said)), fork(idle, 0.001, CHANGES[name])
    for table in direct.tables:
        assert rows(forked.tables[table]) == rows(direct.tables[table]), table
    assert forked.manifest["trace_sha256"] != sha(idle)


@pytest.mark.parametrize("shares", [("0", "0.5"), ("0.5", "0"), ("0.2", "0.8")])
def test_updates_in_slots_are_spoilt_as_if_from_the_start(
    tmp_path: Path, shares: tuple[str, str]
) -> None:
    before, then = (
        slots(learning={"train": False}, faults={"uploads": {"not_finite": float(share)}})
        for share in shares
    )
    sim.run(before, tmp_path / "p")
    direct = sim.run(then)
    forked = fork(tmp_path / "p", 0.001, {"faults.uploads.not_finite": shares[1]})
    for table in direct.tables:
        assert rows(forked.tables[table]) == rows(direct.tables[table]), table
    assert bool(refusals_s(direct)) == (shares[1] != "0")
    assert direct.manifest["trace_sha256"] != sha(tmp_path / "p")


def refusals_s(result: sim.Result) -> list[float]:
    said = result.events[result.events.kind == "drop"]
    return said[said.detail.str.contains("not finite")].time_s.tolist()


def test_updates_are_spoilt_from_a_fork_on_or_until_then(tmp_path: Path) -> None:
    at_s = 5400.0
    bad = slots(
        stop={"cycles": 6}, faults={"uploads": {"not_finite": 0.6}}, learning={"train": False}
    )
    before = refusals_s(sim.run(bad, tmp_path / "bad"))
    sim.run(slots(stop={"cycles": 6}, learning={"train": False}), tmp_path / "good")
    ended = refusals_s(fork(tmp_path / "bad", at_s, {"faults.uploads.not_finite": "0"}))
    begun = refusals_s(fork(tmp_path / "good", at_s, {"faults.uploads": "{not_finite: 0.6}"}))
    assert ended == [time_s for time_s in before if time_s < at_s] != before
    assert ended and begun and min(begun) >= at_s


def test_what_is_under_way_ends_by_the_rule_that_it_was_begun_by(tmp_path: Path) -> None:
    """Passes of five minutes are too short for an upload: one goes on from 900 s to 1200 s."""
    (tmp_path / "passes.csv").write_text(
        windows(*[("S1", site, m, m + 5) for site in "AB" for m in (5, 15, 25, 35)])
    )
    run = tmp_path / "run"
    sim.run(slow(ready(tmp_path / "passes.csv", satellite="S1", beams=2)), run)
    done = fork(run, 1000.0, {"link.cut_transfers": "drop"})
    cut = done.transfers[done.transfers.outcome != "delivered"]
    under_way = (cut.start_s < 1000.0) & (cut.end_s > 1000.0)
    assert under_way.any()
    assert set(cut[cut.start_s < 1000.0].outcome) == {"carried"}
    assert set(cut[cut.start_s >= 1000.0].outcome) == {"dropped"}


def slow(scenario: scenarios.Scenario) -> scenarios.Scenario:
    """With a link so slow that an upload takes several passes."""
    said = scenario.model_dump(mode="json", exclude_unset=True)
    uplink = {"rate": "fixed", "fixed_rate_mbps": 1.2e-5}
    changes = {"link": {"preset": "paper", "uplink": uplink}, "learning": {"method": "fedavg"}}
    return scenarios.from_dict(merged(said, changes))


# -- runs that somebody else has sent


def sent(plain: Path, place: Path, **changes: Any) -> Path:
    place.mkdir()
    manifest = json.loads((plain / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps(merged(manifest, changes)))
    return place


def nested(count: int) -> dict[str, Any]:
    fork = None
    for number in range(count):
        fork = {"at_s": 1.0 + number / 1000, "was": {}, "of": fork, "set": {}, "parent": {}}
    assert fork is not None
    return fork


@pytest.mark.parametrize(
    "changes",
    [
        {"fork": [1]},
        {"fork": "x"},
        {"simulated_s": None},
        {"simulated_s": "soon"},
        {"fork": nested(100)},
        {"fork": {"at_s": "x", "was": {}, "of": None}},
        {"fork": {"at_s": 1.0, "was": [], "of": None}},
        {"fork": {"at_s": 1.0, "was": {"seed.x": 1}, "of": None}},
        {"scenario": [1]},
    ],
    ids=lambda said: json.dumps(said)[:30],
)
def test_a_manifest_that_is_not_ours_is_wrong_input(
    leomix: Any, plain: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = sent(plain, tmp_path / "sent", **changes)
    done = leomix("fork", folder, "--at", "1h", "-o", tmp_path / "f", "--quiet")
    assert (done.status, done.err.count("\n")) == (2, 1), done.err
    assert done.err.startswith("leomix: ")
    assert not (tmp_path / "f").exists()


def test_a_fork_of_too_many_forks_is_told_so(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(sim.InputError, match=r"sent: is a fork of a fork more than 32 times"):
        fork(sent(plain, tmp_path / "sent", fork=nested(33)), 3600.0, {})


@pytest.mark.parametrize("key", ["model", "data"])
def test_a_fork_runs_no_code_of_a_run_that_somebody_sent(
    leomix: Any, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
    said = {"scenario": {"learning": {key: {"kind": "evil:Model"}}}}
    folder = sent(plain, tmp_path / "sent", **said)
    done = leomix("fork", folder, "--at", "1h", "-o", tmp_path / "f", "--quiet")
    assert (done.status, done.err.count("\n")) == (2, 1), done.err
    assert "LEOMIX_ALLOW_CODE=1" in done.err
    with pytest.raises(ValueError, match=r"names Python code"):
        fork(folder, 3600.0, {})
    assert not (tmp_path / "ran").exists()
    if key == "model":  # data is not asked for in a run that trains nothing
        monkeypatch.setenv("LEOMIX_ALLOW_CODE", "1")
        assert leomix("fork", folder, "--at", "1h", "-o", tmp_path / "f", "--quiet").status != 0
        assert (tmp_path / "ran").exists()


# -- a round with those who came


@pytest.mark.parametrize("came", [((0, 1), (0,)), ((1,), (2,)), ((0,),)])
def test_the_weights_of_a_round_are_shared_by_those_who_came(came: tuple[Any, ...]) -> None:
    """What each device's update moves the model by, as a share, is 1 altogether."""
    built = build(slots(learning={"method": "fedavg", **TIMING}))
    method = built.new_method()
    assert isinstance(method, FedAvg)
    drawn = iter((0.1, 0.25, 0.2, 0.3, 0.15))
    clusters = built.plan.clusters[: len(came)]
    method.shares = {
        c.name: np.array([next(drawn) for _ in range(c.devices)]) for c in built.plan.clusters
    }
    for cluster, who in zip(clusters, came, strict=True):
        able, there = np.ones(cluster.devices, bool), np.isin(np.arange(cluster.devices), who)
        snapshot: Any = None
        version = np.zeros(cluster.devices, np.int64)
        method.updates.append(Update(cluster.name, snapshot, there, able, version))
        method.arrived[cluster.name] = float(method.shares[cluster.name].sum())
    method.count_who_came()
    everybody, weights = sum(method.arrived.values()), []
    for update in method.updates:
        own = method.shares[update.cluster]
        # As `merge` weighs them: a device by its share of those that are able.
        inside = own[update.who] / own[update.able].sum()
        weights += (inside * method.arrived[update.cluster] / everybody).tolist()
    assert sum(weights) == pytest.approx(1.0)
    counted = [method.shares[c.name][list(who)] for c, who in zip(clusters, came, strict=True)]
    assert weights == pytest.approx(np.concatenate(counted) / np.concatenate(counted).sum())


# -- what stops a run, and what must not


def test_a_link_that_gives_no_number_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(self: LinkCurve, bits: Any, start_s: Any = None) -> Any:
        return np.full(np.shape(bits), np.nan)

    monkeypatch.setattr(LinkCurve, "completion_time_s", nowhere)
    with pytest.raises(sim.InvariantError, match=r"no zero or non-finite durations"):
        sim.run(slots(learning={"train": False}))
    with pytest.raises(sim.InvariantError, match=r"uplink of a has no time at all \(nan\)"):
        talk([contact(0, 0, 100, [8.0])], [upload(10.0)])


def uploaded(versions: Versions, count: int, direction: str) -> None:
    """Device k moves a payload of version k."""
    device, size = np.arange(count), np.full(count, 10.0)
    delivered = Coded(np.zeros(count, np.int64), ("delivered", "carried"))
    moved = {
        "cluster": "c", "contact_id": 0, "direction": direction, "payload": "update",
        "device": device, "version": device, "payload_bytes": size, "delivered_bytes": size,
        "start_s": np.zeros(count), "end_s": np.ones(count), "outcome": delivered,
    }  # fmt: skip
    versions.moved(Moved(moved))


def test_more_versions_than_are_remembered_are_no_reason_to_stop() -> None:
    def said(low: int, high: int) -> dict[str, Any]:
        detail = f"buffer staleness:{low}-{high}"
        return {"cluster": "c", "version": 401, "detail": detail, "time_s": 2.0}

    versions = Versions([Cluster("c", 0, 400)])
    assert WAITING < 400
    uploaded(versions, 400, "downlink")
    uploaded(versions, 400, "uplink")
    versions.aggregated(said(1, 400))
    # All of these have been aggregated: from here on they are counted again.
    uploaded(versions, 5, "uplink")
    with pytest.raises(sim.InvariantError, match=r"staleness counted"):
        versions.aggregated(said(1, 400))
