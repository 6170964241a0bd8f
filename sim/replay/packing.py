"""Whole numbers as short text: what a page carries in place of long lists."""

from base64 import b64encode
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statements.arrays import Ints

LEAST_REPEATS = 4
"""From how many on equal numbers are counted."""
_BITS = 7
"""Bits of a number in each byte; the highest bit says that more follow."""


def packed(numbers: ArrayLike | Iterable[int]) -> str:
    """Return whole numbers (N,), below 2 ** 53 in size, as text: LEB128 in base64.

    A number n is written as 2 n, a negative one as -2 n - 1, so that small ones take one byte.
    Many equal ones are written as NUMBER*COUNT. ``unpacked`` in ``templates/packed.js`` reads it.
    """
    signed = np.asarray(numbers, dtype=np.int64)
    if len(signed) >= LEAST_REPEATS and (signed == signed[0]).all():
        return f"{signed[0]}*{len(signed)}"
    rest = np.where(signed < 0, -2 * signed - 1, 2 * signed).astype(np.uint64)
    pieces: list[NDArray[np.uint8]] = []
    held: list[NDArray[np.bool_]] = []
    more = np.ones(rest.shape, dtype=bool)
    while more.any():
        held.append(more)
        following = rest >= 1 << _BITS
        low = (rest & 0x7F) | (following.astype(np.uint64) << _BITS)
        pieces.append(low.astype(np.uint8))
        rest = rest >> np.uint64(_BITS)
        more = more & following
    if not pieces:
        return ""
    # Row by row: all bytes of a number before those of the next one.
    return b64encode(np.stack(pieces, axis=1)[np.stack(held, axis=1)].tobytes()).decode()


def steps(numbers: ArrayLike) -> Ints:
    """Return each number less the one before it, the first one as it is."""
    whole = np.asarray(numbers, dtype=np.int64)
    return whole - np.concatenate([[0], whole[:-1]])
