"""Runs of next tokens, or without an accuracy, are judged by their loss, wherever shown."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml

import scenarios
import sim
from sim.page import report
from sim.sweep import sweep
from tests.kit.next_words import next_words, scenario
from tests.kit.replay import numbers, scene
from tests.kit.small import SLOTS


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return next_words(tmp_path_factory.mktemp("judged"))


@pytest.fixture(scope="module")
def folders(place):
    """Runs of two step sizes with three seeds each; the shorter step learns less."""
    found = []
    for step in (0.03, 0.003):
        for seed in (1, 2, 3):
            folder = place / f"run-{step:g}-{seed}"
            made = scenario(place, step_size=step).model_copy(update={"seed": seed})
            sim.run(made, folder)
            found.append(folder)
    return found


def test_a_page_says_first_what_the_loss_did(leomix, folders):
    result = sim.load(folders[0])
    summary = result.summary
    start, final = (f"{summary[key]:.3f}" for key in ("loss_start", "loss_final"))
    assert summary["judged_by"] == "loss" and summary["loss_final"] < summary["loss_start"]
    page = report([folders[0]], folders[0] / "page.html").read_text()
    [title] = re.findall("<h1>(.*?)</h1>", page)
    assert title.startswith(f"Loss of the next token {final} nats after ")
    assert f", {start} at the start" in title and "Share of tokens right 0." in page
    words = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert ">Loss of the next token over time<" in words and "Accuracy" not in words
    shown = dict(
        line.split(maxsplit=1)
        for line in leomix("show", folders[0], "--all").out.splitlines()
        if " " in line.strip()
    )
    assert shown["loss"] == f"{start} -> {final} nats, of the next token"
    assert "accuracy" not in shown and not summary["targets"]
    assert f"loss {final} nats a token" in repr(result)
    right = f"{summary['accuracy_final']:.4f}"
    log = (folders[0] / "run.log").read_text()
    assert f"cycle 4: loss {summary['loss_final']:.4f}, tokens right {right}\n" in log
    shown = scene({"it": result})
    assert shown["judged_by"] == "loss"
    assert sum(numbers(shown["runs"][0]["learnt"]["value"])) == round(1e6 * summary["loss_final"])


def test_a_comparison_ranks_by_the_loss(leomix, folders):
    compared = json.loads(leomix("compare", *folders, "--json").out)
    assert compared["judged_by"] == "loss" and compared["shared_target"] is None
    best, other = (row for row in compared["rows"] if row["figure"] == "loss_final")
    assert (best["group"], other["group"]) == ("step_size=0.03", "step_size=0.003")
    assert best["mean"] < other["mean"] and best["verdict"] != "behind"
    assert "accuracy_final" not in {row["figure"] for row in compared["rows"]}
    text = leomix("compare", *folders, "--all").out
    assert "final loss of the next token (nats)" in text and "accuracy" not in text
    assert text.index("final loss of the next token") < text.index("final share of tokens right")
    page = report(folders, folders[0] / "compared.html").read_text()
    rows = re.findall(r'<tr[^>]*><th scope="row">.*?(step_size=[\d.]+)</th>', page)
    assert rows[:2] == ["step_size=0.03", "step_size=0.003"]
    assert re.fullmatch(
        r"Final loss of the next token: [\d.]+ nats with step_size=0.03, [\d.]+ nats with 0.003",
        compared["headline"],
    )


def test_a_run_whose_loss_has_not_fallen_has_learnt_nothing(place):
    result = sim.run(scenario(place, step_size=1e-9))
    [check] = result.checks
    assert check.code == "step-size" and ": loss " in check.sentence


@pytest.mark.process
def test_a_sweep_is_judged_by_the_loss(leomix, place, monkeypatch):
    monkeypatch.chdir(place)
    file = place / "tokens.yaml"
    file.write_text(json.dumps(scenario(place).model_dump(mode="json")))
    vary = ("-p", "learning.step_size=0.003,0.03", "-p", "learning.batch_size=2,4")
    done = leomix("sweep", file, *vary, "-o", place / "sweep", "--quiet")
    assert done.status == 0, done
    best = r"Lowest final loss of the next token: [\d.]+ nats at step size 0\.03 and batch size"
    assert re.match(best, " ".join(done.out.split()))
    assert "accuracy" not in done.out
    page = report([place / "sweep"], place / "sweep.html").read_text()
    [title] = re.findall("<h1>(.*?)</h1>", page)
    assert "Lowest final loss of the next token" in title
    assert "final share of tokens right" in page and "inal accuracy" not in page


@pytest.mark.process
def test_the_lowest_validation_loss_is_the_best(leomix, place, monkeypatch):
    """Steps so short that the shares of tokens right are equal: the loss alone tells them apart."""
    monkeypatch.chdir(place)
    made = scenario(place).model_dump(mode="json")
    made["learning"]["data"]["validation"] = 0.2
    (place / "apart.yaml").write_text(json.dumps(made))
    swept = sweep("apart.yaml", {"learning.step_size": [0.0001, 0.001, 0.003]}, "apart")
    assert len(set(swept.rows["validation_final"].to_pylist()[:2])) == 1  # else anything would do
    done = leomix("compare", "apart", "--best-by", "validation", "-o", "chosen.yaml", "--json")
    assert done.status == 0, done
    assert "ties with" not in done.err
    assert "learning.step_size=0.003 is the greatest value" in done.err
    found = json.loads(done.out)
    assert found["chosen"] == {"all": {"learning.step_size": 0.003}}
    for one, folder in zip(found["tried"], swept.folders, strict=True):
        rows = pd.read_parquet(folder / "metrics.parquet")
        losses = rows[rows.scope == "global"].sort_values("time_s").validation_loss
        assert one["mean"] == losses.iloc[-1]
        summary = sim.load(folder).summary
        assert summary["validation_loss_best"] == losses.min()
        shown = " ".join(leomix("show", folder, "--all").out.split())
        assert f"validation loss {losses.iloc[-1]:.3f} nats at the end, {losses.min():.3f}" in shown
    file = (place / "chosen.yaml").read_text()
    assert file.startswith(
        "# Chosen by `leomix compare apart --best-by validation`: the lowest validation loss after "
    )
    text = leomix("compare", "apart", "--best-by", "validation").out
    assert "lowest validation loss" in text and "accuracy" not in text


# A line is fitted: there is a loss, and nothing to be right or wrong about.
REGRESSION = """
import numpy as np

