"""Named random streams: a draw depends on the seed and the stream's name, never on call order."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *name: object) -> np.random.Generator:
    """Return the generator of the stream called ``name`` (its parts joined by ``/``).

    The name is digested into the ``spawn_key`` of a :class:`numpy.random.SeedSequence`, so adding
    a satellite, a device or a feature shifts no other stream.
    """
    digest = hashlib.blake2b("/".join(map(str, name)).encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
