"""Air, surroundings and luck, against tables and laws typed in again and single calls of itur."""

import importlib.util
import itertools
import math
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

import channel
from channel import Environment, SlantAttenuation, draw_paths, itu_attenuation
from channel.atmosphere import atmospheric_attenuation_db

elevations = st.floats(0.0, 90.0, exclude_min=True)

# Gases by a law, gases and rain by a table


@given(st.one_of(st.sampled_from([5.0, 90.0]), elevations), st.floats(0.0, 10.0))
def test_air_weighs_by_the_cosecant_or_the_inverse_of_the_elevation(elevation_deg, zenith_db):
    # Flat layers are no model of the Earth below 5 degrees: both laws keep their value there.
    floored = max(elevation_deg, 5.0)
    cosecant_db = zenith_db / math.cos(math.radians(90.0 - floored))
    laws = ("cosecant", "inverse_elevation")
    flat_db, inverse_db = (
        atmospheric_attenuation_db(zenith_db, elevation_deg, law) for law in laws
    )
    assert flat_db == pytest.approx(cosecant_db, rel=1e-12)
    assert inverse_db == pytest.approx(zenith_db * 90.0 / floored, rel=1e-14)
    assert inverse_db >= flat_db * (1 - 1e-15) >= zenith_db * (1 - 1e-15)


def test_a_table_of_losses_is_linear_in_the_length_of_the_path():
    rows = [0.5, 30.0, 90.0]
    table = SlantAttenuation(rows, [2.5, 0.5, 0.25], [40.0, 13.0, 9.0])
    # 1 / sin is 2 at 30 degrees and 1 at 90: 1.5 lies half way. Below the first row losses hold.
    elevation_deg = np.array([*rows, np.degrees(np.arcsin(1.0 / 1.5)), 1e-6, 0.499])
    gas_db = table.gas_loss_db(elevation_deg)
    rain_db = table.rain_loss_db(elevation_deg)
    assert gas_db == pytest.approx([2.5, 0.5, 0.25, 0.375, 2.5, 2.5], rel=1e-12)
    assert rain_db == pytest.approx([40.0, 13.0, 9.0, 11.0, 40.0, 40.0], rel=1e-12)


def sky_k(loss_db):
    """What an antenna sees behind a loss, by ITU-R P.618, section 3."""
    return 275.0 * (1.0 - 10.0 ** (-loss_db / 10.0)) + 2.7 * 10.0 ** (-loss_db / 10.0)


def test_rain_takes_from_g_over_t_what_it_adds_to_the_noise_of_a_clear_sky():
    rows = [5.0, 30.0, 90.0]
    gas_db, rain_db = np.array([[1.0, 0.13, 0.06], [0.0, 9.5, 3.0]])
    air = SlantAttenuation(rows, gas_db, rain_db)
    warmer_k = sky_k(gas_db + rain_db) - sky_k(gas_db)
    assert air.rain_noise_k(rows) == pytest.approx(warmer_k, rel=1e-12)
    dry = channel.Link(8.2e9, 1e8, 15.0, 30.0, rate="shannon", attenuation=air)
    wet = replace(dry, system_temperature_k=150.0)
    lost_db = 10.0 * np.log10(1.0 + warmer_k / 150.0)
    before, after = (channel.link_budget(link, rows, altitude_m=550e3) for link in (dry, wet))
    for column in ("g_over_t_db_k", "c_over_n0_dbhz", "snr_db", "margin_db"):
        fall_db = (before[column] - after[column]).to_numpy()
        assert fall_db == pytest.approx(lost_db, abs=1e-9), column
    falls_db = np.subtract(*(channel.snr_db(link, rows[1:], 1e6) for link in (dry, wet)))
    assert falls_db == pytest.approx(lost_db[1:], abs=1e-9)


# The tables of TR 38.811

