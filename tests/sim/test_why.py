"""Why a run took so long, and learnt no more: each planted cause is named, and none of a good run.

Scenarios are of seconds: digits, a small perceptron, five devices.
"""

import json
import os
from dataclasses import replace

import pyarrow.compute as pc
import pytest

import scenarios
import sim
from sim.report import report
from statements import Code
from tests.kit import small

LEARNING = {
    "method": "fedavg",
    "model": {"kind": "vector-mlp", "hidden": 32},
    "steps_per_round": 10,
    "batch_size": 32,
    "step_size": 0.3,
}


def in_slots(cycles, **learning):
    whole = {**small.SLOTS, "stop": {"cycles": cycles}, "learning": {**LEARNING, **learning}}
    return scenarios.from_dict(whole)


def in_orbit(days, rate_mbps=None, **learning):
    whole = {**small.ORBIT, "stop": {"days": days}, "learning": {**LEARNING, **learning}}
    if rate_mbps is not None:
        whole["link"] = {"preset": "physical", **small.fixed(uplink=rate_mbps)}
    return scenarios.from_dict(whole)


PLANTED = {
    # A scenario with the cause, its code, and what is said of it.
    Code.LARGE_STEP: (lambda: in_slots(6, step_size=30.0), "the step size of 30 is too large"),
    Code.SMALL_STEP: (
        lambda: in_slots(12, step_size=1e-5),
        "the step size of 1e-05 is too small (the loss stayed at 2.32 in 120 gradient steps",
    ),
    Code.MISSING_CLASS: (
        lambda: in_slots(12, data={"kind": "tests.kit.missing:digits"}),
        "no samples of class 9 (8% of the tests)",
    ),
    Code.FEW_PASSES: (lambda: in_orbit(0.6), "passes are too few"),
    Code.SHORT_PASSES: (
        lambda: in_orbit(2, 1e-4),
        "passes are too short for an upload of 9.64 kB (it took 3.2",
    ),
}
HEALTHY = 25
"""Cycles in slots with which the digits are learnt."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Folders of the runs with a planted cause, by its code."""
    place = tmp_path_factory.mktemp("planted")
    for code, (scenario, _) in PLANTED.items():
        sim.run(scenario(), place / code)
    return {code: place / code for code in PLANTED}


@pytest.mark.parametrize("code", PLANTED)
def test_a_planted_cause_is_the_first_that_is_named(leomix, planted, code):
    found = leomix("why", planted[code], "--no-try", "--no-bounds", "--json")
    assert found.status == 0, found.err
    answer = json.loads(found.out)
    assert (answer["code"], answer["causes"][0]["code"]) == (code, code)
    assert PLANTED[code][1] in answer["finding"]
    assert answer["tried"] == answer["bounds"] == []
    assert sim.load(planted[code]).diagnosis.causes[0].code == code


@pytest.mark.parametrize(
    ("code", "keys"),
    [
        (Code.LARGE_STEP, {"learning.step_size": 0.3}),
        (Code.SMALL_STEP, {"learning.step_size": 0.1}),
        (Code.FEW_PASSES, {"learning.rounds.per_contact": 4}),
        (Code.SHORT_PASSES, {"link.uplink.fixed_rate_mbps": 1e-3}),
    ],
)
@pytest.mark.quick(2)
def test_the_key_that_helps_is_tried_and_its_effect_is_that_of_the_run(leomix, planted, code, keys):
    folder = planted[code]
    answer = json.loads(leomix("why", folder, "--no-bounds", "--json", "--quiet").out)
    best = answer["tried"][0]
    assert best["set"] == pytest.approx(keys) and best["code"] == answer["code"] == code
    run = sim.load(folder)
    alone = sim.run(scenarios.from_stored(run.manifest["scenario"], keys))
    final = alone.summary["accuracy_final"]
    assert best["figure"] == final > run.summary["accuracy_final"] + 0.2
    assert best["gain"] == pytest.approx(final - run.summary["accuracy_final"])
    shown = leomix("why", folder, "--no-bounds", "--quiet").out
    [(key, _)] = keys.items()
    assert f"a run from the start with {key}=" in shown.splitlines()[0]
    assert f"reached {final:.3f}" in shown.splitlines()[0]
    page = report([folder], folder.with_name(f"{code}.html")).read_text()
    assert f"reached {final:.3f}" in page


def spoilt(data, step_size):
    """A day and a half in orbit: passes are few, and are not why nothing is learnt."""
    learning = {**LEARNING, "step_size": step_size, "data": {"kind": f"tests.kit.spoilt:{data}"}}
    return scenarios.from_dict({**small.ORBIT, "learning": learning})


