"""Linear interpolation of many rows at once, each at its own time."""

from __future__ import annotations

import numpy as np

from learning.requests.cluster import Floats


def along(grid_s: Floats, values: Floats, when_s: Floats) -> Floats:
    """Value of each row of ``values`` (K, T) at its ``when_s`` (K,) on its own grid (K, T).

    Before and behind the grid it is the first and the last value.
    """
    rows = np.arange(len(grid_s))
    when = np.clip(when_s, grid_s[:, 0], grid_s[:, -1])
    at = np.clip(np.count_nonzero(grid_s <= when[:, None], axis=1) - 1, 0, grid_s.shape[1] - 2)
    step = grid_s[rows, at + 1] - grid_s[rows, at]
    share = np.divide(when - grid_s[rows, at], step, out=np.ones_like(when), where=step > 0)
    low, high = values[rows, at], values[rows, at + 1]
    value: Floats = low + (high - low) * share
    return value
