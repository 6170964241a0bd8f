"""Ctrl-C: the first stops the run at its next event, everything saved; the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from sim.errors import Interrupted


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[int], None]]:
    """Yield what is to be called behind each event; it raises Interrupted after a signal."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def each_event(number: int) -> None:
        if asked:
            raise Interrupted("stopped on request")

    if threading.current_thread() is not threading.main_thread():
        yield each_event
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield each_event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
