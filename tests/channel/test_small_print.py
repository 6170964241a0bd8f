"""Details that no other test would miss: found by changing the code and waiting for a failure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from channel import Link, LinkCurve, Sidelink, propagation_scenario
from tests.kit.channel import SlantAttenuation, turns_abruptly, weakest

EVERYBODY = np.ones(3, bool)


def test_a_device_that_is_lowest_only_where_two_others_cross_counts() -> None:
    time_s = np.tile([-20.0, -10.0, 0.0, 10.0, 20.0, 30.0], (3, 1))
    rising, falling = [0.0, 0.0, 0.0, 10.0, 10.0, 10.0], [10.0, 10.0, 10.0, 0.0, 0.0, 0.0]
    lowest_between = [4.0, 4.0, 4.0, 4.0, 1.0, 1.0]
    curve = LinkCurve(time_s, np.array([rising, falling, lowest_between]))
    lowest = weakest(curve, EVERYBODY, (-20.0, 30.0))
    assert lowest.rate_at_bps(5.0).tolist() == pytest.approx([4.0, 4.0, 4.0])


def test_a_device_with_a_link_only_behind_the_span_does_not_hold_the_others_up() -> None:
    time_s = np.array([[0.0, 50.0, 100.0], [0.0, 100.0, 200.0]])
    curve = LinkCurve(time_s, np.array([[8.0, 8.0, 8.0], [0.0, 0.0, 9.0]]))
    lowest = weakest(curve, np.ones(2, bool), (0.0, 100.0))
    assert lowest.capacity_bits.tolist() == [800.0, 0.0]


def test_a_sidelink_has_no_losses_of_its_own_unless_they_are_given() -> None:
    radio = {
        "frequency_hz": 9e8,
        "bandwidth_hz": 1e6,
        "tx_power_dbm": 20.0,
        "path_loss_exponent": 3.0,
    }
    assert Sidelink(**radio) == Sidelink(**radio, noise_figure_db=0.0, other_losses_db=0.0)


def test_a_table_of_losses_may_begin_below_one_degree() -> None:
    table = SlantAttenuation(np.array([0.5, 90.0]), np.array([6.0, 1.0]), np.array([2.0, 0.0]))
    assert table.gas_loss_db(0.5) == 6.0


def test_who_sees_the_satellite_pass_the_zenith_may_have_a_kink_there() -> None:
    plain = Link(
        frequency_hz=2e9,
        bandwidth_hz=0.36e6,
        eirp_dbw=-7.0,
        g_over_t_db_k=1.1,
        zenith_attenuation_db=0.1,
    )
    assert not turns_abruptly(plain)
    assert turns_abruptly(replace(plain, atmosphere="inverse_elevation"))
    assert turns_abruptly(replace(plain, environment=propagation_scenario("urban", 2e9)))
