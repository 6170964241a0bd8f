"""The quintic between samples: exact for polynomials, and close to SGP4 for every kind of orbit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

import orbit
from tests.kit.orbit import (
    OVERHANG,
    Start,
    acceleration,
    derivatives,
    extrapolated,
    grid_step_s,
    powers,
    propagate,
    propagate_tracks,
    value_and_rate,
)

COEFFICIENT = st.floats(-10, 10)


@given(st.lists(COEFFICIENT, min_size=1, max_size=9))
def test_derivatives_of_polynomials_up_to_the_eighth_degree_are_exact(coefficients):
    polynomial = Polynomial(coefficients)
    x = np.arange(-OVERHANG, 3 + OVERHANG) - 1.0
    first, second = derivatives(polynomial(x))
    inner = x[OVERHANG:-OVERHANG]
    size = np.abs(polynomial(x)).max() + 1
    np.testing.assert_allclose(first, polynomial.deriv()(inner), atol=1e-13 * size)
    np.testing.assert_allclose(second, polynomial.deriv(2)(inner), atol=1e-12 * size)


@given(st.lists(COEFFICIENT, min_size=6, max_size=6), st.floats(0, 1))
def test_a_quintic_is_given_back_from_its_ends(coefficients, x):
    quintic = Polynomial(coefficients)
    ends = [[p(at) for p in (quintic, quintic.deriv(), quintic.deriv(2))] for at in (0.0, 1.0)]
    found = powers(*np.array(ends)[..., None])
    np.testing.assert_allclose(found[:, 0], coefficients, atol=1e-11)
    value, rate = value_and_rate(found, np.array([x]))
    assert value[0] == pytest.approx(quintic(x), abs=1e-10)
    assert rate[0] == pytest.approx(quintic.deriv()(x), abs=1e-10)
    second = acceleration(found, np.array([x]))
    assert second[0] == pytest.approx(quintic.deriv(2)(x), abs=1e-9)


@given(st.lists(COEFFICIENT, min_size=1, max_size=8))
def test_polynomials_up_to_the_seventh_degree_are_extrapolated_exactly(coefficients):
    polynomial = Polynomial(coefficients)
    x = np.linspace(-1, 1, 12)
    after = x[-1] + (x[1] - x[0]) * np.arange(1, OVERHANG + 1)
    np.testing.assert_allclose(extrapolated(polynomial(x)), polynomial(after), atol=1e-8)


@pytest.mark.parametrize(
    ("axis_km", "eccentricity", "bstar", "inclination_deg"),
    [
        (6578.0, 0.0, 0.0, 63.4),
        (6700.0, 0.001, 1e-2, 63.4),
        (6928.0, 0.0001, 3e-4, 63.4),
        (7578.0, 0.0, 0.0, 63.4),
        (9378.0, 0.05, 0.0, 63.4),
        (12000.0, 0.4, 1e-4, 63.4),
        (26560.0, 0.01, 0.0, 63.4),
        (26562.0, 0.73, 1e-4, 63.4),
        (42165.0, 0.0, 0.0, 63.4),
        # Against the Earth's rotation, where it is not small beside the satellite's own.
        (10366.0, 0.056, 0.0, 137.7),
        (12000.0, 0.0, 0.0, 178.0),
        (15882.0, 0.0, 0.0, 154.9),
        (16000.0, 0.04, 0.0, 90.0),
        (18312.0, 0.032, 0.0, 151.5),
        (20000.0, 0.0, 0.0, 178.0),
        (23000.0, 0.1, 0.0, 120.0),
    ],
)
def test_between_samples_the_track_is_sgp4s_within_a_decimetre(
    start, axis_km, eccentricity, bstar, inclination_deg
):
    satellite = orbit.keplerian_satellite(
        "s", start, semi_major_axis_km=axis_km, inclination_deg=inclination_deg,
        eccentricity=eccentricity,
        raan_deg=40.0, argument_of_perigee_deg=270.0, bstar=bstar,
    )  # fmt: skip
    origin, span_s = Start.of(start), 86400.0
    tracks = propagate_tracks([satellite], origin, 0.0, span_s, grid_step_s(satellite))
    time_s = np.linspace(0.0, span_s, 9973)
    exact = propagate(satellite, origin, time_s)
    difference = tracks.states(np.zeros(len(time_s), dtype=np.int64), time_s) - exact
    assert np.linalg.norm(difference[:, :3], axis=1).max() < 1e-4
    # SGP4's own velocity, which here and there is a metre a second off the position's derivative.
    assert np.linalg.norm(difference[:, 3:], axis=1).max() < 5e-5


@pytest.mark.parametrize("inclination_deg", [0.0, 55.0, 98.0, 180.0])
def test_slow_orbits_have_the_longest_step_and_low_ones_some_minutes(start, inclination_deg):
    def step_s(axis_km):
        satellite = orbit.keplerian_satellite(
            "s", start, semi_major_axis_km=axis_km, inclination_deg=inclination_deg
        )
        return grid_step_s(satellite)

    assert step_s(42165.0) == step_s(200000.0) > 850
    assert 190 < step_s(6928.0) < 230


def test_a_grid_of_a_moment_stays_finite_and_right(satellites, start):
    origin = Start.of(start)
    tracks = propagate_tracks(satellites[:2], origin, 100.0, 100.0 + 1e-3, 200.0)
    middle = np.array([100.0005])
    exact = propagate(satellites[1], origin, middle)
    found = tracks.states(np.array([1]), middle)
    np.testing.assert_allclose(found[0, :3], exact[0, :3], atol=1e-6)
