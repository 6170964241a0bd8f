"""The checks of a run: what each finds, that all who show a run show them, and that what is shipped
has none."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import scenarios
import sim
from sim.page import report
from tests.kit import small
from tests.kit.handmade import tables_of
from tests.kit.inner.learning import METHODS
from tests.kit.inner.sim import bottleneck, checks_of, plain

MLP = {"method": "fedavg", "model": {"kind": "vector-mlp"}}
TIMED = {**MLP, "train": False}


def found(result):
    return [(check.code, check.key, check.value) for check in result.checks]


def digits(**learning):
    return scenarios.load("paper-slots", {"stop.cycles": 2, "learning": {**MLP, **learning}})


def over_orbit(**changes):
    return scenarios.from_dict({**small.ORBIT, "learning": TIMED, **changes})


UNTESTED = {"kind": "tests.kit.spoilt:untested"}
RUNS = {
    "no tested class, whatever the step": (
        lambda: digits(step_size=30.0, data=UNTESTED),
        [("clients-unlike", None, None)],
    ),
    "a payload of several passes": (
        lambda: over_orbit(link=small.fixed(uplink=1e-4)),
        [("large-payload", "link.uplink.fixed_rate_mbps", 1e-3)],
    ),
    "a payload that never gets through": (
        lambda: over_orbit(link=small.fixed(uplink=1e-7)),
        [("no-update", None, None), ("large-payload", "link.uplink.fixed_rate_mbps", 1e-4)],
    ),
    "targets without training": (
        lambda: small.slots(learning={"train": False, "targets": [0.5]}),
        [("not-trained", None, None)],
    ),
}
"""What is run, and its checks."""


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.quick(4)
def test_a_run_has_its_checks_and_a_remedy_that_timing_can_show(name):
    make, checks = RUNS[name]
    assert found(sim.run(make())) == checks


COURSES = {
    # Accuracies and losses from start to end, and the check of a run whose clients are alike.
    "falls": ((0.25, 0.26, 0.20, 0.14), (1.9, 2.0, 2.4, 2.6), "diverged"),
    "is lost": ((0.10, 0.60, 0.30, 0.11), (2.3, 1.2, 1.8, 2.2), "step-size"),
    "ends 2 % above its first loss": (
        (0.10, 0.12, 0.09, 0.10),
        (2.3, 2.31, 2.32, 2.344),
        "step-size",
    ),
    "stays": ((0.10, 0.12, 0.09, 0.10), (2.3, 2.3, 2.3, 2.3), "step-size"),
    "learns slowly": ((0.10, 0.10, 0.11, 0.12), (2.3, 2.2, 2.1, 2.0), "budget"),
    "comes to a constant answer": ((0.04, 0.1, 0.12, 0.125), (2.6, 2.5, 2.4, 2.3), "step-size"),
    "rises": ((0.10, 0.30, 0.50, 0.60), (2.3, 2.0, 1.5, 1.2), "budget"),
    "has risen": ((0.10, 0.60, 0.60, 0.60), (2.3, 1.2, 1.2, 1.2), None),
    "has no numbers": ((0.10, 0.10, 0.10, 0.10), (2.3, np.nan, np.nan, np.nan), "diverged"),
}


def with_course(result, accuracies, losses):
    """The tables of a run with other evaluations."""
    metrics = result.tables["metrics"]
    rows = np.array(metrics["scope"].to_pylist()) == "global"
    for name, values in (("accuracy", accuracies), ("loss", losses)):
        column = np.array(metrics[name].to_pylist())
        column[rows] = np.interp(np.linspace(0, 3, rows.sum()), range(4), values)
        metrics = metrics.set_column(metrics.column_names.index(name), name, pa.array(column))
    return {**result.tables, "metrics": metrics}


def checked(result, tables=None, **manifest):
    method = METHODS.find(result.manifest["method"])
    changed = {**result.manifest, **manifest}
    return checks_of(result.tables if tables is None else tables, changed, method)


@pytest.mark.parametrize("name", COURSES)
def test_what_was_learnt_is_told_by_its_course(runs, name):
    *course, code = COURSES[name]
    result = runs.result("fedavg")
    codes = [check.code for check in checked(result, with_course(result, *course))]
    assert codes == [] if code is None else codes == [code]


def learnt(accuracies=(), losses=(), samples=10_000, hours=None, **learning):
    """What a run by hand has learnt, of evaluations an hour apart."""
    count = max(len(accuracies), len(losses))
    hours = range(count) if hours is None else hours
    rows = [
        {"time_s": 3600.0 * hour, "cycle": n, "scope": "global", "samples": samples}
        | ({"accuracy": accuracies[n]} if accuracies else {})
        | ({"loss": losses[n]} if losses else {})
        for n, hour in zip(range(count), hours, strict=True)
    ]
    scenario = {"learning": {"steps_per_round": 1, **learning}}
    tests = {"choices": 4, "samples": [samples // 4] * 4, "constant": samples // 4}
    manifest = {"method": "fedavg", "simulated_s": 3600.0 * hours[-1], "scenario": scenario}
    return sim.Result(tables_of(metrics=rows), manifest | {"tests": tests}).learnt


@pytest.mark.parametrize("first", [2.0, 40.0])
def test_a_loss_has_to_fall_by_two_thousandths_for_anything_to_be_learnt(first):
    for fallen, is_enough in ((0.0, False), (0.0015, False), (0.0025, True), (0.5, True)):
        found = learnt(losses=[first, first * (1 - fallen)], loss="mse")
        assert found.has_learnt is is_enough
        assert found.loss_stayed == (not is_enough)


def test_three_quarters_of_what_lies_above_a_constant_answer_is_most_of_it():
    for final, is_most in ((0.80, False), (0.82, True)):  # above a quarter: 0.8125
        assert learnt([0.1, final]).is_most == is_most


def test_a_loss_that_moved_in_between_did_not_stay_and_one_that_came_back_was_lost():
    back = learnt(losses=[2.0, 2.001, 1.2, 2.0], loss="mse")
    assert not back.loss_stayed and back.was_lost and not back.has_learnt
    still = learnt(losses=[2.0, 2.001, 1.999, 2.0], loss="mse")
    assert still.loss_stayed and not still.was_lost
    for most, grew in ((2.1, False), (2.3, True)):  # by a tenth at any time
        assert learnt(losses=[2.0, most, 1.9], loss="mse").loss_grew == grew
    assert not learnt(losses=[2.0, 1.5, 2.1], loss="mse").loss_grew  # and not by less at the end


@pytest.mark.parametrize(("most", "lost"), [(0.28, False), (0.34, True)])
def test_an_accuracy_that_was_a_twentieth_above_its_start_and_fell_again_was_lost(most, lost):
    found = learnt([0.28, most, 0.28])
    assert found.has_learnt is False and found.was_lost == lost


def test_an_accuracy_has_to_rise_by_more_than_noise_over_the_start_and_a_constant_answer():
    """Of 10,000 samples in four classes, noise is 0.0106 at 0.2 and 0.0120 at 0.25."""
    noise = 1.96 * np.sqrt((0.2 * 0.8 + 0.27 * 0.73) / 10_000)
    assert learnt([0.2, 0.27]).chance == pytest.approx(noise)
    cases = {(0.2, 0.24): False, (0.2, 0.259): False, (0.2, 0.263): True}
    cases |= {(0.5, 0.51): False, (0.5, 0.515): True}
    for ends, is_enough in cases.items():
        assert learnt([*ends]).has_learnt is is_enough, ends


def test_it_still_learns_if_the_last_quarter_of_the_time_added_a_twentieth_of_all():
    """All else came in the first half: twenty hours, with a step behind the fifteenth."""
    for added, still in ((0.018, False), (0.025, True), (-0.025, False)):
        steps = [0.1] + [0.5] * 15 + [0.5 + added] * 5
        assert learnt(steps).still_rises == still, added
    assert not learnt([0.1] + [0.45] * 11 + [0.5] * 9).still_rises
    losses = [2.0] + [1.0] * 15 + [0.96] * 5
    assert not learnt(losses=losses, loss="mse").still_rises
    assert learnt(losses=[*losses[:16], *[0.94] * 5], loss="mse").still_rises
    # Not by hours that nobody measured in, nor by how often it was measured.
    often = [*range(11), *np.linspace(15.5, 20, 40)]
    assert not learnt([0.1] + [0.5] * 10 + [0.6] * 40, hours=often).still_rises


def test_a_loss_is_that_of_a_guess_from_99_percent_of_its_on():
    """Of four classes a uniform guess has log 4 nats."""
    for share, is_a_guess in ((1.2, True), (0.992, True), (0.988, False), (0.5, False)):
        assert learnt(losses=[3.0, share * np.log(4)]).is_a_guess == is_a_guess, share


def test_faults_are_said_from_one_in_a_hundred_device_rounds_on(runs):
    result = runs.result("fedavg")
    energy = [{**row, "device_rounds": 200} for row in result.manifest["energy"]]
    for count, is_said in ((3, False), (4, True)):  # of 400
        rows = [{"time_s": 1.0, "kind": "fault", "detail": "it broke"}] * count
        broken = pa.concat_tables(
            [plain(result.tables["events"]), tables_of(events=rows)["events"]]
        )
        checks = checked(result, {**result.tables, "events": broken}, energy=energy)
        said = [check.sentence for check in checks if check.code == "faults"]
        assert bool(said) == is_said and all(f"{count} faults" in text for text in said)


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_that_did_not_end_is_not_judged_by_what_it_learnt(runs, status):
    """After some rounds nobody knows whether it learns; what was not tested says so."""
    result = runs.result("fedavg")
    flat = with_course(result, [0.1] * 4, [2.3] * 4)
    assert [check.code for check in checked(result, flat, status=status)] == [status]
    metrics = result.tables["metrics"]
    start = metrics.filter(pa.compute.equal(metrics["time_s"], 0.0))
    checks = checked(result, {**flat, "metrics": start}, status=status)
    assert [check.code for check in checks] == [status, "not-tested"]


def test_updates_older_than_one_of_each_device_are_stale(runs):
    result = sim.run(small.slots(learning={"method": "fedbuff", "train": False}))
    updates = result.tables["updates"]
    place = updates.column_names.index("staleness")
    old = pa.array([100] * len(updates), updates["staleness"].type)
    tables = {**result.tables, "updates": updates.set_column(place, "staleness", old)}
    assert "stale" in [check.code for check in checked(result, tables)]
    assert "stale" not in [check.code for check in checked(result)]
    # Five devices: an update of each of the others, and its own, have come between.
    for last, is_stale in ((5, False), (6, True)):
        aged = pa.array([5] * (len(updates) - 1) + [last], updates["staleness"].type)
        as_old = {**result.tables, "updates": updates.set_column(place, "staleness", aged)}
        assert ("stale" in [check.code for check in checked(result, as_old)]) == is_stale
    tables = {**runs.result("fedavg").tables, "updates": tables["updates"]}
    assert "stale" not in [check.code for check in checked(runs.result("fedavg"), tables)]


DIVERGED = {"stop.cycles": 2, "learning.step_size": 30.0, "learning.method": "fedavg"}
DIVERGED["learning.model"] = "{kind: vector-mlp}"
SHOWN = [
    ("paper-slots", DIVERGED, 0),
    ("plain-fedavg", {"stop.days": 0.5, "link.uplink.tx_power_dbm": -60}, 4),
]
"""Scenarios, what they change, and the exit code: of a run that trains and has used no update."""


@pytest.mark.parametrize(("name", "keys", "code"), SHOWN)
@pytest.mark.quick(2)
def test_who_shows_a_run_shows_its_checks(leomix, tmp_path, name, keys, code):
    """By `run`, `show`, `compare`, their JSON and the page, as they are stored."""
    out = tmp_path / "run"
    set_ = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    for more in ((), ("--resume",)):
        done = leomix("run", name, "-o", out, *set_, "--quiet", *more)
        assert done.status == code
    result = sim.load(out)
    stored = [check._asdict() for check in result.checks]
    assert stored == result.manifest["checks"] == result.summary["checks"]
    assert json.loads(leomix("show", out, "--json").out)["checks"] == stored
    of_runs = json.loads(leomix("compare", out, "--json").out)["checks"]
    assert of_runs == [{"group": of_runs[0]["group"], "seed": 1, **one} for one in stored]
    shown = done.out, leomix("show", out).out, report([out]).read_text()
    for text in shown:
        assert result.checks[-1].line in " ".join(text.split())
    # Beside others a run has its first check.
    assert result.checks[0].line in " ".join(leomix("compare", out).out.split())
    first = result.checks[0]
    title = f"No result: {first.sentence[:1].lower()}{first.sentence[1:]}"
    for text in (*shown[:2], shown[2].partition("<h1>")[2]):
        assert " ".join(text.split()).startswith(title) == (first.code == "no-update")


QUICK = ["aligned-digits", "flystack-isl"]


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.wide
def test_a_shipped_scenario_has_none(name):
    assert sim.run(scenarios.load(name)).checks == []


TWO_SATELLITES = {"source": "walker", "satellites": 2, "planes": 1, "phasing": 0}
TWO_SATELLITES |= {"altitude_km": 600, "inclination_deg": 0}
QUITO = {"clusters": [{"name": "Quito", "latitude_deg": 0, "longitude_deg": -78, "devices": 2}]}
LEARNING = {"method": "fedavg", "train": False, "model": {"kind": "vector-mlp"}}
CASES = {
    "waiting for passes": (
        {"orbit": TWO_SATELLITES, "ground": QUITO},
        "93.4 % of the critical path went into waiting for passes "
        "(28.0 a day for each client). "
        "orbit.satellites=4: 111 updates used a day in place of 56.",
        {"orbit.satellites": 4},
    ),
    "upload size": (
        {"link": small.fixed(uplink=1e-4)},
        "98.2 % of the critical path went into waiting for passes, "
        "as an upload of 19.24 kB takes 5.4 of them. "
        "link.uplink.fixed_rate_mbps=0.001: 10 updates used a day in place of 3.33.",
        {"link.uplink.fixed_rate_mbps": 1e-3},
    ),
}
"""What a scenario changes, what `show` prints of its run, and the remedy."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.quick(1)
def test_show_says_what_held_a_run_back_and_the_remedy_that_was_tried(
    leomix, tmp_path, monkeypatch, name
):
    changes, line, keys = CASES[name]
    mapping = {**small.ORBIT, "learning": LEARNING, **changes}
    monkeypatch.chdir(tmp_path)
    run = sim.run(scenarios.from_dict(mapping), Path("run"))
    whole = leomix("show", "run", "--all").out
    [(key, value)] = keys.items()
    for text in (" ".join(whole.split()), report([run.folder]).read_text()):
        assert text.count(f"{key}={value:g}: ") == 1
        assert (line in text) == (name == "waiting for passes")  # else a check names the key
    said = json.loads(leomix("show", run.folder, "--json").out)["held_back"]
    assert said["code"] == "held-back" and line.startswith(said["sentence"])
    assert {said["key"]: said["value"]} == keys
    mended = sim.run(scenarios.from_stored(run.manifest["scenario"], keys))
    assert mended.summary["rounds"]["mean_s"] < 0.7 * run.summary["rounds"]["mean_s"]


