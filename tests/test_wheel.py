"""The wheel: what a user installs holds every file that the commands read; `.ci/dist` runs it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = (".csv", ".json", ".tle")
PACKAGES = ("channel", "learning", "orbit", "scenarios", "sim", "statements", "leomix.py")


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel that is built from a copy of the tracked files, so that the checkout stays clean."""
    place = tmp_path_factory.mktemp("wheel")
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            copy = place / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
    alone = ("--no-deps", "--no-build-isolation", "--no-index", "-w", str(place))
    run(*pip, *alone, str(place / "source"), cwd=place)
    [made] = place.glob("leomix-*.whl")
    return made


@pytest.mark.process
def test_the_wheel_holds_every_file_of_the_packages(wheel):
    listed = run("git", "ls-files", "-z", "--", *PACKAGES, cwd=ROOT).split("\0")
    there = {name for name in listed if name and (ROOT / name).is_file()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == there


@pytest.mark.process
def test_of_data_that_others_have_published_the_wheel_says_by_whom_and_how_licensed(wheel):
    inside = zipfile.ZipFile(wheel)
    licences = {Path(name).name: name for name in inside.namelist() if "/licenses/" in name}
    assert set(licences) == {"LICENSE", "NOTICE"}
    stated = set(inside.read(licences["NOTICE"]).decode().splitlines())
    assert {name for name in inside.namelist() if name.endswith(DATA)} <= stated
