"""Capacities, outages and the steps of DVB-S2, against quadrature, SciPy and the table itself."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import exp1
from scipy.stats import ncx2, norm

from channel import (
    Link,
    ergodic_capacity,
    modcods_used,
    rate_bps,
    rate_state,
    shannon_capacity,
    snr_db,
)
from channel.capacity import tabulated_capacity
from channel.efficiency import (
    MODCODS,
    MODES,
    modcod_efficiency_bps_hz,
    modcod_thresholds_db,
    outage_gain,
)

ACCURACY = 1e-9  # the promise: relative, for every K and -60 to +60 dB


def from_db(value_db):
    return 10.0 ** (np.asarray(value_db) / 10.0)


# The mean over fading


def over_the_density(snr, k):
    """E[log2(1 + snr X)] where 2 (1+K) X is noncentral chi-square with 2 degrees and 2K."""
    spread = math.sqrt(1.0 + 2.0 * k) / (1.0 + k)
    low = max(0.0, 1.0 - 12.0 * spread)
    high = 1.0 + 40.0 * spread
    edges = [low, *(x for x in (1.0 - 3 * spread, 1.0, 1.0 + 3 * spread) if x > low), high]
    scale = 2.0 * (1.0 + k)

    def integrand(x):
        return math.log1p(snr * x) * scale * ncx2.pdf(scale * x, 2, 2.0 * k)

    parts = [quad(integrand, *ab, epsrel=1e-12, epsabs=0.0, limit=300) for ab in pairwise(edges)]
    return sum(part for part, _ in parts) / math.log(2.0)


@pytest.mark.parametrize("k", [0.0, 0.1, 1.0, 3.0, 10.0, 100.0, 1000.0])
def test_capacity_is_the_mean_over_the_rician_density(k):
    for snr in from_db([-40.0, -5.0, 0.0, 9.985, 30.0, 60.0]).tolist():
        assert ergodic_capacity(snr, k) == pytest.approx(over_the_density(snr, k), rel=ACCURACY)


def test_capacity_has_its_closed_forms_at_the_limits():
    snr = from_db(np.linspace(-25.0, 60.0, 171))
    rayleigh = np.exp(1.0 / snr) * exp1(1.0 / snr) / math.log(2.0)
    assert ergodic_capacity(snr, 0.0) == pytest.approx(rayleigh, rel=ACCURACY)
    snr = from_db(np.linspace(-60.0, 60.0, 241))
    assert shannon_capacity(snr) == pytest.approx(np.log2(1.0 + snr), rel=ACCURACY)
    # At K = 1e12 the power varies by 2e-12 of its square, far below the accuracy.
    for k in (1e12, np.inf):
        assert ergodic_capacity(snr, k) == pytest.approx(shannon_capacity(snr), rel=ACCURACY)
    assert ergodic_capacity(0.0, 3.0) == 0.0 == shannon_capacity(0.0)


# Its tables

BEYOND_DB = [-190.0, -70.0, -63.0, -60.0001, -60.0, -59.9999, 59.9999, 60.0, 60.0001, 95.0]


def off(snr_db, k_linear):
    exact = ergodic_capacity(from_db(snr_db), k_linear)
    return np.abs(tabulated_capacity(snr_db, k_linear) / exact - 1).max()


@pytest.mark.parametrize("k", [0.0, 0.1, 0.3, 3.0, 10.0, 1e4, 1e12, np.inf])
def test_the_table_of_one_factor_is_the_quadrature_to_eleven_digits(k):
    assert off(np.append(np.random.default_rng(1).uniform(-60, 60, 5000), BEYOND_DB), k) < 1e-11


def test_the_table_of_all_factors_is_the_quadrature_to_eleven_digits():
    rng = np.random.default_rng(1)
    snr_db = rng.uniform(-60, 60, 40_000)
    k = 10.0 ** rng.uniform(-9, 14, 40_000)
    k[::4] = 10.0 ** rng.uniform(-1, 2, k[::4].size)  # where the surface bends most
    assert off(snr_db, k) < 1e-11
    edges = np.array([0.0, 1e-300, 1e-12, 1e-4, 0.1, 1.0, 3.0, 10.0, 1e6, 1e15, 1e300, np.inf])
    assert off(np.append(snr_db[:500], BEYOND_DB)[:, np.newaxis], edges) < 1e-11


def test_a_point_has_the_same_bits_alone_and_among_thousands():
    snr_db = np.linspace(-80, 80, 5001)
    factors = np.linspace(0.0, 30.0, 5001)
    together = ergodic_capacity(from_db(snr_db), factors)
    by_table = [tabulated_capacity(snr_db, k) for k in (10.0, factors)]
    for i in range(0, 5001, 100):
        one = slice(i, i + 1)
        assert ergodic_capacity(from_db(snr_db[i]), factors[i]) == together[i]
        assert tabulated_capacity(snr_db[one], 10.0)[0] == by_table[0][i]
        assert tabulated_capacity(snr_db[i, ...], 10.0) == by_table[0][i]
        assert tabulated_capacity(snr_db[one], factors[one])[0] == by_table[1][i]
    for capacity in (ergodic_capacity, tabulated_capacity):
        assert capacity(np.ones((4, 1)), np.ones(3)).shape == (4, 3)
        assert capacity(np.zeros((0, 2)), np.ones(2)).shape == (0, 2)
    for k in (3.0, np.array([3.0])):  # no signal carries nothing
        assert tabulated_capacity(np.array([-np.inf, 0.0]), k)[0] == 0.0


# Outages

PROBABILITIES = [1e-6, 1e-3, 0.1, 0.5, 0.9]


def failing(gain, k):
    """P(|g|^2 < gain): 2 (1+K) |g|^2 is noncentral chi-square with 2 degrees and 2K."""
    rician = ncx2.cdf(2.0 * (1.0 + k) * gain, 2, np.maximum(2.0 * k, 1e-300))
    return np.where(np.asarray(k) > 0.0, rician, -np.expm1(-gain))


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_fading_falls_below_its_quantile_with_that_probability(probability):
    for k in (0.0, 1e-9, 0.01, 1.0, 3.0, 10.0, 100.0, 1e4, 1e6):
        assert failing(outage_gain(k, probability), k) == pytest.approx(probability, rel=1e-9)
    k = np.append([0.0], np.geomspace(1e-4, 1e5, 500))
    many = failing(outage_gain(k, probability), k)
    assert many == pytest.approx(probability, rel=1e-8 if probability >= 1e-3 else 1e-6)
    # Strong direct path: |g|^2 = 1 + sqrt(2/K) x + terms of the order x^2/K, x standard normal.
    deviate = norm.ppf(probability)
    for k in (1e9, 1e12, 1e15):
        expected = deviate * math.sqrt(2.0 / k)
        terms = (deviate**2 + 3.0) / k + 1e-15
        assert outage_gain(k, probability) - 1.0 == pytest.approx(expected, abs=terms)
        table = outage_gain(np.array([k]), probability)[0]
        assert table - 1.0 == pytest.approx(expected, abs=terms + 1e-7 * abs(expected))
    assert outage_gain(math.inf, probability) == 1.0


@pytest.mark.parametrize(("fading", "k"), [("rayleigh", 0.0), ("rician", 5.0)])
@pytest.mark.parametrize("p", [1e-3, 0.1, 0.5])
def test_a_links_rate_fails_with_its_probability_and_is_sent_again(fading, k, p):
    fields = {"fading": fading, "rician_k_linear": 5.0, "rate": "outage", "outage_probability": p}
    link = Link(2e9, 0.36e6, -7.0, 1.1, **fields)
    for elevation_deg, distance_m in [(10.0, 1.93e6), (30.0, 1.075e6), (90.0, 6e5)]:
        sent_bps_hz = rate_bps(link, elevation_deg, distance_m) / (1.0 - p) / 0.36e6
        gain = (2.0**sent_bps_hz - 1.0) / from_db(snr_db(link, elevation_deg, distance_m))
        assert failing(gain, k) == pytest.approx(p, rel=1e-8)


# Steps

# EN 302 307-1, table 13: names, bits per symbol and ideal Es/N0 in dB, whose columns add up so.
STEPS = MODCODS
BITS = 67.297953
ES_N0_DB = 220.23


def best(snr_db, rolloff):
    """Look through all steps for the most bits whose threshold is met, per hertz occupied."""
    es_n0_db = snr_db + 10 * math.log10(1 + rolloff)
    met = [bits for _, bits, need_db in STEPS if es_n0_db >= need_db]
    return max(met, default=0.0) / (1 + rolloff)


@pytest.mark.parametrize("rolloff", [0.0, 0.2, 0.35, 1.0])
def test_a_link_climbs_the_steps_of_the_standard(rolloff):
    sums = [math.fsum(column) for column in list(zip(*STEPS, strict=True))[1:]]
    assert len(STEPS) == 28 and sums == pytest.approx([BITS, ES_N0_DB], rel=1e-12)
    thresholds_db = np.array([es_n0_db for *_, es_n0_db in STEPS]) - 10 * math.log10(1 + rolloff)
    at_db = np.sort([*(thresholds_db + 1e-9), *(thresholds_db - 1e-9), -40.0, 60.0])
    noise_dbw = -228.59916717321767 + 10 * math.log10(5e6)
    modem = {"path_gain_db": -160.0, "rate": "modcod", "rolloff": rolloff}
    links = [Link(2e9, 5e6, x + 160.0 + noise_dbw - 12.0, 12.0, **modem) for x in at_db]
    rates, states = ([f(x, 90.0, 6e5) for x in links] for f in (rate_bps, rate_state))
    assert rates == pytest.approx([5e6 * best(x, rolloff) for x in at_db], rel=1e-12)
    # A step that a better one undercuts is none: each of the 22 others has a state of its own.
    assert (np.diff(states) == (np.diff(rates) > 0)).all()
    assert (states[0], states[-1], rate_bps(links[-1], 5.0, 6e5)) == (0, 22, 0.0)
    efficiency = modcod_efficiency_bps_hz(modcod_thresholds_db(rolloff), rolloff)
    assert set(efficiency * 5e6) == {*rates} - {0.0}  # a threshold is met at itself


@pytest.mark.parametrize("modcods", ["dvb-s2", "dvb-s2x"])
def test_the_mode_that_is_named_is_the_one_that_carries_the_rate(modcods):
    bits_and_threshold = {name: (bits, db) for name, bits, db in MODES[modcods]}
    at_db = np.linspace(-6.0, 25.0, 400)
    names, over_db = modcods_used(at_db, 0.2, modcods)
    carried = modcod_efficiency_bps_hz(at_db, 0.2, modcods)
    lowest_db = min(db for _, db in bits_and_threshold.values()) - 10 * math.log10(1.2)
    for name, db, over, bps_hz in zip(names, at_db, over_db, carried, strict=True):
        if name == "none":
            assert bps_hz == 0.0 and over == pytest.approx(db - lowest_db) and over < 0.0
        else:
            bits, es_n0_db = bits_and_threshold[name]
            assert bps_hz == pytest.approx(bits / 1.2, rel=1e-12)
            assert over == pytest.approx(db + 10 * math.log10(1.2) - es_n0_db) and over >= 0.0
    last = {"dvb-s2": "32APSK 9/10", "dvb-s2x": "256APSK 3/4"}
    assert (names[0], names[-1]) == ("none", last[modcods])


BITS_OF = {"QPSK": 2, "8PSK": 3, "8APSK": 3, "16APSK": 4, "32APSK": 5, "64APSK": 6, "128APSK": 7,
           "256APSK": 8}  # fmt: skip
CHECKED_BITS = (160, 192)
"""Check bits of BCH codes that correct 10 or 12 errors."""


def test_the_modes_of_s2x_are_normal_frames_of_the_code_rates_that_their_names_say():
    """EN 302 307-2: 64800 bits, less check bits and header, in slots of 90 symbols and a header."""
    added = MODES["dvb-s2x"][28:]
    assert MODES["dvb-s2x"][:28] == MODES["dvb-s2"] == STEPS
    sums = [math.fsum(column) for column in list(zip(*added, strict=True))[1:]]
    assert len(added) == 39 and sums == pytest.approx([126.011396, 406.22], rel=1e-12)
    for name, bits, _ in added:
        modulation, rate = name.removesuffix("-L").split()
        coded, whole = map(int, rate.split("/"))
        symbols = 90 * (math.ceil(64800 / BITS_OF[modulation] / 90) + 1)
        of_frames = [(64800 * coded / whole - check - 80) / symbols for check in CHECKED_BITS]
        assert min(abs(bits - of_frame) for of_frame in of_frames) < 1e-6, name
