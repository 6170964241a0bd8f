"""Traces of which rows left memory are those that stayed there, byte by byte."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from tests.kit.records import BLOCK, Coded, Tables, Trace, digests, read_tables, write_tables
from tests.kit.small import orbit, slots

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")

TIMING = {"train": False, "rounds": {"per_gap_max": 4}}
TIMES = [0.0, 1.5, 1.5000001, 7.0, 1e6, None]
BLOCKS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "table": st.just("events"),
                "time_s": st.sampled_from([*TIMES, math.nan, math.inf]),
                "kind": st.sampled_from(["connect", "wait", "of a later version"]),
                "cluster": st.sampled_from(["b", "a", None]),
                "device": st.sampled_from([0, 300, None]),
                "detail": st.sampled_from(["takes expert 1", "x", None]),
            }
        ),
        st.fixed_dictionaries(
            {
                "table": st.just("transfers"),
                "times_s": st.lists(st.sampled_from(TIMES[:-1]), min_size=1, max_size=5),
                "cluster": st.sampled_from(["b", "a"]),
                "version": st.integers(0, 2),
                "outcomes": st.lists(st.integers(-1, 2), min_size=5, max_size=5),
            }
        ),
        st.fixed_dictionaries(
            {
                "table": st.just("assignments"),
                "time_s": st.sampled_from([0.0, 1.0]),
                "expert": st.integers(0, 9),
                "assigned": st.sampled_from([True, False, None]),
            }
        ),
    ),
    max_size=12,
)


def trace_of(folder: Path, limit: int) -> Trace:
    """A trace that keeps so many rows of a table in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.trace.LIMIT", limit)
        return Trace(folder)


def add(trace: Trace, block: dict[str, Any]) -> None:
    given = dict(block)
    table = given.pop("table")
    if table == "transfers":
        times_s, outcomes = given.pop("times_s"), given.pop("outcomes")
        rows = len(times_s)
        coded = Coded(np.array(outcomes[:rows]), ("delivered", "carried", "dropped"))
        trace.add(table, rows, start_s=np.array(times_s), outcome=coded, **given)
    else:
        trace.add(table, **given)


