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
from sim.errors import InputError
from sim.process.installation import HOME
from sim.sweep import compare, sweep
from tests.kit import small
from tests.kit.folders import without_checksums
from tests.kit.handmade import tables_of
from tests.kit.sweep_place import by_hand

STEPS = [0.001, 0.05, 0.5]
process = pytest.mark.process  # a sweep runs its points in processes
METHODS = ["emsfl", "synchronous"]
ROUNDS = {"per_contact": 2, "per_gap_max": 2}
VALIDATED = {"learning.data.validation": 0.2}
UNTRAINED = {"learning.train": False}
# YAML would refer to a mapping that is chosen twice by an anchor, which a sweep refuses.
KEYS = {"learning.method": METHODS, "learning.step_size": STEPS, "learning.rounds": [ROUNDS]}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tuned") / "tiny.yaml"
    path.write_text(yaml.safe_dump(small.SLOTS))
    return path


@pytest.fixture(scope="module")
def swept(file, tmp_path_factory):
    """Three step sizes of two methods with two seeds."""
    out = tmp_path_factory.mktemp("tuned") / "out"
    return sweep(file, KEYS, out, overrides=VALIDATED, replications=2)


@pytest.fixture
def short(file, tmp_path):
    """A sweep of some keys, which trains for one cycle at most."""

    def made(keys, **more):
        more = {"stop.cycles": 1, **VALIDATED, **more}
        return sweep(file, keys, tmp_path / "short", overrides=more).folder

    return made


def validated(folder, until_s=float("inf")):
    """The pooled validation accuracy of a run at a time, by its table alone."""
    rows = pd.read_parquet(folder / "metrics.parquet")
    rows = rows[(rows.scope == "global") & (rows.time_s <= until_s)]
    return rows.sort_values("time_s").validation_accuracy.iloc[-1]


def means(swept, until_s=float("inf")):
    """The mean over seeds by method and step size."""
    rows = swept.rows.to_pandas()
    rows["figure"] = [validated(folder, until_s) for folder in swept.folders]
    return rows.groupby(["learning.method", "learning.step_size"]).figure.mean()


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


# -- whole sweeps


@process
def test_the_best_mean_on_validation_samples_is_chosen_for_each_method(swept):
    found = compare(swept.folder, best_by="validation")
    expected = means(swept)
    for method in METHODS:
        own = expected[method]
        assert own.max() > own.min()  # else any choice would do
        assert found.chosen[method] == {
            "learning.method": method, "learning.step_size": own.idxmax(), "learning.rounds": ROUNDS
        }  # fmt: skip
    for row in found.as_json()["tried"]:
        assert row["mean"] == pytest.approx(expected[tuple(row["keys"].values())[:2]], abs=1e-12)
        assert (row["name"], row["seeds"]) == (row["keys"]["learning.method"], 2)
    ends = [line for line in found.notices() if "value that was tried" in line]
    assert len(ends) == sum(keys["learning.step_size"] != 0.05 for keys in found.chosen.values())


@process
def test_runs_are_compared_at_one_time_and_not_where_each_has_ended(swept):
    """After a third of the time, the same runs have another order than at their ends."""
    end_s = 3600 * min(swept.rows["hours"].to_pylist())
    found = compare(swept.folder, best_by="validation", at_days=end_s / 3 / 86400)
    expected = means(swept, end_s / 3)
    got = {tuple(one.keys.values())[:2]: one.known for one in found.tried}
    assert {key: sum(both) / 2 for key, both in got.items()} == pytest.approx(dict(expected))
    assert not expected.equals(means(swept))
    with pytest.raises(InputError, match="a run that is compared ends after"):
        compare(swept.folder, best_by="validation", at_days=2 * end_s / 86400)


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
    again = sweep(file, {}, tmp_path / "s", variants=path, overrides={"stop.cycles": 1})
    loaded = [scenarios.load(p.scenario, p.overrides).learning for p in again.points]
    expected = [(keys["learning.method"], keys["learning.step_size"])
                for keys in found["chosen"].values()]  # fmt: skip
    assert [(one.method, one.step_size) for one in loaded] == expected


@process
def test_by_a_column_less_is_better_of_what_is_spent_and_test_samples_are_named(swept, leomix):
    rows = swept.rows.to_pandas().groupby(["learning.method", "learning.step_size"])
    for column, best in (("loss_final", "idxmin"), ("accuracy_final", "idxmax")):
        found = compare(swept.folder, best_by=column)
        for method in METHODS:
            expected = getattr(rows[column].mean()[method], best)()
            assert found.chosen[method]["learning.step_size"] == expected
        assert any("is of test samples" in line for line in found.notices())
    found = compare(swept.folder, best_by="uplink_bytes")
    [tied] = [line for line in found.notices() if line.startswith("emsfl step_size=0.001 ")]
    assert " ties with emsfl step_size=0.05 " in tied  # the first of equals is taken
    assert {keys["learning.step_size"] for keys in found.chosen.values()} == {STEPS[0]}
    done = leomix("compare", swept.folder, "--best-by", "uplink")
    assert done.status == 2 and "must be validation, or one of" in done.err


@process
def test_a_combination_without_all_seeds_is_named_and_not_chosen(swept, tmp_path):
    best = compare(swept.folder, best_by="validation").chosen["emsfl"]["learning.step_size"]
    shutil.copytree(swept.folder, tmp_path / "copy")
    path = tmp_path / "copy/sweep.parquet"
    rows = pq.read_table(path).to_pandas()
    gone = (rows["learning.method"] == "emsfl") & (rows["learning.step_size"] == best)
    rows.loc[gone & (rows.replication == 1), ["status", "error"]] = "failed", "a trial"
    table = pq.read_table(path)
    for name in ("status", "error"):
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), [rows[name].to_list()])
    pq.write_table(table, path)
    found = compare(tmp_path / "copy", best_by="validation")
    assert found.chosen["emsfl"]["learning.step_size"] != best
    [line] = [line for line in found.notices() if "cannot be chosen" in line]
    assert line.startswith(f"emsfl step_size={best:g} ") and "no validation accuracy with" in line


@process
def test_without_methods_and_variants_it_chooses_among_all(short):
    found = leomix.compare(short({"learning.step_size": [0.05, 0.5]}), best_by="validation")
    assert list(found.chosen) == ["all"] and list(found.chosen["all"]) == ["learning.step_size"]


@process
@pytest.mark.parametrize(
    ("keys", "more", "line"),
    [
        ({"learning.step_size": [0.1]}, {"learning.data.validation": 0.0}, "no validation samples"),
        ({"learning.data.own_domain_fraction": [0.5, 1]}, UNTRAINED, "decides what is learnt from"),
        ({"seed": [1, 2]}, UNTRAINED, "use --replications"),
        ({"learning.step_size": [0.1]}, UNTRAINED, "no combination has validation"),
    ],
)
def test_what_cannot_be_chosen_from_is_one_line(short, leomix, keys, more, line):
    done = leomix("compare", short(keys, **more), "--best-by", "validation")
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, ""), done
    assert line in done.err


@pytest.mark.parametrize(
    "overrides",
    [
        {"stop.cycles": 1},
        {"stop": {"cycles": 2}, "learning.rounds": {"per_contact": 3}, "seed": 4},
    ],
)
def test_a_loaded_scenario_is_swept_as_its_file_with_its_overrides(file, tmp_path, overrides):
    more = {"learning.train": False, **overrides}
    keys = {"learning.step_size": [0.1, 0.2]}
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
    assert len(rows) == 12
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
    assert study.values == [validated(tmp_path / "0"), validated(tmp_path / "1")]
