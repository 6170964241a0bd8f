"""A disk that is full: one line that names the path, and a run that goes on when there is room."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import sim
from tests.kit.small import SLOTS, merged
from tests.kit.sweeps import MACHINE_COLUMNS

SIZE_KIB = 512
TIMED = merged(SLOTS, {"learning": {"train": False}})
KINDS = {"timed": TIMED, "trained": SLOTS}
SWEEP = ("-p", "stop.cycles=1:3:1", "--quiet", "--no-cache")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, where this may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KIB}k", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(line, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk (tmpfs) is not permitted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the traces."""
    import scenarios

    return {
        name: sim.run(scenarios.from_dict(mapping)).manifest["trace_sha256"]
        for name, mapping in KINDS.items()
    }


def fill(disk: Path, free_kib: int) -> Path:
    """Fill a disk but for some KiB; return the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        room = os.statvfs(disk)
        file.write(bytes(room.f_bavail * room.f_frsize - free_kib * 1024))
    return ballast


def written(tmp_path: Path, mapping: dict[str, object]) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return path


@pytest.mark.parametrize(
    ("kind", "free_kib"),
    [("timed", 0), ("timed", 4), ("timed", 24), ("timed", 40), ("trained", 40)],
)
def test_a_run_says_what_is_full_and_goes_on(
    leomix, disk: Path, tmp_path: Path, undisturbed: dict[str, str], kind: str, free_kib: int
) -> None:
    scenario, place = written(tmp_path, KINDS[kind]), disk / "run"
    ballast = fill(disk, free_kib)
    status, out, err = leomix("run", scenario, "-o", place, "--quiet", "--no-cache")
    assert (status, out) == (1, ""), err
    assert err.count("\n") == 1
    assert f"{place}" in err
    assert "No space left on device" in err
    ballast.unlink()
    again = leomix("run", scenario, "-o", place, "--quiet", "--no-cache", "--resume")
    assert again.status == 0, again.err
    manifest = json.loads((place / "manifest.json").read_text())
    assert (manifest["status"], manifest["trace_sha256"]) == ("complete", undisturbed[kind])
    assert not [path for path in place.rglob(".*") if path.name.endswith(".part")]


@pytest.mark.parametrize("free_kib", [8, 64])
def test_a_sweep_keeps_the_points_that_are_done(
    leomix, disk: Path, tmp_path: Path, free_kib: int
) -> None:
    scenario = written(tmp_path, TIMED)
    whole, place = tmp_path / "whole", disk / "sweep"
    assert leomix("sweep", scenario, *SWEEP, "-o", whole).status == 0
    ballast = fill(disk, free_kib)
    status, _, err = leomix("sweep", scenario, *SWEEP, "-o", place, "--keep-going")
    assert status in (1, 3), err
    assert "Traceback" not in err
    assert "No space left on device" in err
    assert str(place) in err
    ballast.unlink()
    again = leomix("sweep", scenario, *SWEEP, "-o", place, "--keep-going", "--resume")
    assert again.status == 0, again.err
    assert rows(place) == rows(whole)


def rows(place: Path) -> list[dict[str, object]]:
    table = pq.ParquetFile(place / "sweep.parquet").read()
    found: list[dict[str, object]] = table.drop_columns(list(MACHINE_COLUMNS)).to_pylist()
    return found


def test_a_cache_without_room_costs_nothing_but_the_cache(
    leomix, disk: Path, tmp_path: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEOMIX_CACHE", str(disk / "cache"))
    fill(disk, 8)
    place = tmp_path / "run"
    outcome = leomix("run", written(tmp_path, SLOTS), "-o", place, "--quiet")
    assert outcome.status == 0, outcome.err
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["trace_sha256"] == undisturbed["trained"]
    assert any(line.startswith("cache: ") for line in manifest["warnings"])
