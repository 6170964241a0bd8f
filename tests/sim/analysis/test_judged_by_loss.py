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
from tests.kit import tiny_checkpoints as tiny
from tests.kit.inner.sim import scene
from tests.kit.replay import numbers
from tests.kit.small import SLOTS, slots


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two tiny Llamas, and texts of clusters A and B in which words follow each other."""
    place = tmp_path_factory.mktemp("judged")
    tiny.llamas(place, 2, initializer_range=0.1)
    tiny.write_tokenizer(place / "0")
    firsts = np.random.default_rng(3).integers(40, size=120)
    texts = [" ".join(f"w{(first + n) % 40}" for n in range(9)) for first in firsts]
    for name, part in (("A", texts[:60]), ("B", texts[60:])):
        rows = [json.dumps({"text": text}) for text in part]
        (place / f"{name}.jsonl").write_text("\n".join(rows))
    return place


def scenario(place, **keys):
    """The scenario that merges these Llamas and tunes them on these texts."""
    data = {"kind": "jsonl", "objective": "next_token", "tokens": 9, "trial_samples": 8}
    learning = {
        "method": "synchronous",
        "optimizer": {"kind": "adam"},
        "pretraining": {"gate_steps": 1, "expert_steps": 0, "backbone_steps": 0},
        "model": {"kind": "merged-llama", "checkpoints": [str(place / name) for name in "01"]}
        | {"experts": 4, "hidden": 64, "expert_hidden": 64},
        "data": data | {"paths": {name: str(place / f"{name}.jsonl") for name in "AB"}},
    }
    return slots(stop={"cycles": 4}, learning={**learning, **keys})


@pytest.fixture(scope="module")
def folders(place):
    """Runs of two step sizes with three seeds each; the shorter step learns less."""
    found = []
    for step in (0.03, 0.003):
        for seed in (1, 2, 3):
            made = scenario(place, step_size=step).model_copy(update={"seed": seed})
            found.append(sim.run(made, place / f"run-{step:g}-{seed}").folder)
    return found


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
def regression(tmp_path_factory):
    place = tmp_path_factory.mktemp("regression")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.syspath_prepend(place)
        (place / "fits_a_line.py").write_text(REGRESSION)
        options = {"code": "fits_a_line:train", "config": {"steps": 20}}
        method = {"method": "sim.fly.functions:Functions", "options": options}
        return sim.run(scenarios.from_dict({**SLOTS, "learning": method}), place / "run").folder


@pytest.mark.parametrize("what", ["of the next token", "of a line"])
@pytest.mark.quick(1)
def test_a_run_says_first_and_everywhere_what_its_loss_did(leomix, what, request, tmp_path):
    tokens = what == "of the next token"
    found = request.getfixturevalue("folders" if tokens else "regression")
    folder = found[0] if tokens else found
    result = sim.load(folder)
    losses = result.metrics[result.metrics.scope == "global"].loss.tolist()
    summary = result.summary
    assert summary["judged_by"] == "loss" and losses[-1] < losses[0] and not summary["targets"]
    assert [one.loss for one in result.evaluations] == losses
    assert (summary["loss_start"], summary["loss_final"]) == (losses[0], losses[-1])
    assert (summary["accuracy_final"] is None) is not tokens
    start, final = (format(loss, ".3f" if tokens else ".4g") for loss in losses[:: len(losses) - 1])
    page = report([folder], tmp_path / "page.html").read_text()
    [title] = re.findall("<h1>(.*?)</h1>", page)
    whose = "Loss of the next token" if tokens else "Loss"
    assert title.startswith(f"{whose} {final} ") and f", {start} at the start" in title
    words = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert f">{whose} over time<" in words and "Accuracy" not in words
    shown = [line.split(maxsplit=1) for line in leomix("show", folder, "--all").out.splitlines()]
    shown = {line[0]: line[1] for line in shown if len(line) == 2}
    assert shown["loss"].startswith(f"{start} -> {final}") and "accuracy" not in shown
    assert f"loss {final}" in repr(result)
    replayed = scene({"it": result})
    assert replayed["judged_by"] == "loss"
    assert sum(numbers(replayed["runs"][0]["learnt"]["value"])) == round(1e6 * losses[-1])


def test_a_comparison_ranks_by_the_loss(leomix, folders, tmp_path):
    compared = json.loads(leomix("compare", *folders, "--json").out)
    assert compared["judged_by"] == "loss" and compared["shared_target"] is None
    best, other = (row for row in compared["rows"] if row["figure"] == "loss_final")
    assert (best["group"], other["group"]) == ("step_size=0.03", "step_size=0.003")
    assert best["mean"] < other["mean"] and best["verdict"] != "behind"
    assert "accuracy_final" not in {row["figure"] for row in compared["rows"]}
    text = leomix("compare", *folders, "--all").out
    assert text.index("final loss of the next token") < text.index("final share of tokens right")
    assert "accuracy" not in text
    assert compared["headline"].startswith("step_size=0.03 has the lowest final loss of the next")
    page = report(folders, tmp_path / "compared.html").read_text()
    assert f"<h1>{compared['headline']}" in page


def test_a_run_whose_loss_has_not_fallen_has_learnt_nothing(place):
    result = sim.run(scenario(place, step_size=1e-9))
    [check] = result.checks
    assert check.code == "step-size" and ": loss " in check.sentence


@pytest.mark.process
def test_a_sweep_is_judged_by_the_loss_and_the_lowest_of_validation_is_the_best(
    leomix, place, monkeypatch
):
    """Steps so short that the shares of tokens right are equal: the loss alone tells them apart."""
    monkeypatch.chdir(place)
    made = scenario(place).model_dump(mode="json")
    made["learning"]["data"]["validation"] = 0.2
    (place / "apart.yaml").write_text(json.dumps(made))
    swept = sweep("apart.yaml", {"learning.step_size": [0.0001, 0.001, 0.003]}, "apart")
    assert len(set(swept.rows["validation_final"].to_pylist()[:2])) == 1  # else anything would do
    done = leomix("compare", "apart", "--best-by", "validation", "-o", "chosen.yaml", "--json")
    assert done.status == 0, done
    found = json.loads(done.out)
    assert found["chosen"] == {"all": {"learning.step_size": 0.003}}
    for one, folder in zip(found["tried"], swept.folders, strict=True):
        rows = pd.read_parquet(folder / "metrics.parquet")
        losses = rows[rows.scope == "global"].sort_values("time_s").validation_loss
        assert one["mean"] == losses.iloc[-1]
        assert sim.load(folder).summary["validation_loss_best"] == losses.min()
    for line in (("apart",), ("apart", "--best-by", "validation")):
        shown = leomix("compare", *line).out
        assert "loss" in shown and "accuracy" not in shown
    page = report(["apart"], place / "sweep.html").read_text()
    [title] = re.findall("<h1>(.*?)</h1>", page)
    assert title.startswith("Lowest final loss of the next token") and "inal accuracy" not in page


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


def test_a_loss_of_ones_own_is_known_by_its_code(leomix, of_floats):
    text = of_floats.read_text().replace("loss: mse", "loss: absolutely:absolute")
    of_floats.write_text(text)
    named = ("--set", "learning.loss=absolutely:absolute")
    assert leomix("run", of_floats, *named, "-o", "run", "--quiet").status == 0
    manifest = sim.load("run").manifest
    assert [*manifest["code"]] == ["absolutely:absolute"]
    stopped = leomix("run", of_floats, *named, "-o", "no", "--quiet", "--set", "stop.accuracy=0.5")
    assert stopped.status == 2 and "stop.accuracy: is of accuracies" in stopped.err
    mse = ("--set", "learning.loss=mse", "-o", "mse", "--quiet")
    assert leomix("run", of_floats, *mse).status == 0
    compared = json.loads(leomix("compare", "run", "mse", "--json").out)
    assert compared["headline"].startswith("These runs minimise different losses, whose values")
    assert "loss_final" not in {row["figure"] for row in compared["rows"]}
