"""Tables, digests, and the invariants that a finished run is held to."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import sim
from sim.invariants import check
from tests.kit.records import Trace, sha256
from tests.kit.small import slots


def test_rows_come_out_in_order_of_time_then_kind_then_cluster() -> None:
    trace = Trace()
    trace.add("events", time_s=5.0, kind="connect", cluster="b")
    trace.add("events", 2, time_s=np.array([5.0, 1.0]), kind="train_end", cluster="a")
    trace.add("events", time_s=5.0, kind="connect", cluster="a")
    rows = trace.tables()["events"].to_pylist()
    order = [(row["time_s"], row["kind"], row["cluster"]) for row in rows]
    assert order == [
        (1.0, "train_end", "a"),
        (5.0, "train_end", "a"),
        (5.0, "connect", "a"),
        (5.0, "connect", "b"),
    ]


def test_the_rolling_digest_sees_order_and_every_table() -> None:
    def digest(*blocks: tuple[str, float]) -> str:
        trace = Trace()
        for table, value in blocks:
            column = {"events": "time_s", "metrics": "loss"}[table]
            trace.add(table, **{column: value})
        return trace.digest()

    assert digest(("events", 1.0)) != digest(("events", 2.0))
    assert digest(("events", 1.0), ("metrics", 1.0)) != digest(("metrics", 1.0), ("events", 1.0))


def test_a_column_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match="colour"):
        Trace().add("events", colour="red")


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return sim.run(slots()).tables


def changed(tables: dict[str, pa.Table], name: str, column: str, row: int, value) -> dict:
    values = tables[name].column(column).to_pylist()
    values[row] = value
    place = tables[name].column_names.index(column)
    kind = tables[name].schema.field(column)
    new = tables[name].set_column(place, kind, pa.array(values, kind.type))
    return {**tables, name: new}


def test_a_run_is_in_order(tables: dict[str, pa.Table]) -> None:
    assert len(tables["transfers"]) > 10
    check(tables)


@pytest.mark.parametrize(
    ("name", "column", "row", "value", "complaint"),
    [
        ("events", "time_s", 4, float("nan"), "not finite"),
        ("events", "time_s", 4, 1e9, "backwards"),
        ("transfers", "end_s", 0, 1e9, "outside its contact"),
        ("transfers", "end_s", 2, 200.0, "no duration"),
        ("transfers", "delivered_bytes", 0, 1e9, "more than its payload"),
        ("transfers", "delivered_bytes", 0, 0.0, "or nothing"),
        ("transfers", "delivered_bytes", 0, 1.0, "were sent of a delivered payload"),
        ("contacts", "service_end_s", 0, 0.0, "no duration"),
    ],
)
def test_a_contradiction_is_named(tables, name, column, row, value, complaint) -> None:
    with pytest.raises(sim.InvariantError, match=complaint):
        check(changed(tables, name, column, row, value))


def test_the_digest_covers_every_value_and_timing_leaves_learning_out(tables) -> None:
    whole, timing = sha256(tables), sha256(tables, timing_only=True)
    learnt = changed(tables, "metrics", "accuracy", 0, 0.123)
    assert sha256(learnt) != whole
    assert sha256(learnt, timing_only=True) == timing
    timed = changed(tables, "transfers", "end_s", 3, 601.5)
    assert sha256(timed) != whole
    assert sha256(timed, timing_only=True) != timing
