"""The processes of a sweep on the workers of a Dask scheduler, which share the sweep's folder.

This module needs Dask, which is not always installed.
"""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from distributed import Client, Security
from distributed.comm import connect

from sim.errors import InputError
from sim.sweep.crew import Crew, kill, started
from sim.sweep.join import CANNOT, MOST_DEATHS
from statements import Code

CONNECT_S = 5.0
"""How long a scheduler may take to answer, and to come back when it was lost."""
NO_WORKER_S = 5.0
"""How long no worker may be there before that is said."""

_here: dict[str, list[subprocess.Popen[str]]] = {}
"""On a worker: the processes that work there, by the sweep's folder."""
_stopped: set[str] = set()
"""On a worker: the folders of sweeps that are to end there."""


def work_here(place: str, flags: Sequence[str]) -> str:
    """Work on a sweep in a process beside this worker; return why it cannot, if so."""
    _stopped.discard(place)
    for _ in range(MOST_DEATHS):
        process = started(Path(place), flags)
        _here.setdefault(place, []).append(process)
        assert process.stdout is not None  # a pipe
        said = process.stdout.read()  # until it ends
        if process.wait() == CANNOT:
            return said.strip()
        if process.returncode == 0 or place in _stopped:
            break
    return ""


def stop_here(place: str, *, at_once: bool = False) -> None:
    """Have the processes of a sweep that work here end, ``at_once`` or after they have saved."""
    _stopped.add(place)
    for process in _here.get(place, []):
        if process.poll() is None:
            kill(process) if at_once else process.terminate()


class DaskCrew(Crew):
    """A process on each thread of the workers, and at least so many are asked for."""

    def __init__(self, place: Path, flags: Sequence[str], scheduler: str, least: int) -> None:
        super().__init__(place, flags, 0)
        self._scheduler = scheduler
        self._least = least
        self._since = time.monotonic()
        self._client: Client
        self._futures: list[Any] = []

    def __enter__(self) -> Self:
        super().__enter__()
        self._connected = connected_client(self._scheduler)
        self._client = self._connected.__enter__()
        threads = sum(self._client.nthreads().values())
        how = {"pure": False, "retries": 0}
        self._futures = [
            self._client.submit(work_here, str(self._place), list(self._flags), **how)
            for _ in range(max(self._least, threads))
        ]
        return self

    def goes_on(self, claimed: Callable[[], int]) -> bool:
        """Whether any of them works, or waits for a worker, which is said once."""
        is_waiting = self._since < float("inf")
        if is_waiting and (claimed() or not any(f.status == "pending" for f in self._futures)):
            self._since = float("inf")
        elif (
            time.monotonic() - self._since > NO_WORKER_S and answer_of(self._client.nthreads) == {}
        ):
            self._since = float("inf")
            print("waiting for the scheduler's first worker", file=sys.stderr)
        lost = [future for future in self._futures if future.status in ("cancelled", "lost")]
        if lost and not self.is_stopped:
            print(f"note: the scheduler {self._scheduler} is gone; what is done is kept",
                  file=sys.stderr)  # fmt: skip
            return False
        return any(future.status == "pending" for future in self._futures)

    def stop(self) -> None:
        """Have points saved, given back and ended."""
        self.is_stopped = True
        answer_of(self._client.run, stop_here, str(self._place), on_error="ignore")

    def refusals(self) -> list[str]:
        """Return why workers cannot work on the sweep, each line once."""
        done = [future for future in self._futures if future.status == "finished"]
        lines = [answer_of(future.result) or "" for future in done]
        failed = [future for future in self._futures if future.status == "error"]
        lines += [f"a worker cannot run points: {answer_of(future.exception)}" for future in failed]
        return [line for line in dict.fromkeys(lines) if line]

    def __exit__(self, *error: object) -> None:
        if any(future.status == "pending" for future in self._futures):
            answer_of(self._client.cancel, self._futures)
            answer_of(
                self._client.run, stop_here, str(self._place), at_once=True, on_error="ignore"
            )
        answer_of(self._connected.__exit__, None, None, None)
        super().__exit__(*error)


def answer_of(what: Callable[..., Any], *given: Any, **how: Any) -> Any:
    """Return what the scheduler answers, None where it is gone, or silent for CONNECT_S.

    Who waits for its answer without end cannot be stopped, as by a second Ctrl-C.
    """
    answers: list[Any] = []

    def ask() -> None:
        with suppress(Exception):  # of the network, or of Dask itself
            answers.append(what(*given, **how))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(CONNECT_S)
    return answers[0] if answers else None


@contextmanager
def connected_client(scheduler: str) -> Iterator[Client]:
    """Connect to a scheduler; raise InputError if nobody answers."""
    for name in ("distributed", "distributed.client"):
        # What matters of it is in the rows.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        # A client that cannot connect would go on trying while it is being ended.
        asyncio.run(_answer(scheduler))
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False, name="leomix")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError.of_option(
            f"--dask {scheduler}", Code.UNREACHABLE, "no connection ({reason})", reason=reason
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
