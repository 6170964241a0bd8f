"""The engine of a cluster: a Dask scheduler hands points out, and each worker runs its own.

A worker writes the run folder of a point into the sweep's folder, which all machines must see under
the same path. What is done is known from these folders alone: nothing is lost with the scheduler.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sim.errors import InputError
from sim.execution.folder import CRASHED, FAILED, INTERRUPTED
from sim.sweep.dask_worker import kill_points, run_point, stop_points
from sim.sweep.engine import Outcome, Point

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_S = 5.0
"""How long a scheduler may take to answer, and to come back when it was lost."""
LOOK_EVERY_S = 0.5
"""Seconds between two looks at how many workers there are, and whether to stop."""
PATIENCE_S = 5.0
"""How long no worker may be there before that is said."""


class DaskEngine:
    """Runs points on the workers of a Dask scheduler, one a thread of theirs.

    As many points as there are threads are handed out, and at least ``least``, which tells a
    cluster that grows on demand how far. Raises InputError without an address; :meth:`run` does
    where nobody answers there, or Dask is not installed.
    """

    def __init__(self, scheduler: str | None, least: int) -> None:
        if scheduler is None:
            raise InputError(
                "--engine dask: name its scheduler, like --scheduler tcp://127.0.0.1:8786"
            )
        self._scheduler = scheduler
        self._least = least
        self._held = False
        self._stopped = False

    def run(self, points: Sequence[Point], folder: Path, cache: bool) -> Iterator[Outcome]:
        """Run ``points``, and yield how each of those that were handed out ended."""
        with connected(self._scheduler) as client:
            workers = _Workers(client, folder.resolve(), cache)
            with workers.at_work([point.digest for point in points]):
                yield from self._handed_out(workers, deque(points))

    def hold(self) -> None:
        """Hand out no more points."""
        self._held = True

    def stop(self) -> None:
        """Hand out no more points, and have those that run saved and ended."""
        self._held = self._stopped = True

    def kill(self) -> None:
        """Hand out no more points; what runs is killed when :meth:`run` is left."""
        self._held = self._stopped = True

    def _handed_out(self, workers: _Workers, waiting: deque[Point]) -> Iterator[Outcome]:
        asked = False
        while not workers.lost and (workers.busy or (waiting and not self._held)):
            while (
                waiting and not self._held and len(workers.busy) < max(self._least, workers.threads)
            ):
                workers.hand_out(waiting.popleft())
            if self._stopped and not asked:
                asked = True
                workers.on_workers(stop_points, list(workers.busy))
            outcome = workers.next_outcome()
            if outcome is not None:
                yield outcome


class _Workers:
    """The workers of a scheduler, and the points that they are ``busy`` with, by digest."""

    def __init__(self, client: Client, folder: Path, cache: bool) -> None:
        self.busy: dict[str, Future] = {}
        self.lost = False
        self._client = client
        self._folder = folder
        self._cache = cache
        self._ended: SimpleQueue[tuple[str, Future]] = SimpleQueue()
        self._idle_since = time.monotonic()

    @property
    def threads(self) -> int:
        """How many points the workers can run at the same time; says so if that is none."""
        with suppress(OSError):  # a lost scheduler is noticed by its futures
            threads: int = sum(self._client.nthreads().values())
            if threads:
                self._idle_since = time.monotonic()
            elif time.monotonic() - self._idle_since > PATIENCE_S:
                self._idle_since = float("inf")
                print("waiting for the scheduler's first worker", file=sys.stderr)
            return threads
        return 0

    @contextmanager
    def at_work(self, digests: Sequence[str]) -> Iterator[None]:
        """End what runs of the sweep when it ends, and where a worker closes."""
        from sim.sweep.dask_plugin import KillOnClose

        # A sweep that was killed may have left some of them running.
        self.on_workers(kill_points, digests)
        name = f"leomix-{uuid4().hex}"
        self._client.register_plugin(KillOnClose(digests, name))
        try:
            yield
        finally:
            if not self.lost:
                with suppress(OSError):
                    self._client.unregister_worker_plugin(name)
                    self._client.cancel(list(self.busy.values()), force=True)

    def hand_out(self, point: Point) -> None:
        """Give a point to the scheduler."""
        future = self._client.submit(
            run_point,
            asdict(point),
            str(self._folder),
            self._cache,
            key=f"leomix-{point.digest}-{uuid4().hex}",
            pure=False,
        )
        self.busy[point.digest] = future
        future.add_done_callback(lambda ended: self._ended.put((point.digest, ended)))

    def next_outcome(self) -> Outcome | None:
        """Wait a little for a point to end; the first that is lost means that all are."""
        try:
            digest, future = self._ended.get(timeout=LOOK_EVERY_S)
        except Empty:
            return None
        outcome = self._outcome(digest, future)
        del self.busy[digest]
        return outcome

    def on_workers(self, what: Any, digests: Sequence[str]) -> None:
        """Let every worker do ``what`` to points that it runs."""
        with suppress(OSError):
            self._client.run(what, list(digests), on_error="ignore")

    def _outcome(self, digest: str, future: Future) -> Outcome:
        if future.status == "finished":
            return Outcome(**future.result())
        if future.status == "error":
            return _died(digest, future.exception())
        self.lost = True
        address = self._client.scheduler.address
        note = f"the scheduler {address} is gone; what is done is kept"
        return Outcome(digest, INTERRUPTED, note=note)


def _died(digest: str, error: BaseException | None) -> Outcome:
    """Return how a point ended whose worker was lost again and again, or could not run it."""
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        text = "every worker that had it was lost (out of memory, or out of its time?)"
        return Outcome(digest, CRASHED, text)
    return Outcome(digest, FAILED, f"a worker cannot run it: {' '.join(str(error).split())}")


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """Connect to a scheduler; raise InputError if Dask is not installed or nobody answers."""
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            f"--engine dask: needs packages that are not installed ({error}); install them with "
            'pip install "leomix[cluster]"'
        ) from None
    for name in ("distributed", "distributed.client"):
        # What matters of it is in the outcomes.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        # A client that cannot connect would go on trying while it is being ended.
        asyncio.run(_answer(scheduler))
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False, name="leomix")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"--scheduler {scheduler}: no connection ({reason})") from None
    try:
        yield client
    finally:
        client.close(timeout=CONNECT_S)


async def _answer(scheduler: str) -> None:
    """Connect to a scheduler once, with the certificates of Dask's configuration."""
    from distributed import Security
    from distributed.comm import connect

    about = Security().get_connection_args("client")
    comm = await connect(scheduler, timeout=CONNECT_S, **about)
    await comm.close()
