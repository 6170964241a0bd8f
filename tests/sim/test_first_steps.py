"""A newcomer's way: ``leomix new``, elements and data of one's own, and what mistakes are told."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import jsonschema
import pytest

import scenarios
from tests.kit.results import write_scenario
from tests.kit.scenarios import parse_yaml

TLE = """\
ISS (ZARYA)
1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997
2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031
"""
EDITS = (
    ("days: 3 ", "days: 0.6 "),
    (
        "{name: Munich,  latitude_deg: 48.14, longitude_deg: 11.58, devices: 3}",
        "{name: Vienna,  latitude_deg: 48.21, longitude_deg: 16.37, devices: 2}",
    ),
    ("\n  model: {kind: vector-moe, experts: 4}", ""),
    ("\n  data: {kind: digits}", ""),
    (
        "  # model: {kind: mixtral, experts: 4, hidden: 64}",
        "  model: {kind: mixtral, experts: 4, hidden: 64}",
    ),
    ("  # data: {kind: jsonl, path: my.jsonl", "  data: {kind: jsonl, path: my.jsonl"),
    ("{text: text, label: label}", "{text: review, label: stars}"),
)
"""What a newcomer changes in the template: each piece of text is there once."""


def write_reviews(path: Path) -> None:
    """300 reviews of four words; one of them tells good from bad."""
    draw = random.Random(7)
    words = {"good": ("moving", "sturdy", "sharp"), "bad": ("dull", "leaky", "noisy")}
    with path.open("w", encoding="utf-8") as file:
        for _ in range(300):
            kind = draw.choice(("good", "bad"))
            said = ["the", draw.choice(("plot", "kettle")), "is", draw.choice(words[kind])]
            print(json.dumps({"review": " ".join(said), "stars": kind}), file=file)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a newcomer's scenario, elements and data."""
    folder = tmp_path_factory.mktemp("own")
    path, _ = write_scenario(str(folder / "mine"))
    (folder / "my.tle").write_text(TLE)
    write_reviews(folder / "my.jsonl")
    text = path.read_text(encoding="utf-8")
    elements = re.search(r"  elements: \|\n(?:    .*\n)+", text)
    assert elements is not None
    for old, new in ((elements.group(), "  path: my.tle\n"), *EDITS):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return folder


def test_a_newcomer_gets_to_a_scenario_of_his_own(
    leomix, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert leomix("new", "mine").status == 0
    quick = ["--set", "stop.days=0.5", "--quiet", "--no-cache"]
    assert leomix("run", "mine.yaml", *quick, "-o", "first").status == 0
    checked = leomix("validate", own / "mine.yaml")
    assert (checked.status, checked.err) == (0, "")
    assert "Vienna" in checked.out
    second = ("--quiet", "--no-cache", "-o", "second", "--json")
    done = leomix("run", own / "mine.yaml", *second)
    assert done.status == 0, done.err
    assert json.loads(done.out)["accuracy_final"] > 0.5
    manifest = json.loads((tmp_path / "second" / "manifest.json").read_text())
    assert manifest["scenario"]["orbit"]["elements"] == TLE
    assert manifest["start_utc"].startswith("2026-08-22T12:00:46")


MISTAKES = {
    "no line 2": ("my.tle", TLE.splitlines()[2], "", "line 1 is not followed by a line 2"),
    "a line cut": ("my.tle", "15.49570248582031", "", "copy the whole line"),
    "latitude": ("mine.yaml", "48.21", "480", "must be >= -90 and <= 90"),
    "no place": ("mine.yaml", "latitude_deg: 48.21, ", "", "latitude_deg"),
    "columns": (
        "mine.yaml",
        ", columns: {text: review, label: stars}",
        "",
        "learning.data.columns",
    ),
    "one column": ("mine.yaml", "label: stars", "label: star", "no column 'star'"),
    "a model of vectors": (
        "mine.yaml",
        "{kind: mixtral, experts: 4, hidden: 64}",
        "{kind: vector-moe}",
        "'mixtral' does",
    ),
    "a model misspelt": ("mine.yaml", "kind: mixtral,", "kind: mixtrel,", "did you mean 'mixtral'"),
    "no such elements": (
        "mine.yaml",
        "\n  path: my.tle",
        "\n  path: no.tle",
        "no.tle; relative paths",
    ),
    "a key misspelt": ("mine.yaml", "min_elevation_deg", "min_elevaton_deg", "min_elevation_deg"),
    "no days": ("mine.yaml", "days: 0.6", "cycles: 3", "days is missing"),
    "no JSON": ("my.jsonl", '{"review": "the', "the", "write one object a line"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_told_in_one_line_with_its_cure(
    leomix, own: Path, tmp_path: Path, what: str
) -> None:
    file, old, new, words = MISTAKES[what]
    for name in ("mine.yaml", "my.tle", "my.jsonl"):
        text = (own / name).read_text()
        assert name != file or old in text
        (tmp_path / name).write_text(text.replace(old, new, 1) if name == file else text)
    done = leomix("validate", tmp_path / "mine.yaml")
    assert (done.status, done.err.count("\n")) == (2, 1), done
    assert words in done.err


def test_validate_says_what_a_run_would_lack(leomix, own: Path, tmp_path: Path) -> None:
    for name in ("mine.yaml", "my.tle"):
        (tmp_path / name).write_text((own / name).read_text())
    path = tmp_path / "mine.yaml"
    done = leomix("validate", path)
    assert done.status == 0
    assert "my.jsonl: no such file" in done.err
    timing = leomix("validate", path, "--set", "learning.train=false")
    assert (timing.status, timing.err) == (0, "")
    change = ["--set", "learning.model={kind: image-moe}"]
    run = leomix("run", own / "mine.yaml", *change, "-o", tmp_path / "run")
    assert (leomix("validate", own / "mine.yaml", *change).status, run.status) == (2, 2)
    assert "text" in run.err
    assert "'mixtral'" in run.err


# -- leomix new


def test_new_writes_a_marked_scenario_and_the_schema_for_editors(
    leomix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = leomix("new", "mine")
    assert (done.status, done.err) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leomix.schema.json", "mine.yaml"]
    assert "leomix run mine.yaml" in done.out
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    schema = json.loads((tmp_path / named[1]).read_text())
    assert schema == scenarios.schema()
    jsonschema.Draft202012Validator(schema).validate(parse_yaml(text).value)
    assert [int(n) for n in re.findall(r"# \[(\d)\] [A-Z]", text)] == [1, 2, 3, 4]
    assert max(map(len, text.splitlines())) <= 100
    again = leomix("new", "mine")
    assert again.status == 2
    assert again.err == "leomix: new mine: mine.yaml is there already; choose another name\n"
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mine.yml", "mine.yaml"),
        ("studies/alps-2.1", "studies/alps-2.1.yaml"),
        ("alps/", "alps.yaml"),
    ],
)
def test_a_name_may_be_a_path(
    leomix, tmp_path: Path, name: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert leomix("new", name).status == 0
    assert scenarios.load(str(tmp_path / path)).seed == 1
    assert (tmp_path / path).with_name("leomix.schema.json").is_file()


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *((odd, "like mine") for odd in ("", "..", "my scenario", "<script>", "x" * 65, "a\nb")),
        ("quickstart", "shipped"),
        ("studies/mine", "studies"),
    ],
)
def test_odd_names_are_refused_in_one_line(
    leomix, tmp_path: Path, name: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").write_text("")
    done = leomix("new", name)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert word in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["studies"]
