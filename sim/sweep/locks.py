"""Locks of a sweep's folder: one supervisor's, or one's for each shard, while its workers live."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sim import files

PATIENCE_S = 5.0
"""How long to wait for the workers of a supervisor that was killed to be gone."""


@contextmanager
def among(place: Path, parts: int) -> Iterator[None]:
    """Hold the folder together with other shards of as many ``parts``.

    Raises InputError while it is swept in another number of shards: points would be run twice.
    """
    own = place / f".of-{parts}.lock"
    with files.locked(own, f"-o {place}: is being swept by another process", PATIENCE_S, True):
        for other in sorted({*place.glob(".of-*.lock")} - {own}):
            number = other.name.removeprefix(".of-").removesuffix(".lock")
            busy = f"-o {place}: is being swept in {number} shards at this moment, not {parts}; "
            with files.locked(other, f"{busy}use as many, or wait for them"):
                pass
        yield


def locked(place: Path, part: str, patience_s: float = PATIENCE_S) -> AbstractContextManager[int]:
    """Return what holds the lock of a ``part`` of the folder, as :func:`sim.files.locked` does."""
    busy = f"-o {place}: is being swept by another process"
    return files.locked(place / f".{part}.lock", busy, patience_s)
