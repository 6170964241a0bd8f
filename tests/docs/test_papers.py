"""The folder `papers`: scripts on the public API, their output, and the pages that quote it."""

import ast
import re
import subprocess
import sys
from importlib import import_module

import pytest

import leomix
from tests.docs.pages import DOCS, PAPERS, ROOT, shown

PRINTED = {path.stem: path.read_text() for path in PAPERS.glob("results/*.txt")}
RESULTS = {name: text for name, text in PRINTED.items() if not text.startswith("$ ")}
"""What the scripts without arguments have printed; the others begin with their commands."""
CLAIM = re.compile(
    r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \| (equal|partly|different|not printed)\b[^|]*\|$", re.M
)
ROWS = {page.name: CLAIM.findall(page.read_text()) for page in PAPERS.glob("*.md")}
CLAIMS = [pytest.param(*row, id=f"{page}-{row[0][:30]}") for page in ROWS for row in ROWS[page]]


def figures(text):
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}


def printed(command):
    """What a command has printed, as the pages or `papers/results` have it; None of a test."""
    if command.startswith("tests/"):
        assert (ROOT / command).is_file(), command
        return None
    return RESULTS.get(command.removesuffix(".py")) or shown()[command]


@pytest.mark.parametrize(("here", "commands", "verdict"), CLAIMS)
def test_a_claim_has_no_figure_that_its_commands_have_not_printed(here, commands, verdict):
    outputs = [printed(command) for command in re.findall(r"`([^`]+)`", commands)]
    assert outputs
    if None not in outputs:
        known = set().union(*map(figures, outputs))
        assert figures(re.sub(r"\]\([^)]*\)", "", here)) <= known


def test_the_index_has_the_number_of_claims_by_verdict():
    text = (PAPERS / "README.md").read_text()
    rows = re.findall(r"^\| `papers/([\w-]+\.md)` \|[^|]*\|([\d |]+)\|$", text, re.M)
    assert {page for page, _ in rows} == {page for page, own in ROWS.items() if own}
    for page, numbers in rows:
        claims, *counts = map(int, numbers.split("|"))
        said = [verdict for *_, verdict in ROWS[page]]
        assert claims == sum(counts)
        assert counts[:3] == [said.count(verdict) for verdict in ("equal", "partly", "different")]


SCRIPTS = [*PAPERS.glob("*.py"), *(ROOT / "examples").glob("**/*.py")]
ROOMS = ("orbit", "channel", "learning", "scenarios", "sim", "statements")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_uses_faces_of_packages_alone(path):
    """What the list of public names has something of, and nothing below it."""
    listed = (DOCS / "surfaces/names.txt").read_text().split()
    faces = {name.rstrip(":").rpartition(".")[0] for name in listed}
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    imported = {name.name for n in nodes if isinstance(n, ast.Import) for name in n.names}
    imported |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    rooms = {name for name in imported if name.partition(".")[0] in (*ROOMS, "tests")}
    assert rooms <= faces


def test_every_script_has_its_output_and_is_run_at_night():
    scripts = {path.stem for path in PAPERS.glob("*.py") if "__main__" in path.read_text()}
    makefile = (ROOT / "Makefile").read_text()
    run = {command.strip() for command in re.findall(r"python papers/(\w+\.py[^\n;]*)", makefile)}
    assert {*shown()} <= run
    by_name = re.search(r"@for paper in (.*?);", makefile, re.S)[1].split()
    assert {*RESULTS} == {name for name in by_name if name != "\\"}
    assert scripts == {*RESULTS, *(command.partition(".")[0] for command in run)}


class Loaded(Exception):
    """The scenarios of a script are all there."""


@pytest.mark.parametrize("script", sorted({*RESULTS} - {"ems_fl_fig_4"}))
def test_a_script_sets_keys_that_there_are(script, monkeypatch):
    """Most of them take minutes: whoever renames a key would not see it fail."""
    monkeypatch.syspath_prepend(str(PAPERS))
    module = import_module(script)

    def load(name, scenario, overrides, variants, vary=None, seeds=1):
        first = {key: values[0] for key, values in (vary or {}).items()}
        for keys in variants.values():
            leomix.load(scenario, {**overrides, **keys, **first})
        raise Loaded

    monkeypatch.setattr(module, "runs", load)
    with pytest.raises(Loaded):
        module.main()


@pytest.mark.process
def test_a_script_prints_what_the_results_have(tmp_path):
    script = "ems_fl_fig_4"
    line = [sys.executable, str(PAPERS / f"{script}.py")]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, RESULTS[script]), done.stderr
    assert list((tmp_path / "runs/papers").glob(f"{script}*.svg"))
