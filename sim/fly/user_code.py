"""UserCode: functions of a user's file, called under a seed and known by content; their options."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from pydantic.dataclasses import dataclass as checked

from learning.hardware import cuda_with_generators
from learning.methods.options import CHECKED, option
from learning.own.code import code_digest, packages_of
from learning.own.imports import import_own, is_own_file
from learning.own.raised import ANYTHING
from learning.own.replies import key_of
from sim.errors import custom_line

MOST_EXAMPLES = 2**53
"""Examples of a client at most: up to here numbers of both kinds are exact."""


@dataclass(frozen=True)
class Context:
    """Where and when a function is called: by which client, in which round.

    ``client`` counts the devices of all clusters from 0, of ``clients``; ``device`` those of its
    cluster. At the server ``client`` is -1 and ``device`` None, and ``cluster`` is whose test data
    are evaluated. ``round`` counts from 1. ``config`` are options of the user's own; ``memory`` is
    a dict of arrays and numbers that the same client, or the server, finds again in its next call.
    ``seed``, of 31 bits, is of this call alone.
    """

    cluster: str
    device: int | None
    client: int
    clients: int
    round: int
    seed: int
    config: Mapping[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def rng(self) -> np.random.Generator:
        """A random generator of this call."""
        return np.random.default_rng(self.seed)

    @property
    def who(self) -> str:
        """Name it for messages."""
        who = self.cluster if self.device is None else f"{self.cluster}/{self.device}"
        return f"{who}, round {self.round}" if who else f"round {self.round}"


_gone: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()
"""The folder that the code of a module is in, as it has gone there; it is imported once."""


def _left_for(before: str, begun: str = "") -> str:
    """Go back to a folder; return the one that code has left ``begun`` for, "" for none."""
    try:
        gone = os.getcwd()
    except OSError:  # it has been removed since
        gone = ""
    os.chdir(before)
    return "" if gone == (begun or before) else gone


class UserCode:
    """The module that ``place``, ``MODULE:FUNCTION``, names; the function is the one that trains.

    Raises ValueError, in one line, for a module that cannot be imported, or lacks the function.
    """

    def __init__(self, place: str, limit_s: float) -> None:
        name, _, self.trains = place.partition(":")
        self._limit_s = limit_s
        before = os.getcwd()
        try:
            self._module: ModuleType = import_own(name)
        except ANYTHING as error:  # a module of the user's may raise anything
            why = f"{type(error).__name__}: {error}{custom_line(error)}"
            raise ValueError(f"{name}.py cannot be imported: {' '.join(why.split())}") from None
        finally:
            gone = _left_for(before)
        if gone:
            _gone[self._module] = gone
        self.file = Path(str(self._module.__file__)).name
        self._place = place

    def check(self) -> None:
        """Raise ValueError for a module that lacks one of the functions that every run needs."""
        needed = ["start", self.trains, "evaluate"]
        if self.has("data"):
            needed.append("test_data")
        for name in needed:
            if not self.has(name):
                raise self._lacks(name)

    def _lacks(self, name: str) -> ValueError:
        use = "train" if name == self.trains else name
        return ValueError(f"{self.file}: has no function {name}; write {SIGNATURES[use]}")

    def has(self, name: str) -> bool:
        """Whether the module has a function of that name."""
        return callable(getattr(self._module, name, None))

    @cached_property
    def digest(self) -> str:
        """A key that names the code: the file, what it imports, and the packages."""
        return key_of(code_digest(self._place, running=True), packages(self._place))

    def call(self, name: str, *values: Any, context: Context) -> Any:
        """Return what a function returns that is called under the context's seed.

        Raises ValueError that says in one line what failed where, or that it took too long.
        """
        if not self.has(name):
            raise self._lacks(name)
        function = getattr(self._module, name)
        try:
            with self._in_its_folder(), seeded(context.seed), within(self._limit_s):
                return function(*values, context)
        except TooLong:
            raise ValueError(
                f"{self.file}: {name} ({context.who}) did not return within {self._limit_s:g} s; "
                "raise learning.options.call_limit_s, or do less in a call"
            ) from None
        except ANYTHING as error:  # a function of the user's may raise anything
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(
                f"{self.file}: {name} ({context.who}) fails: {why}{custom_line(error)}"
            ) from error

    @contextmanager
    def _in_its_folder(self) -> Iterator[None]:
        """Be where the code has gone by os.chdir; what a run writes stays where that began."""
        before = os.getcwd()
        os.chdir(begun := _gone.get(self._module, before))
        try:
            yield
        finally:
            if gone := _left_for(before, begun):
                _gone[self._module] = gone

    def wrong(self, name: str, context: Context, what: str) -> ValueError:
        """Return the error that a function has returned something else than it should."""
        return ValueError(
            f"{self.file}: {name} ({context.who}) returned something else: {what}; "
            f"write {SIGNATURES[name]}"
        )


SIGNATURES = {
    "start": "start(context) -> weights",
    "data": "data(context) -> data",
    "test_data": "test_data(context) -> data",
    "train": "train(weights, data, context) -> (weights of the same shapes, examples)",
    "evaluate": "evaluate(weights, data, context) -> a dict of numbers, like {'accuracy': 0.9}",
    "aggregate": "aggregate(weights, updates, context) -> weights of the same shapes",
}
"""What the functions are called with, and what they return."""


def packages(place: str) -> list[list[str]]:
    """Return the packages that the code of ``MODULE:NAME`` imports, each with its version."""
    return [[name, _version(name)] for name in sorted({*packages_of(place), "numpy"})]


def _version(package: str) -> str:
    name = {"sklearn": "scikit-learn"}.get(package, package)
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and, if it is imported, PyTorch, for a while."""
    torch = sys.modules.get("torch")
    kept = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        with torch.random.fork_rng(cuda_with_generators()) if torch else nullcontext():
            if torch:
                torch.manual_seed(seed)
            yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])