ANGLES = np.arange(10.0, 91.0, 10.0)
SIGHT_PCT = {
    "dense_urban": [28.2, 33.1, 39.8, 46.8, 53.7, 61.2, 73.8, 82.0, 98.1],
    "urban": [24.6, 38.6, 49.3, 61.3, 72.6, 80.5, 91.9, 96.8, 99.2],
    "suburban": [78.2, 86.9, 91.9, 92.9, 93.5, 94.0, 94.9, 95.2, 99.8],
}
SIGHT_PCT["rural"] = SIGHT_PCT["suburban"]
# Clutter, shadowing out of sight, shadowing in sight: at 10, 30 and 90 degrees.
SHADE = {
    ("dense_urban", "S"): [[34.3, 29.0, 25.5], [15.5, 12.4, 9.2], [3.5, 2.9, 1.2]],
    ("dense_urban", "Ka"): [[44.3, 37.5, 32.9], [17.1, 15.6, 12.3], [2.9, 2.7, 0.6]],
    ("urban", "S"): [[34.3, 29.0, 25.5], [6.0, 6.0, 6.0], [4.0, 4.0, 4.0]],
    ("urban", "Ka"): [[44.3, 37.5, 32.9], [6.0, 6.0, 6.0], [4.0, 4.0, 4.0]],
    ("suburban", "S"): [[19.52, 18.42, 16.3], [8.93, 8.78, 11.52], [1.79, 1.14, 0.72]],
    ("suburban", "Ka"): [[29.5, 21.9, 16.8], [10.7, 11.2, 10.8], [1.9, 1.9, 0.4]],
}
SHADE |= {("rural", band): SHADE["suburban", band] for band in ("S", "Ka")}
# Mean and deviation of K in dB at 10, 30, 50, 70 and 90 degrees.
K_DB = {
    ("dense_urban", "S"): ([4.4, 9.3, 7.4, 6.9, 6.8], [3.3, 6.1, 3.0, 2.2, 1.9]),
    ("dense_urban", "Ka"): ([6.1, 12.9, 9.2, 8.0, 7.6], [2.6, 6.0, 2.2, 1.5, 1.3]),
    ("urban", "S"): ([31.83, 10.49, 6.52, 4.54, 3.68], [13.84, 10.42, 8.27, 5.53, 3.14]),
    ("urban", "Ka"): ([40.18, 12.48, 7.42, 4.88, 3.81], [16.99, 14.23, 11.21, 7.24, 4.25]),
    ("suburban", "S"): ([11.4, 20.8, 21.6, 12.0, 12.85], [6.26, 16.34, 14.22, 5.7, 9.91]),
    ("suburban", "Ka"): ([8.9, 11.3, 7.5, 5.9, 5.4], [4.4, 3.7, 3.0, 1.7, 0.3]),
    ("rural", "S"): ([24.72, 8.05, 5.04, 3.92, 3.59], [5.07, 5.46, 3.95, 2.56, 1.77]),
    ("rural", "Ka"): ([25.43, 8.4, 5.24, 4.02, 3.62], [7.04, 7.18, 5.28, 3.4, 2.28]),
}
SOME = np.array([10.0, 30.0, 90.0])
every_place = pytest.mark.parametrize(("name", "band"), sorted(K_DB))
environments = st.sampled_from([Environment(*place) for place in sorted(K_DB)])


@every_place
def test_at_their_angles_the_values_are_those_of_the_tables(name, band):
    environment = Environment(name, band)
    share = environment.line_of_sight_probability(ANGLES)
    assert 100.0 * share == pytest.approx(SIGHT_PCT[name], abs=1e-12)
    clutter, hidden, seen = SHADE[name, band]
    assert environment.clutter_loss_db(SOME).tolist() == clutter
    assert environment.shadowing_deviation_db(SOME, False).tolist() == hidden
    assert environment.shadowing_deviation_db(SOME, np.array(True)).tolist() == seen
    one_of_each = environment.shadowing_deviation_db(SOME, [True, False, True])
    assert one_of_each.tolist() == [seen[0], hidden[1], seen[2]]
    mean_db, deviation_db = environment.rician_k_db(ANGLES[::2])
    assert (mean_db.tolist(), deviation_db.tolist()) == K_DB[name, band]


@given(environments, elevations, st.booleans())
def test_between_the_angles_values_are_linear_and_below_10_degrees_constant(place, angle, sight):
    low = np.clip(10.0 * np.floor(angle / 10.0), 10.0, 80.0)
    share = max(0.0, (angle - low) / 10.0)
    for row in (
        place.line_of_sight_probability,
        place.clutter_loss_db,
        lambda e: place.shadowing_deviation_db(e, sight),
        lambda e: np.array(place.rician_k_db(e)),
    ):
        expected = (1 - share) * row(low) + share * row(low + 10.0)
        assert row(angle) == pytest.approx(expected, rel=1e-12)


