"""Files that are learnt from: how a change is noticed, and what results of others hang on."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from learning import Learner, LearningConfig
from tests.kit.learning import Operation, Values, circumstances, files_under, stamps_under


def reviews(path: Path, word: str) -> Path:
    lines = [{"text": f"{word} {n}", "label": "ab"[n % 2]} for n in range(400)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def config(data: Path) -> LearningConfig:
    plain = LearningConfig(1, ("A", "B"), (1, 1))
    said = dataclasses.replace(plain.data, kind="jsonl", path=str(data), tokens=8)
    model = dataclasses.replace(plain.model, kind="mixtral", hidden=16, layers=1)
    return dataclasses.replace(plain, data=said, model=model)


def test_a_file_that_changes_before_it_is_read_ends_the_run(tmp_path: Path) -> None:
    data = reviews(tmp_path / "data.jsonl", "good")
    learner = Learner(config(data))
    learner.circumstances()  # what is shared is named by the file as it is now
    reviews(data, "changed")
    with pytest.raises(ValueError, match="has changed since the run began"):
        learner.task  # noqa: B018


def test_folders_behind_links_count_once(tmp_path: Path) -> None:
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "deep" / "one").write_text("1")
    (tmp_path / "far" / "deep" / "round").symlink_to(tmp_path / "far")
    near = tmp_path / "near"
    near.mkdir()
    (near / "train").symlink_to(tmp_path / "far")
    assert files_under(str(near)) == [near / "train" / "deep" / "one"]
    before = stamps_under([str(near)])
    (tmp_path / "far" / "deep" / "one").write_text("12")
    assert stamps_under([str(near)]) != before


def test_a_new_version_of_an_operation_is_another_value() -> None:
    values = Values(lambda *_: {}, "context")
    one, two = (values.make(Operation("a.b:c", version)) for version in (1, 2))
    assert one.key != two.key


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("learning.sharing.processor", lambda: ["another one"]),
        ("platform.python_version", lambda: "3.99"),
        ("platform.machine", lambda: "pdp11"),
        ("learning.sharing._version", lambda name: "9.9"),
        ("learning.sharing._mkldnn", lambda: False),
    ],
)
def test_results_hang_on_machine_and_program(
    name: str, other: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = LearningConfig(1, ("A",), (1,))
    before = circumstances(plain)
    monkeypatch.setattr(name, other)
    assert circumstances(plain) != before


@pytest.mark.parametrize("variable", ["ATEN_CPU_CAPABILITY", "MKL_CBWR"])
def test_results_hang_on_the_instructions_that_are_allowed(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = LearningConfig(1, ("A",), (1,))
    monkeypatch.delenv(variable, raising=False)
    before = circumstances(plain)
    monkeypatch.setenv(variable, "default")
    assert os.environ[variable] == "default"
    assert circumstances(plain) != before