def start(context):
    return {"w": np.zeros(3)}

def data(context):
    x = np.random.default_rng(context.seed).normal(size=(20, 3))
    return {"x": x, "y": x @ np.array([1.0, -2.0, 0.5])}

def test_data(context):
    x = np.random.default_rng(7).normal(size=(20, 3))
    return {"x": x, "y": x @ np.array([1.0, -2.0, 0.5])}

def train(weights, data, context):
    x, y, w = data["x"], data["y"], weights["w"]
    for _ in range(context.config["steps"]):
        w = w - 0.02 * x.T @ (x @ w - y) / len(y)
    return {"w": w}, len(y)

def evaluate(weights, data, context):
    r = data["x"] @ weights["w"] - data["y"]
    mean = float((r**2).mean())
    return {"loss": mean + context.config.get("added", 0.0), "rmse": mean**0.5}
"""


@pytest.fixture(scope="module")
def regressions(tmp_path_factory):
    """Runs of two numbers of steps with three seeds each; more steps learn more."""
    place = tmp_path_factory.mktemp("regression")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.syspath_prepend(place)
        (place / "fits_a_line.py").write_text(REGRESSION)
        folders = []
        for steps in (1, 20):
            for seed in (1, 2, 3):
                options = {"code": "fits_a_line:train", "config": {"steps": steps}}
                method = {"method": "sim.fly.functions:Functions", "options": options}
                made = scenarios.from_dict({**SLOTS, "seed": seed, "learning": method})
                sim.run(made, place / f"run-{steps}-{seed}")
                folders.append(place / f"run-{steps}-{seed}")
    return folders


def test_a_run_with_a_loss_alone_is_a_measured_run(leomix, regressions):
    result = sim.load(regressions[0])
    rows = result.metrics[result.metrics.scope == "global"]
    first, last = rows.loss.iloc[0], rows.loss.iloc[-1]
    summary = result.summary
    assert summary["judged_by"] == "loss" and last < first
    assert (summary["loss_start"], summary["loss_final"]) == (first, last)
    assert summary["accuracy_final"] is None and summary["accuracy_mean"] is None
    assert [one.loss for one in result.evaluations] == rows.loss.tolist()
    said = f"Loss {last:.4g} after "
    lines = leomix("show", regressions[0], "--all").out.splitlines()
    assert lines[0].startswith(said) and f", {first:.4g} at the start" in lines[0]
    shown = dict(line.split(maxsplit=1) for line in lines if " " in line.strip())
    assert shown["loss"] == f"{first:.4g} -> {last:.4g}" and "accuracy" not in shown
    page = report(regressions[:1], regressions[0] / "page.html").read_text()
    words = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert f"<h1>{said}" in words and ">Loss over time<" in words
    assert "next token" not in words and "Accuracy" not in words
    assert f"loss {last:.4g}" in repr(result)
    learnt = scene({"it": result})
    assert (learnt["judged_by"], learnt["figure"]) == ("loss", "Loss")
    assert sum(numbers(learnt["runs"][0]["learnt"]["value"])) == round(1e6 * last)


# A model learns floats by a loss of the user's own.
OWN_LOSS = """
def absolute(outputs, targets):
    return (outputs - targets).abs().mean()
