"""Whole runs in which much goes wrong: every method ends, and says what happened."""

import numpy as np
import pyarrow as pa
import pytest

import scenarios
import sim
from learning.requests import Compute, Reach
from learning.requests.facts import INJECTED
from sim.analysis.summary import fault_counts
from tests.kit.scripted import B0, B1, B2, at, ground, replies, sent
from tests.kit.small import slots
from tests.kit.worlds import make_plan

ALL = {
    "outages": {"per_day": 5, "mean_hours": 0.5},
    "planned": [{"cluster": "A", "from_hours": 1, "to_hours": 2}],
    "churn": {"mean_present_hours": 3, "mean_away_hours": 0.5},
    "stragglers": {"share": 0.4, "slowdown": 2},
    "packets": {"loss": 0.1, "bytes": 100},
    "uploads": {"corrupted": 0.3},
}
QUORUM = {"when": "quorum", "quorum": 0.6}
CLOSINGS = [{"when": "all"}, QUORUM, {"when": "deadline", "deadline_s": 330}]
METHODS = ["synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned", "fedprox"]
UNTRAINED = {"train": False}


def rough(method, train=False, cycles=16, faults=ALL, **learning):
    learning = {"method": method, "train": train, **learning}
    return slots(stop={"cycles": cycles}, faults=faults, learning=learning)


def texts(result, kind, word=""):
    return [t for t in result.events[result.events.kind == kind].detail if word in t]


@pytest.mark.parametrize("closing", CLOSINGS, ids=lambda said: said["when"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.quick(8)
def test_every_method_goes_on_through_all_faults_at_once(method, closing):
    """The run checks its own books and invariants; learning goes on, and each fault is told."""
    result = sim.run(rough(method, aggregation=closing))
    assert result.manifest["status"] == "complete"
    counts = fault_counts(result.tables["events"])
    assert set(counts) == {several for several, _ in INJECTED.values()}
    assert texts(result, "aggregate")
    told = texts(result, "fault", "injected: ") + texts(result, "drop", "corrupted in transit")
    assert len(told) == sum(counts.values())
    # A buffer of updates that come together is full before its deadline.
    waits = closing["when"] != "all" and (method, closing["when"]) != ("fedbuff", "deadline")
    assert bool(texts(result, "wait", f"{closing['when']} reached")) == waits


def test_the_summary_counts_faults_by_kind_and_does_not_warn_of_them(runs):
    result = runs.result("faults")
    counts = result.summary["faults"]
    for kind, rows in (
        ("satellite outages", texts(result, "fault", "injected: satellite")),
        ("absences of devices", texts(result, "fault", "away until")),
        ("corrupted uploads", texts(result, "drop", "refused: corrupted in transit")),
    ):
        assert counts[kind] == len(rows) > 0
    assert not [text for text in result.summary["warnings"] if "injected" in text]
    assert runs.result("slots-timing").summary["faults"] == {}


def test_stragglers_take_so_many_times_as_long_and_nothing_else_does():
    how = {"learning": {"method": "synchronous", **UNTRAINED}, "compute": {"seconds_per_round": 50}}
    slow = sim.run(slots(**how, faults={"stragglers": {"share": 0.5, "slowdown": 3}}))
    rows = slow.events[slow.events.detail == "injected: 3 times as slow"]
    slower = set(zip(rows.cluster, rows.device, strict=True))
    assert 0 < len(slower) < 5 and (rows.time_s == 0.0).all()
    starts, ends = (
        slow.events[slow.events.kind == kind].groupby(["cluster", "device"]).time_s.apply(np.sort)
        for kind in ("train_start", "train_end")
    )
    for who in ends.index:
        takes_s = 150.0 if who in slower else 50.0
        assert ends[who] - starts[who] == pytest.approx(takes_s, rel=1e-9)


def test_a_round_ends_with_a_quorum_or_at_the_first_contact_behind_its_deadline():
    """FedAvg over A to D at 0, 600, 1200 and 1800 s of a cycle of 3000 s."""
    four = {"clusters": [{"name": name, "devices": 2} for name in "ABCD"]}

    def closed(cycles, **closing):
        learning = {"method": "fedavg", "aggregation": closing, **UNTRAINED}
        result = sim.run(slots(learning=learning, ground=four, stop={"cycles": cycles}))
        return texts(result, "wait", "reached"), result.events[result.events.kind == "aggregate"]

    # Three of four clusters in turn are enough: the fourth begins the next round.
    waits, made = closed(3, when="quorum", quorum=0.75)
    assert made.detail.str.contains("clusters:3/4").tolist() == [True] * 4
    assert waits == [f"quorum reached: round:{n} without {name}" for n, name in enumerate("DCBA")]
    # A and B arrive, C's contact ends the round; C and D, then A's; A and B, then C's.
    waits, made = closed(2, when="deadline", deadline_s=1000)
    assert made.time_s.tolist() == [1200.0, 3000.0, 4200.0]
    assert [text.split("without ")[1] for text in waits] == ["C,D", "A,B", "C,D"]


def test_messages_from_and_to_who_is_away_are_lost_and_computing_waits():
    """Device 1 of B, by the churn of its stream."""
    scenario = ground(faults={"churn": {"mean_present_hours": 0.2, "mean_away_hours": 0.2}})
    presence = make_plan(scenario).faults.churn["B"]
    there = np.array([True, False, True])
    middles = (presence.away[1].begin_s + presence.away[1].end_s) / 2
    when_s = next(t for t in middles if (presence.present(np.full(3, t)) == there).all())
    messages = (sent(B0, B1, 100.0), sent(B1, B2, 100.0), sent(B0, B2, 100.0))
    asked = [at(when_s, request) for request in (*messages, Reach(), Compute(B1, 1e9, 1e10))]
    (*arrivals, reach, computed_s), result = replies(scenario, *asked)
    assert [arrival.reason for arrival in arrivals] == ["away", "away", ""]
    assert len(texts(result, "drop", ": away")) == 2
    assert np.array_equal(reach[:, 2:], np.outer(there, there) | np.eye(3, dtype=bool))
    lasts_s = float(presence.after_s(*np.full((2, 3), [[when_s], [20.0]]))[1])
    assert computed_s == lasts_s >= when_s + 20.0
    assert result.manifest["computed_device_s"] == pytest.approx(20.0, rel=1e-9)


def test_nobody_but_people_reads_the_column_detail(runs):
    """Figures, rounds, waits and the critical path are the same where every detail says nothing."""
    near = {"ground.clusters.1.latitude_deg": 47.0, "ground.clusters.1.longitude_deg": 12.0}
    late = {"stop.days": 0.3, "learning.train": False, **near}
    serving = sim.run(scenarios.load("walker", late))
    causes = set()
    for result in (runs.result("faults"), runs.result("fedavg"), serving):
        events = result.tables["events"]
        place = events.column_names.index("detail")
        nothing = events.set_column(place, "detail", pa.array([""] * len(events)))
        silent = sim.Result({**result.tables, "events": nothing}, result.manifest)
        assert silent.summary == result.summary
        assert silent.critical_path == result.critical_path
        causes |= set(result.events.cause.dropna())
    assert {"beam", "satellite outage", "corrupted upload"} <= causes


def test_a_rate_of_none_is_the_run_without_faults(tmp_path):
    """As a sweep that begins with 0 has it: `-p faults.outages.per_day=0,2`."""
    for key in ("faults.outages.per_day", "faults.stragglers.share"):
        assert scenarios.load("circular", {key: 0}) == scenarios.load("circular", {})
