"""Whole runs in which much goes wrong: every method ends, and says what happened."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.learning import Cluster, Compute, NextContact, Reach
from tests.kit.network import build, make_plan
from tests.kit.results import FAULT_KINDS, fault_counts, fault_lines, summary_text
from tests.kit.scripted import B0, B1, B2, at, ground, only, play, replies, sent
from tests.kit.small import SLOTS, merged, orbit, slots
from tests.kit.small_nmoe import nmoe

ALL = {
    "outages": {"per_day": 5, "mean_hours": 0.5},
    "churn": {"mean_present_hours": 3, "mean_away_hours": 0.5},
    "stragglers": {"share": 0.4, "slowdown": 2},
    "packets": {"loss": 0.1, "bytes": 100},
    "uploads": {"corrupted": 0.15, "not_finite": 0.15, "late": 0.2, "late_minutes": 5},
}
CLOSINGS = [
    {"when": "all"},
    {"when": "quorum", "quorum": 0.6},
    {"when": "deadline", "deadline_s": 330},
]
METHODS = ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned"]


def rough(method: str, train: bool = False, cycles: int = 16, **changes: Any) -> scenarios.Scenario:
    learning = {"method": method, "train": train, **changes.pop("learning", {})}
    return slots(**{"stop": {"cycles": cycles}, "faults": ALL, "learning": learning, **changes})


def texts(result: sim.Result, kind: str) -> list[str]:
    return result.events[result.events.kind == kind].detail.tolist()


@pytest.mark.parametrize("closing", CLOSINGS, ids=lambda said: said["when"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_on_through_all_faults_at_once(method: str, closing: Any) -> None:
    """The run checks its own books and invariants; learning goes on, and each fault is told."""
    result = sim.run(rough(method, learning={"aggregation": closing}))
    assert result.manifest["status"] == "complete"
    counts = fault_counts(result.tables["events"])
    assert set(counts) == set(FAULT_KINDS)
    assert len(texts(result, "aggregate")) > 0
    injected = sum(text.startswith("injected: ") for text in texts(result, "fault"))
    drops = sum(text.endswith("refused: corrupted in transit") for text in texts(result, "drop"))
    assert injected + drops == sum(counts.values())
    waits = [text for text in texts(result, "wait") if f"{closing['when']} reached" in text]
    assert bool(waits) == (closing["when"] != "all")


def test_the_summary_counts_faults_by_kind_and_does_not_warn_of_them(runs: Any) -> None:
    result, plain = runs.result("faults"), runs.result("slots-timing")
    counts, detail = result.summary["faults"], result.events["detail"].fillna("")
    assert counts["satellite outages"] == detail.str.contains("injected: satellite").sum() > 0
    assert counts["absences of devices"] == detail.str.contains("away until").sum() > 0
    corrupted = detail.str.endswith("refused: corrupted in transit").sum()
    assert counts["corrupted uploads"] == corrupted > 0
    line = next(x for x in summary_text(result.summary).splitlines() if x.startswith("faults"))
    assert f"{counts['late uploads']} late uploads" in line
    warnings = result.summary["warnings"]
    assert not [text for text in warnings if "injected" in text or "not finite" in text]
    assert plain.summary["faults"] == {} == fault_counts(plain.tables["events"])
    assert "faults" not in summary_text(plain.summary)
    assert fault_lines({}) == []


def test_a_fork_is_told_of(runs: Any, tmp_path: Path) -> None:
    changed = {"compute.seconds_per_round": 50}
    result = sim.fork(runs["slots-timing"], 900.0, changed, tmp_path / "fork")
    assert result.summary["fork"]["set"] == changed
    assert "from 0.25 h on: compute.seconds_per_round=50" in summary_text(result.summary)


# -- each kind against what it is without it


@pytest.mark.parametrize("method", METHODS)
def test_faults_that_never_strike_change_no_row(method: str) -> None:
    uploads = {"corrupted": 0.0, "not_finite": 0.0, "late": 0.0}
    never = {"packets": {"loss": 0.0}, "uploads": uploads}
    said = {"learning": {"method": method, "train": False}}
    plain, same = sim.run(slots(**said)), sim.run(slots(**said, faults=never))
    assert same.manifest["trace_sha256"] == plain.manifest["trace_sha256"]


@pytest.mark.parametrize("method", ["synchronous", "fedavg"])
def test_updates_that_are_not_finite_are_so_in_trained_runs_and_never_merged(method: str) -> None:
    """A timing-only run refuses the same ones; and what is merged in a trained one is finite."""
    faults = {"uploads": {"not_finite": 0.4}}
    both = (sim.run(rough(method, train, cycles=2, faults=faults)) for train in (True, False))
    trained, timed = both
    refused = [text for text in texts(trained, "drop") if "refused: not finite" in text]
    made = [text for text in texts(trained, "fault") if "is not finite" in text]
    counted = fault_counts(trained.tables["events"])["updates that were not finite"]
    assert 0 < len(refused) == len(made) == counted
    columns = ["time_s", "kind", "cluster", "device", "version", "detail"]
    assert trained.events[columns].equals(timed.events[columns])
    assert np.isfinite(trained.metrics.loss).all()
    assert trained.summary["accuracy_final"] != trained.summary["accuracy_start"]


def test_stragglers_take_so_many_times_as_long_and_nothing_else_does() -> None:
    said = {
        "learning": {"method": "synchronous", "train": False},
        "compute": {"seconds_per_round": 50},
    }
    plain = sim.run(slots(**said))
    slow = sim.run(slots(**said, faults={"stragglers": {"share": 0.5, "slowdown": 3}}))
    rows = slow.events[slow.events.detail == "injected: 3 times as slow"]
    assert 0 < len(rows) < 5
    assert (rows.time_s == 0.0).all()
    for result, times in ((plain, 1.0), (slow, 3.0)):
        ends, begins = (
            result.events[result.events.kind == kind].set_index(["cluster", "device", "version"])
            for kind in ("train_end", "train_start")
        )
        lasts_s = (ends.time_s.to_numpy() - begins.time_s.to_numpy()).round(6)
        assert set(lasts_s) == {50.0, 50.0 * times}
    assert slow.manifest["computed_device_s"] > plain.manifest["computed_device_s"]


@pytest.mark.parametrize("times", [1.0, 4.0])
def test_rates_of_stragglers_fall_and_slots_hold_fewer_of_their_rounds(times: float) -> None:
    slow = {"stragglers": {"share": 1, "slowdown": times}}
    built = build(slots(compute={"seconds_per_round": None, "tflops": 2}, faults=slow))
    for own in built.compute:
        assert np.all(own.flops_per_s == 2e12 / times)
        assert np.all(np.asarray(own.pace_s) == 600.0 * times)


def test_nothing_is_sent_while_its_satellite_is_out_or_its_device_away() -> None:
    said = {"faults": {key: ALL[key] for key in ("outages", "churn")}, "stop": {"days": 1.5}}
    scenario = orbit(**said, learning={"method": "fedbuff", "train": False})
    result, faults = sim.run(scenario), make_plan(scenario).faults
    assert faults is not None
    moved = result.transfers
    assert len(moved) > 5
    out = faults.outages["circular"]

    def struck(spells: Any, rows: Any) -> Any:
        middle_s = ((rows.start_s + rows.end_s) / 2).to_numpy()
        return (spells.begin_s[:, None] <= middle_s) & (middle_s < spells.end_s[:, None])

    assert not struck(out, moved).any()
    for (name, k), mine in moved.groupby(["cluster", "device"]):
        assert not struck(faults.churn[name].away[k], mine).any()
    told = result.events[result.events.detail.fillna("").str.startswith("injected: satellite")]
    begun_s = out.begin_s[out.begin_s <= result.manifest["simulated_s"]]
    assert told.time_s.tolist() == begun_s.tolist()
    assert told.cluster.isna().all()


@pytest.mark.parametrize("method", ["emsfl", "fedavg"])
def test_a_killed_run_with_faults_is_resumed_to_the_same(method: str, tmp_path: Path) -> None:
    scenario = rough(method, train=True, cycles=4, learning={"aggregation": CLOSINGS[1]})
    whole = sim.run(scenario).manifest
    assert whole["events"] > 30

    def stop(at: int) -> Callable[[int], None]:
        def each_event(number: int) -> None:
            if number == at:
                raise sim.Interrupted("asked for")

        return each_event

    for event in (whole["events"] // 3, whole["events"] - 5):
        with pytest.raises(sim.Interrupted):
            sim.run(scenario, tmp_path, resume=True, each_event=stop(event))
    resumed = sim.run(scenario, tmp_path, resume=True).manifest
    assert resumed["trace_sha256"] == whole["trace_sha256"]


# -- rounds that wait for clusters


def closed(cycles: int, **closing: Any) -> sim.Result:
    """FedAvg over A to D at 0, 600, 1200 and 1800 s of a cycle of 3000 s."""
    four = {"clusters": [{"name": name, "devices": 2} for name in "ABCD"]}
    learning = {"method": "fedavg", "train": False, "aggregation": closing}
    return sim.run(slots(learning=learning, ground=four, stop={"cycles": cycles}))


def test_a_round_ends_with_a_quorum_of_the_clusters() -> None:
    """Of four clusters in turn three are enough: the fourth begins the next round."""
    result = closed(3, when="quorum", quorum=0.75)
    merged_by = [text.split("clusters:")[1][:3] for text in texts(result, "aggregate")]
    assert merged_by == ["3/4"] * 4
    assert [text for text in texts(result, "wait") if "reached" in text] == [
        f"quorum reached: round:{n} without {name}" for n, name in enumerate("DCBA")
    ]


def test_a_round_ends_at_the_first_contact_behind_its_deadline() -> None:
    result = closed(2, when="deadline", deadline_s=1000)
    ended = result.events[result.events.kind == "aggregate"]
    # A and B arrive, C's contact ends the round; C and D, then A's; A and B, then C's.
    assert ended.time_s.tolist() == [1200.0, 3000.0, 4200.0]
    missing = [text.split("without ")[1] for text in texts(result, "wait") if "reached" in text]
    assert missing == ["C,D", "A,B", "C,D"]


# -- networked experts, messages and scripts


def test_networked_experts_go_through_all_stages_in_spite_of_faults() -> None:
    """Lost uploads are sent again; inference goes on with whoever is there."""
    options = {"options": {"inference_samples": 8, "inference_interval_s": 600.0}}
    mild = merged(ALL, {"outages": {"mean_hours": 0.1}, "churn": {"mean_away_hours": 0.2}})
    said = {"stop": {"cycles": 60}, "faults": mild, "learning": {"train": False, **options}}
    result = sim.run(nmoe(**said))
    assert any(text.startswith("gate ") for text in texts(result, "aggregate"))
    counts = fault_counts(result.tables["events"])
    assert {"corrupted uploads", "updates that were not finite"} <= set(counts)
    assert len(result.inferences) > 0


def test_messages_from_and_to_who_is_away_are_lost_and_computing_waits() -> None:
    """Device 1 of B, by the churn of its stream."""
    scenario = ground(faults={"churn": {"mean_present_hours": 0.2, "mean_away_hours": 0.2}})
    faults = make_plan(scenario).faults
    assert faults is not None
    presence = faults.churn["B"]
    away, others = presence.away[1], [presence.away[0], presence.away[2]]

    def absent(of: Any, time_s: float) -> bool:
        return bool(((of.begin_s <= time_s) & (time_s < of.end_s)).any())

    middles = (away.begin_s + away.end_s) / 2
    when_s = next(float(t) for t in middles if not any(absent(o, float(t)) for o in others))
    back_s = float(away.end_s[(away.begin_s <= when_s) & (when_s < away.end_s)][0])
    messages = (sent(B0, B1, 100.0), sent(B1, B2, 100.0), sent(B0, B2, 100.0))
    asked = [at(when_s, request) for request in (*messages, Reach(), Compute(B1, 1e9, 1e10))]
    (*arrivals, reach, computed_s), result = replies(scenario, *asked)
    assert [arrival.delivered for arrival in arrivals] == [False, False, True]
    assert arrivals[0].reason == "away"
    assert texts(result, "drop") == ["feature to B/1: away", "feature to B/2: away"]
    there = np.array([True, False, True])
    assert np.array_equal(reach[:, 2:], np.outer(there, there) | np.eye(3, dtype=bool))
    lasts_s = float(presence.after_s(*np.full((2, 3), [[when_s], [20.0]]))[1])
    assert computed_s == lasts_s >= back_s + 20.0
    assert result.manifest["computed_device_s"] == pytest.approx(20.0, rel=1e-9)


def test_contacts_are_those_that_outages_leave() -> None:
    """A method sees no contact while the satellite is out, and waits for the next one."""
    starts: list[float] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        while contact := (yield NextContact()):
            starts.append(contact.start_s)

    scenario = ground(faults={"outages": {"per_day": 20, "mean_hours": 0.3}}, stop={"cycles": 20})
    play(scenario, only("B", script))
    contacts = make_plan(scenario).contacts
    first = {c.session: c.start_s for c in reversed(contacts) if c.cluster.name == "B"}
    assert starts == sorted(first.values())
    assert 5 < len(starts) < 20


# -- what may be asked for


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"faults": {"outages": {}}}, r"faults.outages.per_day: is missing"),
        ({"faults": {"packets": {"loss": 1.0}}}, r"packets.loss: got 1.0; must be .* <= 0.9"),
        ({"faults": {"uploads": {"late_minutes": 3.0}}}, r"late_minutes is not used without late"),
        ({"faults": {"upload": {}}}, r"faults.upload: is not a known key; did you mean 'uploads'"),
        ({"learning": {"aggregation": {"quorum": 0.5}}}, r"quorum is not used with when 'all'"),
        ({"learning": {"aggregation": {"when": "deadline"}}}, r"deadline_s is missing; when"),
        (
            {"learning": {"aggregation": {"when": "quorum", "quorum": 0.5, "deadline_s": 9.0}}},
            r"deadline_s is not used with when 'quorum'",
        ),
    ],
)
def test_keys_of_faults_are_refused_by_name(said: dict[str, Any], line: str) -> None:
    with pytest.raises(scenarios.ScenarioError, match=line):
        scenarios.from_dict(merged(SLOTS, said))


@pytest.mark.parametrize(
    ("name", "said", "line"),
    [
        (
            "circular",
            ["faults.outages.per_day=100", "faults.outages.mean_hours=8760"],
            "lower faults.outages.per_day or mean_hours",
        ),
        (
            "nmoe-digits",
            ["learning.aggregation.when=quorum", "learning.aggregation.quorum=0.5"],
            "learning.aggregation: method 'nmoe' waits for all its clients; remove it",
        ),
    ],
)
def test_what_can_never_run_is_told_in_one_line(
    leomix: Any, name: str, said: list[str], line: str
) -> None:
    outcome = leomix("validate", name, *(word for key in said for word in ("--set", key)))
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert line in outcome.err
