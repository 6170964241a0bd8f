"""Minibatches of local rounds, drawn in plain integers: SplitMix64 as its paper prints it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np

WORD = 2**64


def split_mix(state: Any) -> Iterator[Any]:
    """The words of the generator from ``state`` on."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % WORD
        word = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % WORD
        word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
        yield word ^ word >> 31


def minibatches(seed: Any, cluster: Any, device: Any, number: int, samples: Any, shape: Any) -> Any:
    """Rows of ``shape`` (steps, batch) among a device's ``samples``, in its round ``number``."""
    state = int.from_bytes(
        blake2b(f"{seed}/batch/{cluster}".encode(), digest_size=8).digest(), "little"
    )
    for part in (device, number):
        state = next(split_mix(state + 0x9E3779B97F4A7C15 * part))
    words = islice(split_mix(state), shape[0] * shape[1])
    return np.array([(word >> 32) * samples >> 32 for word in words]).reshape(shape)
