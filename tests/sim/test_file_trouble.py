"""Files that are missing, torn or cannot be written: one line that says which, and what to do."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import sim
from tests.kit.small import slots

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "r"
    sim.run(slots(learning={"train": False}), out=folder)
    return folder


@needs_full
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_full_disk_is_named_and_no_fault_of_the_input(leomix, tmp_path: Path, ending) -> None:
    out = tmp_path / f"c.{ending}"
    (tmp_path / f".{out.name}.part").symlink_to(FULL)
    outcome = leomix("contacts", "quickstart", "-o", out)
    said = f"leomix: {out}: No space left on device; free some space and try again\n"
    assert (outcome.status, outcome.err) == (1, said)
    assert not list(tmp_path.iterdir())


@needs_full
def test_an_export_to_a_full_disk_names_its_folder(
    leomix, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, *_: object) -> None:
        path.symlink_to(FULL)
        path.write_text("packets")

    monkeypatch.setattr("sim.exports.spreadsheet.write_batches", lambda _, path: write(path))
    outcome = leomix("export", run, "--to", "csv", "-o", tmp_path / "e")
    said = f"leomix: {tmp_path / 'e'}: No space left on device; free some space and try again\n"
    assert (outcome.status, outcome.err) == (1, said)
    assert not (tmp_path / "e").exists()


def test_a_fault_of_the_input_stays_one(leomix, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert leomix("contacts", "quickstart", "-o", tmp_path / "file" / "c.csv").status == 2


@pytest.mark.parametrize("size", [0, 3, 200])
def test_a_torn_table_is_named_once(leomix, run: Path, tmp_path: Path, size: int) -> None:
    broken = copied(run, tmp_path)
    path = broken / "transfers.parquet"
    path.write_bytes(path.read_bytes()[:size])
    outcome = leomix("show", broken)
    assert outcome.status == 2
    assert outcome.err.startswith(f"leomix: {path}: cannot be read (")
    assert outcome.err.endswith("); the run has to be done again\n")
    assert outcome.err.count("transfers.parquet") == 1


def test_a_missing_table_is_missing(leomix, run: Path, tmp_path: Path) -> None:
    broken = copied(run, tmp_path)
    (broken / "transfers.parquet").unlink()
    said = f"leomix: {broken / 'transfers.parquet'}: is missing; the run has to be done again\n"
    assert leomix("show", broken) == (2, "", said)


@pytest.mark.parametrize("command", ["show", "compare"])
def test_a_sweep_is_no_run(leomix, tmp_path: Path, command: str) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps({}))
    outcome = leomix(command, tmp_path)
    assert outcome.status == 2
    assert f"{tmp_path}: is a sweep; use leomix report or leomix export" in outcome.err
    assert f"{tmp_path / 'points'}/..." in outcome.err


INTERRUPTED_AT = """
import os, signal, sys, time
from sim.cli import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

sys.meta_path.insert(0, Finder())
main(["contacts", "quickstart"])
"""


@pytest.mark.parametrize("name", ["scenarios", "numpy", "orbit.finder"])
def test_an_interrupt_during_the_start_is_told(name: str) -> None:
    line = [sys.executable, "-c", INTERRUPTED_AT.format(name=name)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, "")
    assert done.stderr == "leomix: interrupted: nothing was saved\n"


def test_reading_a_run_needs_no_pandas(run: Path) -> None:
    code = (
        "import sys, sim; result = sim.load(sys.argv[1]); "
        "print(len(result.tables['events']), 'pandas' in sys.modules)"
    )
    line = [sys.executable, "-c", code, str(run)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{pq.read_metadata(run / 'events.parquet').num_rows} False\n"


def copied(run: Path, to: Path) -> Path:
    return shutil.copytree(run, to / "copy")
