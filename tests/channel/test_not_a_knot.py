"""The cubic spline of the capacity's tables is SciPy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from tests.kit.channel import not_a_knot


@given(st.integers(4, 200), st.floats(-6, 6), st.integers(0, 99))
def test_coefficients_are_those_of_scipy_to_the_last_bit(points, log_span, seed):
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.1, 1.0, points)) * 10**log_span
    y = rng.normal(size=points)
    np.testing.assert_array_equal(not_a_knot(x, y), CubicSpline(x, y).c)
