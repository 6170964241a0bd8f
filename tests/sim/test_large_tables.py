"""Order, groups and digests of tables, against plain Python loops over their rows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.records import (
    COLUMNS,
    KINDS,
    TOLERANCE,
    Tables,
    Trace,
    _faults,
    _sums,
    cut_lines,
    digests,
    grouped,
    numbers_of,
    write_table,
)

EVENT = st.fixed_dictionaries(
    {
        "time_s": st.sampled_from([0.0, 1.5, 1e6]),
        "kind": st.sampled_from([*KINDS[:4], "of a later version"]),
        "cluster": st.sampled_from(["a", "b", None]),
        "device": st.sampled_from([0, 1, 300, None]),
        "contact_id": st.sampled_from([0, 70_000, None]),
        "detail": st.sampled_from(["x", "y", None]),
    }
)


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Where an event belongs: by time, kind, cluster, device and contact; nothing comes first."""
    kind = KINDS.index(row["kind"]) if row["kind"] in KINDS else len(KINDS)
    device, contact = (-1 if row[key] is None else row[key] for key in ("device", "contact_id"))
    return row["time_s"], kind, row["cluster"] or "", device, contact


@given(st.lists(EVENT, min_size=1), st.integers(1, 4))
def test_tables_are_sorted_as_pythons_stable_sort_does(rows: list[Any], together: int) -> None:
    trace = Trace()
    for at in range(0, len(rows), together):
        add_block(trace, rows[at : at + together])
    found = trace.tables()["events"].select(list(rows[0])).to_pylist()
    assert found == sorted(rows, key=place)


def add_block(trace: Trace, rows: list[dict[str, Any]]) -> None:
    """Add rows as one block, or one by one where only some of them have a number."""
    values = {key: [row[key] for row in rows] for key in rows[0]}
    columns = {key: each[0] if len(set(each)) == 1 else each for key, each in values.items()}
    numbers = (columns["device"], columns["contact_id"])
    if any(isinstance(each, list) and None in each for each in numbers):
        for row in rows:
            trace.add("events", **row)
    else:
        trace.add("events", len(rows), **columns)


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 70_000) | st.just(5))))
def test_groups_are_those_of_a_dictionary(rows: list[tuple[int, int]]) -> None:
    expected: dict[tuple[int, int], list[int]] = {}
    for number, key in enumerate(rows):
        expected.setdefault(key, []).append(number)
    keys = np.array(rows, np.int64).reshape(-1, 2)
    order, first = grouped([keys[:, 0], keys[:, 1]])
    groups = np.split(order, first[1:]) if len(rows) else []
    assert {rows[group[0]]: group.tolist() for group in groups} == expected


def test_text_becomes_one_number_a_word_in_all_chunks() -> None:
    column = pa.chunked_array([["a", None], ["b", "a"], []], pa.string())
    a, nothing, b, again = numbers_of(column)
    assert nothing == -1 and a == again and a != b and min(a, b) >= 0
    assert numbers_of(pa.chunked_array([[3, None], [4]])).tolist() == [3, -1, 4]


TRANSFER = st.fixed_dictionaries(
    {
        "cluster": st.sampled_from(["a", "b"]),
        "device": st.integers(0, 1),
        "direction": st.sampled_from(["uplink", "downlink"]),
        "payload": st.sampled_from(["gate", "model"]),
        "version": st.integers(0, 1),
        "contact_id": st.integers(0, 3),
        "payload_bytes": st.just(3.0),
        "delivered_bytes": st.sampled_from([1.0, 2.0, 3.0]),
        "outcome": st.sampled_from(["carried", "delivered", "dropped"]),
    }
)


