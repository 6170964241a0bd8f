"""What the first commands import, what they list, and a newcomer's way to a scenario of his own."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import scenarios
from learning import find_method, method_names
from learning.data import DATASETS
from tests.kit.scenarios import DATA_KINDS, METHODS, MODEL_KINDS

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "safetensors.torch",
    "pandas",
    "matplotlib",
    "sklearn",
    "distributed",
)
"""Packages that take long to import and that no everyday command needs."""
PHYSICS = ("numpy", "scipy", "skyfield", "sgp4", "simpy", "pyarrow")
"""What those commands need not import either that compute nothing."""

BUDGETS = {
    "--help": (["--help"], (*HEAVY, *PHYSICS, "pydantic_core", "yaml", "rich")),
    "--version": (["--version"], (*HEAVY, *PHYSICS, "pydantic_core", "yaml", "rich")),
    "help of a command": (["run", "--help"], (*HEAVY, *PHYSICS)),
    "schema": (["schema"], (*HEAVY, *PHYSICS, "rich")),
    "list": (["list"], (*HEAVY, "skyfield", "sgp4", "simpy", "rich")),
    "new": (["new", "mine"], (*HEAVY, "scipy", "skyfield", "sgp4", "rich")),
    "validate": (["validate", "quickstart"], (*HEAVY, "rich")),
    "validate, a file of data": (["validate", "mine.yaml"], (*HEAVY, "rich")),
    "contacts": (["contacts", "quickstart", "--summary"], (*HEAVY, "rich")),
    "link": (["link", "quickstart"], (*HEAVY, "rich")),
    "a timing-only run": (
        ["run", "paper-slots", "--set", "learning.train=false", "--set", "stop.cycles=2"],
        {*HEAVY, "rich"} - {"pandas"},  # pyarrow takes it along for times
    ),
}
OWN = """
stop: {days: 1}
orbit: {source: circular, altitude_km: 600, inclination_deg: 97.8}
start: 2026-08-22T00:00:00Z
ground: {clusters: [{name: Munich, latitude_deg: 48.14, longitude_deg: 11.58}]}
learning:
  model: {kind: mixtral, experts: 2, hidden: 16, heads: 2, kv_heads: 2}
  data: {kind: jsonl, path: my.jsonl, tokens: 8}
