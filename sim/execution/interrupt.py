"""Ctrl-C and the end of wall time: the run stops at its next event; Ctrl-C again, at once."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sim.engine.evaluation import Observer
from sim.errors import Interrupted

GRACE_S = 1.0
"""How long a second Ctrl-C may take to get through; a library may keep it from getting there."""
INTERRUPTED = 130


@contextmanager
def on_signals(ask: Callable[[], None]) -> Iterator[None]:
    """Call ``ask`` at every SIGINT and SIGTERM; in another thread than the main one, at none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = signal.SIGINT, signal.SIGTERM
    before = {number: signal.signal(number, lambda *_: ask()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_on_interrupt(max_wall_s: float = math.inf) -> Iterator[Observer]:
    """Yield an observer that ends a run at its next event after a signal.

    It does so too when ``max_wall_s`` of wall time are over, counted from here.
    """
    asked = False
    until = time.monotonic() + max_wall_s
    last = threading.Timer(GRACE_S, os._exit, (INTERRUPTED,))
    last.daemon = True

    def ask() -> None:
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

    try:
        with on_signals(ask):
            yield Stop()
    finally:
        last.cancel()
