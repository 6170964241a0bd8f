"""A sweep's folder is one supervisor's, or one's for each shard, while it and its workers live."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.errors import InputError

PATIENCE_S = 5.0
"""How long to wait for the workers of a supervisor that was killed to be gone."""


@contextmanager
def locked(place: Path, part: str, patience_s: float = PATIENCE_S) -> Iterator[int]:
    """Hold the folder's lock and yield its descriptor; raise InputError if somebody else does.

    The system lets go of it when the last process that has inherited it is gone.
    """
    descriptor = os.open(place / f".{part}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _acquire(descriptor, place, patience_s)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, place: Path, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise InputError(f"-o {place}: is being swept by another process") from None
            time.sleep(0.05)
        except OSError:  # a file system without locks: then it is up to the user
            return
        else:
            return
