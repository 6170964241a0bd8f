"""`leomix tune`: what is chosen is the best by validation samples, and what it refuses."""

import json

import pandas as pd
import pytest
import yaml

import scenarios
from sim.sweep import read_sweep, sweep, tune
from tests.kit import small
from tests.kit.network import InputError
from tests.kit.sweep_place import Place

STEPS = [0.001, 0.05, 0.5]
pytestmark = pytest.mark.process  # a tuning runs its points in processes
METHODS = ["emsfl", "synchronous"]
VALIDATED = {"learning.data.validation": 0.2}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tuned") / "tiny.yaml"
    path.write_text(yaml.safe_dump(small.SLOTS))
    return path


@pytest.fixture(scope="module")
def tuned(file, tmp_path_factory):
    """Three step sizes of two methods with two seeds."""
    out = tmp_path_factory.mktemp("tuned") / "out"
    keys = {"learning.method": METHODS, "learning.step_size": STEPS}
    return tune(file, keys, out, overrides=VALIDATED, replications=2)


def validated(folder):
    """The last pooled validation accuracy of a run, by its table alone."""
    metrics = pd.read_parquet(folder / "metrics.parquet")
    return metrics[metrics.scope == "global"].sort_values("time_s").validation_accuracy.iloc[-1]


def test_the_best_mean_on_validation_samples_is_chosen_for_each_method(tuned, file):
    swept = read_sweep(tuned.folder / "rung-1")
    found = {}
    for row, folder in zip(swept.rows.to_pylist(), swept.folders, strict=True):
        found.setdefault(row["variant"], []).append(validated(folder))
    means = pd.DataFrame(found).mean()
    for method in METHODS:
        own = means[[f"{method} step_size={step}" for step in STEPS]]
        best = float(own.idxmax().rpartition("=")[2])
        assert own.max() > own.min()  # else any choice would do
        assert tuned.chosen[method] == {"learning.method": method, "learning.step_size": best}
    said = {one.candidate.name: one.mean for one in tuned.tried}
    assert said == pytest.approx(dict(means), abs=1e-12)
    ends = [n for n in tuned.notices() if "value that was tried" in n]
    assert len(ends) == sum(keys["learning.step_size"] != 0.05 for keys in tuned.chosen.values())


def test_the_chosen_keys_are_variants_and_overrides(tuned, file, leomix, tmp_path):
    path = tuned.folder / "chosen.yaml"
    swept = sweep(file, {}, tmp_path / "s", variants=path, overrides={"stop.cycles": 1})
    loaded = [scenarios.load(p.scenario, p.overrides).learning for p in swept.points]
    expected = [(keys["learning.method"], keys["learning.step_size"])
                for keys in tuned.chosen.values()]  # fmt: skip
    assert [(one.method, one.step_size) for one in loaded] == expected
    run = ["run", str(file), "--set", f"@{path}:synchronous", "--set", "stop.cycles=1", "--json"]
    done = leomix(*run, "-o", tmp_path / "r")
    assert (done.status, json.loads(done.out)["method"]) == (0, "synchronous")
    told = leomix(*run[:2], "--set", f"@{path}")
    assert told.status == 2 and "name one of emsfl, synchronous" in told.err
    path.write_text("a: 3\n")
    told = leomix(*run[:2], "--set", f"@{path}:a")
    assert told.err.startswith(f"leomix: --set @{path}:a: a: should be dotted keys")


def test_chosen_mappings_are_written_as_a_sweep_reads_them(file, tmp_path):
    """Both methods choose the same one: YAML would refer to it by an anchor, which is refused."""
    keys = {"learning.method": METHODS, "learning.rounds": [{"per_contact": 2, "per_gap_max": 2}]}
    short = {**VALIDATED, "stop.cycles": 1}
    tuning = tune(file, keys, tmp_path / "out", overrides=short, at_days=9)
    ends = read_sweep(tuning.folder / "rung-1").rows["hours"].to_pylist()
    assert {one.hours for one in tuning.tried} == {max(ends)} != {9 * 24.0}
    swept = sweep(file, {}, tmp_path / "s", variants=tuning.folder / "chosen.yaml", overrides=short)
    loaded = [scenarios.load(p.scenario, p.overrides).learning for p in swept.points]
    assert [(one.method, one.rounds.per_contact) for one in loaded] == [(m, 2) for m in METHODS]


