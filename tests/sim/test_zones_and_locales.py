"""Where and when a run is done, and in which language: the same traces and the same words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kit.small import ORBIT, merged

CODE = """
import sys
from sim.cli import status

scenario, place = sys.argv[1:]
status = status(["run", scenario, "-o", place, "--quiet", "--no-cache"])
status = status or status(["show", place, "--json"])
sys.exit(status or status(["contacts", scenario]))
"""
# In this night summer time ends in Europe.
SCENARIO = merged(
    ORBIT, {"learning": {"train": False}, "stop": {"days": 0.4}, "start": "2026-10-24T20:00:00Z"}
)
HOME = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
NO_UTF_8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
FAR_EAST = {"TZ": "Pacific/Chatham", "PYTHONHASHSEED": "4321", **NO_UTF_8}
IN_GERMAN = {"TZ": "<CET>-1<CEST>,M3.5.0,M10.5.0/3", "LC_ALL": "de_DE.UTF-8"}


def outcome(folder: Path, environment: dict[str, str], start: Path) -> tuple[str, str, str]:
    """What a run and a look at its contacts print, without how long it took; the run's digests."""
    scenario, place = folder / "scenario.yaml", folder / "run"
    scenario.write_text(yaml.safe_dump(SCENARIO))
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(scenario), str(place)],
        cwd=start,
        env={**os.environ, **HOME, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = [line for line in done.stdout.splitlines() if "wall" not in line]
    manifest = (place / "manifest.json").read_text(encoding="utf-8").splitlines()
    digests = [line for line in manifest if "sha256" in line]
    return "\n".join(shown).replace(str(place), "RUN"), done.stderr, "\n".join(digests)


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    folder = tmp_path_factory.mktemp("home")
    return outcome(folder, {}, folder)


def test_there_is_something_to_compare(at_home: tuple[str, str, str]) -> None:
    shown, _, digests = at_home
    assert "North" in shown
    assert '"trace_sha256"' in digests


def test_in_another_zone_folder_and_encoding(at_home: tuple[str, ...], tmp_path: Path) -> None:
    elsewhere = tmp_path / "a folder" / "ünder"
    elsewhere.mkdir(parents=True)
    assert outcome(tmp_path, FAR_EAST, elsewhere) == at_home


def test_in_a_locale_with_decimal_commas(at_home: tuple[str, ...], tmp_path: Path) -> None:
    """The locale is made here, if its source is there; a process that uses it writes 1,5."""
    made = tmp_path / "locales"
    made.mkdir()
    localedef = shutil.which("localedef")
    if localedef is None:
        pytest.skip("this system cannot make locales (localedef)")
    line = [localedef, "-i", "de_DE", "-f", "UTF-8", str(made / "de_DE.UTF-8")]
    subprocess.run(line, capture_output=True, check=False)
    environment = {**IN_GERMAN, "LOCPATH": str(made)}
    comma = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.str(1.5))"
    line = [sys.executable, "-c", comma]
    here = {**os.environ, **environment}
    if subprocess.run(line, env=here, capture_output=True, check=False).stdout != b"1,5\n":
        pytest.skip("this system has no source of the locale de_DE")
    assert outcome(tmp_path, environment, tmp_path) == at_home