def test_unscaled_inputs_are_a_matter_of_the_step_before_one_of_passes(
    leomix, tmp_path, monkeypatch
):
    """The loss falls, from far above that of a guess to that of a guess: it is no learning."""
    monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
    run = sim.run(spoilt("unscaled", 2.0), tmp_path / "run")
    learnt = run.diagnosis.learnt
    assert learnt.loss_start > 1.5 * learnt.loss_final
    assert learnt.loss_final >= learnt.guess.loss_nats
    codes = [cause.code for cause in run.diagnosis.causes]
    assert codes[:2] == [Code.LARGE_STEP, Code.FEW_PASSES]
    nothing = run.summary["came_to_nothing"]["why"]
    assert nothing.endswith("that of a uniform guess is 2.303: lower learning.step_size (2)")
    asked = leomix("why", tmp_path / "run", "--json", "--quiet", "--allow-code", "--bounds")
    answer = json.loads(asked.out)
    central = next(one for one in answer["bounds"] if one["what"] == "centralised")
    assert not central["beats_guess"] and "one model of all samples stays" in answer["finding"]
    best = answer["tried"][0]
    assert best["set"] == {"learning.step_size": 0.02} and best["figure"] > 0.5
    assert [one["helped"] for one in answer["tried"]] == [True, False]
    assert "with learning.step_size=0.02 reached" in answer["finding"]


def test_what_is_no_better_than_a_constant_answer_is_no_help(leomix, tmp_path):
    """Labels at random are learnt with no key: no figure of a try stands in the first line."""
    sim.run(spoilt("mislabelled", 2.0), tmp_path / "run")
    asked = ("why", tmp_path / "run", "--quiet", "--allow-code", "--no-bounds")
    first, *rest = leomix(*asked).out.splitlines()
    assert first.endswith(": no help") and "learning.step_size=0.2" in first
    tried = [row for row in rest if row.startswith("tried")]
    assert len(tried) == 3 and all(", no help, " in row for row in tried)


def test_of_a_good_run_no_cause_is_named_and_bounds_stand_beside_it(leomix, tmp_path):
    sim.run(in_slots(HEALTHY), tmp_path / "run")
    answer = json.loads(leomix("why", tmp_path / "run", "--bounds", "--json", "--quiet").out)
    assert (answer["code"], answer["tried"]) == (Code.NO_CAUSE, [])
    bounds = {one["what"]: one for one in answer["bounds"]}
    assert set(bounds) == {"centralised", "local", "gradients"}
    assert all(one["status"] == "complete" and not one["refused"] for one in bounds.values())
    # Five devices see a batch each where the server sees five at once: as many samples.
    learnt = answer["learning"]
    central = bounds["centralised"]
    assert central["steps"] * central["batch"] == learnt["gradient_steps"] * 32
    assert learnt["epochs"] == learnt["gradient_steps"] * 32 / learnt["held"]["samples"]
    assert bounds["local"]["steps"] == pytest.approx(learnt["gradient_steps"], rel=0.05)
    assert learnt["final"] < central["figure"] + 0.02
    assert all(-1.0 <= cosine <= 1.0 for cosine in bounds["gradients"]["cosine"])
    assert leomix("why", tmp_path / "run", "--no-try").out.count("nothing that was recorded") == 2


def test_clients_of_unlike_classes_are_why_where_one_model_of_all_samples_learns(leomix, tmp_path):
    """Not the step size, with which that one learns, though the loss has not fallen in the run."""
    apart = {"kind": "digits", "split": {"over": "clients", "kind": "shards", "classes": 2}}
    sim.run(in_slots(3, step_size=1.0, data=apart), tmp_path / "run")
    answer = json.loads(leomix("why", tmp_path / "run", "--bounds", "--json", "--quiet").out)
    assert answer["code"] == Code.UNLIKE_CLIENTS
    assert not {"large_step", "small_step"} & {cause["code"] for cause in answer["causes"]}
    best = answer["tried"][0]
    assert best["set"] == {"learning.data.split": {"over": "clients", "kind": "iid"}}
    assert best["helped"] and best["gain"] > 0.3


def test_classes_that_only_silent_clients_hold_are_missing(planted):
    """Of the clients in slots only one is heard: those of another cluster's classes are not."""
    split = {"over": "clusters", "kind": "shards", "classes": 5}
    run = sim.run(in_slots(2, data={"split": split}))
    heard = run.tables["updates"].filter(pc.equal(run.tables["updates"]["cluster"], "A"))
    cut = replace(run, tables={**run.tables, "updates": heard})
    [missing] = [one for one in cut.diagnosis.causes if one.code is Code.MISSING_CLASS]
    clients = run.clients.groupby(["cluster", "class"]).samples.sum().unstack(fill_value=0)
    apart = {label for label in clients.columns if clients.loc["A", label] <= 2}
    assert set(missing.values["labels"]) == apart and len(apart) >= 3
    assert all(one.code is not Code.MISSING_CLASS for one in run.diagnosis.causes)


