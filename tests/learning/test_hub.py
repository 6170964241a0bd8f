"""Data sets of the package ``datasets``: from disk, offline."""

from __future__ import annotations

import importlib.util
import json
import socket

import pytest

from learning.data import data_files, load_samples
from tests.kit.learning import DataConfig, LearningConfig, ModelConfig

needs_datasets = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="needs the extra leomix[hf]"
)
TRAIN = [{"sentence": f"t{i}", "label": i % 2} for i in range(20)]
COLUMNS = (("text", "sentence"),)


def config(path, **data):
    data = {"kind": "hf", "path": str(path), "tokens": 16, "trial_samples": 2, **data}
    return LearningConfig(
        5, ("a", "b"), (2, 2), model=ModelConfig(vocabulary=300), data=DataConfig(**data)
    )


def trained(samples):
    parts = [p for c in "ab" for p in (samples.trial[c], *samples.shards[c])]
    return sum(len(part.y) for part in parts)


@pytest.fixture
def datasets(monkeypatch):
    library = pytest.importorskip("datasets", reason="needs the extra leomix[hf]")

    def refuse(*where):
        raise AssertionError(f"asked for {where}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return library


@pytest.mark.skipif(
    importlib.util.find_spec("datasets") is not None, reason="datasets is installed here"
)
def test_without_the_package_one_line_names_the_extra(tmp_path):
    with pytest.raises(ValueError, match=r"pip install 'leomix\[hf\]'") as refusal:
        load_samples(config(tmp_path))
    assert "\n" not in str(refusal.value)


@needs_datasets
def test_saved_splits_are_kept_and_hidden_labels_left_out(datasets, tmp_path):
    hidden = [row | {"label": -1} for row in TRAIN]
    parts = {"train": TRAIN, "validation": TRAIN[:7], "test": hidden}
    datasets.DatasetDict(
        {name: datasets.Dataset.from_list(rows) for name, rows in parts.items()}
    ).save_to_disk(tmp_path)
    samples = load_samples(config(tmp_path, columns=COLUMNS))
    assert (trained(samples), len(samples.test["a"].y), samples.classes) == (20, 7, 2)
    assert {str(tmp_path / "train" / "state.json")} < set(data_files(config(tmp_path).data))


@needs_datasets
def test_one_saved_data_set_has_a_share_held_out(datasets, tmp_path):
    datasets.Dataset.from_list(TRAIN).save_to_disk(tmp_path)
    samples = load_samples(config(tmp_path, columns=COLUMNS, test_fraction=0.25))
    assert (trained(samples), len(samples.test["a"].y)) == (15, 5)


@needs_datasets
def test_a_folder_of_files_is_the_same_as_jsonl_of_its_rows(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    lines = "\n".join(json.dumps(row) for row in TRAIN)
    (folder / "train.jsonl").write_text(lines)
    (folder / "test.jsonl").write_text(lines)
    both = tmp_path / "both.jsonl"
    rows = [row | {"split": split} for split in ("train", "test") for row in TRAIN]
    both.write_text("\n".join(json.dumps(row) for row in rows))
    found = load_samples(config(folder, columns=COLUMNS))
    expected = load_samples(config(both, kind="jsonl", columns=COLUMNS))
    for cluster in "ab":
        assert (found.test[cluster].x == expected.test[cluster].x).all()
        for one, other in zip(found.shards[cluster], expected.shards[cluster], strict=True):
            assert (one.x == other.x).all() and (one.y == other.y).all()


@needs_datasets
@pytest.mark.parametrize("name", ["no-such-owner/no-such-data", "{0}/none"])
def test_a_name_that_is_not_on_this_machine_is_refused_without_asking_another(
    datasets, name, tmp_path
):
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(
        ValueError, match=r"cannot be loaded .* or hub:OWNER/NAME to download"
    ) as refusal:
        load_samples(config(name.format(tmp_path)))
    assert "\n" not in str(refusal.value)
    assert before == datasets.config.HF_HUB_OFFLINE


@needs_datasets
@pytest.mark.parametrize("name", ["json", "hub:json", "nosuchdata"])
def test_a_bare_word_is_not_taken_for_files_lying_about(datasets, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text(json.dumps(TRAIN))
    with pytest.raises(ValueError, match=r"is no folder here; a data set's name is OWNER/NAME"):
        load_samples(config(name, columns=COLUMNS))


@needs_datasets
def test_a_wrong_row_is_named(datasets, tmp_path):
    rows = [*TRAIN[:3], {"sentence": " ", "label": 0}]
    datasets.DatasetDict({"train": datasets.Dataset.from_list(rows)}).save_to_disk(tmp_path)
    with pytest.raises(ValueError, match=r"train\[3\]: sentence is blank"):
        load_samples(config(tmp_path, columns=COLUMNS))
