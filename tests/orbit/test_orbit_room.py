"""The room itself: what it offers, and that opening it is cheap; and its root finder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

import orbit
from tests.kit.orbit import bracketed_roots

HEAVY = ("pandas", "torch", "matplotlib", "scipy", "skyfield", "simpy")


def _modules_after(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
        cwd=Path(orbit.__file__).parents[1],
    )  # fmt: skip
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_the_room_loads_no_heavy_library():
    assert _modules_after("import orbit").isdisjoint({*HEAVY, "numpy"})


def test_contact_windows_need_neither_pandas_nor_scipy_nor_torch():
    code = (
        "import orbit; from datetime import datetime, timedelta, timezone\n"
        "t = datetime(2026, 8, 22, tzinfo=timezone.utc)\n"
        "s = orbit.circular_satellite('c', 600, 53, 0, 0, t)\n"
        "orbit.contact_windows([s], [orbit.Site('a', 0, 0)], t, t + timedelta(days=1), 10)"
    )
    assert _modules_after(code).isdisjoint({"pandas", "torch", "matplotlib", "scipy", "simpy"})


def test_everything_promised_is_there_and_nothing_else_is():
    for name in orbit.__all__:
        assert getattr(orbit, name).__module__.startswith("orbit.")
        assert getattr(orbit, name).__doc__
    assert dir(orbit) == sorted(orbit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Sattelite'"):
        _ = orbit.Sattelite


@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.floats(0.1, 30), st.floats(1e-3, 10), st.floats(1e-3, 10)),
        min_size=1, max_size=20,
    )
)  # fmt: skip
def test_bracketed_roots_are_those_of_brents_method(rows):
    centre, steepness, below, above = np.array(rows).T
    low, high = centre - below, centre + above

    def function(which, x):
        shifted = steepness[which] * (x - centre[which])
        return np.arctan(shifted) + 0.3 * shifted**3

    every = np.arange(len(rows))
    roots = bracketed_roots(function, low, high, function(every, low), function(every, high), 1e-9)
    for k in range(len(rows)):
        one = np.array([k])
        brent = brentq(
            lambda x, one=one: function(one, np.array([x]))[0], low[k], high[k], xtol=1e-12
        )
        assert roots[k] == pytest.approx(brent, abs=1e-9)


def test_a_flat_or_double_root_still_ends_inside_its_bracket():
    low, high = np.array([-1.0, -2.0]), np.array([3.0, 1.0])

    def function(which, x):
        return np.where(which == 0, x**9, np.sign(x - 0.3))

    every = np.arange(2)
    roots = bracketed_roots(function, low, high, function(every, low), function(every, high), 1e-7)
    assert abs(roots[1] - 0.3) <= 1e-7
    assert abs(roots[0]) < 1e-7
