"""`leomix new`: a scenario that runs as it is, for editors and for hands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

import scenarios
from tests.kit.scenarios import parse_yaml


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_writes_a_scenario_and_its_schema(leomix, tmp_path: Path) -> None:
    done = leomix("new", "mine")
    assert (done.status, done.err) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leomix.schema.json", "mine.yaml"]
    assert "leomix run mine.yaml" in done.out
    assert json.loads((tmp_path / "leomix.schema.json").read_text()) == scenarios.schema()


def test_editors_find_the_schema_and_it_allows_the_scenario(leomix, tmp_path: Path) -> None:
    leomix("new", "mine")
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    schema = json.loads((tmp_path / named[1]).read_text())
    jsonschema.Draft202012Validator(schema).validate(parse_yaml(text).value)


def test_four_places_are_marked(leomix, tmp_path: Path) -> None:
    leomix("new", "mine")
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    marked = [int(n) for n in re.findall(r"# \[(\d)\] [A-Z]", text)]
    assert marked == [1, 2, 3, 4]
    assert max(map(len, text.splitlines())) <= 100


def test_what_is_commented_out_is_a_scenario_too(leomix, tmp_path: Path) -> None:
    """The lines of text take the place of those above them."""
    leomix("new", "mine")
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    plain = re.sub(r"\n  (model|data): .*", "", text)
    edited = re.sub(r"\n  # (model|data): ", r"\n  \1: ", plain)
    (tmp_path / "mine.yaml").write_text(edited, encoding="utf-8")
    learning = scenarios.load("mine.yaml").learning
    assert (learning.model.kind, learning.data.kind) == ("mixtral", "jsonl")


def test_it_writes_over_nothing(leomix, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    done = leomix("new", "mine")
    assert done.status == 2
    assert done.err == "leomix: new mine: mine.yaml is there already; choose another name\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    assert (tmp_path / "mine.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mine.yaml", "mine.yaml"),
        ("mine.yml", "mine.yaml"),
        ("studies/alps-2.1", "studies/alps-2.1.yaml"),
        ("v1.2", "v1.2.yaml"),
        ("alps/", "alps.yaml"),
    ],
)
def test_a_name_may_be_a_path(leomix, tmp_path: Path, name: str, path: str) -> None:
    assert leomix("new", name).status == 0
    assert scenarios.load(str(tmp_path / path)).seed == 1
    assert (tmp_path / path).with_name("leomix.schema.json").is_file()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "my scenario", "=cmd", "<script>", "x" * 65, "\u00e9", "a\nb"]
)
def test_odd_names_are_refused_in_one_line(leomix, tmp_path: Path, name: str) -> None:
    done = leomix("new", name)
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "like mine" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_shipped_name_would_never_be_run(leomix, tmp_path: Path) -> None:
    done = leomix("new", "quickstart")
    assert done.status == 2
    assert "shipped" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_named(leomix, tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("")
    done = leomix("new", "studies/mine")
    assert done.status == 2
    assert "studies" in done.err
    assert done.err.count("\n") == 1