def transfers(rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema([field for field in COLUMNS["transfers"].items() if field[0] in rows[0]])
    return pa.Table.from_pylist(rows, schema)


@given(st.lists(TRANSFER, min_size=1, max_size=40))
def test_sums_of_payloads_are_those_of_a_loop(rows: list[dict[str, Any]]) -> None:
    so_far: dict[tuple[Any, ...], float] = {}
    wrong = 0
    for row in rows:
        name = tuple(row[k] for k in ("cluster", "device", "direction", "payload", "version"))
        total = so_far.pop(name, 0.0) + row["delivered_bytes"]
        wrong += row["outcome"] == "delivered" and abs(total - 3.0) > TOLERANCE * 3.0
        if row["outcome"] == "carried":
            so_far[name] = total
    table = transfers(rows)
    size, delivered = (table.column(f"{k}_bytes").to_numpy() for k in ("payload", "delivered"))
    said = list(_sums(table, size, delivered))
    assert sum("were sent of a delivered payload of 3.0" in line for line in said) == min(wrong, 3)
    assert (f"{wrong - 3} more delivered payloads" in said[-1]) if wrong > 3 else len(said) == wrong


def plan_of(sessions: list[int]) -> Any:
    """Contacts of ten seconds, one after the other, of the two clusters."""
    names = ("a", "b")
    return SimpleNamespace(
        contacts=[
            SimpleNamespace(
                cluster=SimpleNamespace(name=name), session=number, served=True, end_s=10.0 * at + 9
            )
            for at, number in enumerate(sessions)
            for name in names
        ]
    )


@given(
    st.lists(TRANSFER, min_size=1, max_size=40),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.integers(1, 9),
)
def test_cut_payloads_are_those_of_a_loop(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    sessions: list[int],
    together: int,
) -> None:
    rows = [
        {**row, "start_s": 10.0 * row["contact_id"], "contact_id": 2 * row["contact_id"]}
        for row in sorted(rows, key=lambda row: row["contact_id"])
    ]
    plan = plan_of(sessions)
    expected = []
    for direction in ("uplink", "downlink"):
        through: dict[tuple[Any, ...], bool] = {}
        for row in rows:
            if row["direction"] == direction:
                what = (row[k] for k in ("cluster", "device", "payload", "version"))
                offer = (*what, plan.contacts[row["contact_id"]].session)
                through[offer] = through.get(offer, False) or row["outcome"] == "delivered"
        cut = sum(not done for done in through.values())
        if cut > len(through) / 2:
            expected.append(f"{cut} of {len(through)} {direction} transfers were cut")
    whole = {"transfers": transfers(rows)}
    for tables in (whole, in_groups(whole, together, tmp_path_factory.mktemp("t"))):
        said = list(cut_lines(tables, plan))
        assert len(said) == len(expected)
        assert all(line.startswith(start) for line, start in zip(said, expected, strict=True))


def in_groups(tables: dict[str, pa.Table], rows: int, folder: Path) -> Tables:
    """The same tables in files, read so many rows at a time."""
    found = Tables()
    for name, table in tables.items():
        found.files[name] = folder / f"{name}.parquet"
        kinds = dict(zip(table.column_names, table.schema.types, strict=True))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sim.table_files.GROUP", rows)
            write_table(found.files[name], kinds, [table])
    return found


def test_faults_are_counted_by_what_they_say() -> None:
    trace = Trace()
    for detail in ("late", "early", "late"):
        trace.add("events", time_s=0.0, kind="fault", detail=detail)
    trace.add("events", time_s=0.0, kind="fault", detail="early", cluster="a", device=3)
    trace.add("events", time_s=0.0, kind="drop", detail="early", cluster="a", device=4)
    found = _faults(trace.tables())
    assert found.details == {"early": 2, "late": 2}
    assert found.devices == {("a", 3)}


def digest(values: list[Any], kind: pa.DataType, pieces: int = 1) -> str:
    chunks = [pa.array(part.tolist(), kind) for part in np.array_split(_objects(values), pieces)]
    return digests({"events": pa.table({"detail": pa.chunked_array(chunks, kind)})})[0]


def _objects(values: list[Any]) -> np.ndarray:
    held = np.empty(len(values), object)
    held[:] = values
    return held


@given(st.lists(st.sampled_from(["a", "b", "", None]), max_size=9), st.integers(1, 5))
def test_a_digest_does_not_depend_on_how_text_is_stored(values: list[Any], pieces: int) -> None:
    whole = digest(values, pa.string())
    assert digest(values, pa.string(), pieces) == whole
    # The same words in memory in another order.
    longer = pa.chunked_array([pa.array(["b", "a", *values], pa.string())]).slice(2)
    assert digests({"events": pa.table({"detail": longer})})[0] == whole


@given(st.lists(st.sampled_from([0, 1, None]), max_size=9), st.integers(1, 5))
def test_a_digest_does_not_depend_on_how_numbers_are_stored(values: list[Any], pieces: int) -> None:
    flags = [None if value is None else bool(value) for value in values]
    for kind, same in ((pa.int64(), values), (pa.float64(), values), (pa.bool_(), flags)):
        assert digest(same, kind, pieces) == digest(same, kind)


@pytest.mark.parametrize("kind", [pa.string(), pa.float64()])
def test_a_digest_tells_all_columns_of_three_rows_apart(kind: pa.DataType) -> None:
    some = ["a", "b", "", None] if kind == pa.string() else [0.0, 1.0, float("nan"), None]
    columns = [[x, y, z] for x in some for y in some for z in some]
    assert len({digest(column, kind) for column in columns}) == len(columns)