@pytest.mark.parametrize("name", ["slots-timing", "stopped"])
def test_a_run_that_trained_nothing_is_refused_in_a_line(leomix, runs, tmp_path, name):
    if name == "stopped":
        folder = runs.copy("fedavg", tmp_path)
        manifest = json.loads((folder / "manifest.json").read_text()) | {"status": "interrupted"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        run = sim.load(folder)
        none = run.tables["events"].filter(pc.equal(run.tables["events"]["kind"], "nothing"))
        import pyarrow.parquet as pq

        pq.write_table(none, folder / "events.parquet")
        pq.write_table(run.tables["updates"].slice(0, 0), folder / "updates.parquet")
    else:
        folder = runs[name]
    found = leomix("why", folder)
    assert (found.status, found.out, found.err.count("\n")) == (2, "", 1)
    assert found.err.startswith(f"leomix: {folder}: ")
    assert not (folder / "why").exists()


def test_of_a_run_that_ended_early_that_is_said_first_and_no_level_of_one_evaluation(
    leomix, runs, tmp_path
):
    """Where nothing was evaluated after the start, nothing has levelled off."""
    folder = runs.copy("fedavg", tmp_path)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"status": "interrupted", "simulated_s": 43200.0}))
    found = leomix("why", folder, "--no-try", "--no-bounds")
    assert found.out.startswith("interrupted after 0.50"), found.err
    import pyarrow.parquet as pq

    metrics = sim.load(folder).tables["metrics"]
    pq.write_table(metrics.filter(pc.equal(metrics["time_s"], 0.0)), folder / "metrics.parquet")
    found = leomix("why", folder, "--no-try")
    assert (found.status, found.out) == (2, "")
    assert "ended before what it learnt was evaluated a first time; go on with it" in found.err


def test_what_was_learnt_in_one_step_has_not_levelled_off(tmp_path):
    """One round of digits, and evaluations of the same model after it."""
    run = sim.run(in_orbit(0.3, steps_per_round=40), tmp_path / "run")
    learnt = [one.accuracy for one in run.evaluations]
    assert (len(learnt) > 2, len(set(learnt))) == (True, 2)
    assert run.diagnosis.learnt.course == "was still rising at the end"


def test_what_is_refused_or_late_is_said_and_the_rest_stands(leomix, planted, monkeypatch):
    """Code of the run's own is not run without consent, and nothing behind its time."""
    monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
    code = Code.MISSING_CLASS
    place = planted[code].with_name(f"{code}-beside")
    first, *rest = leomix("why", planted[code], "-o", place, "--quiet", "--bounds").out.splitlines()
    assert first.endswith(": nothing was tried")
    [row] = [row for row in rest if "--allow-code" in row or "LEOMIX_ALLOW_CODE" in row]
    assert row.startswith("not tried") and "tests.kit.missing:digits" in row
    allowed = leomix("why", planted[code], "-o", place, "--quiet", "--no-try", "--allow-code")
    assert allowed.status == 0 and "centralised      one model" in allowed.out
    assert "LEOMIX_ALLOW_CODE" not in os.environ
    code = Code.LARGE_STEP
    place = planted[code].with_name(f"{code}-beside")
    late = ("--bounds", "--max-wall", "0.001")
    found = leomix("why", planted[code], "-o", place, "--json", "--quiet", *late)
    answer = json.loads(found.out)
    assert (found.status, answer["code"]) == (0, code)
    assert "no time left" in answer["bounds"][-1]["refused"]


@pytest.mark.parametrize("step_size", [30.0, 1e-5])
def test_where_no_tested_class_is_trained_on_no_step_size_is_advised(leomix, tmp_path, step_size):
    data = {"kind": "tests.kit.missing:all_of_them"}
    result = sim.run(in_slots(6, step_size=step_size, data=data), tmp_path / "run")
    nothing = result.manifest["came_to_nothing"]["why"]
    assert nothing == (
        "Clients have no sample of any class of the tests: give clients samples of all classes"
    )
    answer = json.loads(leomix("why", tmp_path / "run", "--no-try", "--json").out)
    assert [cause["code"] for cause in answer["causes"]] == ["missing_class"]
    assert "step_size" not in json.dumps(answer["causes"])
