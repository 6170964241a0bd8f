"""Figures and pictures of networked experts and of client-expert alignment, from tables by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.pictures import Pictures
from tests.kit.learning import jain_index, variation
from tests.kit.network import InputError
from tests.kit.records import COLUMNS, folder
from tests.kit.results import (
    alignment_figures,
    gating_pattern,
    inference_figures,
    networked_figures,
    pattern_text,
    seconds,
    utilisation,
)


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS[name].items())))


def assignments(time_s: float, score: np.ndarray, **columns: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"time_s": time_s, "cluster": "osaka", "device": int(client), "expert": int(expert)}
        | {"relevance": float(score[client, expert])}
        | {key: values[client, expert].item() for key, values in columns.items()}
        for client, expert in np.ndindex(score.shape)
    ]


GROUPS = st.lists(
    st.tuples(st.integers(1, 40), st.floats(1e-4, 1e4)), min_size=1, max_size=30, unique_by=id
)


@given(GROUPS)
def test_latency_counts_every_sample_once(groups: list[tuple[int, float]]) -> None:
    rows = [
        {"samples": count, "latency_s": latency_s, "sent_bytes": 10.0, "outcome": "complete"}
        for count, latency_s in groups
    ]
    found = inference_figures(table("inferences", rows))
    each = np.repeat([latency for _, latency in groups], [count for count, _ in groups])
    assert found is not None
    assert found["samples"] == len(each)
    assert found["latency_mean_s"] == pytest.approx(each.mean())
    # The nearest-rank definition: the ceil(0.95 n)-th smallest.
    assert found["latency_p95_s"] == np.sort(each)[-(-95 * len(each) // 100) - 1]
    assert found["sent_bytes"] == 10.0 * len(groups)


def test_failed_samples_have_no_latency_but_are_counted() -> None:
    rows = [
        {"samples": 3, "latency_s": 0.5, "sent_bytes": 1.0, "outcome": "local"},
        {"samples": 5, "latency_s": float("nan"), "sent_bytes": 7.0, "outcome": "failed"},
    ]
    found = inference_figures(table("inferences", rows))
    assert found == {
        "samples": 8,
        "outcomes": {"failed": 5, "local": 3},
        "latency_mean_s": 0.5,
        "latency_p95_s": 0.5,
        "sent_bytes": 8.0,
    }
    assert inference_figures(None) is inference_figures(table("inferences", [])) is None


def test_the_last_global_row_gives_the_networked_figures() -> None:
    rows: list[dict[str, Any]] = [
        {"scope": "global", "f1": 0.2, "local_ratio": 1.0},
        {"scope": "global", "f1": 0.6, "local_ratio": 0.25},
        {"scope": "cluster", "cluster": "osaka", "f1": 0.9, "local_ratio": 0.5},
    ]
    none = table("assignments", [])
    found = networked_figures({"metrics": table("metrics", rows), "assignments": none})
    assert (found["f1_final"], found["local_ratio_final"]) == (0.6, 0.25)
    assert found["local_weight_share_final"] is None


def test_the_gating_pattern_is_the_last_one_measured() -> None:
    early, late = np.eye(3), np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])
    rows = assignments(10.0, early, probability=early) + assignments(20.0, late, probability=late)
    found = gating_pattern(table("assignments", rows))
    assert found is not None
    assert found[0] == ["osaka/0", "osaka/1", "osaka/2"]
    np.testing.assert_array_equal(found[1], late)
    lines = pattern_text(*found).splitlines()
    assert lines[1].split() == ["0", "osaka/0", "50%", "50%"]
    assert lines[3].split() == ["2", "osaka/2", "100%"]


def test_use_of_experts_is_that_of_all_clients_together() -> None:
    pattern = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    found = utilisation(table("assignments", assignments(1.0, pattern, probability=pattern)))
    assert found is not None
    assert found["share"] == pytest.approx([0.5, 0.5, 0.0])
    assert found["variation"] == pytest.approx(np.sqrt(2) / 2)
    assert found["unused"] == 1
    assert utilisation(table("assignments", [])) is None


def test_the_picture_shows_the_local_processing_ratio() -> None:
    pattern = np.array([[0.5, 0.5], [0.25, 0.75]])
    tables = {"assignments": table("assignments", assignments(1.0, pattern, probability=pattern))}
    axes = Pictures(tables, {}).gating()
    assert axes.get_title() == "local processing ratio 62.5%"
    assert sorted(text.get_text() for text in axes.texts) == ["25%", "50%", "50%", "75%"]
    np.testing.assert_array_equal(axes.images[0].get_array(), pattern)


def test_a_run_without_a_pattern_says_who_measures_one() -> None:
    with pytest.raises(InputError, match="only method nmoe"):
        Pictures({"assignments": table("assignments", [])}, {}).gating()


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_variation_and_jain_index_of_a_load(load: list[int]) -> None:
    values = np.array(load)
    if values.any():
        assert variation(values) == pytest.approx(stats.variation(values))
        # Jain's index and the variation say the same: J = 1 / (1 + CV^2).
        assert jain_index(values) == pytest.approx(1 / (1 + stats.variation(values) ** 2))
    else:
        assert (variation(values), jain_index(values)) == (0.0, 1.0)


def test_alignment_figures_are_means_over_rounds() -> None:
    fitness = np.array([[0.9, 0.1], [0.6, 0.4]])
    none = np.zeros((2, 2), np.int64)
    greedy, even = np.array([[True, False], [True, False]]), np.eye(2, dtype=bool)
    served = np.array([[30, 0], [10, 0]])
    rows = [
        *assignments(0.0, fitness, assigned=greedy, samples=none),
        *assignments(5.0, fitness, assigned=even, samples=served),
    ]
    found = alignment_figures(table("assignments", rows))
    assert found is not None
    assert found["rounds"] == 2
    assert found["assignment_variation"] == pytest.approx((1.0 + 0.0) / 2)
    assert found["sample_variation"] == pytest.approx(1.0)
    assert found["jain_index"] == pytest.approx(0.5)
    assert found["sample_peak"] == pytest.approx(40 / ((40 + 0) / 2))
    assert found["fitness_mean"] == pytest.approx(((0.9 + 0.6) / 2 + (0.9 + 0.4) / 2) / 2)
    assert found["fitness_last"] == pytest.approx(0.65)
    assert alignment_figures(table("assignments", [])) is None


def test_a_folder_of_before_the_new_columns_is_read(tmp_path: Path) -> None:
    for name, columns in COLUMNS.items():
        if name in ("inferences",):
            continue
        empty = pa.schema(list(columns.items())).empty_table()
        old = empty.drop_columns(
            [c for c in ("f1", "device") if name == "metrics" and c in columns]
        )
        pq.write_table(old, tmp_path / f"{name}.parquet")
    tables = folder.read_tables(tmp_path)
    assert set(tables["metrics"].column_names) == set(COLUMNS["metrics"])
    assert "inferences" not in tables


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [(2e-6, "2 us"), (0.0125, "12.5 ms"), (3.21, "3.21 s"), (90.0, "1.5 min"), (7200.0, "2 h")],
)
def test_seconds_are_shown_in_a_unit_that_can_be_read(time_s: float, shown: str) -> None:
    assert seconds(time_s) == shown
