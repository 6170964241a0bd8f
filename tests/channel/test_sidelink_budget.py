"""The sidelink's budget against numbers worked out without decibels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import Sidelink, free_space_path_loss_db, log_distance_path_loss_db

LIGHT_M_S, BOLTZMANN = 299_792_458.0, 1.380649e-23
DISTANCES = st.floats(0.01, 1e6)
EXPONENTS = st.floats(1.0, 6.0)


@given(DISTANCES, st.floats(0.1, 1000.0), EXPONENTS)
def test_the_law_in_two_pieces(distance_m: float, reference_m: float, exponent: float) -> None:
    """Received power falls by d^-2 up to the reference distance and by d^-n behind it."""
    near_m = min(distance_m, reference_m)
    gain = (LIGHT_M_S / 2.4e9 / (4 * math.pi * near_m)) ** 2
    gain *= (near_m / distance_m) ** exponent if distance_m > reference_m else 1.0
    loss_db = log_distance_path_loss_db(distance_m, 2.4e9, exponent, reference_m)
    assert loss_db == pytest.approx(-10 * math.log10(gain), rel=1e-12, abs=1e-9)


@given(DISTANCES, st.floats(0.1, 1000.0))
def test_exponent_two_is_free_space(distance_m: float, reference_m: float) -> None:
    loss_db = log_distance_path_loss_db(distance_m, 5.2e9, 2.0, reference_m)
    assert loss_db == pytest.approx(float(free_space_path_loss_db(distance_m, 5.2e9)), abs=1e-9)


@given(EXPONENTS, st.floats(1.0, 1e4))
def test_ten_times_as_far_costs_ten_n_decibels(exponent: float, distance_m: float) -> None:
    pair = log_distance_path_loss_db(np.array([distance_m, 10 * distance_m]), 9e8, exponent)
    assert pair[1] - pair[0] == pytest.approx(10 * exponent, rel=1e-9)


def test_the_rate_is_shannons_in_thermal_noise() -> None:
    link = Sidelink(915e6, 2e6, 20.0, 3.0, 1.0, 7.0, 2.0)
    for distance_m in (0.5, 1.0, 100.0, 1e3, 4e3, 1e5):
        gain = (LIGHT_M_S / 915e6 / (4 * math.pi * min(distance_m, 1.0))) ** 2
        received_w = 0.1 * gain / max(distance_m, 1.0) ** 3 / 10**0.2
        snr = received_w / (BOLTZMANN * 290.0 * 2e6 * 10**0.7)
        expected = 2e6 * math.log1p(snr) / math.log(2)
        assert link.rate_bps(distance_m) == pytest.approx(expected, rel=1e-9)
    rates = link.rate_bps(np.geomspace(0.1, 1e6, 200))
    assert (np.diff(rates) < 0).all() and (rates > 0).all()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"frequency_hz": 0.0}, "frequency_hz is 0.0"),
        ({"bandwidth_hz": -1.0}, "bandwidth_hz is -1.0"),
        ({"path_loss_exponent": 0.0}, "exponent is 0.0"),
        ({"reference_distance_m": math.nan}, "distance_m is nan"),
        ({"noise_figure_db": -3.0}, "noise_figure_db is -3.0"),
        ({"other_losses_db": math.inf}, "other_losses_db is inf"),
        ({"tx_power_dbm": math.nan}, "tx_power_dbm is nan"),
    ],
)
def test_figures_of_no_radio(change: dict[str, float], line: str) -> None:
    good = {
        "frequency_hz": 1e9,
        "bandwidth_hz": 1e6,
        "tx_power_dbm": 10.0,
        "path_loss_exponent": 2.5,
    }
    with pytest.raises(ValueError, match=line):
        Sidelink(**(good | change))


@pytest.mark.parametrize("distance_m", [0.0, -1.0, math.inf])
def test_distances_that_are_none(distance_m: float) -> None:
    with pytest.raises(ValueError, match="distance_m is"):
        log_distance_path_loss_db(distance_m, 1e9, 3.0)
