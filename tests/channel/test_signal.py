"""Signals and the rates they carry: by hand, by the density of fading, and by their order."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import exp1

import channel
from channel import Link, Path, Signal, rate_bps, rate_state, received_signal, snr_db
from channel import signal_rate_bps as carried_bps
from channel.signal import PATH_FIELDS, path_losses_db
from sim.capacity.budget import LOSSES

UPLINK = Link(frequency_hz=2e9, bandwidth_hz=0.36e6, eirp_dbw=-7.0, g_over_t_db_k=1.1)
URBAN = replace(
    UPLINK, environment=channel.propagation_scenario("urban", 2e9), fading="rician", eirp_dbw=10.0
)
FIXED = replace(UPLINK, rate="fixed", fixed_rate_bps=1e6)
RICIAN = replace(UPLINK, fading="rician")
SHANNON = replace(UPLINK, rate="shannon")
RAYLEIGH = replace(UPLINK, fading="rayleigh")
DIRECT = replace(RICIAN, rician_k_linear=math.inf)
FOLLOWING = [UPLINK, SHANNON, RAYLEIGH, RICIAN, DIRECT, replace(RICIAN, rate="outage")]
STEPS = [replace(UPLINK, rate="modcod"), FIXED, replace(FIXED, required_snr_db=3.0)]
HALF = replace(UPLINK, required_snr_db=-3.0, duty=0.5)
every_rate = pytest.mark.parametrize("link", [*FOLLOWING, *STEPS, HALF])

CLEAR = Path(0.0, 0.0, 0.0)

# Signals


class Read:
    """A link that remembers which of its fields were read."""

    def __init__(self, link):
        self.link, self.fields = link, set()

    def __getattr__(self, name):
        self.fields.add(name)
        return getattr(self.link, name)


@pytest.mark.parametrize("link", [UPLINK, URBAN, replace(UPLINK, path_gain_db=-150.0)])
def test_what_a_path_loses_follows_from_its_fields_alone_and_is_told_term_by_term(link):
    """Links that share these fields share their losses; the table of a pass has each of them."""
    read = Read(link)
    terms = path_losses_db(read, np.array([20.0]), np.array([1e6]), CLEAR)
    assert read.fields <= set(PATH_FIELDS)
    assert {*terms} | {"rain_loss_db"} == {*LOSSES}


@every_rate
def test_a_signal_is_the_snr_with_the_links_fading_and_none_below_the_mask(link):
    k = {"none": math.inf, "rayleigh": 0.0, "rician": link.rician_k_linear}[link.fading]
    elevation_deg = np.array([[-90.0, 0.0, 9.999999, 10.0, 30.0, 90.0]])
    signal = received_signal(link, elevation_deg, 1.2e6)
    assert (signal.snr_db == snr_db(link, elevation_deg, 1.2e6)).all()
    assert (signal.snr_db > -np.inf).tolist() == [[False] * 3 + [True] * 3]
    assert signal.rician_k_linear.tolist() == [[k] * 6]
    # The horizon itself is no link even with a mask of zero.
    low = replace(link, min_elevation_deg=0.0, zenith_attenuation_db=0.1)
    assert (snr_db(low, [-0.1, 0.0, 0.1], 2.8e6) > -np.inf).tolist() == [False, False, True]
    rate = carried_bps(link, signal)
    if link in FOLLOWING[:5]:
        snr = 10.0 ** (signal.snr_db / 10.0)
        mean = channel.ergodic_capacity(snr, k if link.rate == "ergodic" else math.inf)
        assert rate == pytest.approx(0.36e6 * mean, rel=1e-12)
    # Without an environment the luck of a path plays no part; half of the time carries half.
    assert (rate_bps(link, elevation_deg, 1.2e6, Path(0.999, 3.0, -3.0)) == rate).all()
    half = replace(link, duty=link.duty / 2)
    assert (rate_bps(half, elevation_deg, 1.2e6) == rate / 2).all()
    silence = Signal(np.array([-np.inf, -np.inf]), np.array([0.0, np.inf]))
    for width_hz in (None, 1e3):
        assert carried_bps(link, silence, width_hz).tolist() == [0.0, 0.0]
    assert (rate_state(link, [-5.0, 9.0], 2e6) == 0).all()


# Paths through an environment

# TR 38.811, urban, S band: P(line of sight) %; clutter, mean and deviation of K, all in dB.
URBAN_ROWS = [(10.0, 24.6, 34.3, 31.83, 13.84), (50.0, 72.6, 26.8, 6.52, 8.27)]


@pytest.mark.parametrize(("elevation_deg", "los", "clutter", "k_db", "k_deviation"), URBAN_ROWS)
def test_a_path_has_the_shadow_and_fading_of_its_own_luck(
    elevation_deg, los, clutter, k_db, k_deviation
):
    open_sky = replace(URBAN, environment=None, scintillation_loss_db=6.22 / 2**1.5)
    clear = received_signal(URBAN, elevation_deg, 1e6)
    assert clear.snr_db == pytest.approx(snr_db(open_sky, elevation_deg, 1e6), abs=1e-3)
    assert clear.rician_k_linear == pytest.approx(10 ** (k_db / 10), rel=1e-9)
    seen, hidden = (Path(los / 100 + x, 1.5, -0.5) for x in (-1e-9, 1e-9))
    signal = received_signal(URBAN, elevation_deg, 1e6, seen)
    assert signal.snr_db == pytest.approx(clear.snr_db - 1.5 * 4.0, abs=1e-9)
    expected_k = 10 ** ((k_db - 0.5 * k_deviation) / 10)
    assert signal.rician_k_linear == pytest.approx(expected_k, rel=1e-9)
    # Out of sight it meets clutter and fades like Rayleigh.
    signal = received_signal(URBAN, elevation_deg, 1e6, hidden)
    expected_db = clear.snr_db - clutter - 1.5 * 6.0
    assert signal.snr_db == pytest.approx(expected_db, abs=1e-9)
    assert signal.rician_k_linear == 0.0
    snr = 10 ** (expected_db / 10)
    mean = math.exp(1 / snr) * exp1(1 / snr) / math.log(2) if snr > 2e-3 else snr / math.log(2)
    rate = rate_bps(URBAN, elevation_deg, 1e6, hidden)
    assert rate == pytest.approx(0.36e6 * mean, rel=1e-9 if snr > 2e-3 else 2 * snr)


# Rates


def test_a_narrower_band_has_less_noise():
    signal = received_signal(UPLINK, 30.0, 1.075e6)
    at_db = float(signal.snr_db)
    for share in (1.0, 0.5, 0.1):
        rate = carried_bps(UPLINK, signal, share * 0.36e6)
        expected = share * 0.36e6 * math.log2(1 + 10 ** (at_db / 10) / share)
        assert rate == pytest.approx(expected, rel=1e-12)
    # It locks at its threshold, and above it in a quarter of the band: 6.02 dB less noise.
    for more_db, locks in ((0.0, True), (1e-9, False)):
        link = replace(UPLINK, required_snr_db=at_db + more_db)
        assert (rate_bps(link, 30.0, 1.075e6) > 0.0) == locks
    link = replace(UPLINK, required_snr_db=at_db + 6.0)
    assert carried_bps(link, signal) == 0.0 < carried_bps(link, signal, 0.09e6)
    # A fixed rate takes its share of the band.
    signal = received_signal(FIXED, [5.0, 30.0], 1e6)
    assert carried_bps(FIXED, signal).tolist() == [0.0, 1e6]
    assert carried_bps(FIXED, signal, 0.09e6).tolist() == [0.0, 0.25e6]


# States

URBANS = [URBAN, *(replace(URBAN, rate=x, required_snr_db=3.0) for x in ("shannon", "ergodic"))]
URBANS += [replace(URBAN, rate="modcod"), replace(STEPS[2], environment=URBAN.environment)]
LOCKING = replace(UPLINK, required_snr_db=0.0)


@pytest.mark.parametrize("link", [*URBANS, UPLINK, STEPS[0], LOCKING])
def test_the_rate_jumps_where_the_state_changes_and_nowhere_else(link):
    elevation_deg = np.linspace(5.0, 90.0, 40_001)
    range_m = channel.slant_range_m(600e3, elevation_deg)
    paths = channel.draw_paths(20, np.random.default_rng(2))
    grid = np.broadcast_to(elevation_deg, (20, 40_001))
    rate = rate_bps(link, grid, range_m, paths)
    state = rate_state(link, grid, range_m, paths)
    assert state.dtype == np.int64
    assert ((state == 0) == (rate == 0)).all()
    step = np.abs(np.diff(rate, axis=1)) / rate.max()
    changes = np.diff(state, axis=1) != 0
    # A step of 0.002 degrees changes the SNR by a thousandth of a decibel, but for shadowing and K,
    # which slide between rows of the tables by up to some decibels in ten degrees.
    constant = link.rate in ("modcod", "fixed")
    assert step[~changes].max(initial=0.0) <= (0.0 if constant else 2e-3)
    assert (step[changes] > 0.0).all()
    assert changes.any() or link is UPLINK
