"""Many Newton iterations at once against Brent's method, one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from tests.kit.orbit import newton_roots

# a (x - r) + b (x - r)^3 + c (x - r)^5 rises and has the one root r.
ROW = st.tuples(
    st.floats(0.001, 0.999), st.floats(0.01, 10.0), st.floats(0.0, 50.0), st.floats(0.01, 50.0),
    st.booleans(), st.floats(-0.5, 1.5),
)  # fmt: skip


def _function(row):
    root, a, b, c, rising, _ = row
    sign = 1.0 if rising else -1.0

    def value(x):
        d = x - root
        return sign * (a * d + b * d**3 + c * d**5)

    def slope(x):
        d = x - root
        return sign * (a + 3 * b * d**2 + 5 * c * d**4)

    return value, slope


@given(st.lists(ROW, min_size=1, max_size=20))
def test_newton_roots_are_those_of_brents_method(rows):
    functions = [_function(row) for row in rows]
    evaluations = 0

    def together(which, x):
        nonlocal evaluations
        evaluations += 1
        pairs = [(functions[k][0](at), functions[k][1](at)) for k, at in zip(which, x, strict=True)]
        values, slopes = np.array(pairs).T
        return values, slopes

    rising, guess = np.array([row[4] for row in rows]), np.array([row[5] for row in rows])
    zero = np.zeros(len(rows))
    found = newton_roots(together, zero, zero + 1, guess, rising, 1e-9)
    expected = [brentq(value, 0.0, 1.0, xtol=1e-12) for value, _ in functions]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(found, [row[0] for row in rows], atol=1e-9)
    assert evaluations < 100


def test_a_root_at_an_end_of_the_bracket_is_found():
    def line(which, x):
        return x - np.array([0.0, 1.0])[which], np.ones(len(which))

    ends = np.zeros(2), np.ones(2)
    found = newton_roots(line, *ends, np.array([0.7, 0.2]), np.ones(2, dtype=bool), 1e-9)
    np.testing.assert_allclose(found, [0.0, 1.0], atol=1e-9)


def test_no_functions_have_no_roots():
    none = np.zeros(0)
    assert newton_roots(lambda _, x: (x, x), none, none, none, none > 0, 1e-9).shape == (0,)
