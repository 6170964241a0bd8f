"""What makes two runs the same one: what their files hold; and which are compared together."""

import json
from pathlib import Path

import pytest

import scenarios
import sim
from learning import Learner, LearningConfig, ModelConfig
from learning.models import MODELS
from tests.kit.learning import DataConfig
from tests.kit.network import InputError
from tests.kit.records import fingerprint, without_places
from tests.kit.results import compare
from tests.kit.training import VectorMoE

SLOTS = {"stop.cycles": 1, "learning.train": False}


def scenario_file(folder: Path, name: str, devices: int) -> Path:
    import yaml

    said = yaml.safe_load(scenarios.shipped_path("paper-slots").read_text())
    for cluster in said["ground"]["clusters"]:
        cluster["devices"] = devices
    path = folder / name
    path.write_text(yaml.safe_dump(said))
    return path


def test_runs_that_differ_in_a_long_value_are_not_seeds_of_one_group(tmp_path):
    for devices in (5, 2):
        path = scenario_file(tmp_path, f"d{devices}.yaml", devices)
        for seed in (1, 2):
            sim.run(scenarios.load(path, {**SLOTS, "seed": seed}), tmp_path / f"{devices}-{seed}")
    folders = [tmp_path / f"{devices}-{seed}" for devices in (5, 2) for seed in (1, 2)]
    groups = compare(folders)["groups"]
    assert [(group["runs"], group["seeds"]) for group in groups] == [(2, [1, 2])] * 2
    assert len({group["label"] for group in groups}) == 2


def test_a_fingerprint_is_of_everything_in_a_folder_and_not_of_its_place(tmp_path):
    for copy in ("a", "b"):
        (tmp_path / copy / "train").mkdir(parents=True)
        (tmp_path / copy / "train" / "data").write_text("same")
    first = fingerprint(str(tmp_path / "a"))
    assert first == fingerprint(str(tmp_path / "b"))
    (tmp_path / "b" / "train" / "data").write_text("else")
    assert first != fingerprint(str(tmp_path / "b"))
    (tmp_path / "a" / "train" / "data").rename(tmp_path / "a" / "train" / "other")
    assert first != fingerprint(str(tmp_path / "a"))
    assert fingerprint("owner/name") == "owner/name"


def test_only_paths_are_replaced_in_what_identifies_a_run(tmp_path):
    file = tmp_path / "data.jsonl"
    file.write_text("x")
    scenario = scenarios.load("paper-slots", {"learning.data.path": str(file)})
    said = scenario.model_dump(mode="json")
    plain = without_places(said)
    assert plain["learning"]["data"]["path"] == fingerprint(str(file))
    plain["learning"]["data"]["path"] = said["learning"]["data"]["path"]
    assert plain == said


def test_a_run_is_not_resumed_with_other_data(tmp_path):
    lines = [{"text": f"word{n % 7} word{n % 3}", "label": n % 2} for n in range(240)]
    file = tmp_path / "data.jsonl"
    settings = {
        "stop.cycles": 1,
        "learning.model": {
            "kind": "mixtral", "experts": 4, "hidden": 16, "expert_hidden": 8, "vocabulary": 300,
        },
        "learning.data": {"kind": "jsonl", "path": str(file), "tokens": 8},
        "learning.train": False,
    }  # fmt: skip
    for text in (lines, lines[::-1]):
        file.write_text("\n".join(map(json.dumps, text)))
        scenario = scenarios.load("paper-slots", settings)
        if text is lines:
            sim.run(scenario, tmp_path / "run")
        else:
            with pytest.raises(InputError, match="another scenario"):
                sim.run(scenario, tmp_path / "run", resume=True)


def test_a_model_that_is_registered_anew_is_the_one_that_runs():
    config = LearningConfig(1, ("a", "b"), (1, 1), ModelConfig(kind="edited", experts=2))
    sizes = []
    for width in (16, 24):

        def made(model, spec, here, width=width):
            from dataclasses import replace

            return VectorMoE(replace(model, expert_hidden=width), spec, here)

        MODELS.add("edited")(made)
        learner = Learner(config)
        sizes.append(learner.task.initial["expert.0.0.up.weight"].shape[0])
    assert sizes == [16, 24]


def test_a_file_that_is_written_anew_is_read_anew(tmp_path):
    file = tmp_path / "data.jsonl"
    model = ModelConfig(kind="mixtral", experts=2, hidden=16, expert_hidden=8, vocabulary=300)
    data = DataConfig(kind="jsonl", path=str(file), tokens=8, trial_samples=5)
    config = LearningConfig(1, ("a", "b"), (1, 1), model, data)
    classes = []
    for labels in (2, 3):
        lines = [{"text": f"word{n % 7}", "label": n % labels} for n in range(90 + labels)]
        file.write_text("\n".join(map(json.dumps, lines)))
        classes.append(Learner(config).task.spec.classes)
    assert classes == [2, 3]


@pytest.mark.parametrize("key", ["alpha", "targets", "aggregate", "download"])
def test_keys_of_factors_are_refused_where_there_are_none(key):
    values = {"alpha": 3.0, "targets": ["up"], "aggregate": "average", "download": "factors"}
    lora = {"rank": None, key: values[key]}
    with pytest.raises(InputError, match=rf"learning\.lora\.{key}: is not used without factors"):
        sim.run(scenarios.load("paper-slots", {**SLOTS, "learning.lora": lora}))
