"""Inner names of ``sim`` that tests of what goes on use, and runs that wait to be looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sim.execution import live
from sim.execution.live import ask, shown
from sim.report import watch, watched
from tests.kit.folders import Each
from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "sim.execution.live": "Live run_beat",
        "sim.report.watch": "Pages",
        "sim.report.watched": "State WatchedRun WatchedSweep",
        "sim.sweep.so_far": "SoFar",
    },
)


@contextmanager
def hurried(silent_s: float = 60.0) -> Iterator[None]:
    """Let a run write its tables whenever it is asked, and whoever watches look without a break."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SHARE", 1.0)
        patch.setattr(live, "LOOK_S", 0.001)
        patch.setattr(live, "BEAT_S", 0.01)
        patch.setattr(watched, "SILENT_S", silent_s)
        patch.setattr(watch, "LOOK_S", 0.01)
        yield


def asking(place: Path, every: int) -> tuple[Each, set[str]]:
    """Ask a run for its tables now and then; the set has the names of what it has written."""
    seen = set[str]()

    def act(number: int) -> None:
        if number % every == 0:
            ask(place)
            time.sleep(0.01)
        if (newest := shown(place)) is not None:
            seen.add(newest.name)

    return Each(act), seen


def once_each(*wanted: Callable[[], Any], pause_s: float) -> tuple[Each, list[bool]]:
    """Make a run pause after each event until all that is wanted, one after another, came true."""
    came: list[bool] = []

    def act(number: int) -> None:
        if len(came) < len(wanted):
            time.sleep(pause_s)
            if wanted[len(came)]():
                came.append(True)

    return Each(act), came
