"""Link curves of many batches at once, in flat arrays."""

import numpy as np
from numpy.typing import NDArray

from channel.checks import Floats
from channel.link_curve import LinkCurve, most_bits_of

Ints = NDArray[np.int64]


class CurveTable:
    """B batches of link curves; batch b has `rows` and `points` (B,) of each row.

    `time_s` and `rate_bps` are flat, row after row and batch after batch, and are what `LinkCurve`
    asks for, which is not checked. `capacity_bits` is that of every row.
    """

    def __init__(self, rows: Ints, points: Ints, time_s: Floats, rate_bps: Floats) -> None:
        """Sum the bits up to every point, row by row, as `LinkCurve` does."""
        self.rows = rows
        self.points = points
        self.time_s = time_s
        self.rate_bps = rate_bps
        ends = np.cumsum(rows * points)
        self._first = ends - rows * points
        self._first_row = np.cumsum(rows) - rows
        bits = np.empty_like(time_s)
        of_cells = np.add(rate_bps[:-1], rate_bps[1:], out=bits[1:])
        of_cells /= 2.0
        of_cells *= time_s[1:] - time_s[:-1]
        each = np.repeat(points, rows)
        last = np.cumsum(each) - 1
        bits[last - each + 1] = 0.0
        for first, end, count in zip(
            self._first.tolist(), ends.tolist(), points.tolist(), strict=True
        ):
            batch = bits[first:end].reshape(-1, count)
            np.cumsum(batch, axis=1, out=batch)
        self._bits = bits
        self.capacity_bits = bits[last]
        latest_s = np.maximum(np.abs(time_s[last]), np.abs(time_s[last - each + 1]))
        peak_bps = np.maximum.reduceat(rate_bps, last - each + 1) if len(last) else rate_bps
        self._most_bits = most_bits_of(self.capacity_bits, latest_s, peak_bps)
        for grid in (time_s, rate_bps, bits, self.capacity_bits):
            grid.setflags(write=False)

    def batch(self, number: int) -> LinkCurve:
        """The curves of one batch: views of the table."""
        rows = int(self.rows[number])
        points = int(self.points[number])
        first = int(self._first[number])
        row = int(self._first_row[number])
        place = slice(first, first + rows * points)
        shape = (rows, points)
        time, rate, bits = (
            flat[place].reshape(shape) for flat in (self.time_s, self.rate_bps, self._bits)
        )
        return LinkCurve.of(time, rate, bits, self._most_bits[row : row + rows])

    def row_capacity_bits(self, number: int) -> Floats:
        """Capacity of each row of one batch."""
        row = int(self._first_row[number])
        return self.capacity_bits[row : row + int(self.rows[number])]


def spread(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """For stretches of so many numbers from `first` on: which stretch, and the number."""
    which = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    numbers = np.repeat(first - before, count)
    numbers += np.arange(len(numbers))
    return which, numbers
