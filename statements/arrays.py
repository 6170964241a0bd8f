"""Types of numpy's arrays, for every package, and stretches of rows in them.

Shapes stand where they are used.

They are here because this is the lowest package. Nothing else of it imports this module, or numpy.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


def stretches(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Return the rows of stretches, one stretch after the other: of which stretch, and the index.

    Stretch n has ``count[n]`` rows, from index ``first[n]`` on.
    """
    which = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return which, np.arange(len(which)) + np.repeat(first - before, count)