def test_the_ionosphere_takes_2_2_db_at_2_ghz_and_the_troposphere_what_its_table_says():
    suburban = Environment("suburban", "S")
    rural = Environment("rural", "Ka")
    assert suburban.scintillation_loss_db(30.0, 2e9) == pytest.approx(2.2, abs=1e-9)
    assert suburban.scintillation_loss_db(ANGLES, 4e9) == pytest.approx(1.1 / np.sqrt(2.0))
    # The form of the report with its rounded constant.
    assert suburban.scintillation_loss_db(30.0, 1e9) == pytest.approx(6.22, rel=5e-4)
    expected_db = [1.08, 0.48, 0.30, 0.22, 0.17, 0.13, 0.12, 0.12, 0.12]
    table_db = rural.scintillation_loss_db(ANGLES[:, None], [17e9, 40e9])
    assert table_db.T.tolist() == [expected_db] * 2


# Luck


def test_draws_are_uniform_and_normal():
    paths = draw_paths(40_000, np.random.default_rng(20_811))
    for sample, law in (
        (paths.los_quantile, "uniform"), (paths.shadowing_deviate, "norm"),
        (paths.k_deviate, "norm"),
    ):  # fmt: skip
        assert sample.shape == (40_000, 1)
        assert kstest(sample[:, 0], law).pvalue > 1e-3


# Gases and rain by the package itur

MUNICH = (48.14, 11.58, 520.0)
SINGAPORE = (1.35, 103.82, 15.0)
PUNTA_ARENAS = (-53.16, -70.91, 34.0)
JUNGFRAUJOCH = (46.55, 7.98, 3500.0)
needs_itur = pytest.mark.skipif(
    importlib.util.find_spec("itur") is None, reason="the optional package itur is not installed"
)


@needs_itur
@pytest.mark.parametrize("site", [MUNICH, SINGAPORE, PUNTA_ARENAS, JUNGFRAUJOCH])
@pytest.mark.parametrize(("ghz", "percent"), [(2.0, 0.01), (20.0, 0.5), (30.0, 5.0)])
def test_the_table_of_a_site_is_that_of_single_calls(site, ghz, percent):
    with np.errstate():  # importing itur changes numpy's settings for everyone
        import itur
        from itur.models import itu676, itu835, itu836, itu1510
    latitude, longitude, altitude_km = *site[:2], site[2] / 1e3
    table = itu_attenuation(*site, ghz * 1e9, percent)
    for elevation_deg in (5.0, 5.31, 9.7, 14.9, 24.0, 33.3, 47.1, 61.0, 75.5, 87.9, 89.97, 90.0):
        place = latitude, longitude, ghz, elevation_deg, altitude_km
        # Measured: 0.04 % at 20 GHz, 0.3 % where 2 GHz in the tropics loses some 0.4 dB.
        expected_db = itur.rain_attenuation(*place, percent).value
        assert table.rain_loss_db(elevation_deg) == pytest.approx(expected_db, rel=3e-3, abs=1e-9)
    air = (
        itu836.surface_water_vapour_density(latitude, longitude, 50.0, altitude_km),
        itu835.standard_pressure(altitude_km),
        itu1510.surface_mean_temperature(latitude, longitude),
    )
    for elevation_deg in (5.0, 12.3, 45.0, 80.0):
        single = itu676.gaseous_attenuation_slant_path(ghz, elevation_deg, *air, h=altitude_km)
        assert table.gas_loss_db(elevation_deg) == pytest.approx(single.value, rel=1e-9)


def test_there_is_a_table_without_holes_or_warnings_for_every_place():
    for latitude_deg, longitude_deg in itertools.product((-90, -87, 0, 90), (-180, 0, 45, 180)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = itu_attenuation(latitude_deg, longitude_deg, 0.0, 20e9, 1.0)
        assert (table.elevation_deg[0], table.elevation_deg[-1]) == (5.0, 90.0)
        assert 0.0 < table.gas_loss_db(90.0) < 1.0
        assert 0.0 <= table.rain_loss_db(90.0) < 20.0


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "itur", None)
    with pytest.raises(ValueError, match=r"atmosphere 'itu' needs .* pip install itur"):
        itu_attenuation(*MUNICH, 20e9, 0.1)
