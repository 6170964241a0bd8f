"""The cache's folder: sealed files, trouble with the disk, bounds, and `leomix cache`."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import pytest

import sim
from sim.cache import cache_folder, clear_cache, contents
from tests.kit.network import InputError
from tests.kit.records import TAG, TALLY, Shelf, keep_within_bound, trim
from tests.kit.small import slots

KEY = "results/context/key.number"


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEOMIX_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("LEOMIX_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "leomix"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path("/elsewhere/leomix")
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "leomix"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/local/leomix")


def test_what_is_written_is_read_by_others_and_the_folder_says_whose_it_is(tmp_path: Path) -> None:
    root = tmp_path / "a" / "cache"
    Shelf(root).write(KEY, b"12")
    assert Shelf(root).read(KEY) == b"12"
    assert (root / TAG).read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


@pytest.mark.parametrize("cut", [0, 1, 9, 10, 11, 18])
def test_a_torn_file_is_nothing_and_is_removed(cut: int, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.write(KEY, b"123456789")
    sealed = (tmp_path / KEY).read_bytes()
    (tmp_path / KEY).write_bytes(sealed[:cut])
    assert shelf.read(KEY) is None
    assert not (tmp_path / KEY).exists()


def warnings_of(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a run says that cannot keep anything there."""
    monkeypatch.setenv("LEOMIX_CACHE", str(cache))
    plain, manifest = sim.run(slots()).manifest, sim.run(slots(), cache=True).manifest
    assert manifest["trace_sha256"] == plain["trace_sha256"]
    assert manifest["trainings"] == plain["trainings"]
    return [line for line in manifest["warnings"] if line not in plain["warnings"]]


def test_a_folder_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    (warning,) = warnings_of(tmp_path / "file" / "cache", monkeypatch)
    assert "nothing more is kept" in warning
    assert "LEOMIX_CACHE" in warning


def test_a_folder_of_other_things_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.tex").write_text("text")
    (warning,) = warnings_of(tmp_path, monkeypatch)
    assert "holds other things" in warning
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_full_disk_ends_the_writing_and_leaves_no_torso(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.write(KEY, b"1")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        shelf.write("results/context/large.tensors", b"0" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert shelf.trouble
    shelf.write("results/context/other.number", b"2")
    assert [path.name for path in (tmp_path / "results" / "context").iterdir()] == ["key.number"]
    assert shelf.read(KEY) == b"1"


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    shelf, now = Shelf(tmp_path), time.time()
    for age in range(6):
        shelf.write(f"results/c{age % 2}/{age}.tensors", b"0" * 5000)
        os.utime(tmp_path / f"results/c{age % 2}/{age}.tensors", (now - age, now - age))
    assert shelf.read("results/c1/5.tensors") is not None  # the oldest, used again
    assert trim(tmp_path, 4 * 8192) == 4 * 8192
    left = sorted(path.name for path in tmp_path.rglob("*.tensors"))
    assert left == ["0.tensors", "1.tensors", "2.tensors", "5.tensors"]
    assert contents(tmp_path)["bytes"] == 4 * 8192
    assert trim(tmp_path, 10**9) == 4 * 8192
    assert trim(tmp_path, 0) == 0
    assert not list((tmp_path / "results").iterdir())


def test_files_that_were_never_finished_go_when_they_are_old(tmp_path: Path) -> None:
    Shelf(tmp_path).write(KEY, b"1")
    old, new = (tmp_path / "results" / "context" / f".{age}.part" for age in ("old", "new"))
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    trim(tmp_path, 10**9)
    assert new.exists()
    assert not old.exists()


def test_the_bound_is_kept_by_a_tally_that_may_be_missing_or_wrong(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)

    def add(number: int) -> None:
        shelf.write(f"results/c/{number}.tensors", b"0" * 8000)

    for number in range(40):
        add(number)
        keep_within_bound(tmp_path, 8192, 10 * 8192)
        assert contents(tmp_path)["bytes"] <= int((tmp_path / TALLY).read_text()) <= 10 * 8192
    for wrong in ("", "no number", "0"):
        for number in range(30):
            add(number)
        (tmp_path / TALLY).write_text(wrong)
        for _ in range(11):
            keep_within_bound(tmp_path, 8192, 10 * 8192)
        assert contents(tmp_path)["bytes"] <= 10 * 8192


def test_a_run_ends_within_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path))
    monkeypatch.setattr("sim.cache.upkeep.BOUND_BYTES", 100_000)
    manifest = sim.run(slots(), cache=True).manifest
    assert manifest["cache"]["kept_bytes"] > 0
    assert 0 < contents(tmp_path)["bytes"] <= 100_000
    again = sim.run(slots(), cache=True).manifest
    assert again["trace_sha256"] == manifest["trace_sha256"]


def test_the_command_shows_and_clears(
    leomix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))
    empty = json.loads(leomix("cache", "--json").out)
    assert empty["bytes"] == 0
    assert empty["kinds"]["trainings"]["last_used_s"] is None
    run = sim.run(slots(), tmp_path / "run", cache=True).manifest
    found = json.loads(leomix("cache", "--json").out)
    assert found["folder"] == str(tmp_path / "cache")
    assert found["kinds"]["trainings"]["entries"] == run["trainings"]
    assert found["kinds"]["models"]["entries"] == 1
    assert time.time() - found["kinds"]["numbers"]["last_used_s"] < 3600
    on_disk = sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*.*"))
    assert on_disk < found["bytes"] < on_disk + 4096 * 200
    shown = leomix("cache")
    assert shown.status == 0
    assert str(tmp_path / "cache") in shown.out
    assert "trainings" in shown.out
    cleared = leomix("cache", "--clear")
    assert "removed" in cleared.out
    assert not (tmp_path / "cache").exists()
    assert leomix("cache", "--clear").status == 0


def test_only_what_is_the_cache_s_is_cleared(leomix, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "thesis.tex").write_text("text")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.number").write_text("1")
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path))
    refused = leomix("cache", "--clear")
    assert refused.status == 2
    assert "is no leomix cache" in refused.err
    assert len(refused.err.splitlines()) == 1
    with pytest.raises(InputError):
        clear_cache(tmp_path)
    assert (tmp_path / "results" / "a.number").exists()


def test_a_file_of_somebody_else_in_the_cache_stays(tmp_path: Path) -> None:
    Shelf(tmp_path).write(KEY, b"1")
    alien = tmp_path / "results" / "context" / "notes.txt"
    alien.write_text("mine")
    clear_cache(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [alien]


@pytest.mark.parametrize("line", [["cache"], ["cache", "--clear"]])
@pytest.mark.parametrize(("place", "said"), [("/dev/null", "no folder"), ("/", "no leomix cache")])
def test_what_cannot_be_a_cache_is_told(
    leomix, monkeypatch: pytest.MonkeyPatch, place: str, said: str, line: list[str]
) -> None:
    monkeypatch.setenv("LEOMIX_CACHE", place)
    outcome = leomix(*line)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"leomix: {place}: is {said}")
    assert outcome.err.count("\n") == 1
