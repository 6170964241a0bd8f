"""Tests, tables and pictures of a comparison are of one target, and say what it took."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import leomix as face
from sim.page import report
from tests.kit.folders import without_checksums
from tests.kit.results import compare, comparison, shared_target

BEST = {
    "fedavg": (0.96, 0.96, 0.96, 0.91, 0.86),
    "slots-synchronous": (0.96, 0.91, 0.91, 0.91, 0.88),
}
"""Of two methods over five seeds: 0.95 by four runs of ten, 0.90 by eight, 0.85 by all."""


def with_accuracies(source, place, seed, best):
    """A copy of a run's folder that has another seed, and rises to the best accuracy at its end."""
    without_checksums(shutil.copytree(source, place))
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["seed"] = manifest["scenario"]["seed"] = seed
    manifest["trace_sha256"] = f"{seed:064d}"
    (place / "manifest.json").write_text(json.dumps(manifest))
    metrics = pq.read_table(place / "metrics.parquet")
    rows = np.array(metrics["scope"].to_pylist()) == "global"
    accuracy = np.array(metrics["accuracy"].to_pylist())
    accuracy[rows] = np.linspace(0.2, best, rows.sum())
    column = metrics.column_names.index("accuracy")
    pq.write_table(
        metrics.set_column(column, "accuracy", pa.array(accuracy)), place / "metrics.parquet"
    )
    return place


@pytest.fixture(scope="module")
def folders(runs, tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return [
        with_accuracies(runs[name], place / f"{name}-{seed}", seed, best)
        for name, each in BEST.items()
        for seed, best in enumerate(each)
    ]


def test_times_are_compared_at_the_target_that_all_seeds_have_reached(folders, tmp_path):
    found = compare(folders)
    assert found["shared_target"] == "0.85"
    asked = {row["figure"] for row in found["rows"] if row["figure"].startswith("hours")}
    assert asked == {"hours_to_0.85"}
    assert found.headline.startswith("85 % accuracy: ") or "85 %" in "".join(found.notes)
    page = report(folders, tmp_path / "page.html").read_text()
    assert "time to 85 %" in page and "time to 90 %" not in page
    groups = {
        "one": [face.load(f) for f in folders[:5]],
        "other": [face.load(f) for f in folders[5:]],
    }
    lines = [
        line for line in comparison.accuracy(groups).get_lines() if len(set(line.get_ydata())) == 1
    ]
    assert [line.get_ydata()[0] for line in lines] == [0.85]


@pytest.mark.parametrize(
    ("reached", "target"),
    [
        ({"0.80": 6, "0.90": 6, "0.95": 3}, "0.90"),
        ({"0.80": 5, "0.90": 3, "0.95": 1}, "0.90"),
        ({"0.80": 2, "0.90": 1}, "0.90"),
        ({"0.80": 0}, None),
        ({}, None),
    ],
)
def test_the_one_target_is_that_of_all_runs_else_of_half_else_of_any(reached, target):
    assert shared_target(reached, 6) == target