def test_halving_takes_the_better_half_to_twice_the_time(file, tmp_path):
    keys = {"learning.step_size": [0.001, 0.01, 0.05, 0.5]}
    tuning = tune(
        file, keys, tmp_path / "out", overrides=VALIDATED, at_days=4800 / 86400, halving=True
    )
    counts = []
    names = [one.candidate.name for one in tuning.tried]
    for rung, share in enumerate((0.25, 0.5, 1.0), 1):
        swept = read_sweep(tmp_path / "out" / f"rung-{rung}")
        variants = swept.rows["variant"].to_pylist()
        assert variants == names  # the better half of those before
        ends = {row["hours"] for row in swept.rows.to_pylist()}
        assert list(ends) == [pytest.approx(4800 / 3600 * share)]
        scores = dict(zip(variants, map(validated, swept.folders), strict=True))
        kept = sorted(names, key=lambda name: -scores[name])[: (len(names) + 1) // 2]
        names = [name for name in names if name in kept]
        counts.append(len(variants))
    assert counts == [4, 2, 1]
    [chosen] = [one for one in tuning.tried if one.is_chosen]
    assert chosen.candidate.name == names[0]


@pytest.mark.parametrize(
    ("keys", "more", "line"),
    [
        ({"learning.step_size": [0.1]}, {"overrides": {}}, "add --set learning.data.validation"),
        ({"learning.data.own_domain_fraction": [0.5, 1]}, {}, "decides what is learnt from"),
        ({"seed": [1, 2]}, {}, "use --replications"),
        ({"learning.method": METHODS}, {}, "nothing is tuned"),
        ({"learning.step_size": [0.1]}, {"halving": True}, "--at DAYS"),
        ({"learning.step_size": [0.1]}, {"at_days": 0.0}, "above 0 days"),
        ({"learning.step_siz": [0.1]}, {}, "not a known key"),
        (
            {"learning.step_size": [0.1]},
            {"overrides": {"learning.train": False}},
            "nothing is trained",
        ),
    ],
)
def test_what_cannot_be_tuned_is_one_line_and_writes_nothing(file, tmp_path, keys, more, line):
    with pytest.raises(ValueError, match=line) as found:
        tune(file, keys, tmp_path / "out", **({"overrides": VALIDATED} | more))
    assert "\n" not in str(found.value)
    assert not (tmp_path / "out").exists()


def test_where_all_runs_are_refused_it_says_why(file, tmp_path):
    """A share that leaves a class nothing is found out as its data are made."""
    overrides = {"learning.data.validation": 0.999}
    with pytest.raises(ValueError, match="leaves class 0 no training samples") as found:
        tune(file, {"learning.step_size": [0.1, 0.2]}, tmp_path / "out", overrides=overrides)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("more", "sets"), [({}, "--at"), ({"halving": True}, "--at and --halving")]
)
def test_where_the_time_is_too_short_it_says_what_has_set_it(tmp_path, more, sets):
    """To raise the scenario's own days, as the refusal of a run says, would change nothing."""
    path = tmp_path / "orbit.yaml"
    path.write_text(yaml.safe_dump(small.ORBIT))
    keys = {"learning.step_size": [0.1, 0.2]}
    with pytest.raises(ValueError, match=r"raise stop\.days") as found:
        tune(path, keys, tmp_path / "out", overrides=VALIDATED, at_days=0.01, **more)
    assert str(found.value).endswith(f"(stop.days is set by {sets})")


def test_a_disk_without_room_is_what_a_tuning_ends_with(tmp_path):
    place = Place(tmp_path, train=True)
    place.mark("full")
    said = "learning.method=watched_method:Watched", "learning.data.validation=0.2"
    line = ["tune", "tiny.yaml", *(part for key in said for part in ("--set", key)), "--quiet"]
    done = place.typed(*line, "-p", "learning.step_size=0.05,0.1", "-o", "tuned")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
    assert "File too large; free some space" in done.stderr
    assert done.stderr.endswith("--resume -o tuned\n")


@pytest.mark.parametrize("varied", [sweep, tune])
def test_a_scenario_that_is_loaded_is_refused_with_what_to_give(file, tmp_path, varied):
    with pytest.raises(InputError, match="is a Scenario; give its name or path, and what you"):
        varied(scenarios.load(file), {"learning.step_size": STEPS}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
