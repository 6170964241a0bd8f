"""Named random streams: a draw depends on the seed and the stream's name, never on call order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from struct import unpack

import numpy as np
from numpy.typing import NDArray


@dataclass
class Draws:
    """Whether ``any`` stream was drawn from."""

    any: bool = False


_DRAWS: ContextVar[Draws | None] = ContextVar("_DRAWS", default=None)


@contextmanager
def drawing() -> Iterator[Draws]:
    """Note whether anything is drawn within the context."""
    draws = Draws()
    token = _DRAWS.set(draws)
    try:
        yield draws
    finally:
        _DRAWS.reset(token)


def draws_so_far() -> Draws | None:
    """Return what the context has noted, and goes on noting; None outside of any."""
    return _DRAWS.get()


def note_drawn() -> None:
    """Note that something is drawn, or was drawn before and is used again."""
    if (draws := _DRAWS.get()) is not None:
        draws.any = True


def stream(seed: int, *name: object) -> np.random.Generator:
    """Return the generator of the stream called ``name`` (its parts joined by ``/``).

    The name is digested into the ``spawn_key`` of a :class:`numpy.random.SeedSequence`, so adding
    a satellite, a device or a feature shifts no other stream.
    """
    note_drawn()
    digest = hashlib.blake2b("/".join(map(str, name)).encode(), digest_size=16).digest()
    key = unpack("<4I", digest)
    # What default_rng makes, in half the time.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


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
    note_drawn()
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
