"""Run folders, damaged: the manifest, a table, and the journal of a run that was stopped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import scenarios
from tests.kit.folders import cut
from tests.soak import fuzz_mutations as damage
from tests.soak.fuzz_kinds import SMALL, Kind, leomix

WITHOUT = {"backbone_steps": 0, "expert_steps": 0, "gate_steps": 0}
SHORT = {"stop__cycles": 1, "learning__pretraining": WITHOUT}
QUIET = ("--quiet", "--no-cache")
COMMANDS: list[Callable[[Path], int]] = [
    partial(leomix, "show"),
    lambda run: leomix("show", run, "--json"),
    lambda run: leomix("compare", run, run),
    lambda run: leomix("export", run, "--to", "csv", "-o", _fresh(run.parent / "csv")),
    lambda run: leomix("export", run, "--to", "perfetto", "-o", _fresh(run.parent / "lanes")),
]


def folder_kinds() -> dict[str, Kind]:
    """Kinds of files in run folders; runs are made for it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "small.yaml").write_text(SMALL, encoding="utf-8")
        scenario = place / "small.yaml"
        assert not leomix("run", scenario, "-o", place / "run", *QUIET, learning__train=False)
        load = {key.replace("__", "."): value for key, value in SHORT.items()}
        cut(scenarios.load(scenario, load), place / "stopped", 13)
        done, stopped = _files(place, "run"), _files(place, "stopped")
    manifest = done.pop("run/manifest.json")
    journal = stopped.pop("stopped/checkpoint/journal.json")
    text, small = (damage.json_text,), {"small.yaml": SMALL.encode()}
    kinds = {
        "manifest": Kind([manifest], _shown, 1000, "run/manifest.json", text, beside=done),
        "journal": Kind(
            [journal], _resumed, 300, "stopped/checkpoint/journal.json", text,
            may_fail=True, beside=stopped | small,
        ),
    }  # fmt: skip
    for table in ("events", "metrics"):
        name = f"run/{table}.parquet"
        beside = {**done, "run/manifest.json": manifest}
        kinds[f"{table} table"] = Kind([beside.pop(name)], _shown, 400, name, beside=beside)
    return kinds


def _files(place: Path, folder: str) -> dict[str, bytes]:
    found = sorted((place / folder).rglob("*"))
    return {str(path.relative_to(place)): path.read_bytes() for path in found if path.is_file()}


def _shown(path: Path) -> int:
    """One command after the other reads the run of the file."""
    return COMMANDS[sum(path.read_bytes()) % len(COMMANDS)](path.parent)


def _resumed(path: Path) -> int:
    """Go on with the run in a copy of its folder."""
    run = path.parent.parent
    copy = _fresh(run.parent / "copy")
    shutil.copytree(run, copy)
    return leomix("run", run.parent / "small.yaml", "--resume", "-o", copy, *QUIET, **SHORT)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
