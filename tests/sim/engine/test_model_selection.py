"""Model selection: when a run stops improving, and which model its folder keeps."""

import json
import math
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learning
import scenarios
import sim
from sim.export import export
from tests.kit.folders import cut, held
from tests.kit.inner import learning as seam
from tests.kit.inner.sim import build, doubts_of
from tests.kit.small import SLOTS, merged

NAN = math.nan


@dataclass(frozen=True)
class Series:
    """What each evaluation measures, in order: numbers, "nan" or None."""

    accuracy: list[float | str | None] = field(default_factory=list)
    loss: list[float | str | None] = field(default_factory=list)
    validation: list[float | str | None] = field(default_factory=list)


@learning.register("measures-a-series")
class MeasuresASeries(learning.OwnLearning):
    """Its figures are those of its options: the last ones again when they are used up."""

    Options = Series

    def __init__(self, world, options=None):
        super().__init__(world, options)
        self.cycle = 0

    def cluster(self, me):
        while (yield seam.NextContact()):
            if me.index == 1:  # the last cluster of a cycle
                self.cycle += 1

    def scores(self):
        said = self.options
        own = {"accuracy": self.now(said.accuracy), "loss": self.now(said.loss)}
        if said.validation:
            own |= {"validation_accuracy": self.now(said.validation), "validation_samples": 5}
            own["validation_loss"] = None
        return [{"cluster": c.name, "samples": 5} | own for c in self.world.clusters]

    def now(self, series):
        value = series[min(self.cycle, len(series) - 1)] if series else None
        return NAN if value == "nan" else value


def series_run(patience, options, cycles=12, place=None, resume=False, **keys):
    learning_ = {"method": "measures-a-series", "options": options, **keys}
    stop = {"cycles": cycles, "patience": patience}
    said = scenarios.from_dict({**SLOTS, "stop": stop, "learning": learning_})
    return sim.run(said, place, resume)


def stopped_at(merits, patience):
    """The first index with ``patience`` evaluations since the best; None if there is none.

    The first one is the best until another is better. One that measures nothing does not count.
    """
    best, since = None, 0
    for index, merit in enumerate(merits):
        if merit is None:
            continue
        if best is None or merit > best or (math.isnan(best) and not math.isnan(merit)):
            best, since = merit, 0
        else:
            since += 1
        if since >= patience:
            return index
    return None


FIGURES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, "nan", None]), min_size=6, max_size=9)


@settings(max_examples=15, deadline=None)
@given(series=FIGURES, patience=st.integers(1, 4), which=st.sampled_from(["accuracy", "loss"]))
def test_a_run_ends_after_so_many_evaluations_without_a_better_figure(series, patience, which):
    cycles = len(series) - 1
    result = series_run(patience, {which: series}, cycles)
    sign = 1 if which == "accuracy" else -1
    merits = [value if value is None else sign * float(value) for value in series]
    wanted = stopped_at(merits, patience)
    summary = result.summary
    assert summary["cycles"] == (cycles if wanted is None else wanted)
    assert summary["ended_by"] == (None if wanted is None else ["stop.patience"])


def test_validation_samples_decide_where_there_are_some():
    falls, rises = [0.9, 0.5, 0.4, 0.3], [0.1, 0.2, 0.3, 0.3, 0.3, 0.3]
    options = {"accuracy": falls, "validation": rises}
    result = series_run(2, options, data={"validation": 0.2})
    assert result.summary["cycles"] == 4
    kept = result.summary["model_kept"]
    assert (kept["figure"], kept["value"], kept["cycle"]) == ("validation_accuracy", 0.3, 4)


def test_evaluations_between_cycles_count():
    keys = {"evaluate_every_hours": 300 / 3600}
    by_cycle = series_run(4, {"accuracy": [0.5]})
    often = series_run(4, {"accuracy": [0.5]}, **keys)
    assert by_cycle.summary["cycles"] == 4
    assert often.manifest["simulated_s"] == 4 * 300.0


# Which model is kept.


def plain(method="fedavg", cycles=9, patience=None, **keys):
    said = {
        "method": method, "steps_per_round": 2, "batch_size": 4, "step_size": 0.8,
        "model": {"kind": "vector-mlp", "hidden": 12}, **keys,
    }  # fmt: skip
    stop = {"cycles": cycles, "patience": patience}
    return scenarios.from_dict(merged({**SLOTS, "learning": {}}, {"stop": stop, "learning": said}))


KINDS = {
    "validated, with memory": {
        "data": {"validation": 0.2},
        "optimizer": {"momentum": 0.5, "state": "keep"},
    },
    "judged by loss": {
        "loss": "mse",
        "data": {"kind": "npz", "path": "floats.npz", "validation": 0.3},
    },
    "each cluster's own": {"method": "fedavg-per-cluster"},
    "each device's own": {"method": "local"},
    "personal parts": {"personal": ["head"]},
}


