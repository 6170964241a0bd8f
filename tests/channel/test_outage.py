"""The rate that fading lets down with a given probability, against the distributions of scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ncx2, norm

from channel import Link, rate_bps, snr_db
from tests.kit.channel import outage_gain

PROBABILITIES = [1e-6, 1e-3, 0.1, 0.5, 0.9]


def failing(gain: np.ndarray, k: np.ndarray) -> np.ndarray:
    """P(|g|^2 < gain): 2 (1+K) |g|^2 is noncentral chi-square with 2 degrees and 2K."""
    return ncx2.cdf(2.0 * (1.0 + k) * gain, 2, 2.0 * k)


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_rayleigh_fading_has_the_quantiles_of_the_exponential(probability):
    expected = -math.log1p(-probability)
    assert outage_gain(0.0, probability) == pytest.approx(expected, rel=1e-12)
    assert outage_gain(np.zeros(3), probability) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("k", [1e-9, 0.01, 1.0, 3.0, 10.0, 100.0, 1e4, 1e6])
def test_rician_fading_falls_below_its_quantile_with_that_probability(probability, k):
    gain = outage_gain(k, probability)
    assert failing(gain, k) == pytest.approx(probability, rel=1e-9)


@pytest.mark.parametrize("probability", [1e-3, 0.1, 0.5, 0.9])
def test_an_array_of_factors_falls_below_its_quantiles_likewise(probability):
    k = 10.0 ** np.random.default_rng(3).uniform(-4, 5, 2000)
    gain = outage_gain(k, probability)
    assert failing(gain, k) == pytest.approx(probability, rel=1e-8)


@pytest.mark.parametrize("k", [1e9, 1e12, 1e15])
@pytest.mark.parametrize("probability", PROBABILITIES)
def test_a_strong_direct_path_is_the_normal_limit(k, probability):
    # |g|^2 = 1 + sqrt(2/K) x + terms of the order x^2/K, with x standard normal.
    deviate = norm.ppf(probability)
    expected = deviate * math.sqrt(2.0 / k)
    terms = (deviate**2 + 3.0) / k + 1e-15
    assert outage_gain(k, probability) - 1.0 == pytest.approx(expected, abs=terms)
    table = outage_gain(np.array([k]), probability)[0]
    assert table - 1.0 == pytest.approx(expected, abs=terms + 1e-7 * abs(expected))


def test_without_scatter_there_is_no_outage():
    assert outage_gain(math.inf, 0.1) == 1.0
    assert outage_gain(np.array([math.inf]), 0.1) == pytest.approx(1.0, abs=1e-15)


@given(st.floats(0.0, 1e4), st.floats(0.0, 1e4))
def test_at_one_in_ten_a_stronger_direct_path_fades_less(one, other):
    low, high = sorted((one, other))
    weak, strong = outage_gain(np.array([low, high]), 0.1)
    assert strong >= weak * (1 - 1e-12)


@given(st.floats(1e-9, 0.999), st.floats(1e-9, 0.999), st.floats(0.0, 1e6))
def test_a_rarer_outage_needs_a_deeper_reserve(one, other, k):
    rare, often = sorted((one, other))
    assert outage_gain(k, rare) <= outage_gain(k, often) * (1 + 1e-12)


@pytest.mark.parametrize("fading", ["rayleigh", "rician"])
@pytest.mark.parametrize("probability", [1e-3, 0.1, 0.5])
def test_a_links_rate_fails_with_its_probability_and_is_sent_again(fading, probability):
    link = Link(
        2e9,
        0.36e6,
        -7.0,
        1.1,
        fading=fading,
        rician_k_linear=5.0,
        rate="outage",
        outage_probability=probability,
    )
    k = 0.0 if fading == "rayleigh" else 5.0
    for elevation_deg, distance_m in [(10.0, 1.93e6), (30.0, 1.075e6), (90.0, 6e5)]:
        goodput = rate_bps(link, elevation_deg, distance_m)
        sent_bps_hz = goodput / (1.0 - probability) / 0.36e6
        snr = 10.0 ** (snr_db(link, elevation_deg, distance_m) / 10.0)
        gain = (2.0**sent_bps_hz - 1.0) / snr
        failed = failing(gain, k) if k else 1.0 - math.exp(-gain)
        assert failed == pytest.approx(probability, rel=1e-8)


def test_below_the_mask_there_is_no_rate():
    link = Link(2e9, 0.36e6, -7.0, 1.1, fading="rayleigh", rate="outage")
    assert rate_bps(link, [5.0, 10.0], 1.9e6)[0] == 0.0 < rate_bps(link, 10.0, 1.9e6)


def test_an_outage_needs_fading_and_a_probability():
    with pytest.raises(ValueError, match='rate is "outage" while fading is "none"'):
        Link(2e9, 1e6, 0.0, 0.0, rate="outage")
    for probability in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="outage_probability is"):
            Link(2e9, 1e6, 0.0, 0.0, fading="rician", rate="outage", outage_probability=probability)
    with pytest.raises(ValueError, match=r"outage_probability is 0\.2; allowed is 0\.1 as rate is"):
        Link(2e9, 1e6, 0.0, 0.0, fading="rician", outage_probability=0.2)
