"""Ctrl-C of a sweep: the first has what runs saved, the second ends it at once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from sim.errors import Interrupted
from sim.sweeps.engine import Engine


@contextmanager
def asking_to_stop(engine: Engine) -> Iterator[Callable[[], bool]]:
    """Stop ``engine`` on SIGINT and SIGTERM; yield what tells whether that was asked for."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            engine.kill()
            raise Interrupted("stopped at once")
        asked = True
        engine.stop()
        print("stopping: what runs is being saved (once more to end at once)", file=sys.stderr)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
