"""Times and bytes as coarse as two machines agree on them.

Processors and mathematical libraries differ in the last bit of a sine, and so in the last bits of
an elevation or a rate. The timing digest takes numbers to the nearest 1/1024, or to one part in a
thousand million where they are large, so that such bits do not count: for a time that is about a
millisecond.
"""

from __future__ import annotations

import numpy as np

from learning.requests.cluster import Floats, Ints

FINEST = -10
"""Steps are never finer than this power of two."""
BITS = 31
"""Leading bits of a large number that count."""
MICROSECONDS = 1000
"""Step of time stamps, which are whole microseconds."""


def on_grid(values: Floats) -> Floats:
    """Return numbers rounded to the grid; exact, as the steps are powers of two."""
    _, exponent = np.frexp(values)
    step = np.ldexp(1.0, np.maximum(exponent - BITS, FINEST))
    # Adding zero turns -0.0, which has other bits, into 0.0.
    rounded: Floats = np.rint(values / step) * step + 0.0
    return rounded


def stamps_on_grid(microseconds: Ints) -> Ints:
    """Return time stamps rounded to whole milliseconds."""
    rounded: Ints = (microseconds + MICROSECONDS // 2) // MICROSECONDS
    return rounded
