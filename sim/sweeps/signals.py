"""Ctrl-C of a sweep: the first has what runs saved, the second ends it at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from sim.errors import Interrupted
from sim.sweeps.engine import Engine


@contextmanager
def asking_to_stop(engine: Engine, max_wall_s: float) -> Iterator[Callable[[], bool]]:
    """Stop ``engine`` on SIGINT and SIGTERM, and when ``max_wall_s`` are over.

    Yields what tells whether that was asked for.
    """
    asked = False

    def stop(why: str) -> None:
        nonlocal asked
        asked = True
        engine.stop()
        print(f"{why}: what runs is being saved (Ctrl-C to end at once)", file=sys.stderr)

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            engine.kill()
            raise Interrupted("stopped at once")
        stop("stopping")

    last = threading.Timer(min(max_wall_s, threading.TIMEOUT_MAX), stop, ("wall time is over",))
    last.daemon = True
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    last.start()
    try:
        yield lambda: asked
    finally:
        last.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
