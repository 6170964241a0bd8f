"""A distribution that adds a method, a model, data, a metric, an export is used by name.

It is built and installed beside leomix as its user would, and nothing of it is imported here.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

HOME = Path(__file__).parent
COMMANDS = """
import json, sys
from sim.cli.app import status
sys.exit(max(status(line.split()) for line in json.loads(sys.argv[1])))
"""
CHECK = """
from leomix.testing import check_method
print(*check_method("toy-average"), sep="\\n")
"""


def run(*command, cwd, **env):
    return subprocess.run(
        command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of installed packages with the toy distribution, entry points included."""
    place = tmp_path_factory.mktemp("toy")
    shutil.copytree(HOME / "distribution", place / "source")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
    alone = ("--no-deps", "--no-build-isolation", "--no-index", "-w", str(place))
    built = run(*pip, *alone, str(place / "source"), cwd=place)
    assert built.returncode == 0, built.stderr
    [wheel] = place.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(place / "site")
    return place / "site"


@pytest.fixture
def python(site, tmp_path):
    """Run code beside the scenario of the toy's user; fail where it does."""
    shutil.copy(HOME / "study.yaml", tmp_path)

    def called(code, *arguments):
        paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        done = run(sys.executable, "-c", code, *arguments, cwd=tmp_path, PYTHONPATH=paths)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return called


@pytest.mark.process
def test_a_run_is_made_of_what_a_distribution_adds(python, tmp_path):
    lines = [
        "run study.yaml -o moved --quiet",
        "run study.yaml -o still --quiet --set learning.options.rate=0",
        "export moved --to toy-lines",
        "report moved",
    ]
    python(COMMANDS, json.dumps(lines))
    accuracy = {}
    for name in ("moved", "still"):
        assert (
            json.loads((tmp_path / name / "manifest.json").read_text())["method"] == "toy-average"
        )
        metrics = pq.read_table(tmp_path / name / "metrics.parquet").to_pylist()
        rows = [row for row in metrics if row["scope"] == "global"]
        # Of three classes one of the two most likely ones is right more often than the first.
        assert all(row["toy-top-two"] >= row["accuracy"] for row in rows)
        accuracy[name] = [row["accuracy"] for row in rows]
    assert accuracy["moved"][-1] > accuracy["moved"][0] + 0.1
    assert set(accuracy["still"]) == {accuracy["moved"][0]}  # a server that does not move
    lines = (tmp_path / "moved/export/toy-lines/accuracy.txt").read_text().splitlines()
    assert [float(line.split()[1]) for line in lines] == pytest.approx(accuracy["moved"], abs=5e-4)


@pytest.mark.process
def test_an_installed_method_holds_what_every_method_holds(python):
    shown = python(CHECK)
    assert "failed" not in shown
    assert "ok       a resumed run is the uninterrupted one" in shown
    assert "toy-average" in python(COMMANDS, '["list"]')
