"""Tables of a run: their order, sums and digests, in memory and on disk."""

import math
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scenarios
import sim
from tests.kit.folders import cut, limited
from tests.kit.handmade import event, transfer
from tests.kit.inner.sim import (
    BLOCK,
    KINDS,
    Coded,
    NamedBuild,
    RunExecution,
    Trace,
    build,
    digests,
    write_tables,
)
from tests.kit.small import fixed, orbit

WORDS = ("delivered", "carried", "dropped")
TIMES = [0.0, 1.5, 1.5000001, 7.0, 1e6, None]
EVENTS = {
    "table": st.just("events"),
    "time_s": st.sampled_from([*TIMES, math.nan, math.inf]),
    "kind": st.sampled_from(["connect", "wait", "of a later version"]),
    "cluster": st.sampled_from(["b", "a", None]),
    "device": st.sampled_from([0, 300, None]),
    "detail": st.sampled_from(["takes expert 1", "x", None]),
    "cause": st.sampled_from(["takes", "gives", None]),
}
TRANSFERS = {
    "table": st.just("transfers"),
    "start_s": st.lists(st.sampled_from(TIMES[:-1]), min_size=1, max_size=5),
    "cluster": st.sampled_from(["b", "a"]),
    "version": st.integers(0, 2),
    "outcome": st.lists(st.integers(-1, 2), min_size=5, max_size=5),
}
BLOCKS = st.lists(
    st.one_of(st.fixed_dictionaries(EVENTS), st.fixed_dictionaries(TRANSFERS)), max_size=12
)


def trace_of(folder, limit=10**9):
    """A trace that keeps so many rows of a table in memory."""
    with limited(rows_in_memory=limit):
        return Trace(folder)


def add(trace, block, coded=True):
    """Add a block of rows, with its text as codes or as it is."""
    given = dict(block)
    make = {"events": event, "transfers": transfer}[given.pop("table")]
    if "outcome" in given:
        rows = len(given["start_s"])
        codes = given["outcome"][:rows]
        text = [None if code < 0 else WORDS[code] for code in codes]
        given["outcome"] = Coded(np.array(codes, np.int8), WORDS) if coded else text
        given["start_s"] = np.array(given["start_s"])
    trace.add(make(**given))


def files_in(place):
    return {path.name: path.read_bytes() for path in place.glob("*.parquet")}


@given(BLOCKS, st.integers(1, 4 * BLOCK), st.integers(1, 5))
def test_what_left_memory_comes_back_as_if_it_had_stayed(tmp_path_factory, blocks, limit, batch):
    """And text that is coded as the text that it is."""
    place = tmp_path_factory.mktemp("spilled")
    kept = trace_of(None)
    spilled = trace_of(place / "rows", limit)
    with limited(rows_read_at_once=batch, rows_of_a_group=4):
        for block in blocks:
            add(kept, block, coded=False)
            add(spilled, block)
        assert digests(spilled.tables()) == digests(kept.tables())
        write_tables(place / "one", spilled.tables())
        write_tables(place / "other", kept.tables())
    assert files_in(place / "one") == files_in(place / "other")
    spilled.close()
    assert not (place / "rows").exists()


@given(BLOCKS.filter(len), st.data())
def test_the_rolling_digest_covers_what_has_left_memory(tmp_path_factory, blocks, data):
    """It is the same however often it is asked for, and another one when a block is another."""
    asked = data.draw(st.sets(st.integers(0, 12)))
    changed = data.draw(st.sampled_from(blocks))
    others = [{**block, "cluster": "another"} if block is changed else block for block in blocks]

    def digest(blocks, asked):
        trace = trace_of(tmp_path_factory.mktemp("rows"), 2 * BLOCK)
        for number, block in enumerate(blocks):
            add(trace, block)
            if number in asked:
                trace.digest()
        return trace.digest()

    assert digest(blocks, asked) == digest(blocks, set()) != digest(others, asked)


# -- whole runs