def written(trace: Trace, folder: Path) -> dict[str, bytes]:
    """The files of a trace's tables, in groups of four rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.table_files.GROUP", 4)
        write_tables(folder, trace.tables())
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


@given(BLOCKS, st.integers(1, 4 * BLOCK), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_what_left_memory_comes_back_as_if_it_had_stayed(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[Any], limit: int, batch: int
) -> None:
    place = tmp_path_factory.mktemp("spilled")
    kept, spilled = Trace(), trace_of(place / "rows", limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.spilling.BATCH", batch)
        for block in blocks:
            add(kept, block)
            add(spilled, block)
        assert digests(spilled.tables()) == digests(kept.tables())
        assert written(spilled, place / "one") == written(kept, place / "other")
    spilled.close()
    assert not (place / "rows").exists()


@given(BLOCKS.filter(len), st.data())
@settings(deadline=None)
def test_the_rolling_digest_covers_what_has_left_memory(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[Any], data: st.DataObject
) -> None:
    """It is the same however often it is asked for, and another one when a block is another."""
    asked = data.draw(st.sets(st.integers(0, len(blocks))))
    changed = data.draw(st.integers(0, len(blocks) - 1))
    others = [*blocks]
    others[changed] = {**others[changed], "cluster": "another"}

    def digest(blocks: list[Any], asked: set[int]) -> str:
        trace = trace_of(tmp_path_factory.mktemp("rows"), 2 * BLOCK)
        for number, block in enumerate(blocks):
            add(trace, block)
            if number in asked:
                trace.digest()
        return trace.digest()

    assert digest(blocks, asked) == digest(blocks, set())
    assert digest(others, asked) != digest(blocks, set())


def test_memory_does_not_grow_with_what_was_traced(tmp_path: Path) -> None:
    """Neither with rows nor with texts, of which each block has one of its own."""
    trace, held = trace_of(tmp_path / "rows", 20_000), np.zeros(3000)
    tracemalloc.start()
    for number in range(3000):
        trace.add(
            "events",
            100,
            time_s=np.linspace(number, number + 50, 100),
            kind="wait",
            device=np.arange(100),
            detail=f"a text that is said only once: {number}",
        )
        held[number] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held[2000:].max() < 1.05 * held[:1000].max()
    assert len(trace.tables()["events"]) == 300_000


def run_in(place: Path, scenario: Any, limit: int, stop_at: int | None = None) -> sim.Result | None:
    """Run with at most ``limit`` rows of a table in memory; tables in groups of fifty."""

    def each_event(number: int) -> None:
        if number == stop_at:
            raise sim.Interrupted("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.trace.LIMIT", limit)
        patch.setattr("sim.table_files.GROUP", 50)
        patch.setattr("sim.spilling.BATCH", 40)
        try:
            return sim.run(scenario, place, each_event=each_event)
        except sim.Interrupted:
            return None


def files_in(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.glob("*.parquet")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[sim.Result, sim.Result]:
    """The same run, all in memory and with much of it on disk."""
    place = tmp_path_factory.mktemp("runs")
    scenario = orbit(learning=TIMING)
    kept, spilled = (run_in(place / str(limit), scenario, limit) for limit in (10**9, 500))
    assert kept is not None and spilled is not None
    return kept, spilled


def test_a_run_that_spills_is_the_same_run(runs: tuple[sim.Result, sim.Result]) -> None:
    kept, spilled = runs
    assert kept.folder is not None and spilled.folder is not None
    assert isinstance(spilled.tables, Tables) and {"events", "transfers"} <= set(
        spilled.tables.files
    )
    for key in ("trace_sha256", "timing_sha256", "warnings", "books"):
        assert spilled.manifest[key] == kept.manifest[key]
    assert files_in(spilled.folder) == files_in(kept.folder)
    assert len(files_in(kept.folder)) == 5
    assert [path.name for path in spilled.folder.iterdir() if path.name.startswith(".")] == []


def test_its_figures_are_the_same_up_to_rounding(runs: tuple[sim.Result, sim.Result]) -> None:
    kept, spilled = ({**run.summary, "wall_s": None} for run in runs)
    assert spilled == {
        key: pytest.approx(value, rel=1e-12) if is_sum(value) else value
        for key, value in kept.items()
    }
    assert kept["transfers"] > 100


def is_sum(value: Any) -> bool:
    return isinstance(value, float)


def test_its_frames_are_the_same(runs: tuple[sim.Result, sim.Result]) -> None:
    kept, spilled = runs
    for name in ("contacts", "transfers", "events", "metrics", "assignments", "inferences"):
        assert getattr(spilled, name).equals(getattr(kept, name))


def test_an_interrupted_run_keeps_what_it_has_traced(tmp_path: Path) -> None:
    scenario = slots(learning={"train": False}, stop={"cycles": 6})
    found = []
    for limit in (10**9, 100):
        place = tmp_path / str(limit)
        assert run_in(place, scenario, limit, stop_at=60) is None
        assert sim.load(place).manifest["status"] == "interrupted"
        found.append(files_in(place))
        assert not (place / ".spilled").exists()
    assert found[0] == found[1]
    assert len(read_tables(tmp_path / "100")["events"]) > 20


@needs_full
def test_a_disk_that_is_full_meanwhile_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".spilled" / "events.0.arrow"

    def each_event(number: int) -> None:
        if number == 1:
            file.parent.mkdir()
            file.symlink_to(FULL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.trace.LIMIT", 100)
        with pytest.raises(sim.SimulationError) as told:
            sim.run(slots(learning={"train": False}), tmp_path, each_event=each_event)
    assert f"No space left on device: '{file}'" in str(told.value)
    assert not file.parent.exists()


def test_large_tables_stay_in_their_files(
    runs: tuple[sim.Result, sim.Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, spilled = runs
    assert spilled.folder is not None
    monkeypatch.setattr("sim.folder.LARGE", 100)
    loaded = sim.load(spilled.folder)
    assert loaded.tables["transfers"] is not loaded.tables["transfers"]
    assert loaded.tables["contacts"] is loaded.tables["contacts"]
    assert digests(loaded.tables) == digests(kept.tables)
    assert loaded.summary == spilled.summary
    assert loaded.events.equals(kept.events)


def test_a_large_table_that_breaks_behind_its_head_is_named(
    leomix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "run"
    sim.run(slots(learning={"train": False}), out=place)
    path = place / "events.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    monkeypatch.setattr("sim.folder.LARGE", 1)
    outcome = leomix("show", place)
    assert outcome.status == 2
    assert outcome.err.startswith(f"leomix: {path}: cannot be read (")
    assert outcome.err.count("\n") == 1
