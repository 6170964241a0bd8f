"""README and docs: commands and code that exist, links that lead somewhere, printed figures."""

import ast
import re
import shlex
from configparser import ConfigParser
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import scenarios
from tests.docs.pages import DOCS, PAGES, PAPERS, ROOT, shown, steps
from tests.kit.inner.learning import METHODS
from tests.kit.inner.sim import CITATION, COLUMNS, FORMATS, KINDS, command_line, status

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
MAKEFILE = (ROOT / "Makefile").read_text()
RUN_FOLDER = (DOCS / "run-folder.md").read_text()
TABLES_OF = {"methods.md": METHODS.shipped, "run-folder.md": FORMATS.shipped}


@pytest.fixture(autouse=True)
def in_a_copy_of_the_root(tmp_path, monkeypatch):
    """Commands are typed at the root; what they write must not land there."""
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@by_page
def test_commands_and_code_of_a_page_are_valid(page, monkeypatch):
    """Every command is parsed and its scenario loaded; Python compiles and its imports exist.

    ``make docs`` runs them all (test_commands_run.py).
    """
    for language, code in steps(page):
        if language == "python":
            lines = ast.parse(code).body
            imports = [line for line in lines if isinstance(line, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), page.name, "exec"), {})
        for line in code.splitlines() if language == "sh" else ():
            words = shlex.split(line, comments=True)
            if words[:1] == ["export"]:
                monkeypatch.setenv(*words[1].split("="))
            elif words[:2] == ["leomix", "new"] or "--save" in words:  # which others read
                assert status(words[1:]) == 0, line
            elif words[:1] == ["leomix"]:
                # A command keeps the options for help of the context that it is first read in.
                leomix = command_line().make_context("leomix", words[1:])
                command = command_line().commands[words[1]]
                given = command.make_context(words[1], words[2:], parent=leomix).params
                if isinstance(scenario := given.get("scenario"), str):
                    pairs = (pair.partition("=") for pair in given.get("set_") or ())
                    flown = {"learning": {}} if words[1] == "fly" else {}  # which brings its own
                    scenarios.load(scenario, flown | {key: value for key, _, value in pairs})
            elif words:
                assert words[0] == "python", line
                assert (ROOT / words[1]).is_file() or Path(words[1]).is_file(), line


@cache
def anchors(page):
    """Anchors of the headings of a page, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@by_page
def test_links_lead_somewhere_and_files_that_are_named_exist(page):
    text = page.read_text()
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{page.name}: {target}#{anchor}"
    for path in re.findall(r"`((?:[a-z]+/)+[a-z_0-9]+\.py)`", text):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


@by_page
def test_a_page_opens_with_what_it_is_about(page):
    title, opening, *_ = page.read_text().split("\n\n")
    assert title.startswith("# ") and re.match(r"[\w`*]", opening), opening


PROMISES = [
    ("SECURITY.md", "test_hostile_files", "## What is not promised"),
    ("docs/trust.md", "checks/test_invariants", "## Determinism"),
]
NAMED_TEST = re.compile(r"`(?:(tests/[a-z_/]+\.py)::)?(test_[a-z_0-9]+)`")


@pytest.mark.parametrize(("page", "tests", "end"), PROMISES)
def test_promises_name_tests_that_exist(page, tests, end):
    """Those before the heading ``end``. Tests without a file are in the one named first."""
    text, heading, _ = (ROOT / page).read_text().partition(end)
    assert heading
    own = f"tests/sim/{tests}.py"
    assert f"`{own}`" in text
    for file, name in NAMED_TEST.findall(text):
        assert f"\ndef {name}(" in (ROOT / (file or own)).read_text(), name
    promises = re.findall(r"^- .*\n(?:  .*\n)*", text, re.MULTILINE) or [text]
    assert [promise for promise in promises if not NAMED_TEST.search(promise)] == []
    assert not re.search(r"`test_|::", NAMED_TEST.sub("", text))


def test_make_targets_that_pages_name_exist():
    for target in re.findall(r"make (\w+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_the_page_of_the_run_folder_has_a_row_for_every_table():
    assert {*re.findall(r"^\| `(\w+)\.parquet` \|", RUN_FOLDER, re.MULTILINE)} == {*COLUMNS}


def test_the_page_of_the_run_folder_names_kinds_of_events():
    listed = re.search(r"^- Kinds of events: ([^.]+)\.", RUN_FOLDER, re.MULTILINE)[1]
    assert set(re.findall(r"`(\w+)`", listed)) == {*KINDS}, "docs/run-folder.md: list all kinds"


def test_the_citation_has_the_version_of_the_packages():
    packages = ConfigParser()
    packages.read(ROOT / "setup.cfg")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == packages["metadata"]["version"]
    author, year = cited["authors"][0]["name"], cited["date-released"].year
    assert f"{author} ({year}). {cited['title']}" == CITATION


def first_cells(page):
    return re.findall(r"^\| ([^|]+) \|", (DOCS / page).read_text(), re.MULTILINE)


def test_every_shipped_method_and_export_has_its_row_and_help():
    rows = {page: set(re.findall(r"`([\w-]+)`", "".join(first_cells(page)))) for page in TABLES_OF}
    for page, shipped in TABLES_OF.items():
        assert set(shipped) <= rows[page], f"docs/{page}: has a row for each that is shipped"
    export = command_line().commands["export"]
    offered = next(option.help for option in export.params if option.name == "to")
    assert set(FORMATS.shipped) <= set(re.findall(r"\w+", offered)), "--to of sim/cli/show.py"


@pytest.mark.parametrize(
    "script",
    [
        "paper_numbers",
        "link_budgets",
        pytest.param("transfers", marks=pytest.mark.wide),
        pytest.param("full_size", marks=pytest.mark.wide),
    ],
)
def test_a_page_shows_what_a_quick_script_prints(script, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(PAPERS))
    assert import_module(script).main() == 0
    assert capsys.readouterr().out.rstrip() == shown()[f"{script}.py"].rstrip()