"""


@pytest.fixture
def of_floats(tmp_path, monkeypatch):
    """A scenario file whose npz file has targets (n, 2), and which names a loss beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
    (tmp_path / "absolutely.py").write_text(OWN_LOSS)
    x = np.random.default_rng(1).normal(size=(300, 4))
    np.savez(tmp_path / "floats.npz", x=x, y=x[:, :2] - x[:, 2:])
    data = {"kind": "npz", "path": "floats.npz", "validation": 0.2}
    keys = {"method": "fedavg", "loss": "mse", "model": {"kind": "vector-mlp"}, "data": data}
    with open("floats.yaml", "w", encoding="utf-8") as file:
        yaml.safe_dump({**SLOTS, "learning": {**keys, "step_size": 0.1}}, file)
    return tmp_path / "floats.yaml"


def test_a_model_that_learns_floats_is_judged_by_its_loss(leomix, of_floats):
    done = leomix("run", of_floats, "-o", "run", "--quiet", "--set", "stop.loss=0.9")
    assert (done.status, done.err) == (0, "")
    summary = sim.load("run").summary
    assert summary["judged_by"] == "loss" and summary["accuracy_final"] is None
    validated = sim.load("run").metrics.query("scope == 'global'").validation_loss.tolist()
    assert validated[-1] <= 0.9 < min(validated[:-1])  # the first one at or below ends it
    assert done.out.startswith("Loss 0.") and "accuracy" not in done.out
    refused = leomix("validate", of_floats, "--set", "stop.accuracy=0.5")
    assert "with learning.loss mse runs are judged by loss" in refused.err
    assert refused.status == 2 and refused.err.count("\n") == 1


def test_a_loss_of_ones_own_asks_for_consent_and_is_known_by_its_code(leomix, of_floats):
    text = of_floats.read_text().replace("loss: mse", "loss: absolutely:absolute")
    of_floats.write_text(text)
    refused = leomix("run", of_floats, "-o", "run", "--quiet")
    assert refused.status == 2 and "learning.loss: 'absolutely:absolute' names" in refused.err
    named = ("--set", "learning.loss=absolutely:absolute")
    assert leomix("run", of_floats, *named, "-o", "run", "--quiet").status == 0
    manifest = sim.load("run").manifest
    assert [*manifest["code"]] == ["absolutely:absolute"]
    stopped = leomix("run", of_floats, *named, "-o", "no", "--quiet", "--set", "stop.accuracy=0.5")
    assert stopped.status == 2 and "stop.accuracy: is of accuracies" in stopped.err
    assert (
        leomix("run", of_floats, "--set", "learning.loss=mse", "-o", "mse", "--quiet").status == 0
    )
    compared = json.loads(leomix("compare", "run", "mse", "--json").out)
    assert compared["headline"].startswith("These runs minimise different losses, whose values")
    assert "loss_final" not in {row["figure"] for row in compared["rows"]}
