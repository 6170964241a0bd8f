"""Times and bytes, rounded so coarsely that two machines agree on them."""

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
    return np.rint(values / step) * step + 0.0


def stamps_on_grid(microseconds: Ints) -> Ints:
    """Return time stamps rounded to whole milliseconds."""
    return (microseconds + MICROSECONDS // 2) // MICROSECONDS
