"""Curves for TensorBoard, read back by TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import sim
from tests.kit.small import slots


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> sim.Result:
    names = [{"name": "a.b - c", "devices": 2}, {"name": "global", "devices": 3}]
    return sim.run(slots(ground={"clusters": names}), out=tmp_path_factory.mktemp("run") / "r")


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def test_curves_are_those_of_the_metrics(leomix, result: sim.Result, tmp_path: Path) -> None:
    outcome = leomix("export", result.folder, "--to", "tensorboard", "-o", tmp_path / "t")
    assert (outcome.status, outcome.err) == (0, "")
    events = read(tmp_path / "t")
    start = result.contacts.rise_utc[0].timestamp() - result.contacts.rise_s[0]
    whole = result.metrics.cluster.isna()
    curves = {"global": result.metrics[whole]}
    for name, rows in result.metrics[~whole].groupby("cluster"):
        curves[f"cluster {name}"] = rows
    assert len(curves) == 3
    for whose, rows in curves.items():
        for figure in ("accuracy", "loss"):
            by_cycle = events.Scalars(f"{figure}/{whose}")
            by_second = events.Scalars(f"{figure}_by_second/{whose}")
            expected = rows[figure].to_numpy(np.float32).tolist()
            assert [point.value for point in by_cycle] == expected
            assert [point.value for point in by_second] == expected
            assert [point.step for point in by_cycle] == rows.cycle.tolist()
            assert [point.step for point in by_second] == rows.time_s.astype(int).tolist()
            wall = [point.wall_time for point in by_cycle]
            np.testing.assert_allclose(wall, start + rows.time_s, rtol=0, atol=1e-5)
    assert len(events.Tags()["scalars"]) == 3 * 2 * 2


def test_the_summary_is_shown_as_it_is(leomix, result: sim.Result, tmp_path: Path) -> None:
    leomix("export", result.folder, "--to", "tensorboard", "-o", tmp_path / "t")
    [summary] = read(tmp_path / "t").Tensors("summary")
    lines = summary.tensor_proto.string_val[0].decode().splitlines()
    shown = leomix("show", result.folder).out.splitlines()
    assert [line[4:] for line in lines[1:]] == shown
    # Indented lines are a block of code in Markdown: nothing in them is markup.
    assert all(line.startswith("    ") for line in lines)


def test_a_run_without_learning_has_a_summary_only(leomix, tmp_path: Path) -> None:
    sim.run(slots(learning={"train": False}), out=tmp_path / "r")
    outcome = leomix("export", tmp_path / "r", "--to", "tensorboard")
    assert outcome.status == 0
    assert outcome.err == f"{tmp_path / 'r'}: has no accuracy (learning.train was false)\n"
    tags = read(tmp_path / "r" / "export" / "tensorboard").Tags()
    assert (tags["scalars"], tags["tensors"]) == ([], ["summary"])
