"""Figures and pictures of networked experts and of client-expert alignment, from tables by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim
from tests.kit import results
from tests.kit.records import COLUMNS, Result, folder


def table(name, rows):
    return pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS[name].items())))


def assignments(*rounds):
    rows = [
        {"time_s": time_s, "cluster": "osaka", "device": client, "expert": expert}
        | {key: values[client, expert].item() for key, values in columns.items()}
        for time_s, columns in rounds
        for client, expert in np.ndindex(columns["relevance"].shape)
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


def test_the_gating_pattern_that_is_told_and_drawn_is_the_last_one_measured():
    early, late = np.eye(3), np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.0, 1.0, 0.0]])
    both = ((1.0, early), (2.0, late))
    rounds = assignments(*((at_s, {"relevance": p, "probability": p}) for at_s, p in both))
    names, pattern = results.gating_pattern(rounds)
    np.testing.assert_array_equal(pattern, late)
    lines = results.pattern_text(names, pattern).splitlines()
    assert lines[1].split() == ["0", "osaka/0", "50%", "50%"]
    assert lines[3].split() == ["2", "osaka/2", "100%"]
    axes = Result({"assignments": rounds}, {}).plot.gating()
    assert axes.get_title() == "local processing ratio 43.3%"
    np.testing.assert_array_equal(axes.images[0].get_array(), late)
    # Use of experts is that of all clients together.
    found, share = results.utilisation(rounds), late.mean(axis=0)
    assert found["share"] == pytest.approx(share)
    assert (found["variation"], found["unused"]) == (pytest.approx(share.std() * 3), 1)


def test_alignment_figures_are_means_over_rounds():
    fitness, greedy = np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([[True, False], [True, False]])
    none, served = np.zeros((2, 2), np.int64), np.array([[30, 0], [10, 0]])
    first = {"relevance": fitness, "assigned": greedy, "samples": none}
    second = {"relevance": fitness, "assigned": np.eye(2, dtype=bool), "samples": served}
    found = results.alignment_figures(assignments((0.0, first), (5.0, second)))
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
        pq.write_table(sim.load(place).tables[name].drop_columns([new]), place / f"{name}.parquet")
        assert set(folder.read_tables(place)[name].column_names) == set(COLUMNS[name])


def test_seconds_are_shown_in_a_unit_that_can_be_read():
    shown = {2e-6: "2 us", 0.0125: "12.5 ms", 3.21: "3.21 s", 90.0: "1.5 min", 7200.0: "2 h"}
    assert {time_s: results.seconds(time_s) for time_s in shown} == shown