class TooLong(BaseException):
    """A call has not returned in time: no ``except Exception`` of the user's shall catch it."""


LATE_CHECK_S = 0.05
"""How often it is tried to end a call that is late and imports a package."""


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    """Raise TooLong after so many seconds, where the system can interrupt this thread.

    The import of an installed package is awaited: one that is cut off leaves libraries half made,
    and whoever imports them next ends the process.
    """
    can = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not can:
        yield
        return
    late = False

    def stop(_: int, frame: FrameType | None) -> None:
        nonlocal late
        late = True
        if not _imports_a_package(frame):
            raise TooLong
        signal.setitimer(signal.ITIMER_REAL, LATE_CHECK_S)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
        if late:
            raise TooLong
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _imports_a_package(frame: FrameType | None) -> bool:
    """Whether the last line of the user's own code that runs is the import of a package."""
    imports = False
    while frame is not None and not is_own_file(frame.f_code.co_filename):
        imports = imports or frame.f_code.co_filename.startswith("<frozen importlib")
        frame = frame.f_back
    return imports


T = TypeVar("T")


@checked(frozen=True, config=CHECKED)
class CallOptions:
    """What functions and apps have in common."""

    config: dict[str, Any] = field(default_factory=dict)
    time: Literal["declared", "counted"] = option(
        "declared", "FLOPs of a call: flops_per_example, or those that PyTorch computes"
    )
    flops_per_example: float = option(1e6, "FLOPs to train on one example, as declared", gt=0)
    call_limit_s: float = option(3600.0, "longest time that a call may take here, s", gt=0)

    def counted(self, call: Callable[[], T]) -> tuple[T, float]:
        """Return what a call returns and, where they are counted, its FLOPs."""
        if self.time == "declared":
            return call(), 0.0
        from learning.training.flop_count import counted_flops  # imports torch

        return counted_flops(call)


@checked(frozen=True, config=CHECKED)
class FunctionOptions(CallOptions):
    """Options of functions of the user's."""

    code: str = option("", "MODULE:FUNCTION that trains; the others stand in the same module")
