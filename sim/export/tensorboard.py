"""Accuracy and loss of a run for TensorBoard, over cycles and over simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sim.analysis.summary import summarise
from sim.analysis.text import summary_text
from sim.export.formats import needs

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.execution.result import Run

FILE = "events.out.tfevents.leomix"
FIGURES = ("accuracy", "loss")


class Point(NamedTuple):
    """A value of a curve, at a step and at seconds since the run's start."""

    curve: str
    step: int
    time_s: float
    value: float


def write_tensorboard(run: Run, place: Path) -> list[str]:
    """Write the curves and the summary of the run; the wall time of all is simulated UTC.

    ``accuracy/...`` and ``loss/...`` have the cycle as their step, ``accuracy_by_second/...`` and
    ``loss_by_second/...`` whole simulated seconds.
    """
    with needs("tensorboard"):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.text.summary_v2 import text_pb
        from tensorboard.summary.writer.record_writer import RecordWriter
    start = datetime.fromisoformat(run.manifest["start_utc"]).timestamp()
    points = list(points_of(run.tables["metrics"]))
    with (place / FILE).open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=start, file_version="brain.Event:2").SerializeToString())
        about = text_pb("summary", _summary(run))
        writer.write(Event(wall_time=start, summary=about).SerializeToString())
        for point in points:
            value = Summary(value=[Summary.Value(tag=point.curve, simple_value=point.value)])
            event = Event(wall_time=start + point.time_s, step=point.step, summary=value)
            writer.write(event.SerializeToString())
    return [] if points else [f"{run.folder}: has no accuracy (learning.train was false)"]


def points_of(metrics: pa.Table) -> Iterator[Point]:
    """Every accuracy and loss of the run's ``metrics``, once by cycle and once by second."""
    for row in metrics.to_pylist():
        whose = "global" if row["scope"] == "global" else f"cluster {row['cluster']}"
        for name in FIGURES:
            if row[name] is not None:
                yield Point(f"{name}/{whose}", row["cycle"], row["time_s"], row[name])
                by_second = f"{name}_by_second/{whose}"
                yield Point(by_second, int(row["time_s"]), row["time_s"], row[name])


def _summary(run: Run) -> str:
    """The summary in Markdown: an indented block shows all text as it is."""
    text = f"{run.title}\n{summary_text(summarise(run.tables, run.manifest))}"
    return "\n".join(f"    {line}" for line in text.splitlines())
