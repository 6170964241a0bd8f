"""Signals and the rates they carry: by hand, by the density of fading, and by their order."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import exp1

from channel import (
    CLEAR_PATH,
    Link,
    Path,
    Signal,
    draw_paths,
    ergodic_capacity,
    propagation_scenario,
    rate_bps,
    rate_state,
    received_signal,
    shannon_capacity,
    signal_rate_bps,
    slant_range_m,
    snr_db,
)

UPLINK = Link(frequency_hz=2e9, bandwidth_hz=0.36e6, eirp_dbw=-7.0, g_over_t_db_k=1.1)
URBAN = dataclasses.replace(
    UPLINK, environment=propagation_scenario("urban", 2e9), fading="rician", eirp_dbw=10.0
)
# TR 38.811, urban, S band, at 10 and at 50 degrees: P(line of sight) %; clutter, shadowing in and
# out of sight, mean and deviation of K, all in dB.
AT_10 = {"los": 24.6, "clutter": 34.3, "in": 4.0, "out": 6.0, "k": 31.83, "k_deviation": 13.84}
AT_50 = {"los": 72.6, "clutter": 26.8, "in": 4.0, "out": 6.0, "k": 6.52, "k_deviation": 8.27}
SNR_DB = st.floats(-30.0, 40.0)


def changed(link: Link, **fields) -> Link:
    return dataclasses.replace(link, **fields)


def of_snr(link: Link, snr: float) -> Link:
    """The link with the radiated power that gives this SNR at 30 degrees and 1075 km."""
    clear = changed(link, environment=None) if link.environment else link
    return changed(link, eirp_dbw=link.eirp_dbw + snr - float(snr_db(clear, 30.0, 1.075e6)))


def rate_at(link: Link, snr: float) -> float:
    return float(rate_bps(of_snr(link, snr), 30.0, 1.075e6))


EVERY_RATE = [
    UPLINK,
    changed(UPLINK, rate="shannon"),
    changed(UPLINK, fading="rayleigh"),
    changed(UPLINK, fading="rician", rician_k_linear=5.0),
    changed(UPLINK, fading="rician", rate="outage"),
    changed(UPLINK, rate="modcod"),
    changed(UPLINK, rate="fixed", fixed_rate_bps=1e6),
    changed(UPLINK, rate="fixed", fixed_rate_bps=1e6, required_snr_db=3.0),
    changed(UPLINK, required_snr_db=-3.0, duty=0.5),
]
NAMES = ["none", "shannon", "rayleigh", "rician", "outage", "modcod", "fixed", "locks", "half"]
FOLLOWING = EVERY_RATE[:5]


# Signals


def test_a_signal_is_the_snr_with_the_links_fading():
    for fading, k in [("none", math.inf), ("rayleigh", 0.0), ("rician", 4.0)]:
        link = changed(UPLINK, fading=fading, rician_k_linear=4.0)
        signal = received_signal(link, [10.0, 30.0], 1.5e6)
        assert (signal.snr_db == snr_db(link, [10.0, 30.0], 1.5e6)).all()
        assert signal.rician_k_linear.tolist() == [k, k]


def test_below_the_mask_there_is_no_signal():
    signal = received_signal(UPLINK, [[-90.0, 0.0, 9.999999, 10.0]], 1.9e6)
    assert (signal.snr_db > -np.inf).tolist() == [[False, False, False, True]]
    assert signal_rate_bps(UPLINK, signal)[0, :3].tolist() == [0.0] * 3


@pytest.mark.parametrize("link", EVERY_RATE, ids=NAMES)
def test_without_a_signal_no_rate_is_carried(link):
    silence = Signal(np.array([-np.inf, -np.inf]), np.array([0.0, np.inf]))
    assert signal_rate_bps(link, silence).tolist() == [0.0, 0.0]
    assert signal_rate_bps(link, silence, 1e3).tolist() == [0.0, 0.0]
    assert (rate_state(link, [-5.0, 9.0], 2e6) == 0).all()


@pytest.mark.parametrize(
    ("snr", "k", "text"),
    [
        (math.nan, 0.0, "snr_db is nan"),
        (math.inf, 0.0, "snr_db is inf"),
        ([0.0, math.nan], [0.0, 0.0], "snr_db is nan"),
        (0.0, math.nan, "rician_k_linear is nan"),
        (0.0, -1.0, r"rician_k_linear is -1\.0; allowed is at least 0"),
        ([0.0, 0.0], 1.0, r"rician_k_linear has shape \(\); allowed is that of snr_db, \(2,\)"),
    ],
)
def test_a_signal_that_is_none_is_refused(snr, k, text):
    with pytest.raises(ValueError, match=text):
        Signal(np.asarray(snr), np.asarray(k))


def test_shapes_broadcast_and_scalars_stay_scalars():
    paths = draw_paths(5, np.random.default_rng(0))
    for link in (UPLINK, URBAN):
        signal = received_signal(link, np.full((5, 1), 30.0), np.full(7, 1e6), paths)
        assert signal.snr_db.shape == signal.rician_k_linear.shape == (5, 7)
        assert signal_rate_bps(link, signal).shape == (5, 7)
        assert rate_state(link, np.full((5, 1), 30.0), np.full(7, 1e6), paths).shape == (5, 7)
        alone = received_signal(link, 30.0, 1e6)
        assert np.shape(alone.snr_db) == () == np.shape(alone.rician_k_linear)
        assert np.shape(signal_rate_bps(link, alone)) == ()
    assert received_signal(URBAN, 30.0, 1e6, paths).snr_db.shape == (5, 1)
    assert rate_bps(URBAN, [5.0, 30.0], 1e6, paths).shape == (5, 2)


@pytest.mark.parametrize("place", [(math.nan, 1e6), (30.0, math.nan), (91.0, 1e6), (30.0, 0.0)])
@pytest.mark.parametrize("function", [received_signal, rate_state, rate_bps, snr_db])
def test_a_place_that_is_none_is_refused(function, place):
    with pytest.raises(ValueError, match="allowed is"):
        function(UPLINK, *place)


# Paths through an environment


@pytest.mark.parametrize(("elevation_deg", "row"), [(10.0, AT_10), (50.0, AT_50)])
def test_a_path_in_sight_is_shadowed_and_fades_by_its_own_luck(elevation_deg, row):
    open_sky = changed(URBAN, environment=None, scintillation_loss_db=6.22 / 2**1.5)
    in_open_db = snr_db(open_sky, elevation_deg, 1e6)
    clear = received_signal(URBAN, elevation_deg, 1e6)
    assert clear.snr_db == pytest.approx(in_open_db, abs=1e-3)
    assert clear.rician_k_linear == pytest.approx(10 ** (row["k"] / 10), rel=1e-9)
    seen = Path(row["los"] / 100 - 1e-9, 1.5, -0.5)
    signal = received_signal(URBAN, elevation_deg, 1e6, seen)
    assert signal.snr_db == pytest.approx(clear.snr_db - 1.5 * row["in"], abs=1e-9)
    k_db = row["k"] - 0.5 * row["k_deviation"]
    assert signal.rician_k_linear == pytest.approx(10 ** (k_db / 10), rel=1e-9)


@pytest.mark.parametrize(("elevation_deg", "row"), [(10.0, AT_10), (50.0, AT_50)])
def test_a_path_out_of_sight_meets_clutter_and_fades_like_rayleigh(elevation_deg, row):
    clear = received_signal(URBAN, elevation_deg, 1e6)
    hidden = Path(row["los"] / 100 + 1e-9, 1.5, -0.5)
    signal = received_signal(URBAN, elevation_deg, 1e6, hidden)
    expected_db = clear.snr_db - row["clutter"] - 1.5 * row["out"]
    assert signal.snr_db == pytest.approx(expected_db, abs=1e-9)
    assert signal.rician_k_linear == 0.0
    snr = 10 ** (expected_db / 10)
    mean = math.exp(1 / snr) * exp1(1 / snr) / math.log(2) if snr > 2e-3 else snr / math.log(2)
    rate = rate_bps(URBAN, elevation_deg, 1e6, hidden)
    assert rate == pytest.approx(0.36e6 * mean, rel=1e-9 if snr > 2e-3 else 2 * snr)


def test_devices_see_the_satellite_as_often_as_the_table_says():
    paths = draw_paths(40_000, np.random.default_rng(5))
    k = received_signal(URBAN, 50.0, 1e6, paths).rician_k_linear
    share = np.count_nonzero(k > 0) / k.size
    # Four standard deviations of 40 000 draws of 0.726.
    assert share == pytest.approx(0.726, abs=4 * math.sqrt(0.726 * 0.274 / 40_000))


def test_the_rates_of_paths_are_capacities_at_their_own_factors():
    elevation_deg = np.linspace(10.0, 90.0, 40)
    paths = draw_paths(30, np.random.default_rng(6))
    range_m = slant_range_m(600e3, elevation_deg)
    signal = received_signal(URBAN, elevation_deg, range_m, paths)
    expected = ergodic_capacity(10.0 ** (signal.snr_db / 10.0), signal.rician_k_linear)
    rate = rate_bps(URBAN, elevation_deg, range_m, paths)
    assert rate == pytest.approx(0.36e6 * expected, rel=1e-10)
    assert np.unique(signal.rician_k_linear).size > 400


def test_without_an_environment_a_path_plays_no_part():
    unlucky = Path(0.999, 3.0, -3.0)
    assert rate_bps(UPLINK, 30.0, 1e6, unlucky) == rate_bps(UPLINK, 30.0, 1e6)


def test_a_device_has_the_same_rate_alone_and_among_others():
    elevation_deg = np.linspace(10.0, 80.0, 40)
    paths = draw_paths(9, np.random.default_rng(6))
    together = rate_bps(URBAN, elevation_deg, 1e6, paths)
    for k in range(9):
        own = Path(*(np.asarray(x)[k, 0] for x in dataclasses.astuple(paths)))
        assert (rate_bps(URBAN, elevation_deg, 1e6, own) == together[k]).all()
        assert rate_bps(URBAN, elevation_deg[7], 1e6, own) == together[k, 7]


# Rates


def test_a_narrower_band_has_less_noise():
    signal = received_signal(changed(UPLINK, rate="shannon"), 30.0, 1.075e6)
    snr = 10 ** (float(signal.snr_db) / 10)
    for share in (1.0, 0.5, 0.1):
        rate = signal_rate_bps(UPLINK, signal, share * 0.36e6)
        assert rate == pytest.approx(share * 0.36e6 * math.log2(1 + snr / share), rel=1e-12)
    # At 0 dB ten times narrower carries 3.459 times the tenth, and half carries 1.585 times half.
    at_0_db = Signal(np.float64(0.0), np.float64(np.inf))
    ten, two, one = signal_rate_bps(UPLINK, at_0_db, [0.036e6, 0.18e6, 0.36e6])
    assert ten / (one / 10) == pytest.approx(3.459, abs=5e-4)
    assert two / (one / 2) == pytest.approx(1.585, abs=5e-4)


def test_the_links_own_bandwidth_is_the_default():
    for link in EVERY_RATE:
        signal = received_signal(link, [10.0, 30.0, 90.0], [1.9e6, 1.1e6, 6e5])
        rate = signal_rate_bps(link, signal)
        assert (signal_rate_bps(link, signal, 0.36e6) == rate).all()
        assert (rate_bps(link, [10.0, 30.0, 90.0], [1.9e6, 1.1e6, 6e5]) == rate).all()


def test_bandwidths_broadcast_with_the_signal():
    signal = received_signal(UPLINK, np.full((3, 1), 30.0), np.full(4, 1e6))
    width_hz = np.array([[1e4], [1e5], [1e6]])
    rate = signal_rate_bps(UPLINK, signal, width_hz)
    assert rate.shape == (3, 4)
    assert (rate[1] == signal_rate_bps(UPLINK, signal, 1e5)[1]).all()
    one = received_signal(UPLINK, 30.0, 1e6)
    assert (signal_rate_bps(UPLINK, one, width_hz[:, 0]) == rate[:, 0]).all()


@pytest.mark.parametrize("bandwidth_hz", [0.0, -1.0, math.nan, math.inf, "wide", [1e5, -1e5]])
def test_a_bandwidth_that_is_none_is_refused(bandwidth_hz):
    signal = received_signal(UPLINK, 30.0, 1e6)
    with pytest.raises(ValueError, match=r"^bandwidth_hz is .*; allowed is"):
        signal_rate_bps(UPLINK, signal, bandwidth_hz)


def test_a_fixed_rate_takes_its_share_of_the_band():
    link = changed(UPLINK, rate="fixed", fixed_rate_bps=5e6)
    signal = received_signal(link, [5.0, 30.0], 1e6)
    assert signal_rate_bps(link, signal).tolist() == [0.0, 5e6]
    assert signal_rate_bps(link, signal, 0.09e6).tolist() == [0.0, 1.25e6]


def test_below_its_threshold_a_receiver_does_not_lock():
    at_db = float(snr_db(UPLINK, 30.0, 1.075e6))
    free = rate_bps(UPLINK, 30.0, 1.075e6)
    for required_db, rate in [(at_db, free), (at_db + 1e-9, 0.0), (-math.inf, free)]:
        link = changed(UPLINK, required_snr_db=required_db)
        assert rate_bps(link, 30.0, 1.075e6) == rate
        assert (rate_state(link, 30.0, 1.075e6) > 0) == (rate > 0)
    # In a quarter of the band the noise is 6.02 dB weaker.
    link = changed(UPLINK, required_snr_db=at_db + 6.0)
    signal = received_signal(link, 30.0, 1.075e6)
    assert signal_rate_bps(link, signal) == 0.0 < signal_rate_bps(link, signal, 0.09e6)


@pytest.mark.parametrize("link", EVERY_RATE, ids=NAMES)
def test_half_of_the_time_carries_half(link):
    half = changed(link, duty=link.duty / 2)
    elevation_deg = np.linspace(5.0, 90.0, 50)
    whole = rate_bps(link, elevation_deg, 8e5)
    assert (rate_bps(half, elevation_deg, 8e5) == whole / 2).all()


@given(SNR_DB, st.floats(0.0, 12.0).map(lambda x: 10.0**x - 1.0))
def test_fading_costs_between_nothing_and_what_rayleigh_costs(snr, k):
    rician = changed(UPLINK, fading="rician", rician_k_linear=k)
    rayleigh = rate_at(changed(UPLINK, fading="rayleigh"), snr)
    shannon = rate_at(changed(UPLINK, rate="shannon"), snr)
    assert rayleigh * (1 - 1e-15) <= rate_at(rician, snr) <= shannon


@pytest.mark.parametrize("link", EVERY_RATE, ids=NAMES)
@given(snr=SNR_DB, more_db=st.floats(1e-6, 20.0))
def test_more_power_or_gain_never_carries_less(link, snr, more_db):
    less = of_snr(link, snr)
    rate = rate_bps(less, 30.0, 1.075e6)
    for field in ("eirp_dbw", "g_over_t_db_k"):
        more = changed(less, **{field: getattr(less, field) + more_db})
        assert rate_bps(more, 30.0, 1.075e6) >= rate


@pytest.mark.parametrize("link", FOLLOWING, ids=NAMES[:5])
@given(snr=SNR_DB, share=st.floats(0.001, 0.999))
def test_a_narrower_band_carries_less_but_more_per_hertz(link, snr, share):
    k = {"none": math.inf, "rayleigh": 0.0, "rician": link.rician_k_linear}[link.fading]
    signal = Signal(np.float64(snr), np.float64(k))
    whole, part = signal_rate_bps(link, signal, [0.36e6, share * 0.36e6])
    assert part < whole
    assert part > whole * share


def test_a_signal_made_by_hand_brings_its_own_fading():
    link = changed(UPLINK, fading="rician", rician_k_linear=3.0)
    signal = Signal(np.full(4, 5.0), np.array([0.0, 3.0, 20.0, np.inf]))
    expected = 0.36e6 * ergodic_capacity(10**0.5, [0.0, 3.0, 20.0, np.inf])
    assert signal_rate_bps(link, signal) == pytest.approx(expected, rel=1e-11)
    plain = changed(UPLINK, rate="shannon")
    assert (signal_rate_bps(plain, signal) == 0.36e6 * shannon_capacity(10**0.5)).all()


# States


@pytest.mark.parametrize(
    "link",
    [
        URBAN,
        changed(URBAN, rate="modcod"),
        changed(URBAN, rate="shannon", required_snr_db=3.0),
        changed(URBAN, rate="fixed", fixed_rate_bps=1e6, required_snr_db=3.0),
        changed(UPLINK, rate="modcod"),
        changed(UPLINK, required_snr_db=0.0),
        UPLINK,
    ],
    ids=["urban", "urban modcod", "urban lock", "urban fixed", "modcod", "lock", "smooth"],
)
def test_the_rate_jumps_where_the_state_changes_and_nowhere_else(link):
    elevation_deg = np.linspace(5.0, 90.0, 40_001)
    range_m = slant_range_m(600e3, elevation_deg)
    paths = draw_paths(20, np.random.default_rng(2))
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


def test_states_tell_sight_from_no_sight():
    hidden, seen = Path(0.73, 0.0, 0.0), Path(0.72, 0.0, 0.0)
    states = {rate_state(URBAN, 50.0, 1e6, path)[()] for path in (hidden, seen)}
    assert len(states) == 2
    assert rate_state(URBAN, 50.0, 1e6, CLEAR_PATH) == rate_state(URBAN, 50.0, 1e6, seen)
