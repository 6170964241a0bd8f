"""What a sweep says and leaves when something is refused, fails or finds no room."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

import scenarios
from sim.sweeps import read_sweep
from tests.kit.network import InputError
from tests.kit.results import as_yaml
from tests.kit.sweep_place import Place
from tests.kit.sweeps import Plan, digest_of, read_pairs

POINTS = ["-p", "stop.cycles=1,2", "-o", "out"]


def test_a_scheduler_that_does_not_answer_leaves_no_folder(tmp_path: Path) -> None:
    place = Place(tmp_path)
    done = place.sweep(*POINTS, "--engine", "dask", "--scheduler", "nonsense://127.0.0.1:9")
    assert done.returncode == 2
    assert not (tmp_path / "out").exists()


def test_a_sweep_that_was_refused_as_a_whole_can_be_corrected(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("3-1-refuse", "3-2-refuse")
    done = place.sweep(*POINTS, "--keep-going")
    assert done.returncode == 1
    assert "refused on purpose" in done.stderr
    corrected = place.sweep("-p", "stop.cycles=3", "-o", "out")
    assert corrected.returncode == 0, corrected.stderr


def test_a_trial_that_fails_gives_the_status_of_the_point(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for mark, status in (("3-1-refuse", 2), ("3-1-fail", 1)):
        place.mark(mark)
        done = place.sweep(*POINTS, "--dry-run")
        assert done.returncode == status
        assert "points    2: 2 of this process" in done.stdout
        assert "on purpose" in done.stdout
        (tmp_path / mark).unlink()


def test_rows_without_room_still_show_what_is_done(tmp_path: Path, monkeypatch) -> None:
    place = Place(tmp_path)

    def full(table: pa.Table, path: Path, **_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr("sim.sweeps.folder.pq.write_table", full)
        done = place.sweep(*POINTS)
    assert done.returncode == 3
    assert "sweep.parquet" in done.stderr
    assert "No space left on device" in done.stderr
    assert "free some space" in done.stderr
    assert "--resume -o out" in done.stderr
    assert done.stdout.count("\n") > 2
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert len(place.runs()) == 2


def test_a_folder_that_cannot_be_claimed_for_want_of_room_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as of a write: without a path

    monkeypatch.setattr("learning.at_once._sync", full)
    done = Place(tmp_path).sweep(*POINTS)
    assert done.returncode == 1
    assert "out/sweep.json: No space left on device; free some space" in done.stderr


def test_points_without_room_say_that_it_is_space_they_need(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("full")
    done = place.sweep(*POINTS)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "free space" in done.stderr.splitlines()[-1]


def test_an_incomplete_sweep_says_so_beside_its_digest(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("3-2-fail")
    done = place.sweep(*POINTS)
    assert done.returncode == 3
    [line] = [line for line in done.stdout.splitlines() if line.startswith("sweep sha256")]
    assert line.endswith("(incomplete)")
    (tmp_path / "3-2-fail").unlink()
    assert "incomplete" not in place.sweep(*POINTS, "--resume").stdout
    assert (
        read_sweep(tmp_path / "out").sha256[:16]
        in place.sweep(*POINTS, "--resume", "--quiet").stdout
    )


def points(*pairs: str, **overrides: object) -> list[object]:
    return list(Plan("circular", overrides, read_pairs(pairs)).points())


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["description=a,b"], r"^-p description: changes nothing in a run"),
        (["orbit.altitude=1,2"], r"did you mean 'orbit\.altitude_km'\?$"),
        (["altitude_km=1,2"], r"did you mean 'orbit\.altitude_km'\?$"),
        (["orbit.sed=1,2"], r"did you mean '(seed|orbit\..*)'\?$|allowed here"),
        (["link.uplink={eirp_db: 1}"], r"did you mean 'link\.uplink\.eirp_dbw'\?$"),
        (["stop.days=null,2"], r"\(at stop\.days=null\)$"),
    ],
)
def test_refusals_name_whole_keys_and_yaml_values(pairs: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        points(*pairs)


def test_what_is_refused_for_changing_nothing_changes_no_digest() -> None:
    said = [scenarios.load("circular", {"description": text}) for text in ("a", "b")]
    assert digest_of(said[0]) == digest_of(said[1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (False, "false"),
        (500.0, "500"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (7, "7"),
        ("emsfl", "emsfl"),
        ([1.0, None], "[1, null]"),
    ],
)
def test_values_are_written_as_yaml(value: object, text: str) -> None:
    assert as_yaml(value) == text
