"""Figures and pictures of networked experts and of client-expert alignment, from tables by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim
from sim.pictures import Pictures
from tests.kit import results
from tests.kit.network import InputError
from tests.kit.records import COLUMNS, folder


def table(name, rows):
    return pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS[name].items())))


EMPTY = table("assignments", [])


def assignments(*rounds):
    rows = [
        {"time_s": time_s, "cluster": "osaka", "device": client, "expert": expert}
        | {"relevance": float(score[client, expert])}
        | {key: values[client, expert].item() for key, values in columns.items()}
        for time_s, score, columns in rounds
        for client, expert in np.ndindex(score.shape)
    ]
    return table("assignments", rows)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(1e-4, 1e4)), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_latency_counts_every_answered_sample_once(groups, failed):
    rows = [
        {"samples": count, "latency_s": latency_s, "sent_bytes": 10.0, "outcome": "local"}
        for count, latency_s in groups
    ]
    never = {"samples": failed, "latency_s": float("nan"), "sent_bytes": 7.0, "outcome": "failed"}
    found = results.inference_figures(table("inferences", [*rows, *[never] * bool(failed)]))
    each = np.repeat([latency for _, latency in groups], [count for count, _ in groups])
    assert found == {
        "samples": len(each) + failed,
        "outcomes": {**({"failed": failed} if failed else {}), "local": len(each)},
        "latency_mean_s": pytest.approx(each.mean()),
        # The nearest-rank definition: the ceil(0.95 n)-th smallest.
        "latency_p95_s": np.sort(each)[-(-95 * len(each) // 100) - 1],
        "sent_bytes": 10.0 * len(groups) + 7.0 * bool(failed),
    }


def test_the_last_global_row_gives_the_networked_figures():
    rows = [
        {"scope": "global", "f1": 0.2, "local_ratio": 1.0},
        {"scope": "global", "f1": 0.6, "local_ratio": 0.25},
        {"scope": "cluster", "cluster": "osaka", "f1": 0.9, "local_ratio": 0.5},
    ]
    found = results.networked_figures({"metrics": table("metrics", rows), "assignments": EMPTY})
    assert (found["f1_final"], found["local_ratio_final"]) == (0.6, 0.25)
    assert found["local_weight_share_final"] is None
    nothing = table("inferences", [])
    assert results.inference_figures(None) is results.inference_figures(nothing) is None
    assert results.utilisation(EMPTY) is results.alignment_figures(EMPTY) is None


def test_the_gating_pattern_that_is_told_and_drawn_is_the_last_one_measured():
    early, late = np.eye(3), np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])
    rounds = assignments((10.0, early, {"probability": early}), (20.0, late, {"probability": late}))
    names, pattern = results.gating_pattern(rounds)
    assert names == ["osaka/0", "osaka/1", "osaka/2"]
    np.testing.assert_array_equal(pattern, late)
    lines = results.pattern_text(names, pattern).splitlines()
    assert lines[1].split() == ["0", "osaka/0", "50%", "50%"]
    assert lines[3].split() == ["2", "osaka/2", "100%"]
    axes = Pictures({"assignments": rounds}, {}).gating()
    assert axes.get_title() == "local processing ratio 60.0%"
    shown = sorted(text.get_text() for text in axes.texts)
    assert shown == ["100%", "20%", "30%", "50%", "50%", "50%"]
    np.testing.assert_array_equal(axes.images[0].get_array(), late)
    with pytest.raises(InputError, match="only method nmoe"):
        Pictures({"assignments": EMPTY}, {}).gating()
    # Use of experts is that of all clients together.
    found = results.utilisation(rounds)
    assert found["share"] == pytest.approx(late.mean(axis=0))
    assert found["variation"] == pytest.approx(late.mean(axis=0).std() * 3)
    assert found["unused"] == 0
    unused = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    assert results.utilisation(assignments((1.0, unused, {"probability": unused})))["unused"] == 1


def test_alignment_figures_are_means_over_rounds():
    fitness, none = np.array([[0.9, 0.1], [0.6, 0.4]]), np.zeros((2, 2), np.int64)
    greedy, even = np.array([[True, False], [True, False]]), np.eye(2, dtype=bool)
    served = np.array([[30, 0], [10, 0]])
    first, second = {"assigned": greedy, "samples": none}, {"assigned": even, "samples": served}
    found = results.alignment_figures(assignments((0.0, fitness, first), (5.0, fitness, second)))
    wanted = {
        "rounds": 2,
        "assignment_variation": (1.0 + 0.0) / 2,
        "sample_variation": 1.0,
        "jain_index": 0.5,
        "sample_peak": 40 / ((40 + 0) / 2),
        "fitness_mean": ((0.9 + 0.6) / 2 + (0.9 + 0.4) / 2) / 2,
        "fitness_last": 0.65,
    }
    assert {key: found[key] for key in wanted} == pytest.approx(wanted)


def test_a_folder_of_before_the_new_columns_is_read(runs, tmp_path):
    place = runs.copy("slots-timing", tmp_path)
    for name, new in (("metrics", "f1"), ("assignments", "device")):
        old = sim.load(place).tables[name].drop_columns([new])
        pq.write_table(old, place / f"{name}.parquet")
    tables = folder.read_tables(place)
    for name in ("metrics", "assignments"):
        assert set(tables[name].column_names) == set(COLUMNS[name])
    assert "inferences" not in tables


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [(2e-6, "2 us"), (0.0125, "12.5 ms"), (3.21, "3.21 s"), (90.0, "1.5 min"), (7200.0, "2 h")],
)
def test_seconds_are_shown_in_a_unit_that_can_be_read(time_s, shown):
    assert results.seconds(time_s) == shown
