"""The tables behind link curves against the quadrature they are made from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import ergodic_capacity, shannon_capacity
from tests.kit.channel import tabulated_capacity

K_LINEAR = st.one_of(st.floats(0.0, 100.0), st.floats(-9.0, 13.0).map(lambda x: 10.0**x))


def snr_and_k(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Points over the whole table, one in eight at a limit of the Rician factor."""
    rng = np.random.default_rng(1)
    snr_db, k = rng.uniform(-60, 60, points), 10.0 ** rng.uniform(-9, 14, points)
    k[::4] = 10.0 ** rng.uniform(-1, 2, k[::4].size)  # where the surface bends most
    k[1::16], k[2::16] = 0.0, np.inf
    return snr_db, k


@pytest.mark.parametrize("k_linear", [0.0, 0.3, 10.0, 1e4, 1e12, np.inf])
def test_the_table_is_the_quadrature_to_eleven_digits(k_linear: float) -> None:
    snr_db = np.random.default_rng(1).uniform(-60, 60, 5000)
    exact = ergodic_capacity(10 ** (snr_db / 10), k_linear)
    assert np.abs(tabulated_capacity(snr_db, k_linear) / exact - 1).max() < 1e-11


def test_the_surface_is_the_quadrature_to_eleven_digits() -> None:
    snr_db, k = snr_and_k(100_000)
    exact = ergodic_capacity(10 ** (snr_db / 10), k)
    assert np.abs(tabulated_capacity(snr_db, k) / exact - 1).max() < 1e-11


def test_the_edges_of_the_surface_are_as_good_as_its_middle() -> None:
    snr_db = np.array([-60.0, -59.9999, 59.9999, 60.0])[:, np.newaxis]
    k = np.array([0.0, 1e-300, 1e-12, 1e-4, 1.0, 1e6, 1e15, 1e300, np.inf])
    exact = ergodic_capacity(10 ** (snr_db / 10), k)
    assert np.abs(tabulated_capacity(snr_db, k) / exact - 1).max() < 1e-11


@pytest.mark.parametrize("k_linear", [3.0, np.array([0.0, 3.0, np.inf, 1e5])])
def test_beyond_the_table_the_capacity_is_computed(k_linear: float | np.ndarray) -> None:
    snr_db = np.array([-190.0, -60.000001, 60.000001, 95.0])
    exact = ergodic_capacity(10 ** (snr_db / 10), k_linear)
    assert tabulated_capacity(snr_db, k_linear) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("k", [0.0, 0.1, 1.0, 3.0, 10.0, 1e4])
@pytest.mark.parametrize("surface", [False, True])
def test_a_weak_signal_loses_by_the_variance_of_its_power(k: float, surface: bool) -> None:
    """E[ln(1 + x g)] = x - x^2 E[g^2] / 2 + ..., with E[g^2] = 1 + (1 + 2 K) / (1 + K)^2."""
    snr_db = np.array([-60.5, -63.0, -70.0])
    x, square = 10 ** (snr_db / 10), 1 + (1 + 2 * k) / (1 + k) ** 2
    found = tabulated_capacity(snr_db, np.full(3, k) if surface else k)
    assert found == pytest.approx(ergodic_capacity(x, k), rel=1e-11)
    # The next term is of the order of x^2, at most 6 / 3 of it.
    lacks = 1 - found * np.log(2) / x
    assert lacks == pytest.approx(x * square / 2, abs=3e-12)


@pytest.mark.parametrize("k_linear", [3.0, np.array([3.0])])
def test_no_signal_carries_nothing(k_linear: float | np.ndarray) -> None:
    capacity = tabulated_capacity(np.array([-np.inf, 0.0]), k_linear)
    assert capacity[0] == 0.0 < capacity[1]


@pytest.mark.parametrize("k_linear", [10.0, np.linspace(0.0, 30.0, 1001)])
def test_a_value_does_not_depend_on_the_others(k_linear: float | np.ndarray) -> None:
    snr_db = np.linspace(-80, 80, 1001)
    together = tabulated_capacity(snr_db, k_linear)
    for i in range(0, 1001, 50):
        k = k_linear[i : i + 1] if isinstance(k_linear, np.ndarray) else k_linear
        assert together[i] == tabulated_capacity(snr_db[i : i + 1], k)[0]


@given(st.floats(-100.0, 60.0), K_LINEAR, st.booleans())
def test_fading_never_lifts_the_capacity_above_shannons(snr_db, k_linear, surface) -> None:
    k = np.array([k_linear]) if surface else k_linear
    capacity = tabulated_capacity(np.array([snr_db]), k)[0]
    assert capacity <= shannon_capacity(10.0 ** (snr_db / 10.0))
    rayleigh = tabulated_capacity(np.array([snr_db]), 0.0 * k)[0]
    assert capacity >= rayleigh * (1 - 1e-15)


def test_shapes_broadcast() -> None:
    assert tabulated_capacity(np.zeros((4, 1)), np.ones(3)).shape == (4, 3)
    assert tabulated_capacity(np.zeros((0, 2)), np.ones(2)).shape == (0, 2)
    assert tabulated_capacity(np.zeros((0, 2)), 1.0).shape == (0, 2)
    assert tabulated_capacity(np.array(0.0), np.array(1.0)).shape == ()
