"""`leomix compare --best-by`: the best by validation samples or by a column; what it refuses."""

import json
import runpy
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

import leomix
import scenarios
from sim.sweep import compare, sweep
from tests.kit import small
from tests.kit.folders import without_checksums
from tests.kit.handmade import tables_of
from tests.kit.inner.sim import HOME, Axes, InputError, SweepPlan
from tests.kit.sweep_place import by_hand

STEPS = [0.05, 0.5]
process = pytest.mark.process  # a sweep runs its points in processes
METHODS = ["emsfl", "synchronous"]
ROUNDS = {"per_contact": 2, "per_gap_max": 2}
# YAML would refer to a mapping that is chosen twice by an anchor, which a sweep refuses.
KEYS = {"learning.method": METHODS, "learning.step_size": STEPS, "learning.rounds": [ROUNDS]}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tuned") / "tiny.yaml"
    path.write_text(yaml.safe_dump(small.SLOTS))
    return path


@pytest.fixture(scope="module")
def swept(file, tmp_path_factory):
    """Two step sizes of two methods, each for a cycle."""
    out = tmp_path_factory.mktemp("tuned") / "out"
    return sweep(file, KEYS, out, overrides={"learning.data.validation": 0.2, "stop.cycles": 1})


# -- by hand


def points(figures, key="learning.step_size", **more):
    """Points of one key, with figures of a column by value and seed; None for one that failed."""
    [(column, each)] = figures.items()
    for value, by_seed in each.items():
        for seed, figure in enumerate(by_seed, 1):
            own = None if figure is None else {column: figure, **more}
            yield {key: value}, seed, own


def test_the_best_mean_is_chosen_and_of_equal_ones_the_first_of_the_grid(tmp_path):
    """Not the best seed, nor the best in the middle; and least where less is better."""
    each = {0.3: [0.5, 0.9, 0.85], 0.1: [0.7, 0.76, 0.79], 0.2: [0.75] * 3, 0.4: [0.1, 0.1, 1.0]}
    for column, best in (("accuracy_final", 0.3), ("uplink_bytes", 0.4)):
        place = by_hand(tmp_path / column, points({column: each}))
        found = compare(place, best_by=column)
        assert found.chosen == {"all": {"learning.step_size": best}}
        said = " ".join(found.notices())
        assert ("greatest value that was tried" in said) == (best == max(each))
        assert ("is of test samples" in said) == (column == "accuracy_final")
        by_value = {one.keys["learning.step_size"]: found.over_seeds(one) for one in found.tried}
        assert [*by_value] == [*each]
        assert by_value[0.1]["mean"] == pytest.approx(0.75)
    for grid in ([0.1, 0.2], [0.2, 0.1]):
        place = by_hand(
            tmp_path / f"tie-{grid[0]}", points({"accuracy_final": {s: [0.7, 0.8] for s in grid}})
        )
        found = compare(place, best_by="accuracy_final")
        assert found.chosen["all"] == {"learning.step_size": grid[0]}
        assert any("ties with" in line for line in found.notices())


def test_what_lacks_a_seed_or_has_diverged_with_one_is_not_chosen_however_good_the_others_are(
    tmp_path,
):
    for number, worst in enumerate((None, np.nan, np.inf)):
        each = {0.1: [0.95, worst], 0.2: [0.5, 0.6]}
        place = by_hand(tmp_path / str(number), points({"accuracy_final": each}))
        found = compare(place, best_by="accuracy_final")
        assert found.chosen["all"] == {"learning.step_size": 0.2}
        lacking = [line for line in found.notices() if "cannot be chosen" in line]
        assert len(lacking) == 1 and "step_size=0.1" in lacking[0] and "seed 2" in lacking[0]


def test_what_spends_nothing_is_not_the_best(tmp_path):
    place = by_hand(tmp_path, points({"uplink_bytes": {0.1: [0.0, 0.0], 0.2: [5.0, 6.0]}}))
    assert compare(place, best_by="uplink_bytes").chosen["all"] == {"learning.step_size": 0.2}


