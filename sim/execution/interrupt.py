"""Ctrl-C and the end of wall time: the run stops at its next event; Ctrl-C again, at once."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sim.engine.evaluation import Observer
from sim.errors import Interrupted

GRACE_S = 1.0
"""How long a second Ctrl-C may take to get through; a library may keep it from getting there."""
INTERRUPTED = 130


@contextmanager
def stop_on_interrupt(max_wall_s: float = math.inf) -> Iterator[Observer]:
    """Yield an observer that ends a run at its next event after a signal.

    It does so too when ``max_wall_s`` of wall time are over, counted from here.
    """
    asked = False
    until = time.monotonic() + max_wall_s
    last = threading.Timer(GRACE_S, os._exit, (INTERRUPTED,))
    last.daemon = True

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            return
        if not last.is_alive():
            last.start()
        raise KeyboardInterrupt

    class Stop(Observer):
        def event(self, number: int, time_s: float) -> None:
            if asked:
                raise Interrupted("stopped")
            if time.monotonic() > until:
                raise Interrupted("stopped as its wall time is over")

    if threading.current_thread() is not threading.main_thread():
        yield Stop()
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield Stop()
    finally:
        last.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
