"""Baton: threads of other people's code, of which one runs at a time while the clock stands still.

A program that waits in the middle of its own functions, in a library that knows nothing of
generators, cannot be asked for its next request. It runs in a thread of its own, and hands the
baton back when it waits for simulated time. Threads run strictly in turn, in the order in which
they became ready, so that a run is repeated exactly.

In these threads the module ``time`` says simulated time. Its functions are replaced once for the
process, and say what they always said in every other thread. What was imported by name before
(``from time import sleep``) is not replaced, nor are ``datetime.now``, waits for events and locks,
and asyncio.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any


class Closed(BaseException):
    """Ends a thread where it waits: the run is over. No ``except Exception`` shall catch it."""


class Stuck(Exception):
    """A thread has kept the baton too long: it never ends, or waits for time that is not ours."""


_here = threading.local()


def runner_here() -> Runner | None:
    """Return the runner of this thread; None in any other thread."""
    return getattr(_here, "runner", None)


class Runner(threading.Thread):
    """One thread of a baton; ``number`` counts them in the order in which they began.

    When it has ``ended`` it has a ``value``, or an ``error``.
    """

    def __init__(self, baton: Baton, call: Callable[[], Any], number: int) -> None:
        super().__init__(daemon=True)
        self.baton = baton
        self.number = number
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended = False
        self.until: Callable[[], bool] = _always
        self.deadline_s = -math.inf
        self.turn = threading.Semaphore(0)
        self._call = call

    def run(self) -> None:
        """Wait for the first turn, and call."""
        self.turn.acquire()
        _here.runner = self
        try:
            if not self.baton.closed:
                self.value = self._call()
        except Closed:
            pass
        except BaseException as error:  # code of the user's may raise anything
            self.error = error
        self.ended = True
        self.baton.hand_back()


def _always() -> bool:
    return True


class Baton:
    """Lets its runners run, one at a time, each until it waits; ``now_s`` is the simulated time.

    One that keeps the baton for longer than ``limit_s`` of real time is stuck.
    """

    def __init__(self, limit_s: float) -> None:
        self.now_s = 0.0
        self.closed = False
        self._limit_s = limit_s
        self._back = threading.Semaphore(0)
        self._ready: deque[Runner] = deque()
        self._waiting: list[Runner] = []
        self._begun = 0

    def begin(self, call: Callable[[], Any]) -> Runner:
        """Start a runner, which runs when it is its turn."""
        self._begun += 1
        runner = Runner(self, call, self._begun)
        runner.start()
        self._ready.append(runner)
        return runner

    def run(self, now_s: float) -> None:
        """Let it be ``now_s``, and everybody run who can, until all wait. Raises Stuck."""
        self.now_s = max(self.now_s, now_s)
        while True:
            woken = [one for one in self._waiting if one.until() or self.now_s >= one.deadline_s]
            self._waiting = [one for one in self._waiting if one not in woken]
            self._ready.extend(woken)
            if not self._ready:
                return
            while self._ready:
                self._let_run(self._ready.popleft())

    def _let_run(self, runner: Runner) -> None:
        runner.turn.release()
        if not self._back.acquire(timeout=self._limit_s):
            raise Stuck(f"did not wait in simulated time, or end, within {self._limit_s:g} s")

    @property
    def wakes_s(self) -> list[float]:
        """The finite simulated times at which somebody waits no longer, in order."""
        return sorted({one.deadline_s for one in self._waiting if one.deadline_s < math.inf})

    def wait(self, until: Callable[[], bool], deadline_s: float = math.inf) -> None:
        """In a runner's thread: wait until something holds, at most until a simulated time."""
        runner = runner_here()
        assert runner is not None  # nobody else waits for simulated time
        runner.until = until
        runner.deadline_s = deadline_s
        self._waiting.append(runner)
        self.hand_back()
        runner.turn.acquire()
        if self.closed:
            raise Closed

    def hand_back(self) -> None:
        """In a runner's thread: let the others go on."""
        self._back.release()

    def close(self) -> None:
        """End all runners where they wait."""
        self.closed = True
        for runner in (*self._ready, *self._waiting):
            runner.turn.release()
            self._back.acquire(timeout=1.0)
        self._ready.clear()
        self._waiting.clear()


class Pool:
    """What a thread pool is to code that runs under a baton: its workers are runners.

    As of ``concurrent.futures``; there are as many workers as are needed.
    """

    def __init__(self) -> None:
        runner = runner_here()
        assert runner is not None  # who asks for workers runs under a baton
        self._baton = runner.baton
        self._mine: list[Future] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        wait_for(self._mine)

    def submit(self, call: Callable[..., Any], *values: Any, **named: Any) -> Future:
        """Start a worker."""
        self._mine.append(Future(self._baton.begin(lambda: call(*values, **named))))
        return self._mine[-1]


class Future:
    """What a worker of a :class:`Pool` will have made."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def exception(self) -> BaseException | None:
        """Return the error with which it ended."""
        return self.runner.error

    def result(self) -> Any:
        """Return what it made; raise its error."""
        if self.runner.error is not None:
            raise self.runner.error
        return self.runner.value


def wait_for(fs: Iterable[Future]) -> tuple[list[Future], set[Any]]:
    """Wait for all of some futures; return them in the order in which they were submitted."""
    futures = sorted(fs, key=lambda one: one.runner.number)
    runner = runner_here()
    assert runner is not None  # who waits runs under a baton
    runner.baton.wait(lambda: all(one.runner.ended for one in futures))
    return futures, set()


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
