"""A run whose accuracy does not rise says so: in its summary, its page and in comparisons."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import scenarios
import sim
from sim.report import report
from tests.kit.folders import without_checksums

COURSES = {
    # Accuracies and losses from start to end of 794 test samples, and what is said of them.
    "falls": ((0.25, 0.26, 0.20, 0.14), (1.9, 2.0, 2.4, 2.6), "nothing was learnt beyond noise"),
    "stays": ((0.10, 0.12, 0.09, 0.10), (2.3, 2.3, 2.3, 2.3), "nothing was learnt beyond noise"),
    "learns slowly": ((0.10, 0.10, 0.11, 0.12), (2.3, 2.2, 2.1, 2.0),
                      "the accuracy has not risen beyond noise"),
    "rises and falls": ((0.10, 0.60, 0.30, 0.11), (2.3, 1.2, 2.0, 3.0),
                        "what was learnt was lost again"),
    "rises": ((0.10, 0.30, 0.50, 0.60), (2.3, 2.0, 1.5, 1.2), None),
}  # fmt: skip


def with_course(source, place, accuracies, losses):
    """A copy of a run's folder whose evaluations have these accuracies and losses."""
    without_checksums(shutil.copytree(source, place))
    manifest = json.loads((place / "manifest.json").read_text())
    manifest |= {"came_to_nothing": None, "warnings": [], "said": []}
    manifest["scenario"]["learning"]["targets"] = [0.12]
    (place / "manifest.json").write_text(json.dumps(manifest))
    metrics = pq.read_table(place / "metrics.parquet")
    rows = np.array(metrics["scope"].to_pylist()) == "global"
    for name, values in (("accuracy", accuracies), ("loss", losses)):
        column = np.array(metrics[name].to_pylist())
        column[rows] = np.interp(np.linspace(0, 3, rows.sum()), range(4), values)
        metrics = metrics.set_column(metrics.column_names.index(name), name, pa.array(column))
    pq.write_table(metrics, place / "metrics.parquet")
    return place


@pytest.mark.parametrize("name", COURSES)
@pytest.mark.quick(2)
def test_a_folder_says_that_its_run_has_stalled(leomix, runs, tmp_path, name):
    accuracies, losses, what = COURSES[name]
    folder = with_course(runs["fedavg"], tmp_path / "run", accuracies, losses)
    shown = leomix("show", folder).out
    compared = " ".join(leomix("compare", folder).out.split())
    page = report([folder], tmp_path / "page.html").read_text()
    for said in (shown, compared, page):
        assert (what is None) == ("noise" not in said and "lost again" not in said)
    if what is None:
        assert "reached 0.12" in shown
        return
    ends = f"{accuracies[0]:.3f} at the start, {max(accuracies):.3f} at best, {accuracies[-1]:.3f}"
    assert shown.lower().startswith(f"{what}: accuracy ")
    assert what in compared.lower() and what in page.lower()
    for said in (shown, compared, page):
        assert ends in said
    assert ("reached 0.12" in shown) == ("Reached 0.12" in page) == (name == "rises and falls")
    if losses[0] != losses[-1]:
        went = "fell" if losses[-1] < losses[0] else "rose"
        assert f"the loss {went} from {losses[0]:.4g} to {losses[-1]:.4g}" in shown
    assert json.loads(leomix("show", folder, "--json").out)["nothing_learnt"]["what"] == what


def test_a_run_whose_loss_gets_worse_says_so_first():
    """Steps that are far too long: the accuracy does not rise, and the loss does."""
    learning = {"method": "fedavg", "step_size": 30.0, "model": {"kind": "vector-mlp"}}
    result = sim.run(scenarios.load("paper-slots", {"stop.cycles": 2, "learning": learning}))
    summary = result.summary
    assert summary["loss_final"] > summary["loss_start"]
    assert summary["accuracy_final"] <= summary["accuracy_start"] + 0.03
    nothing = summary["came_to_nothing"]
    assert nothing["what"] == "nothing was learnt beyond noise"
    assert nothing["used"] and nothing["why"].endswith("lower learning.step_size (30)")
    assert result.manifest["warnings"][0].startswith(f"{nothing['what']}. ")


def test_a_run_that_comes_to_a_constant_answer_has_learnt_nothing(leomix, runs, tmp_path):
    """Start weights may be worse than a guess: to rise to one is no learning, and no target."""
    guess = sim.load(runs["fedavg"]).summary["guess"]
    counts = sim.load(runs["fedavg"]).manifest["tests"]["samples"]
    assert guess["choices"] == len(counts) == 10
    assert guess["share"] == max(counts) / sum(counts) == pytest.approx(0.123, abs=0.001)
    assert guess["loss_nats"] == pytest.approx(np.log(10))
    losses = (2.6, 2.7, 2.8, 2.9)
    folder = with_course(runs["fedavg"], tmp_path / "run", (0.04, 0.12, 0.13, 0.125), losses)
    shown = leomix("show", folder).out
    what = "nothing was learnt beyond a constant answer"
    assert shown.startswith(f"N{what[1:]}: accuracy 0.040 at the start")
    assert "a constant answer is right about 0.123" in shown and "reached" not in shown
    assert what in report([folder], tmp_path / "page.html").read_text().lower()
    assert json.loads(leomix("show", folder, "--json").out)["reached"] == {}
    above = with_course(runs["fedavg"], tmp_path / "above", (0.04, 0.12, 0.2, 0.3), losses)
    assert "reached 0.12" in leomix("show", above).out


def test_what_all_clusters_are_tested_on_counts_once():
    """Four clusters that see the same 397 digits have the luck of 397, not of 1,588."""
    learning = {"method": "fedavg", "model": {"kind": "vector-mlp"}}
    learning["data"] = {"kind": "digits", "split": {"kind": "iid"}}
    result = sim.run(scenarios.load("paper-slots", {"stop.cycles": 1, "learning": learning}))
    assert sum(result.manifest["tests"]["samples"]) == 4 * 397
    assert {one.samples for one in result.evaluations} == {397}
    assert "of 397 test samples 0.043 could be chance" in result.summary["came_to_nothing"]["why"]


@pytest.mark.parametrize("step_size", [30.0, 1e-5])
def test_where_no_tested_class_is_trained_on_no_step_size_is_advised(step_size):
    learning = {"method": "fedavg", "step_size": step_size, "model": {"kind": "vector-mlp"}}
    learning["data"] = {"kind": "tests.kit.spoilt:untested"}
    result = sim.run(scenarios.load("paper-slots", {"stop.cycles": 2, "learning": learning}))
    assert result.summary["came_to_nothing"]["why"] == (
        "Clients have no sample of any class of the tests: give clients samples of all classes"
    )


def test_unscaled_inputs_are_a_matter_of_the_step_size():
    """The loss falls, from far above that of a guess to that of a guess: it is no learning."""
    learning = {"method": "fedavg", "step_size": 2.0, "model": {"kind": "vector-mlp"}}
    learning["data"] = {"kind": "tests.kit.spoilt:unscaled"}
    result = sim.run(scenarios.load("paper-slots", {"stop.cycles": 4, "learning": learning}))
    summary = result.summary
    assert summary["loss_start"] > 1.5 * summary["loss_final"]
    assert summary["came_to_nothing"]["why"].endswith(
        "that of a uniform guess is 2.303: lower learning.step_size (2)"
    )
