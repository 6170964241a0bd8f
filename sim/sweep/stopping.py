"""How a sweep is stopped: the first Ctrl-C has what runs saved, the second ends it at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sim.errors import Interrupted
from sim.execution.interrupt import on_signals
from sim.sweep.engine import Engine

PATIENCE_S = 5.0
"""Seconds that a point which is to stop may go on with a training; then it is broken off."""


@contextmanager
def asking_to_stop(engine: Engine, max_wall_s: float) -> Iterator[Callable[[], bool]]:
    """Stop ``engine`` on a signal and after ``max_wall_s``; yield what tells whether it was."""
    asked = False

    def stop(why: str) -> None:
        nonlocal asked
        asked = True
        engine.held = engine.stopped = True
        print(
            f"{why}: what runs is being saved; a training that takes longer than "
            f"{PATIENCE_S:.0f} s is broken off, and done again with --resume (Ctrl-C to end at "
            "once)",
            file=sys.stderr,
        )

    def ask() -> None:
        if asked:
            raise Interrupted("stopped at once")
        stop("stopping")

    last = threading.Timer(min(max_wall_s, threading.TIMEOUT_MAX), stop, ("wall time is over",))
    last.daemon = True
    with on_signals(ask):
        last.start()
        try:
            yield lambda: asked
        finally:
            last.cancel()
