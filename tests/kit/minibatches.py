"""Minibatches of local rounds, drawn in plain integers: SplitMix64 as its paper prints it."""

from hashlib import blake2b
from itertools import islice

import numpy as np

WORD = 2**64


def split_mix(state):
    """The words of the generator from ``state`` on."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % WORD
        word = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % WORD
        word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
        yield word ^ word >> 31


def minibatches(seed, cluster, device, number, samples, shape):
    """Rows of ``shape`` (steps, batch) among a device's ``samples``, in its round ``number``."""
    state = int.from_bytes(
        blake2b(f"{seed}/batch/{cluster}".encode(), digest_size=8).digest(), "little"
    )
    for part in (device, number):
        state = next(split_mix(state + 0x9E3779B97F4A7C15 * part))
    words = islice(split_mix(state), shape[0] * shape[1])
    return np.array([(word >> 32) * samples >> 32 for word in words]).reshape(shape)