def test_each_method_has_a_best_of_its_own(tmp_path):
    figures = {("emsfl", 0.1): 0.6, ("emsfl", 0.2): 0.5, ("local", 0.1): 0.3, ("local", 0.2): 0.4}
    rows = [
        ({"learning.method": method, "learning.step_size": step}, 1, {"accuracy_final": own})
        for (method, step), own in figures.items()
    ]
    found = compare(by_hand(tmp_path, rows), best_by="accuracy_final")
    assert {name: keys["learning.step_size"] for name, keys in found.chosen.items()} == {
        "emsfl": 0.1,
        "local": 0.2,
    }


def test_runs_are_compared_at_the_earliest_end_with_what_was_measured_by_then(runs, tmp_path):
    """The run of the longer step is behind, ahead, and behind again; one ends when it is ahead."""
    curves = {0.1: {0: 0.1, 5: 0.6, 10: 0.7}, 0.5: {0: 0.1, 5: 0.5, 10: 0.8, 20: 0.6}}
    rows = [({"learning.step_size": s}, 3, {"hours": float(max(c))}) for s, c in curves.items()]
    place = by_hand(tmp_path, rows)
    points = json.loads((place / "sweep.json").read_text())["points"]
    for point, curve in zip(points, curves.values(), strict=True):
        run = without_checksums(
            shutil.copytree(runs["slots-timing"], place / "points" / point["digest"])
        )
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["scenario"]["learning"]["data"]["validation"] = 0.2
        manifest["simulated_s"] = 3600.0 * max(curve)
        (run / "manifest.json").write_text(json.dumps(manifest))
        metrics = [
            {"time_s": 3600.0 * hour, "cycle": n, "scope": "global", "samples": 100}
            | {"accuracy": 0.9 - own, "validation_accuracy": own}
            for n, (hour, own) in enumerate(curve.items())
        ]
        pq.write_table(tables_of(metrics=metrics)["metrics"], run / "metrics.parquet")
    wanted = {None: (0.5, [0.7, 0.8]), 10 / 24: (0.5, [0.7, 0.8]), 9.9 / 24: (0.1, [0.6, 0.5])}
    for days, (step, means) in wanted.items():
        found = compare(place, best_by="validation", at_days=days)
        assert found.chosen == {"all": {"learning.step_size": step}}
        assert [found.over_seeds(one)["mean"] for one in found.tried] == means
    with pytest.raises(InputError, match="a run that is compared ends after"):
        compare(place, best_by="validation", at_days=10.1 / 24)


@pytest.mark.parametrize(
    ("key", "asked", "validation", "line"),
    [
        ("learning.step_size", "validation", 0.0, "the runs have no validation samples"),
        ("learning.step_size", "validation", 0.2, "no combination has validation accuracy with"),
        ("learning.data.own_domain_fraction", "uplink_bytes", 0.2, "decides what is learnt from"),
        ("seed", "uplink_bytes", 0.2, "use --replications"),
        ("learning.step_size", "uplink", 0.2, "must be validation, or one of"),
    ],
)
def test_what_cannot_be_chosen_from_is_one_line(
    runs, leomix, tmp_path, key, asked, validation, line
):
    figures = {"hours": 1.0, "uplink_bytes": 1.0, "accuracy_final": 0.5}
    place = by_hand(tmp_path / "swept", [({key: 1}, 3, figures)])
    [point] = json.loads((place / "sweep.json").read_text())["points"]
    run = shutil.copytree(runs["slots-timing"], place / "points" / point["digest"])
    manifest = json.loads((without_checksums(run) / "manifest.json").read_text())
    manifest["scenario"]["learning"]["data"]["validation"] = validation
    (run / "manifest.json").write_text(json.dumps(manifest))
    done = leomix("compare", place, "--best-by", asked)
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, ""), done
    assert line in done.err


# -- whole sweeps