@pytest.mark.parametrize(("method", "in_gaps"), [("fedavg", False), ("emsfl", True)])
def test_devices_that_train_until_the_next_contact_need_more_passes_and_not_more_speed(
    runs, method, in_gaps
):
    """A cycle that is nearly all training, under both kinds of method."""
    stored = runs.result("orbit-timing").manifest
    scenario = {**stored["scenario"], "learning": {**stored["scenario"]["learning"]}}
    assert scenario["learning"]["rounds"]["per_gap_max"] is None
    about = {"cluster": "North", "device": 0}
    events = [
        about | {"time_s": time_s, "kind": kind, "rounds": 1}
        for time_s, kind in ((100.0, "train_start"), (9500.0, "train_end"), (9900.0, "disconnect"))
    ]
    ends = {"service_start_s": 9600.0, "service_end_s": 9900.0}
    seen = {"contact_id": 0, "cluster": "North", "rise_s": 9600.0, "set_s": 9900.0, "served": True}
    up = {"contact_id": 0, "toward": "server", "direction": "uplink", "outcome": "delivered"}
    up |= {"start_s": 9600.0, "end_s": 9610.0, "payload_bytes": 10.0, "delivered_bytes": 10.0}
    tables = tables_of(
        events=events,
        contacts=[seen | ends],
        transfers=[about | up],
        metrics=[{"time_s": 9900.0, "cycle": 1, "scope": "global"}],
    )
    manifest = {**stored, "method": method, "simulated_s": 9900.0, "scenario": scenario}
    found = bottleneck(sim.Result(tables, manifest))
    assert "training" in found.sentence
    assert next(iter(found.overrides)).key.startswith("compute.") is not in_gaps
    limited = {
        **scenario["learning"],
        "rounds": scenario["learning"]["rounds"] | {"per_gap_max": 9},
    }
    manifest["scenario"] = {**scenario, "learning": limited}
    limit = bottleneck(sim.Result(tables, manifest))
    assert next(iter(limit.overrides)).key.startswith("compute.")


def test_of_a_run_that_sends_nothing_no_part_is_named():
    mapping = {**small.ORBIT, "learning": {**LEARNING, "method": "local"}}
    assert sim.run(scenarios.from_dict(mapping)).held_back is None