"""


@pytest.mark.parametrize("what", BUDGETS)
def test_a_command_imports_nothing_heavy(what: str, tmp_path: Path) -> None:
    line, forbidden = BUDGETS[what]
    if "mine.yaml" in line:
        (tmp_path / "mine.yaml").write_text(OWN)
        write_reviews(tmp_path / "my.jsonl")
    code = (
        f"import sys; from sim.cli import status; status = status({line!r}); "
        "print(status, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    status, *imported = done.stderr.splitlines()[-1].split()
    assert status == "0", done.stderr
    assert set(imported) & set(forbidden) == set()


def write_reviews(path: Path, text: str = "text", label: str = "label") -> None:
    """300 reviews of four words; one of them tells good from bad."""
    draw = random.Random(7)
    words = {"good": ("moving", "sturdy", "sharp"), "bad": ("dull", "leaky", "noisy")}
    with path.open("w", encoding="utf-8") as file:
        for _ in range(300):
            kind = draw.choice(("good", "bad"))
            said = ["the", draw.choice(("plot", "kettle")), "is", draw.choice(words[kind])]
            print(json.dumps({text: " ".join(said), label: kind}), file=file)


def shipped(names: list[str]) -> list[str]:
    """Those of leomix: other tests register methods of their own."""
    return [name for name in names if find_method(name).__module__.startswith("learning.")]


def test_the_schema_offers_exactly_what_is_shipped() -> None:
    """Rooms import nothing of each other, so that the names stand in both."""
    from learning.models import MODELS

    assert shipped(method_names()) == METHODS
    assert sorted(MODELS.shipped) == MODEL_KINDS
    assert sorted(DATASETS.shipped) == DATA_KINDS


def test_list_shows_what_may_stand_in_a_scenario(leomix) -> None:
    done = leomix("list")
    lines = dict(line.split(": ", 1) for line in done.out.splitlines() if ": " in line)
    assert lines["models"] == f"{', '.join(MODEL_KINDS)}, or MODULE:CLASS"
    assert lines["data"] == f"{', '.join(DATA_KINDS)}, or MODULE:FUNCTION"
    assert shipped(lines["methods"].split(", ")) == METHODS


TLE = """\
ISS (ZARYA)
1 25544U 98067A   26234.50053383  .00009133  00000+0  17025-3 0  9997
2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031
"""


def edited(path: Path, *edits: tuple[str, str]) -> None:
    """Edit a file as a person does: each piece of text is there once."""
    text = path.read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def commented(*lines: str) -> tuple[tuple[str, str], ...]:
    """Edits that take the comment sign off lines of the template."""
    return tuple((f"  # {line}", f"  {line}") for line in lines)


CITY = (
    "{name: Munich,  latitude_deg: 48.14, longitude_deg: 11.58, devices: 3}",
    "{name: Vienna,  latitude_deg: 48.21, longitude_deg: 16.37, devices: 2}",
)
DAYS = ("days: 3 ", "days: 0.6 ")
TEXT = commented(
    "model: {kind: mixtral, experts: 4, hidden: 64}",
    "data: {kind: jsonl, path: my.jsonl, tokens: 32, columns: {text: text, label: label}}",
)
WITHOUT = (
    ("\n  model: {kind: vector-moe, experts: 4}", ""),
    ("\n  data: {kind: digits}", ""),
)


def elements_of(text: str) -> str:
    """The block of elements in a scenario, from its key to its last line."""
    found = re.search(r"  elements: \|\n(?:    .*\n)+", text)
    assert found is not None
    return found.group()


def test_a_newcomer_gets_to_a_scenario_of_his_own(leomix, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert leomix("new", "mine").status == 0
    quick = ["--set", "stop.days=0.5"]
    assert leomix("run", "mine.yaml", "--quiet", "--no-cache", *quick, "-o", "first").status == 0
    mine = tmp_path / "mine.yaml"
    (tmp_path / "my.tle").write_text(TLE)
    write_reviews(tmp_path / "my.jsonl", "review", "stars")
    edited(
        mine,
        DAYS,
        (elements_of(mine.read_text()), "  path: my.tle\n"),
        CITY,
        *WITHOUT,
        *TEXT,
        ("{text: text, label: label}", "{text: review, label: stars}"),
    )
    checked = leomix("validate", "mine.yaml")
    assert (checked.status, checked.err) == (0, "")
    assert "Vienna" in checked.out
    done = leomix("run", "mine.yaml", "--quiet", "--no-cache", "-o", "second", "--json")
    assert done.status == 0, done.err
    summary = json.loads(done.out)
    assert summary["accuracy_final"] > 0.5
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
        "\n  path: mine.tle",
        "mine.tle; relative paths",
    ),
    "a key misspelt": ("mine.yaml", "min_elevation_deg", "min_elevaton_deg", "min_elevation_deg"),
    "no days": ("mine.yaml", "days: 0.6", "cycles: 3", "days is missing"),
    "no JSON": ("my.jsonl", '{"review": "the', "the", "write one object a line"),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a newcomer's scenario, elements and data."""
    from tests.kit.results import write_scenario

    folder = tmp_path_factory.mktemp("own")
    path, _ = write_scenario(str(folder / "mine"))
    (folder / "my.tle").write_text(TLE)
    write_reviews(folder / "my.jsonl", "review", "stars")
    named = ("{text: text, label: label}", "{text: review, label: stars}")
    elements = (elements_of(path.read_text()), "  path: my.tle\n")
    edited(path, DAYS, elements, CITY, *WITHOUT, *TEXT, named)
    return folder


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_told_in_one_line_with_its_cure(
    leomix, own: Path, tmp_path: Path, what: str
) -> None:
    file, old, new, words = MISTAKES[what]
    for name in ("mine.yaml", "my.tle", "my.jsonl"):
        text = (own / name).read_text()
        if name == file:
            assert old in text, old
            text = text.replace(old, new, 1)
        (tmp_path / name).write_text(text)
    done = leomix("validate", tmp_path / "mine.yaml")
    assert done.status == 2, done
    assert done.err.count("\n") == 1
    assert words in done.err


def test_data_that_are_not_there_yet_are_told_of(leomix, own: Path, tmp_path: Path) -> None:
    for name in ("mine.yaml", "my.tle"):
        (tmp_path / name).write_text((own / name).read_text())
    done = leomix("validate", tmp_path / "mine.yaml")
    assert done.status == 0
    assert "my.jsonl: no such file" in done.err
    timing = leomix("validate", tmp_path / "mine.yaml", "--set", "learning.train=false")
    assert (timing.status, timing.err) == (0, "")


def test_validate_and_run_agree_on_what_a_model_takes(leomix, own: Path, tmp_path: Path) -> None:
    path, change = own / "mine.yaml", ["--set", "learning.model={kind: image-moe}"]
    run = leomix("run", path, *change, "-o", tmp_path / "run")
    assert (leomix("validate", path, *change).status, run.status) == (2, 2)
    assert "text" in run.err
    assert "'mixtral'" in run.err


def test_small_scenarios_that_are_shipped_lack_nothing() -> None:
    from tests.kit.network import learner_of
    from tests.kit.results import missing_data

    for name in scenarios.shipped():
        if not any(word in name for word in ("gpu", "cifar")):
            lacking = missing_data(learner_of(scenarios.load(name)))
            assert bool(lacking) == (name in ("paper-exp1", "paper-exp2")), name