@process
def test_the_chosen_keys_are_variants(swept, file, leomix, tmp_path):
    path = tmp_path / "chosen.yaml"
    done = leomix("compare", swept.folder, "--best-by", "validation", "-o", path, "--json")
    assert done.status == 0, done
    found = json.loads(done.out)
    assert found["chosen"] == compare(swept.folder, best_by="validation").chosen
    assert {frozenset(row) for row in found["tried"]} == {
        frozenset({"name", "keys", "mean", "low", "high", "seeds"})
    }
    points = SweepPlan(str(file), {}, Axes.of({}, path)).points
    loaded = [scenarios.load(p.scenario, p.overrides).learning for p in points]
    expected = [(keys["learning.method"], keys["learning.step_size"])
                for keys in found["chosen"].values()]  # fmt: skip
    assert [(one.method, one.step_size) for one in loaded] == expected


@pytest.mark.wide
def test_a_loaded_scenario_is_swept_as_its_file_with_its_overrides(file, tmp_path):
    more = {"learning.train": False, "stop": {"cycles": 1}, "learning.rounds.per_contact": 3}
    keys = {"learning.step_size": [0.1]}
    given = leomix.sweep(scenarios.load(file, more), keys, tmp_path / "given")
    named = leomix.sweep(file, keys, tmp_path / "named", overrides=more)
    assert given.sha256 == named.sha256
    assert given.rows["folder"] == named.rows["folder"]
    again = leomix.load(tmp_path / "given")
    assert (again.keys, again.sha256) == (given.keys, given.sha256)
    with pytest.raises(ValueError, match="takes no overrides"):
        leomix.load(tmp_path / "given", {"seed": 2})


def test_a_scenario_that_its_file_does_not_give_is_refused_with_what_to_give(file, tmp_path):
    changed = scenarios.load(file).model_copy(update={"seed": 7})
    for scenario in (changed, scenarios.from_dict(small.SLOTS)):
        with pytest.raises(InputError, match=r"is a Scenario that .* give a name or path"):
            sweep(scenario, {"learning.step_size": STEPS}, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_metrics_of_all_points_are_one_long_table(swept):
    """Each point's own table, behind its keys, seed and replication."""
    rows = swept.rows.to_pylist()
    assert len(rows) == 4
    whole = swept.metrics
    told = ["learning.method", "learning.step_size", "learning.rounds", "seed", "replication"]
    assert [*whole.columns[:5]] == told
    first = 0
    for row, folder in zip(rows, swept.folders, strict=True):
        own = pd.read_parquet(folder / "metrics.parquet")
        part = whole.iloc[first : first + len(own)].reset_index(drop=True)
        assert all((part[key] == row[key]).all() for key in told if key != "learning.rounds")
        assert part["accuracy"].to_list() == own["accuracy"].to_list()
        assert part["scope"].to_list() == own["scope"].to_list()
        first += len(own)
    assert first == len(whole)


@process
def test_the_example_gives_optuna_what_each_run_has_on_validation_samples(
    file, tmp_path, monkeypatch
):
    """A stand-in for Optuna tries two step sizes."""
    study = SimpleNamespace(best_params={}, best_value=None, values=[])

    def optimize(objective, n_trials):
        for number in range(n_trials):
            trial = SimpleNamespace(number=number, suggest_int=lambda *_: 1)
            trial.suggest_float = lambda *_, log, step=STEPS[number]: step
            study.values.append(objective(trial))

    study.optimize = optimize
    optuna = SimpleNamespace(create_study=lambda direction: study, Trial=None)
    monkeypatch.setitem(sys.modules, "optuna", optuna)
    monkeypatch.setattr(sys, "argv", ["optuna_study.py", str(file), "2", str(tmp_path)])
    runpy.run_path(str(HOME / "examples/optuna_study.py"), run_name="__main__")
    assert study.values == [
        pd.read_parquet(tmp_path / name / "metrics.parquet")
        .query("scope == 'global'")
        .validation_accuracy.iloc[-1]
        for name in "01"
    ]
