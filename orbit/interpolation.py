"""A quintic between even samples of a position, its derivatives taken from the positions alone.

SGP4's velocity is not the derivative of its position (0.05 m/s apart in quiet low orbits, 2.5 m/s
in eccentric ones), so a Hermite polynomial through both errs by metres however short the step.
Central differences over nine samples (Fornberg 1988, table 1) give first and second derivatives
that belong to the positions; the error of the quintic through both ends falls with the sixth power
of the step.
"""

import numpy as np

from orbit.arrays import FloatArray

# Samples needed beyond either end of a grid.
OVERHANG = 4
_FIRST = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
_SECOND = (8 / 5, -1 / 5, 8 / 315, -1 / 560)
_SECOND_CENTRE = -205 / 72


def derivatives(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second derivatives (..., T), per step, of samples (..., T + 2 OVERHANG)."""
    inner = samples.shape[-1] - 2 * OVERHANG

    def shifted(places: int) -> FloatArray:
        return samples[..., OVERHANG + places : OVERHANG + places + inner]

    first = np.zeros((*samples.shape[:-1], inner))
    second = _SECOND_CENTRE * shifted(0)
    for places, (odd, even) in enumerate(zip(_FIRST, _SECOND, strict=True), start=1):
        after, before = shifted(places), shifted(-places)
        first += odd * (after - before)
        second += even * (after + before)
    return first, second


def powers(left: FloatArray, right: FloatArray) -> FloatArray:
    """Coefficients (6, ...) of the quintic on a step, x from 0 to 1.

    `left` and `right` (3, ...) hold value, first and second derivative (per step) at its ends.
    """
    quintic = np.empty((6, *left.shape[1:]))
    quintic[:2] = left[:2]
    quintic[2] = 0.5 * left[2]
    # What the right end asks for beyond the square on the left.
    value = right[0] - left[0] - left[1] - quintic[2]
    rate = right[1] - left[1] - left[2]
    bend = 0.5 * (right[2] - left[2])
    quintic[3] = 10 * value - 4 * rate + bend
    quintic[4] = 7 * rate - 15 * value - 2 * bend
    quintic[5] = 6 * value - 3 * rate + bend
    return quintic


def value_and_rate(quintic: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Value and derivative (per step) at x, which is broadcast against the coefficients."""
    value = quintic[5] * x
    value += quintic[4]
    rate = quintic[5] * x
    rate += value
    for power in (3, 2, 1):
        value *= x
        value += quintic[power]
        rate *= x
        rate += value
    value *= x
    value += quintic[0]
    return value, rate


def acceleration(quintic: FloatArray, x: FloatArray) -> FloatArray:
    """Second derivative (per step squared) at x."""
    second: FloatArray = 20 * quintic[5] * x
    second += 12 * quintic[4]
    second *= x
    second += 6 * quintic[3]
    second *= x
    second += 2 * quintic[2]
    return second


def extrapolated(samples: FloatArray) -> FloatArray:
    """Samples (..., OVERHANG) that follow the last of `samples`, by the septic through eight."""
    known, wanted = np.arange(8.0), 8 + np.arange(float(OVERHANG))
    weights = np.ones((OVERHANG, 8))
    for node in range(8):
        for other in np.delete(known, node):
            weights[:, node] *= (wanted - other) / (node - other)
    following: FloatArray = samples[..., -8:] @ weights.T
    return following
