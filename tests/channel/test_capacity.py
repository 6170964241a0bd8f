"""Shannon and ergodic capacity against closed forms, quadrature over the density, and a series."""

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import exp1
from scipy.stats import ncx2

from channel import ergodic_capacity, shannon_capacity

ACCURACY = 1e-9  # the promise: relative, for every K and -60 to +60 dB
SNR_DB = st.floats(-60.0, 60.0)
K_LINEAR = st.one_of(st.floats(0.0, 1e3), st.floats(0.0, 12.0).map(lambda x: 10.0**x))


def from_db(value_db):
    return 10.0 ** (np.asarray(value_db) / 10.0)


def over_the_density(snr: float, k: float) -> float:
    """E[log2(1 + snr X)] where 2 (1+K) X is noncentral chi-square with 2 degrees and 2K."""
    spread = math.sqrt(1.0 + 2.0 * k) / (1.0 + k)
    low, high = max(0.0, 1.0 - 12.0 * spread), 1.0 + 40.0 * spread
    edges = [low, *(x for x in (1.0 - 3 * spread, 1.0, 1.0 + 3 * spread) if x > low), high]
    scale = 2.0 * (1.0 + k)

    def integrand(x: float) -> float:
        return math.log1p(snr * x) * scale * ncx2.pdf(scale * x, 2, 2.0 * k)

    total = sum(
        quad(integrand, a, b, epsrel=1e-12, epsabs=0.0, limit=300)[0] for a, b in pairwise(edges)
    )
    return total / math.log(2.0)


def test_without_a_direct_path_the_capacity_is_the_exponential_integral():
    snr = from_db(np.linspace(-25.0, 60.0, 171))
    rayleigh = np.exp(1.0 / snr) * exp1(1.0 / snr) / math.log(2.0)
    assert ergodic_capacity(snr, 0.0) == pytest.approx(rayleigh, rel=ACCURACY)


def test_without_scatter_the_capacity_is_shannons():
    snr = from_db(np.linspace(-60.0, 60.0, 241))
    assert ergodic_capacity(snr, np.inf) == pytest.approx(np.log2(1.0 + snr), rel=ACCURACY)
    # At K = 1e12 the power varies by 2e-12 of its square, far below the accuracy.
    assert ergodic_capacity(snr, 1e12) == pytest.approx(shannon_capacity(snr), rel=ACCURACY)


@pytest.mark.parametrize("k", [0.0, 1e-6, 1.0, 10.0, 1e6, 1e12])
def test_at_a_vanishing_snr_the_capacity_is_the_mean_power(k):
    # log2(1 + x) lies between (x - x^2/2) and x over ln 2, and E|g|^4 <= 2.
    snr = 1e-11
    assert ergodic_capacity(snr, k) == pytest.approx(snr / math.log(2.0), rel=1e-10)


