"""Figures of a run over cycles and simulated time, for TensorBoard."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from learning.metrics import COUNTS
from sim.analysis.run_text import summary_text
from sim.errors import InputError, missing
from sim.execution.result import Result
from sim.facts.observer import Observer
from sim.files import check_not_a_pipe, trouble_text
from statements import Code

NOT_FIGURES = ("time_s", "cycle", "version", "scope", "cluster", "device", *COUNTS)
"""Columns of the metrics that are no curves."""


class CurvePoint(NamedTuple):
    """A value of a curve, at a step and at seconds since the run's start."""

    curve: str
    step: int
    time_s: float
    value: float


def points_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[CurvePoint]:
    """Every figure in ``rows`` of the metrics, once by cycle and once by second."""
    for row in rows:
        whose = "global" if row["scope"] == "global" else f"{row['scope']} {row['cluster']}"
        if row["scope"] == "client":
            whose += f"/{row['device']}"
        for name, value in row.items():
            if name in NOT_FIGURES or value is None:
                continue
            yield CurvePoint(f"{name}/{whose}", row["cycle"], row["time_s"], value)
            second = f"{name}_by_second/{whose}"
            yield CurvePoint(second, int(row["time_s"]), row["time_s"], value)


EVENT_FILE = "events.out.tfevents.leomix"


NO_CURVES = "{0.folder}: has no accuracy (learning.train was false)"


class EventFile:
    """A file of TensorBoard's in ``place``; the wall time of all is simulated UTC.

    ``accuracy/...`` and ``loss/...`` have the cycle as their step, ``accuracy_by_second/...`` and
    ``loss_by_second/...`` whole simulated seconds. Raises ImportError without the package.
    """

    def __init__(self, place: Path, start: datetime) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = Event
        self._summary = Summary
        self._start_s = start.timestamp()
        self._file = (place / EVENT_FILE).open("wb")
        self._records = RecordWriter(self._file)
        self.write(file_version="brain.Event:2")

    def write(self, time_s: float = 0.0, **event: Any) -> None:
        """Write one event at a simulated time."""
        made = self._event(wall_time=self._start_s + time_s, **event)
        self._records.write(made.SerializeToString())

    def add(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Write rows of the metrics; return how many points that made."""
        count = 0
        for count, point in enumerate(points_of(rows), 1):  # noqa: B007 (its last value counts)
            value = self._summary.Value(tag=point.curve, simple_value=point.value)
            self.write(point.time_s, step=point.step, summary=self._summary(value=[value]))
        self._file.flush()
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_tensorboard(run: Result, place: Path) -> list[str]:
    """Write the curves and the summary of the run."""
    from tensorboard.plugins.text.summary_v2 import text_pb

    file = EventFile(place, datetime.fromisoformat(run.manifest["start_utc"]))
    with closing(file):
        # In Markdown an indented block shows all text as it is.
        lines = [run.title, *summary_text(run.summary, run.held_back).splitlines()]
        file.write(summary=text_pb("summary", "\n".join(f"    {line}" for line in lines)))
        return [] if file.add(run.tables["metrics"].to_pylist()) else [NO_CURVES.format(run)]


class TensorBoard(Observer):
    """Writes the curves of a run into ``place`` while it goes on, into a new file each time.

    A resumed run passes all of its evaluations again, and so writes the same file again. Where the
    file cannot be written any more, the run goes on without it, and says so on stderr. Raises
    InputError where the package is missing, and for what is no folder.
    """

    def __init__(self, place: Path) -> None:
        try:
            import tensorboard.summary.writer.record_writer  # noqa: F401 (before the run, not in it)
        except ImportError as error:
            raise missing("--tensorboard", "tensorboard", error) from None
        there = next(path for path in (place, *place.absolute().parents) if path.exists())
        if not there.is_dir():
            raise InputError.of_option(
                "--tensorboard",
                Code.WRONG_FILE,
                "{there} is no folder",
                "name another one",
                there=there,
            )
        check_not_a_pipe(place / EVENT_FILE)
        self._place = place
        self._file: EventFile | None = None

    def started(self, start: datetime) -> None:
        """Begin the file."""
        with self._or_without():
            self._place.mkdir(parents=True, exist_ok=True)
            self._file = EventFile(self._place, start)

    def measured(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of an evaluation."""
        with self._or_without():
            if self._file is not None:
                self._file.add(rows)

    @contextmanager
    def _or_without(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            print(f"--tensorboard: {trouble_text(error)}; the run goes on without", file=sys.stderr)
            self._file = None
