"""What of the library flwr has to know of simulated time; its functions are replaced once.

A replaced function does what it always did in threads that run under no baton.
"""

from __future__ import annotations

import datetime
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any

import numpy as np

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")

import flwr.app.message.message as messages
import flwr.server.client_manager as client_manager
import flwr.server.server as classic_server
import flwr.serverapp.strategy.strategy_utils as strategy_utils
from flwr.common.constant import SUPERLINK_NODE_ID, SType
from flwr.common.logger import update_console_handler
from flwr.compat.common.recorddict_compat import parameters_to_arrayrecord
from flwr.server.compat import LegacyContext
from flwr.server.workflow.constant import MAIN_PARAMS_RECORD
from flwr.server.workflow.default_workflows import DefaultWorkflow
from flwr.serverapp.strategy import Strategy
from flwr.supercore.task_identity import TaskIdentity

from learning.own.raised import ANYTHING
from sim.fly.baton import EPOCH_S, Baton, Pool, replace_time, runner_here, wait_for
from sim.fly.trees import is_of_numbers

RUN_ID = 1
MOST_WRAPPED = 10
"""Strategies that lie in each other at most."""


class Stage(Baton):
    """The baton of an app: it hears what a strategy evaluates at the server, and its last weights.

    ``told`` gets the metrics of each central evaluation. ``weighted_by`` is the metric by which the
    strategy that was started last weighs replies, "" for that of Flower's default. ``arrays`` are
    those that it ended with, or ``sent`` last where an error has ended it, which ``cut_by`` names.
    """

    def __init__(self, limit_s: float) -> None:
        super().__init__(limit_s)
        self.told: Callable[[Mapping[str, Any]], None] = lambda _: None
        self.arrays: Mapping[str, np.ndarray] = {}
        self.weighted_by = ""
        self.sent: Mapping[str, Any] = {}
        self.cut_by = ""

    @contextmanager
    def keeping(self, arrays_of: Callable[[], Any]) -> Iterator[None]:
        """Keep the arrays that a strategy ends with; where it raises, those that it sent last."""
        try:
            yield
        except ANYTHING as error:  # the app may catch it: to stop early by an error is usual
            self.cut_by = " ".join(f"{type(error).__name__}: {error}".split())
            self.arrays = _of_numbers(self.sent)
            raise
        self.cut_by = ""
        self.arrays = _of_numbers(arrays_of())


class TooFewNodes(Exception):
    """An app waits for more nodes than there are."""


_clock: list[Stage] = []
"""The stage whose time messages are dated by in a thread that runs under no baton: a client's."""


def dated_by(stage: Stage) -> None:
    """Let messages that clients make from now on bear the time of a stage."""
    _clock[:] = [stage]


def _stage() -> Stage | None:
    runner = runner_here()
    found = None if runner is None else runner.baton
    return found if isinstance(found, Stage) else None


@cache
def prepare() -> None:
    """Replace what waits, or looks at the time, by what knows simulated time."""
    TaskIdentity.task_id = 1
    TaskIdentity.run_id = RUN_ID
    TaskIdentity.node_id = SUPERLINK_NODE_ID
    update_console_handler(colored=False)  # it asks no terminal
    strategy_utils.sleep = replace_time()
    _replace_now()
    _replace_waits()
    _watch_strategies()
    _watch_classic_strategies()


def _replace_now() -> None:
    real = messages.now

    def now() -> datetime.datetime:
        stage = _stage() or next(iter(_clock), None)
        if stage is None:
            return real()
        return datetime.datetime.fromtimestamp(EPOCH_S + stage.now_s, datetime.UTC)

    messages.now = now


