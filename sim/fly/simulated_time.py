"""What the time module says in a thread that runs under a baton: simulated time.

The functions of ``time`` are replaced once for the process, and say what they always said in every
other thread. What was imported by name before (``from time import sleep``) is not replaced, nor are
``datetime.now``, waits for events and locks, and asyncio.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from sim.fly.baton import runner_here

EPOCH_S = 1.8e9
"""What ``time.time()`` says at simulated time 0."""


@cache
def replace_time() -> Callable[[float], None]:
    """Replace the functions of ``time``; return the ``sleep`` that knows simulated time."""
    real_sleep = time.sleep

    def sleep(seconds: float) -> None:
        runner = runner_here()
        if runner is None:
            real_sleep(seconds)
        else:
            runner.baton.wait(lambda: False, runner.baton.now_s + max(seconds, 0.0))

    for name, offset_s in (("time", EPOCH_S), ("monotonic", 0.0), ("perf_counter", 0.0)):
        setattr(time, name, _clock(getattr(time, name), offset_s))
    setattr(time, "sleep", sleep)  # noqa: B010 (its type is of a built-in function)
    return sleep


def _clock(real: Callable[[], float], offset_s: float) -> Callable[[], float]:
    def now() -> float:
        runner = runner_here()
        return real() if runner is None else runner.baton.now_s + offset_s

    return now