@pytest.mark.parametrize("k", [0.0, 0.1, 1.0, 3.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("snr_db", [-40.0, -5.0, 0.0, 9.985, 30.0, 60.0])
def test_capacity_is_the_mean_over_the_rician_density(snr_db, k):
    snr = float(from_db(snr_db))
    assert ergodic_capacity(snr, k) == pytest.approx(over_the_density(snr, k), rel=ACCURACY)


@pytest.mark.parametrize("k", ["0", "0.5", "10", "100"])
@pytest.mark.parametrize("snr", ["1e-6", "1e-2", "1", "1e3", "1e6"])
def test_capacity_is_the_poisson_series_of_exponential_integrals(snr, k):
    mpmath = pytest.importorskip("mpmath", reason="the series needs hundreds of digits")
    with mpmath.workdps(100):
        z = (1 + mpmath.mpf(k)) / mpmath.mpf(snr)
    # E_{j+1} = (e^-z - z E_j)/j forwards loses about as many digits as z^j / j! has.
    terms = int(float(k) + 14 * math.sqrt(float(k)) + 60)
    digits = 60 + int(terms * max(0.0, math.log10(float(z))))
    with mpmath.workdps(digits):
        k_exact, snr_exact = mpmath.mpf(k), mpmath.mpf(snr)
        z = (1 + k_exact) / snr_exact
        decay, integral = mpmath.exp(-z), mpmath.e1(z) if z < 500 else continued_e1(mpmath, z)
        weight, inner, total = mpmath.exp(-k_exact), integral, mpmath.mpf(0)
        for n in range(terms):
            total += weight * inner
            weight *= k_exact / (n + 1)
            integral = (decay - z * integral) / (n + 1)
            inner += integral
        expected = float(total * mpmath.exp(z) / mpmath.log(2))
    assert ergodic_capacity(float(snr), float(k)) == pytest.approx(expected, rel=ACCURACY)


def test_published_gaps_of_one_bit_per_second_and_hertz():
    # SNR that the mean over the density needs for 1 bit/s/Hz, to a thousandth of a decibel.
    for k, snr_db in [(0, 0.988), (1, 0.786), (3, 0.475), (10, 0.190), (100, 0.021)]:
        assert ergodic_capacity(from_db(snr_db - 0.001), k) < 1.0
        assert ergodic_capacity(from_db(snr_db + 0.001), k) > 1.0


@given(SNR_DB, K_LINEAR, K_LINEAR)
def test_capacity_grows_with_k_from_rayleigh_to_shannon(snr_db, k_one, k_two):
    snr = from_db(snr_db)
    low, high = sorted((k_one, k_two))
    order = [
        ergodic_capacity(snr, 0.0),
        ergodic_capacity(snr, low),
        ergodic_capacity(snr, high),
        shannon_capacity(snr),
    ]
    rounding = 1e-13 * order[-1]
    assert (np.diff(order) >= -rounding).all()


@given(SNR_DB, st.floats(0.01, 3.0), K_LINEAR)
def test_capacity_grows_with_snr(snr_db, more_db, k):
    less, more = ergodic_capacity(from_db([snr_db, snr_db + more_db]), k)
    assert more > less


def test_no_signal_carries_nothing():
    assert ergodic_capacity(0.0, 3.0) == 0.0
    assert shannon_capacity(0.0) == 0.0


def test_shapes_broadcast_and_scalars_stay_scalars():
    assert ergodic_capacity(np.ones((4, 1)), np.ones(3)).shape == (4, 3)
    assert ergodic_capacity(np.empty((0, 2)), 1.0).shape == (0, 2)
    assert np.shape(ergodic_capacity(1.0, 1.0)) == ()
    assert isinstance(ergodic_capacity(1.0, 1.0), float)


def test_a_point_has_the_same_bits_alone_and_among_thousands():
    rng = np.random.default_rng(5)
    snr, k = from_db(rng.uniform(-30, 40, 5000)), rng.uniform(0, 50, 5000)
    together = ergodic_capacity(snr, k)
    some = rng.integers(0, 5000, 50)
    assert all(ergodic_capacity(snr[i], k[i]) == together[i] for i in some)


def test_memory_grows_with_the_result_and_not_with_the_quadrature():
    snr = np.ones(200_000)
    tracemalloc.start()
    ergodic_capacity(snr, 3.0)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 64e6  # 412e6 for one array of all points by all nodes


@pytest.mark.parametrize("k", [-1e-9, -math.inf, math.nan])
def test_a_power_ratio_below_zero_is_refused(k):
    with pytest.raises(ValueError, match=r"^k_linear is .*; allowed is at least 0"):
        ergodic_capacity(1.0, [1.0, k])


@pytest.mark.parametrize("snr", [-1e-9, math.nan, math.inf, 1e13])
def test_an_snr_out_of_range_is_refused(snr):
    with pytest.raises(
        ValueError, match=r"^snr_linear is .*; allowed is a number from 0 to 1e\+12"
    ):
        ergodic_capacity([1.0, snr], 1.0)


@pytest.mark.parametrize("snr", [-1e-9, math.nan, math.inf])
def test_shannon_refuses_what_is_no_ratio(snr):
    with pytest.raises(ValueError, match="snr_linear is"):
        shannon_capacity(snr)


def continued_e1(mpmath, z):
    """E1 by its continued fraction, which converges fast for a large argument."""
    tail = mpmath.mpf(0)
    for j in range(4000, 0, -1):
        tail = j / (1 + j / (z + tail))
    return mpmath.exp(-z) / (z + tail)
