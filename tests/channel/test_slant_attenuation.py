"""Losses as a table over elevation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.channel import SlantAttenuation, atmospheric_attenuation_db

ROWS = np.array([5.0, 30.0, 90.0])
TABLE = SlantAttenuation(ROWS, np.array([2.5, 0.5, 0.25]), np.array([40.0, 13.0, 9.0]))


def test_rows_are_given_back():
    assert TABLE.gas_loss_db(ROWS).tolist() == [2.5, 0.5, 0.25]
    assert TABLE.rain_loss_db(ROWS).tolist() == [40.0, 13.0, 9.0]


def test_between_rows_losses_are_linear_in_the_length_of_the_path():
    # 1 / sin is 2 at 30 degrees and 1 at 90: 1.5 lies half way.
    middle_deg = np.degrees(np.arcsin(1.0 / 1.5))
    assert TABLE.gas_loss_db(middle_deg) == pytest.approx(0.375)
    assert TABLE.rain_loss_db(middle_deg) == pytest.approx(11.0)


@given(zenith_db=st.floats(0.0, 5.0), elevation_deg=st.floats(0.0, 90.0, exclude_min=True))
def test_two_rows_of_the_cosecant_law_are_the_cosecant_law(zenith_db, elevation_deg):
    rows = np.array([5.0, 90.0])
    law_db = atmospheric_attenuation_db(zenith_db, rows)
    table = SlantAttenuation(rows, law_db, 0.0 * rows)
    expected_db = atmospheric_attenuation_db(zenith_db, elevation_deg)
    assert table.gas_loss_db(elevation_deg) == pytest.approx(expected_db, rel=1e-9, abs=1e-12)
    assert table.rain_loss_db(elevation_deg) == 0.0


def test_below_the_first_row_its_losses_hold():
    assert TABLE.gas_loss_db([1e-6, 4.999]).tolist() == [2.5, 2.5]
    assert TABLE.rain_loss_db(0.1) == 40.0


@pytest.mark.parametrize("elevation_deg", [0.0, -1.0, 90.1, np.nan])
def test_there_is_no_loss_where_there_is_no_link(elevation_deg):
    for loss_db in (TABLE.gas_loss_db, TABLE.rain_loss_db):
        with pytest.raises(ValueError, match="elevation_deg is"):
            loss_db(elevation_deg)


def test_results_have_the_shape_of_the_elevations():
    assert TABLE.gas_loss_db(np.full((3, 4), 30.0)).shape == (3, 4)
    assert np.ndim(TABLE.rain_loss_db(30.0)) == 0


def test_later_changes_of_the_input_change_nothing():
    gas_db = np.array([2.5, 0.5, 0.25])
    table = SlantAttenuation(ROWS, gas_db, gas_db)
    gas_db[:] = 99.0
    assert table.gas_loss_db(30.0) == 0.5
    with pytest.raises(ValueError, match="read-only"):
        table.gas_db[0] = 1.0


def test_a_table_can_be_a_key():
    assert len({TABLE, TABLE}) == 1


@pytest.mark.parametrize(
    "rows", [[], [0.0, 90.0], [5.0, 80.0], [5.0, 5.0, 90.0], [90.0, 5.0], [5.0, 95.0], [-5.0, 90.0]]
)
def test_rows_that_do_not_climb_to_90_degrees_are_refused(rows):
    with pytest.raises(ValueError, match="elevation_deg is"):
        SlantAttenuation(np.array(rows), np.zeros(len(rows)), np.zeros(len(rows)))


@pytest.mark.parametrize("loss_db", [-0.1, np.nan, np.inf])
def test_losses_that_are_none_are_refused(loss_db):
    with pytest.raises(ValueError, match="gas_db is"):
        SlantAttenuation(ROWS, np.array([loss_db, 0.0, 0.0]), np.zeros(3))
    with pytest.raises(ValueError, match="rain_db is"):
        SlantAttenuation(ROWS, np.zeros(3), np.array([0.0, 0.0, loss_db]))


@pytest.mark.parametrize("losses_db", [np.zeros(2), np.zeros((3, 1)), np.float64(0.0)])
def test_losses_of_another_shape_are_refused(losses_db):
    with pytest.raises(ValueError, match="gas_db has shape"):
        SlantAttenuation(ROWS, losses_db, np.zeros(3))
    with pytest.raises(ValueError, match="rain_db has shape"):
        SlantAttenuation(ROWS, np.zeros(3), losses_db)