def _replace_waits() -> None:
    """Let the classic server send from workers of the baton, and wait for nodes that never come."""
    real = classic_server.concurrent.futures
    manager = client_manager.SimpleClientManager
    waits = manager.wait_for

    def pool(max_workers: int | None = None) -> Any:
        under_baton = runner_here() is not None
        return Pool() if under_baton else real.ThreadPoolExecutor(max_workers)

    def wait(fs: Any, timeout: float | None = None) -> Any:
        return wait_for(fs) if runner_here() is not None else real.wait(fs, timeout)

    def wait_for_clients(self: Any, num_clients: int, timeout: int = 86400) -> bool:
        if _stage() is None:
            return bool(waits(self, num_clients, timeout))
        if self.num_available() < num_clients:
            raise TooFewNodes(f"it waits for {num_clients} nodes")
        return True

    futures = SimpleNamespace(ThreadPoolExecutor=pool, wait=wait, Future=real.Future)
    classic_server.concurrent = SimpleNamespace(futures=futures)
    manager.wait_for = wait_for_clients


def _watch_strategies() -> None:
    """Let a stage hear what strategies evaluate at the server, and what they end with.

    An app's own strategy may have a ``start`` of its own.
    """

    def of_subclass(kind: type) -> None:
        if "start" in vars(kind):
            setattr(kind, "start", _watched(vars(kind)["start"]))  # noqa: B010

    Strategy.start = _watched(Strategy.start)
    Strategy.__init_subclass__ = classmethod(of_subclass)


def _watched(start: Callable[..., Any]) -> Callable[..., Any]:
    takes = inspect.signature(start)

    @wraps(start)
    def watched(*values: Any, **named: Any) -> Any:
        stage = _stage()
        if stage is None:
            return start(*values, **named)
        given = takes.bind(*values, **named)
        evaluate: Any = given.arguments.get("evaluate_fn")
        stage.weighted_by = _weighted_by(values[0]) if values else ""

        def told(number: int, arrays: Any) -> Any:
            metrics = evaluate(number, arrays)
            if metrics is not None:
                stage.told(dict(metrics))
            return metrics

        if evaluate is not None:
            given.arguments["evaluate_fn"] = told
        result: Any = None
        with stage.keeping(lambda: getattr(result, "arrays", {})):
            result = start(*given.args, **given.kwargs)
        return result

    return watched


def _weighted_by(strategy: Any) -> str:
    """Return the metric by which a strategy weighs replies, or the one that it wraps; else ""."""
    for _ in range(MOST_WRAPPED):
        if isinstance(named := getattr(strategy, "weighted_by_key", None), str):
            return named
        strategy = getattr(strategy, "strategy", None)
    return ""


def _watch_classic_strategies() -> None:
    """Let a stage hear the same of the classic server, and of workflows."""
    fit = classic_server.Server.fit
    work = DefaultWorkflow.__call__

    def watched_fit(self: Any, *values: Any, **named: Any) -> Any:
        stage = _stage()
        if stage is None:
            return fit(self, *values, **named)
        with (
            stage.keeping(lambda: parameters_to_arrayrecord(self.parameters, keep_input=True)),
            _overheard(self.strategy, stage),
        ):
            return fit(self, *values, **named)

    def watched_work(self: Any, grid: Any, context: Any) -> None:
        stage = _stage()
        if stage is None or not isinstance(context, LegacyContext):
            work(self, grid, context)
            return
        with (
            stage.keeping(lambda: context.state.array_records[MAIN_PARAMS_RECORD]),
            _overheard(context.strategy, stage),
        ):
            work(self, grid, context)

    classic_server.Server.fit = watched_fit
    DefaultWorkflow.__call__ = watched_work


@contextmanager
def _overheard(strategy: Any, stage: Stage) -> Iterator[None]:
    """Tell a stage what a classic strategy evaluates at the server."""
    evaluate = strategy.evaluate

    def watched(*values: Any, **named: Any) -> Any:
        result = evaluate(*values, **named)
        if result is not None:
            loss, metrics = result
            stage.told({"loss": loss, **metrics})
        return result

    strategy.evaluate = watched
    try:
        yield
    finally:
        del strategy.evaluate


def _of_numbers(arrays: Any) -> dict[str, np.ndarray]:
    """Return the arrays of numbers of a record: strategies of trees keep other bytes, or text."""
    kept = {name: one.numpy() for name, one in arrays.items() if one.stype == SType.NUMPY}
    return {name: array for name, array in kept.items() if is_of_numbers(array)}
