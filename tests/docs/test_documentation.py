"""Every command and code block of README and docs is run, and every figure table is checked."""

from __future__ import annotations

import os
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.kit.sweeps import status

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STUDIES = ROOT / "docs" / "studies"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(
    r"^```sh\npython docs/studies/(\w+)\.py\n```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL
)


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in BLOCK.findall(page.read_text()) if name == language]


@pytest.fixture(autouse=True)
def in_a_copy_of_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are typed at the root; what they write must not land there."""
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run_in_the_order_of_the_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shell and Python; a block that begins with a file's name in a comment is written there."""
    monkeypatch.syspath_prepend(str(Path.cwd()))
    names: dict[str, object] = {"__name__": "docs"}
    for language, code in BLOCK.findall(page.read_text()):
        if named := re.match(r"# ([\w-]+\.(?:py|yaml))\n", code):
            Path(named[1]).write_text(code)
        elif language == "python":
            exec(compile(code, page.name, "exec"), names)
        elif language == "sh":
            for line in code.splitlines():
                run_line(line, page, monkeypatch)


def run_line(line: str, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line, comments=True)
    if words[:1] == ["leomix"]:
        assert status(words[1:]) == 0, line
    elif words[:1] == ["export"]:
        monkeypatch.setenv(*words[1].split("="))
    elif words[:1] == ["python"]:
        assert (ROOT / words[1]).is_file(), line
    else:
        pytest.fail(f"{page.name}: no test knows how to run {line!r}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("study", ["paper_numbers", "link_budgets", "transfers"])
def test_a_page_shows_what_a_quick_study_prints(
    study: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(STUDIES))
    pairs = [pair for page in PAGES for pair in SHOWN.findall(page.read_text())]
    [shown] = [text for name, text in pairs if name == study]
    assert import_module(study).main() == 0
    assert capsys.readouterr().out == shown


def test_make_runs_every_study() -> None:
    run = set(re.findall(r"docs/studies/(\w+)\.py", (ROOT / "Makefile").read_text()))
    of_others = {"batch"}
    assert {path.stem for path in STUDIES.glob("*.py")} - of_others == run


def test_make_targets_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.slow
def test_the_readme_shows_what_the_demo_prints(capsys: pytest.CaptureFixture[str]) -> None:
    for method in ("emsfl-enhanced", "synchronous"):
        setting = f"learning.method={method}"
        assert status(["run", "quickstart", "--set", setting, "-o", method, "--quiet"]) == 0
    capsys.readouterr()
    assert status(["compare", "emsfl-enhanced", "synchronous"]) == 0
    printed = capsys.readouterr().out
    shown = blocks(ROOT / "README.md", "text")[0]
    assert [line.split() for line in printed.splitlines()] == [
        line.split() for line in shown.splitlines()
    ]


def test_the_studies_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut down to one seed and three cycles; their full output is in docs/results.md."""
    monkeypatch.syspath_prepend(str(STUDIES))
    import batch
    import cycles
    import gain

    def short(points: list[tuple[str, dict[str, object]]]) -> list[batch.Outcome]:
        return [batch.run_one((name, {**s, "stop.cycles": 3})) for name, s in points]

    for study in (cycles, gain):
        monkeypatch.setattr(study, "run_all", short)
    monkeypatch.setattr(cycles, "STEP_SIZES", (0.1,))
    monkeypatch.setattr(gain, "ROUNDS", ("fill",))
    cycles.main("paper-slots", "1")
    gain.main("1")
    printed = capsys.readouterr().out
    assert "best step size" in printed
    assert "rounds a contact fill" in printed
    assert os.path.basename(sys.modules["gain"].__file__ or "") == "gain.py"
