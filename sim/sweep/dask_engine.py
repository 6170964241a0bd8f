"""The engine of a cluster: a Dask scheduler hands points out, and each worker runs its own.

A worker writes the run folder of a point into the sweep's folder, which all machines must see under
the same path. What is done is known from these folders alone: nothing is lost with the scheduler.
This module needs Dask, which is not always installed.
"""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client, Security, Worker
from distributed.comm import connect
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.scheduler import KilledWorker

from sim.errors import InputError
from sim.execution.versions import versions
from sim.facts.status import CRASHED, FAILED, INTERRUPTED
from sim.sweep.engine import Engine, Outcome, Point, Submit
from sim.sweep.local_engine import kill_points, run_point, stop_points
from statements import Code

T = TypeVar("T")

CONNECT_S = 5.0
"""How long a scheduler may take to answer, and to come back when it was lost."""
PATIENCE_S = 5.0
"""How long no worker may be there before that is said."""


class DaskEngine(Engine):
    """Runs points on the workers of a Dask scheduler, one a thread of theirs.

    As many points as there are threads are handed out, and at least ``least``, which tells a
    cluster that grows on demand how far. ``run`` raises InputError where nobody answers.
    """

    def __init__(self, scheduler: str, least: int) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._least = least
        self._client: Client
        self._idle_since = time.monotonic()

    @contextmanager
    def _submitting(
        self, points: Sequence[Point], folder: Path, *, cache: bool
    ) -> Iterator[Submit]:
        """Yield what submits a point; a point ends with the sweep, or where its worker closes."""
        name = f"leomix-{uuid4().hex}"
        places = [folder / point.digest for point in points]

        def submit(point: Point) -> Any:
            key = f"leomix-{point.digest}-{uuid4().hex}"
            how = {"cache": cache, "made_with": versions(), "key": key}
            return threads.submit(run_point, asdict(point), str(folder), **how)

        with connected(self._scheduler) as client:
            self._client = client
            threads = client.get_executor(pure=False)
            # A sweep that was killed may have left some of them running.
            with suppress(OSError):
                client.run(kill_points, places, on_error="ignore")
            client.register_plugin(KillOnClose(places, name))
            try:
                yield submit
            finally:
                if not self.lost:
                    self._asked(client.unregister_worker_plugin, name)
                    threads.shutdown(wait=False)

    def _threads(self) -> int:
        """How many points the workers can run at the same time; says so if that is none."""
        threads = 0
        known = self._asked(self._client.nthreads)
        if known is not None:  # a lost scheduler is noticed by its futures
            threads = sum(known.values())
            if threads:
                self._idle_since = time.monotonic()
            elif time.monotonic() - self._idle_since > PATIENCE_S:
                self._idle_since = float("inf")
                print("waiting for the scheduler's first worker", file=sys.stderr)
        return max(self._least, threads)

    def _save(self, places: Sequence[Path]) -> None:
        self._asked(self._client.run, stop_points, list(places), on_error="ignore")

    def _outcome(self, digest: str, future: Future[dict[str, Any]]) -> Outcome:
        if future.cancelled():  # the first that is lost means that all are
            self.lost = True
            address = self._client.scheduler.address
            note = f"the scheduler {address} is gone; what is done is kept"
            return Outcome(digest, INTERRUPTED, note=note)
        error = future.exception()
        if error is None:
            return Outcome(**future.result())
        if isinstance(error, KilledWorker):  # again and again
            text = "every worker that had it was lost (out of memory, or out of its time?)"
            return Outcome(digest, CRASHED, text)
        return Outcome(digest, FAILED, f"a worker cannot run it: {' '.join(str(error).split())}")

    def _asked(self, what: Callable[..., T], *given: Any, **how: Any) -> T | None:
        """Return what the scheduler answers, None where it is gone, or silent for CONNECT_S.

        Who waits for its answer without end cannot be stopped, as by a second Ctrl-C.
        """
        answers = SimpleQueue[T | None]()

        def ask() -> None:
            answer = None
            with suppress(Exception):  # of the network, or of Dask itself
                answer = what(*given, **how)
            answers.put(answer)

        threading.Thread(target=ask, daemon=True).start()
        with suppress(Empty):
            return answers.get(timeout=CONNECT_S)
        return None


class KillOnClose(WorkerPlugin):  # type: ignore[misc]  # Dask does not say its type
    """Ends the points of a sweep, by their folders, where a worker closes or the sweep ends.

    A worker also closes when it has lost its scheduler. Without this its points would go on, while
    the sweep may have been resumed elsewhere.
    """

    def __init__(self, places: Sequence[Path], name: str) -> None:
        self.name = name
        self._places = list(places)

    def teardown(self, worker: Worker) -> None:
        """End what runs here."""
        kill_points(self._places)


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """Connect to a scheduler; raise InputError if nobody answers."""
    for name in ("distributed", "distributed.client"):
        # What matters of it is in the outcomes.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        # A client that cannot connect would go on trying while it is being ended.
        asyncio.run(_answer(scheduler))
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False, name="leomix")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError.of_option(
            f"--scheduler {scheduler}", Code.UNREACHABLE, "no connection ({reason})", reason=reason
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=CONNECT_S)


async def _answer(scheduler: str) -> None:
    """Connect to a scheduler once, with the certificates of Dask's configuration."""
    about = Security().get_connection_args("client")
    comm = await connect(scheduler, timeout=CONNECT_S, **about)
    await comm.close()
