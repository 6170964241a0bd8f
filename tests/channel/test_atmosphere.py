"""Gases by the paper's inverse-elevation law, beside the cosecant law of `test_budget`."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel import atmospheric_attenuation_db


def test_the_loss_is_inversely_proportional_to_the_elevation():
    loss_db = atmospheric_attenuation_db(0.25, [90.0, 45.0, 30.0, 10.0, 5.0], "inverse_elevation")
    assert loss_db.tolist() == [0.25, 0.5, 0.75, 2.25, 4.5]


def test_the_loss_below_five_degrees_is_that_at_five():
    for law in ("cosecant", "inverse_elevation"):
        at_five_db = atmospheric_attenuation_db(0.25, 5.0, law)
        assert (atmospheric_attenuation_db(0.25, [4.99, 1.0, 1e-9], law) == at_five_db).all()
        assert atmospheric_attenuation_db(0.25, 5.01, law) < at_five_db


@given(st.floats(1e-6, 90.0), st.floats(1e-6, 90.0), st.floats(0.0, 10.0))
def test_both_laws_fall_with_the_elevation_and_meet_at_the_zenith(one_deg, other_deg, zenith_db):
    low_deg, high_deg = sorted((one_deg, other_deg))
    for law in ("cosecant", "inverse_elevation"):
        low_db, high_db = atmospheric_attenuation_db(zenith_db, [low_deg, high_deg], law)
        assert low_db >= high_db >= zenith_db
        assert atmospheric_attenuation_db(zenith_db, 90.0, law) == zenith_db
    # The sine lies above its chord from 0 to 90 degrees, and so the cosecant law below 90 / e.
    cosecant_db = atmospheric_attenuation_db(zenith_db, low_deg)
    inverse_db = atmospheric_attenuation_db(zenith_db, low_deg, "inverse_elevation")
    assert inverse_db >= cosecant_db * (1 - 1e-15)


def test_inputs_broadcast_and_scalars_stay_scalars():
    shape = atmospheric_attenuation_db(np.ones((3, 1)), np.full(4, 30.0), "inverse_elevation").shape
    assert shape == (3, 4)
    assert np.shape(atmospheric_attenuation_db(0.1, 30.0, "inverse_elevation")) == ()


@pytest.mark.parametrize("elevation_deg", [0.0, -1.0, 90.1, math.nan, math.inf])
def test_outside_of_the_sky_is_refused(elevation_deg):
    with pytest.raises(ValueError, match="elevation_deg is"):
        atmospheric_attenuation_db(0.25, [10.0, elevation_deg], "inverse_elevation")


def test_another_law_is_refused():
    with pytest.raises(ValueError, match="atmosphere is 'linear'; allowed is one of cosecant, inv"):
        atmospheric_attenuation_db(0.25, 10.0, "linear")