@pytest.fixture(autouse=True)
def in_a_folder_with_floats(tmp_path, monkeypatch):
    """Let the current folder have a file of noisy targets (n, 2), which a model overfits."""
    draws = np.random.default_rng(1)
    x = draws.normal(size=(60, 4))
    np.savez(tmp_path / "floats.npz", x=x, y=x[:, :2] - x[:, 2:] + draws.normal(size=(60, 2)))
    monkeypatch.chdir(tmp_path)


def best_cycle(result):
    """The cycle of the first best evaluation in the metrics, its figure, and the value of that."""
    rows = result.metrics[result.metrics.scope == "global"]
    named = "loss" if rows.accuracy.isna().all() else "accuracy"
    figure = f"validation_{named}"
    if rows[figure].isna().all():
        figure = named
    values = rows[figure].tolist()
    best = min(values) if named == "loss" else max(values)
    return int(rows.cycle.iloc[values.index(best)]), figure, best


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.quick(3)
def test_the_best_model_is_that_of_a_run_which_ends_there(name, tmp_path):
    made = partial(plain, **KINDS[name])
    result = sim.run(made(keep="best"), tmp_path / "best")
    cycle, figure, value = best_cycle(result)
    assert 0 < cycle < 9  # the seed is one whose figures fall again
    kept = result.summary["model_kept"]
    assert (kept["keep"], kept["cycle"], kept["figure"]) == ("best", cycle, figure)
    assert kept["value"] == pytest.approx(value)
    when = result.metrics[result.metrics.cycle == cycle].time_s.iloc[0]
    assert kept["hours"] == pytest.approx(when / 3600)
    sim.run(made(cycles=cycle), tmp_path / "ends")
    for file in ("model.safetensors", "personal.safetensors"):
        found, wanted = (tmp_path / run / "model" / file for run in ("best", "ends"))
        assert found.exists() == wanted.exists()
        if wanted.exists():
            assert found.read_bytes() == wanted.read_bytes()
    about, ends = (
        json.loads((tmp_path / run / "model" / "model.json").read_text())
        for run in ("best", "ends")
    )
    assert about["version"] == ends["version"] and f"cycle {cycle}" in about["what"]


@pytest.mark.parametrize("keep", ["best", "none"])
def test_nothing_but_the_model_depends_on_what_is_kept(keep, tmp_path):
    last = sim.run(plain(cycles=4), tmp_path / "last")
    found = sim.run(plain(cycles=4, keep=keep), tmp_path / "found")
    assert found.manifest["trace_sha256"] == last.manifest["trace_sha256"]
    assert found.summary["model_kept"]["keep"] == keep
    assert (tmp_path / "found/model/model.safetensors").exists() == (keep != "none")


def test_without_a_model_each_reader_of_it_says_so_in_one_line(tmp_path):
    place = tmp_path / "run"
    result = sim.run(plain(cycles=2, keep="none", personal=["head"]), place)
    assert [*(place / "model").glob("*.safetensors")] == []
    assert result.summary["model_kept"] == {
        "keep": "none", "cycle": None, "hours": None, "figure": None, "value": None,
    }  # fmt: skip
    reads = [result.model, sim.load(place).model]
    reads += [partial(export, place, to, tmp_path / to) for to in ("peft", "dense")]
    for read in reads:
        with pytest.raises(sim.InputError, match=r"has no weights \(learning.keep was none\)") as e:
            read()
        assert "\n" not in str(e.value) and "learning.keep: last" in str(e.value)


# Kills, later stops.


@pytest.mark.wide
@pytest.mark.parametrize("name", KINDS)
def test_the_best_model_survives_a_kill_and_a_later_stop(name, tmp_path):
    made = partial(plain, keep="best", **KINDS[name])
    whole = sim.run(made(), tmp_path / "whole")
    events = whole.manifest["events"]
    for share in (0.3, 0.6, 0.9):
        cut(made(), tmp_path / "cut", int(share * events), resume=True, checkpoint_every_s=0.0)
        (tmp_path / "cut/manifest.json").unlink()
    sim.run(made(), tmp_path / "cut", resume=True)
    sim.run(made(cycles=best_cycle(whole)[0] + 1), tmp_path / "shorter")
    later = sim.run(made(), tmp_path / "shorter", resume=True)
    for folder in ("cut", "shorter"):
        assert held(tmp_path / folder) == held(tmp_path / "whole")
    assert later.summary["model_kept"] == whole.summary["model_kept"]


@pytest.mark.wide
def test_early_stopping_keeps_the_best_model_and_is_extended_by_more_patience(tmp_path):
    made = partial(plain, keep="best", cycles=16)
    first = sim.run(made(patience=1), tmp_path / "run")
    assert first.summary["ended_by"] == ["stop.patience"]
    cycle, *_ = best_cycle(first)
    assert first.summary["model_kept"]["cycle"] == cycle == first.summary["cycles"] - 1
    for name, later in {"more": made(patience=2), "none": made()}.items():
        whole = sim.run(later, tmp_path / name)
        after = sim.run(later, tmp_path / "run", resume=True)
        assert held(tmp_path / "run") == held(tmp_path / name)
        assert after.summary["model_kept"] == whole.summary["model_kept"]
        assert after.manifest["simulated_s"] > first.manifest["simulated_s"]