def test_a_run_that_spills_is_the_same_run(tmp_path):
    """Whole, or interrupted, or read from files that are large; no large table is read whole."""
    scenario = orbit(learning={"train": False, "rounds": {"per_gap_max": 4}})
    found = []
    for rows in (10**9, 100):
        place = tmp_path / str(rows)
        with limited(
            rows_in_memory=rows, rows_of_a_group=50, rows_read_at_once=40, bytes_of_a_row=1 << 60
        ):
            run = sim.run(scenario, place / "whole")
            stopped = cut(scenario, place / "cut", 60)
        found.append((run, files_in(place / "whole"), files_in(stopped)))
        assert not list(place.rglob(".*"))
    (kept, *files), (spilled, *parts) = found
    assert parts == files and len(files[0]) == 6
    assert {"events", "transfers"} <= set(spilled.tables.files)
    for key in ("trace_sha256", "timing_sha256", "warnings", "books"):
        assert spilled.manifest[key] == kept.manifest[key]
    with limited(rows_of_a_large_table=100):
        loaded = sim.load(spilled.folder)
    assert digests(loaded.tables) == digests(kept.tables)
    for run in (spilled, loaded):
        for key, value in run.summary.items():  # sums of groups differ in their last bits
            same = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            assert key == "wall_s" or kept.summary[key] == same


def test_rows_and_digests_do_not_depend_on_how_legs_are_cut_into_blocks():
    """With cut transfers that are dropped, and training in gaps."""
    learning = {"train": False, "rounds": {"per_gap_max": 2}}
    link = fixed(uplink=5e-6) | {"cut_transfers": "drop"}
    scenario = orbit(stop={"days": 3}, link=link, learning=learning)
    found = []
    for legs in (1, 7, 10**9):
        run = RunExecution(NamedBuild(build(scenario)), None, 10.0)
        with limited(legs_of_a_block=legs):
            tables = run.execute().tables
        found.append((digests(tables), run.simulation.digest()))
    assert found[0] == found[1] == found[2]
    assert "drop" in tables["events"]["kind"].to_pylist()


# -- against plain loops over rows

ONE_EVENT = {
    **{name: EVENTS[name] for name in ("cluster", "device", "cause")},
    "time_s": st.sampled_from([0.0, 1.5, 1e6]),
    "kind": st.sampled_from([*KINDS[:4], "of a later version"]),
    "contact_id": st.sampled_from([0, 70_000, None]),
}


@given(st.lists(st.fixed_dictionaries(ONE_EVENT), min_size=1))
@settings(max_examples=50)  # five columns decide, and each must in some example
def test_tables_are_sorted_as_pythons_stable_sort_does(rows):
    def place(row):
        """By time, kind, what is taken last, cluster and numbers; nothing comes first."""
        kind = KINDS.index(row["kind"]) if row["kind"] in KINDS else len(KINDS)
        numbers = [-1 if row[key] is None else row[key] for key in ("device", "contact_id")]
        taken = row["cause"] == "takes"
        return row["time_s"], kind, taken, row["cluster"] or "", *numbers

    trace = Trace()
    for row in rows:
        trace.add(event(**row))
    found = trace.tables()["events"].select(list(rows[0])).to_pylist()
    assert found == sorted(rows, key=place)


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        (pa.string(), ["a", "b", "", None]),
        (pa.float64(), [0.0, 1.0, float("nan"), None]),
        (pa.bool_(), [False, True, None]),
    ],
)
def test_a_digest_tells_columns_apart_and_not_how_they_are_stored(kind, some):
    def digest(*chunks):
        return digests({"events": pa.table({"detail": pa.chunked_array(chunks, kind)})})[0]

    found = set()
    for x, y, z in product(some, repeat=3):
        whole = digest(pa.array([x, y, z], kind))
        # In pieces, and with the same words in memory in another order.
        assert digest(*(pa.array(part, kind) for part in ([x], [], [y, z]))) == whole
        assert digest(pa.array([some[1], some[0], x, y, z], kind).slice(2)) == whole
        found.add(whole)
    assert len(found) == len(some) ** 3


def test_nobody_is_busy_for_longer_than_a_run_lasts():
    """Slots of 600 s that hold four rounds of 300 s: all the time is computed, and no more."""
    keys = {"learning.train": False, "learning.method": "emsfl", "stop.cycles": 2}
    result = sim.run(scenarios.load("paper-slots", keys | {"learning.rounds.per_contact": 4}))
    assert result.summary["idle_share"] == pytest.approx(0.0, abs=1e-12)
