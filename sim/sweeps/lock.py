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
def among(place: Path, parts: int) -> Iterator[None]:
    """Hold the folder together with other shards of as many ``parts``.

    Raises InputError while it is swept in another number of shards: points would be run twice.
    """
    own = place / f".of-{parts}.lock"
    descriptor = os.open(own, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _flock(descriptor, fcntl.LOCK_SH)
        for other in sorted(place.glob(".of-*.lock")):
            if other != own and _is_held(other):
                number = other.name.removeprefix(".of-").removesuffix(".lock")
                raise InputError(
                    f"-o {place}: is being swept in {number} shards at this moment, not {parts}; "
                    "use as many, or wait for them"
                )
        yield
    finally:
        os.close(descriptor)


def _is_held(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        return not _flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


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
    while not _flock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > until:
            raise InputError(f"-o {place}: is being swept by another process")
        time.sleep(0.05)


def _flock(descriptor: int, kind: int) -> bool:
    """Take the lock if nobody is in the way, and tell whether that went well."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: then it is up to the user
        return True
    return True
