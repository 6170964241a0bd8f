"""The spline on even knots is SciPy's cubic spline."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from tests.kit.orbit import EvenSpline, EvenSplines


def _both(pieces, span, seed):
    """Ours and SciPy's through the same values, and places in the knots' span and beyond it."""
    rng = np.random.default_rng(seed)
    knots = np.linspace(0.0, span, pieces + 1)
    values = rng.normal(size=(pieces + 1, 6))
    inside = rng.uniform(-0.2, 1.2, (7, 11)) * span
    places = np.concatenate([inside.ravel(), knots, np.nextafter(knots, span)])
    return EvenSpline.through(knots, values), CubicSpline(knots, values), places


@given(st.integers(3, 90), st.floats(-6, 6), st.floats(-1e6, 1e6), st.integers(0, 99))
def test_coefficients_are_those_of_scipy_to_the_last_bit(pieces, log_span, first, seed):
    knots = np.linspace(first, first + 10**log_span, pieces + 1)
    assume((np.diff(knots) > 0).all())
    values = np.random.default_rng(seed).normal(size=(pieces + 1, 6))
    ours, theirs = EvenSpline.through(knots, values), CubicSpline(knots, values)
    np.testing.assert_array_equal(np.swapaxes(ours.powers, 1, 2), theirs.c)


@given(st.integers(5, 90), st.floats(-6, 6), st.integers(0, 99))
def test_values_are_those_of_scipy(pieces, log_span, seed):
    ours, theirs, places = _both(pieces, 10**log_span, seed)
    expected = theirs(places)
    assert ours(places).shape == expected.shape
    np.testing.assert_allclose(
        ours(places), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max()
    )


@given(st.integers(5, 90), st.integers(0, 99))
def test_derivatives_are_those_of_scipy(pieces, seed):
    ours, theirs, places = _both(pieces, 3.0, seed)
    moving = EvenSplines.of([ours]).first(3).moving()(np.zeros(len(places), int), places)
    np.testing.assert_array_equal(moving[:, :3], ours(places)[:, :3])
    np.testing.assert_allclose(moving[:, 3:], theirs(places, 1)[:, :3], rtol=1e-9, atol=1e-6)


@given(st.lists(st.tuples(st.integers(5, 40), st.floats(-3, 3)), min_size=1, max_size=6))
def test_splines_together_say_what_each_says_alone(shapes):
    each = [_both(pieces, 10**log_span, pieces)[::2] for pieces, log_span in shapes]
    together = EvenSplines.of([spline for spline, _ in each])
    which = np.concatenate([np.full(len(at), n) for n, (_, at) in enumerate(each)])
    said = together(which, np.concatenate([at for _, at in each]))
    np.testing.assert_array_equal(said, np.concatenate([spline(at) for spline, at in each]))


@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (0,)])
def test_places_of_any_shape_have_values_of_that_shape(shape):
    ours, theirs, _ = _both(8, 2.0, 1)
    places = np.full(shape, 0.7)
    assert ours(places).shape == (*shape, 6)
    np.testing.assert_allclose(ours(places), theirs(places), rtol=1e-12)
