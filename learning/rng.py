"""Named random streams: a draw depends on the seed and the stream's name, never on call order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray

_DRAWN: ContextVar[set[str] | None] = ContextVar("_DRAWN", default=None)


@contextmanager
def drawing() -> Iterator[set[str]]:
    """Collect the first names of the streams that are drawn from within the context."""
    names: set[str] = set()
    token = _DRAWN.set(names)
    try:
        yield names
    finally:
        _DRAWN.reset(token)


def drawn_so_far() -> set[str] | None:
    """Return the names that the context has collected by now; None outside of any."""
    return _DRAWN.get()


def note_drawn(names: Iterable[str]) -> None:
    """Note streams that something was drawn from before, and is used again."""
    if (known := _DRAWN.get()) is not None:
        known.update(names)


def stream(seed: int, *name: object) -> np.random.Generator:
    """Return the generator of the stream called ``name`` (its parts joined by ``/``).

    The name is digested into the ``spawn_key`` of a :class:`numpy.random.SeedSequence`, so adding
    a satellite, a device or a feature shifts no other stream.
    """
    note_drawn((str(name[0]),))
    digest = hashlib.blake2b("/".join(map(str, name)).encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


# The draws of many streams in one pass of arrays: by counting, without a generator for each.


STEP = np.uint64(0x9E3779B97F4A7C15)


def draw_below(
    bounds: NDArray[np.int64],
    count: int,
    seed: int,
    *name: object,
    numbers: Sequence[Sequence[int]],
) -> NDArray[np.int64]:
    """Return ``count`` integers from 0 up to ``bounds`` (K,) of each of K streams, (K, count).

    Each row of ``numbers`` (N, K) is one more part of the streams' names: the draws of a stream
    depend on its own parts alone. They are the words of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014) from a state that is hashed from the
    name by the same function; each bound below 2^32 is met with a bias of less than bound / 2^32.
    """
    note_drawn((str(name[0]),))
    digest = hashlib.blake2b("/".join(map(str, (seed, *name))).encode(), digest_size=8).digest()
    state = np.full(len(bounds), int.from_bytes(digest, "little"), np.uint64)
    for part in numbers:
        state = _mixed(state + STEP * (np.asarray(part, np.uint64) + np.uint64(1)))
    words = _mixed(state[:, None] + STEP * np.arange(1, count + 1, dtype=np.uint64))
    drawn = (words >> np.uint64(32)) * bounds.astype(np.uint64)[:, None] >> np.uint64(32)
    return drawn.astype(np.int64)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's output for each state."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