def test_a_run_that_its_patience_ended_is_extended_if_that_changes_only(tmp_path):
    made = partial(
        series_run, place=tmp_path / "run", options={"accuracy": [0.5, 0.6, 0.4, 0.3, 0.2]}
    )
    assert made(patience=2, cycles=5).summary["ended_by"] == ["stop.patience"]
    before = held(tmp_path / "run")
    for patience, cycles, words in [
        (2, 9, "has reached stop.patience 2; raise that, or leave it out"),
        (2, 4, "stops later: at stop.cycles 5, and not at 4"),
        (1, 5, "stops later: at stop.patience 2, and not at 1"),
    ]:
        with pytest.raises(sim.InputError) as refused:
            made(patience=patience, cycles=cycles, resume=True)
        assert words in str(refused.value) and "\n" not in str(refused.value)
        assert held(tmp_path / "run") == before
    assert made(patience=3, cycles=5, resume=True).summary["cycles"] == 4
    assert made(patience=None, cycles=5, resume=True).summary["cycles"] == 5
    with pytest.raises(sim.InputError, match=r"at stop\.patience null, and not at 5"):
        made(patience=5, cycles=5, resume=True)


@pytest.mark.wide
def test_trainings_that_other_runs_have_done_give_the_same_best_model(tmp_path, monkeypatch):
    """The cache answers evaluations, so that no tensor of the best model is computed by then."""
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))
    made = plain(keep="best", patience=2, cycles=12, personal=["head"])
    alone = sim.run(made, tmp_path / "alone")
    for name in ("first", "second"):
        sim.run(made, tmp_path / name, cache=True)
        assert held(tmp_path / name) == held(tmp_path / "alone")
    half = alone.manifest["events"] // 2
    cut(made, tmp_path / "cut", half, cache=True, checkpoint_every_s=0.0)
    monkeypatch.setenv("LEOMIX_CACHE", "off")
    sim.run(made, tmp_path / "cut", resume=True)
    assert held(tmp_path / "cut") == held(tmp_path / "alone")


# What is said, and refused.


def test_a_limit_that_did_not_end_the_run_changes_no_check():
    """A run with a limit of accuracy is not tried in slots: it has the findings, and no remedy."""
    scenario = plain(cycles=6, step_size=0.2, steps_per_round=10).model_dump(mode="json")
    found = [
        [
            (check.code, check.sentence)
            for check in sim.run(
                scenarios.from_dict({**scenario, "stop": {"cycles": 6, **limit}})
            ).checks
        ]
        for limit in ({}, {"accuracy": 0.99}, {"patience": 6})
    ]
    assert found[0] == found[1] == found[2]
    assert any(sentence.startswith("Still learning") for _, sentence in found[0])


def doubts(scenario):
    return [str(said) for said in doubts_of(build(scenario)) if said.code == "test_samples"]


def test_a_choice_by_test_samples_is_doubted():
    assert doubts(plain()) == []
    named = {
        "stop.patience go": plain(patience=2),
        "learning.keep go": plain(keep="best"),
        "stop.patience and learning.keep go": plain(patience=2, keep="best"),
    }
    for words, scenario in named.items():
        [line] = doubts(scenario)
        assert line.startswith("learning.data.validation: is 0, so that " + words)
        assert line.endswith("set it to 0.2")
    assert doubts(plain(patience=2, keep="best", data={"validation": 0.2})) == []


def test_the_best_model_of_a_method_that_learns_by_itself_is_refused():
    with pytest.raises(sim.InputError) as refused:
        series_run(None, {"accuracy": [0.5]}, keep="best")
    assert str(refused.value) == (
        "learning.keep: got 'best', and method 'measures-a-series' learns by itself and hands over "
        "its weights at the end only; set it to last or none"
    )


def test_the_screen_says_why_the_run_ended_and_which_model_it_keeps(leomix, tmp_path):
    scenario = plain(keep="best", patience=1).model_dump(mode="json", exclude_unset=True)
    (tmp_path / "mine.json").write_text(json.dumps(scenario))
    done = leomix("run", "mine.json", "-o", "run", "--quiet")
    lines = [line.split() for line in done.out.splitlines()]
    assert done.status == 0 and ["ended", "by", "stop.patience"] in lines
    kept = next(line for line in lines if line[:2] == ["model", "kept"])
    cycle, _, value = best_cycle(sim.load("run"))
    assert f"that of cycle {cycle}," in " ".join(kept) and kept[-1] == f"{value:.3f}"
