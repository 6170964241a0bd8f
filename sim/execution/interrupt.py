"""Ctrl-C, a closed terminal, the end of wall time: a run stops at its next event.

An event may train for hours. Where that is to end sooner, the training is broken off.
"""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from sim.errors import Interrupted
from sim.facts.observer import Observer
from sim.process.beginning import INTERRUPTED_STATUS

SECOND_SIGNAL_S = 1.0
"""How long a second Ctrl-C may take to get through; a library may keep it from getting there."""
PATIENCE_S = 5.0
"""How long a run that is to stop may go on with a training; then it is broken off."""
SAID_AFTER_S = 0.5
"""A run that has not stopped by then says what it waits for."""
BROKEN_OFF = (
    "a training that takes longer than {:.0f} s is broken off, and done again with --resume "
    "(Ctrl-C to end at once)"
)
HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""What a process gets when its terminal closes; Windows has none."""


@contextmanager
def on_signals(ask: Callable[[], None]) -> Iterator[None]:
    """Call ``ask`` at every SIGINT and SIGTERM, and at a SIGHUP unless something asked before.

    In another thread than the main one nothing calls it. An ignored SIGHUP (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def handle(number: int, _: object) -> None:
        nonlocal asked
        # The system and the shell both hang up when a terminal closes: that asks for no hurry.
        if number != HANG_UP or not asked:
            asked = True
            ask()

    signals = [signal.SIGINT, signal.SIGTERM]
    if HANG_UP is not None and signal.getsignal(HANG_UP) is not signal.SIG_IGN:
        signals.append(HANG_UP)
    before = {number: signal.signal(number, handle) for number in signals}
    _replaced.append(before)
    try:
        yield
    finally:
        with suppress(ValueError):  # in a fork they are back already
            _replaced.remove(before)
        _restore(before)


_replaced: list[dict[signal.Signals, Any]] = []
"""Handlers that stood before those of this process, the last ones first put back."""


def _restore(before: Mapping[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)


def _as_before() -> None:
    """In a process that code of a user's forks: it is no run, and ends as it would without one."""
    while _replaced:
        _restore(_replaced.pop())


# A signal that comes while a process is forked waits until the new one has the handlers of before:
# ours would take it for a run's, and what the user's code has told to end would go on.

_masks = threading.local()


def _hold_signals() -> None:
    held = {signal.SIGINT, signal.SIGTERM, *filter(None, [HANG_UP])}
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, held)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _begin_child() -> None:
    _as_before()
    _release_signals()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold_signals, after_in_parent=_release_signals, after_in_child=_begin_child
    )


@contextmanager
def stop_on_interrupt(max_wall_s: float = math.inf) -> Iterator[Observer]:
    """Yield an observer that ends a run at its next event after a signal or ``max_wall_s``.

    An event that takes longer than PATIENCE_S after a signal is broken off, and a run that ends at
    one evaluates its model. A second signal ends it at once; where that does not get through in
    SECOND_SIGNAL_S, the process ends.
    """
    asked = False
    over = threading.Event()
    until = time.monotonic() + max_wall_s
    last = threading.Timer(SECOND_SIGNAL_S, os._exit, (INTERRUPTED_STATUS,))
    watch = threading.Thread(target=_break_off, args=(over,), daemon=True)
    last.daemon = True

    def ask() -> None:
        nonlocal asked
        if not asked:
            asked = True
            watch.start()
            return
        if not last.is_alive():
            last.start()
        raise KeyboardInterrupt

    class Stop(Observer):
        def event(self, number: int, time_s: float) -> None:
            if asked:
                over.set()
                raise Interrupted("stopped")
            if time.monotonic() > until:
                raise Interrupted("its wall time is over: stopped")

    try:
        with on_signals(ask):
            try:
                yield Stop()
            finally:
                over.set()
    finally:
        last.cancel()


def _break_off(over: threading.Event) -> None:
    """Interrupt this process once more, unless what it is asked to end is ``over`` soon."""
    if over.wait(SAID_AFTER_S):
        return
    print(f"stopping: {BROKEN_OFF.format(PATIENCE_S)}", file=sys.stderr)
    if not over.wait(PATIENCE_S):
        os.kill(os.getpid(), signal.SIGINT)
