"""The folder `papers`: scripts on the public API, their output, and the pages that quote it."""

import ast
import re
import subprocess
import sys
from importlib import import_module

import pytest

import leomix
from tests.docs.pages import DOCS, PAPERS, ROOT, shown

CLAIM = re.compile(
    r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \| (equal|partly|different|not printed)\b[^|]*\|$", re.M
)
SHOWN = shown()
ROWS = {page.name: CLAIM.findall(page.read_text()) for page in PAPERS.glob("*.md")}
CLAIMS = [pytest.param(*row, id=f"{page}-{row[0][:30]}") for page in ROWS for row in ROWS[page]]


def figures(text):
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}


def printed(command):
    """What a command has printed, as the pages or `papers/results` have it; None of a test."""
    if command.startswith("tests/"):
        assert (ROOT / command).is_file(), command
        return None
    return SHOWN[command]


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


MAKEFILE = (ROOT / "Makefile").read_text()
AT_NIGHT = [line.split() for line in re.findall(r"python papers/(\w+\.py[^\n;]*)", MAKEFILE)]
WITH_FILES = ("experiment_1.py", "experiment_2.py", "real_orbit.py", "nmoe-cifar10")
ALONE = ("link_budgets.py", "paper_numbers.py", "transfers.py", "full_size.py", "ems_fl_fig_4.py")


def test_every_script_has_its_output_and_is_run_at_night():
    scripts = {path.name for path in PAPERS.glob("*.py") if "__main__" in path.read_text()}
    assert {*SHOWN} <= {" ".join(words) for words in AT_NIGHT}
    assert scripts == {script for script, *_ in AT_NIGHT}


class Loaded(Exception):
    """The scenarios of a script are all there."""


@pytest.mark.parametrize(
    "words", [words for words in AT_NIGHT if not {*WITH_FILES, *ALONE} & {*words}], ids=" ".join
)
def test_a_script_sets_keys_that_there_are(words, monkeypatch):
    """Most of them take minutes: whoever renames a key would not see it fail."""
    monkeypatch.syspath_prepend(str(PAPERS))

    def load(scenario, keys, out, *, overrides, variants, **_):
        first = {key: values[0] for key, values in keys.items()}
        for own in variants.values():
            leomix.load(scenario, {**overrides, **own, **first})
        raise Loaded

    def run(scenario):
        raise Loaded

    monkeypatch.setattr(leomix, "sweep", load)
    monkeypatch.setattr(leomix, "run", run)
    script, *given = words
    with pytest.raises(Loaded):
        import_module(script.removesuffix(".py")).main(*given)


@pytest.mark.process
def test_a_script_prints_what_the_results_have(tmp_path):
    line = [sys.executable, str(PAPERS / "ems_fl_fig_4.py")]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, SHOWN["ems_fl_fig_4.py"]), done.stderr
