"""Orbits that J2 turns at its secular rates: against the formulas, Skyfield's frames and passes."""

from datetime import UTC, datetime, timedelta
from math import cos, sin, sqrt, tau

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation
from skyfield.api import wgs84
from skyfield.positionlib import Geocentric
from skyfield.sgp4lib import TEME
from skyfield.units import Distance

import orbit
from tests.kit.skies import DAY_S, EIGHT_SITES, MUNICH, START, TIMESCALE, refused
from tests.truth import skyfield_views as truth

RADIUS_KM, MU_KM3_S2, J2 = 6378.137, 398600.4418, 1.08262668e-3
PLATFORM = orbit.Site("high-altitude platform", 12.0, -60.0, 50_000.0)
BY_J2 = {"epoch": START, "propagation": "secular_j2"}


def test_the_nodal_period_is_that_which_stk_shows():
    """Half of 5684.908 +- 0.03 s lies between links of counter-rotating planes in STK's files."""
    epoch = datetime(2024, 4, 14, 16, tzinfo=UTC)
    made = orbit.circular_satellite("s", 500.0, 90.0, 0.0, 1.0, epoch, "secular_j2")

    def north_deg(time_s):
        return float(orbit.ground_track(made, epoch, np.array([time_s])).latitude_deg[0])

    nodes_s = [brentq(north_deg, near_s - 90, near_s + 90, xtol=1e-7) for near_s in (5669, 11354)]
    period_s = np.diff(nodes_s)[0]
    kepler_s = tau * sqrt(6878.137**3 / MU_KM3_S2)
    formula_s = kepler_s / (1 - 1.5 * J2 * (RADIUS_KM / 6878.137) ** 2)
    assert f"{period_s:.2f}" == "5684.92"
    assert period_s == pytest.approx(formula_s, rel=1e-8)


# Plane, rise (s since the start) and duration (s) of the first and the last passes of 31 days over
# Colorado Springs as STK printed them (gkim65/federated-satellites, csv_stk/Chain2_Access_Data).
STK = [
    (2, 807.502, 496.760), (5, 1441.417, 685.211), (5, 7185.248, 669.757), (3, 11087.783, 723.481),
    (3, 16864.818, 597.260), (1, 17572.616, 628.493), (1, 23251.187, 712.234),
    (4, 27192.933, 690.187), (4, 32935.346, 664.592), (2, 33721.265, 543.481),
    (2, 39330.834, 733.619), (5, 43306.705, 633.186), (2, 45334.657, 297.337),
    (5, 49014.583, 708.056), (3, 49895.865, 413.537), (3, 55422.901, 736.314),
    (1, 2645499.372, 635.520), (3, 2647533.535, 287.899), (1, 2651208.448, 706.946),
    (4, 2652086.087, 418.961), (4, 2657616.280, 736.517), (2, 2661625.289, 547.627),
    (4, 2663511.736, 484.051), (2, 2667294.286, 731.184), (5, 2668325.444, 166.637),
    (2, 2673180.328, 319.883), (5, 2673720.007, 721.785), (3, 2677774.315, 406.199),
]  # fmt: skip


# What the formula leaves of STK's period is that of an axis which is 7 m shorter.
@pytest.mark.parametrize(
    ("altitude_km", "first_s", "last_s"), [(550, 0.2, 4.6), (549.9931, 0.2, 0.2)]
)
def test_passes_that_stk_printed_come_out_in_order_within_seconds(altitude_km, first_s, last_s):
    """A month of a 550 km, 90 deg: 5/5/1 constellation by J2Perturbation, mask 0."""
    epoch = datetime(2024, 1, 20, 17, tzinfo=UTC)
    made = orbit.walker_delta(altitude_km, 90.0, 5, 5, 1, epoch, propagation="secular_j2")
    place = orbit.Site("Colorado Springs", 38.834, -104.821, 1814.349)
    windows = orbit.contact_windows(made, [place], epoch, epoch + timedelta(days=31), 0.0, "sgp4")
    assert len(windows) == 785
    plane, rise_s, lasts_s = np.array(STK).T
    shown = windows.where(np.r_[0:16, 773:785])
    np.testing.assert_array_equal(shown.satellite + 1, plane)
    assert np.abs(shown.rise_s - rise_s)[:16].max() < first_s
    assert np.abs(shown.rise_s - rise_s).max() < last_s
    assert np.abs(shown.set_s - shown.rise_s - lasts_s)[:16].max() < 0.2


def _by_hand(axis_km, eccentricity, degrees, time_s):
    """Position in TEME by Vallado's rates (section 9.6.1), one rotation after the other."""
    tilt, node, perigee, anomaly = np.radians(degrees)
    motion = sqrt(MU_KM3_S2 / axis_km**3)
    common = 1.5 * motion * J2 * (RADIUS_KM / (axis_km * (1 - eccentricity**2))) ** 2
    node -= common * cos(tilt) * time_s
    perigee += common * (2 - 2.5 * sin(tilt) ** 2) * time_s
    slow = common * sqrt(1 - eccentricity**2) * (1 - 1.5 * sin(tilt) ** 2)
    anomaly = (anomaly + (motion + slow) * time_s) % tau
    true = brentq(lambda e: e - eccentricity * sin(e) - anomaly, -1, 8, xtol=1e-15)
    flat = cos(true) - eccentricity, sqrt(1 - eccentricity**2) * sin(true), 0.0
    turn = Rotation.from_euler("ZXZ", [node, tilt, perigee])
    return turn.apply(axis_km * np.array(flat))


@pytest.mark.parametrize(
    ("axis_km", "eccentricity", "degrees"),
    [
        (6878.137, 0.0, (90.0, 10.0, 0.0, 300.0)),
        (7378.0, 0.05, (53.0, 200.0, 80.0, 10.0)),
        (26562.0, 0.72, (63.4, 250.0, 270.0, 359.0)),
        (42164.0, 0.0, (0.0, 0.0, 0.0, 60.0)),
    ],
)  # fmt: skip
def test_positions_over_a_month_are_those_of_the_formulas_in_skyfields_frames(
    axis_km, eccentricity, degrees
):
    names = ("inclination_deg", "raan_deg", "argument_of_perigee_deg", "mean_anomaly_deg")
    made = orbit.keplerian_satellite(
        "k", semi_major_axis_km=axis_km, eccentricity=eccentricity, **BY_J2,
        **dict(zip(names, degrees, strict=True)),
    )  # fmt: skip
    time_s = np.linspace(0.0, 30 * DAY_S, 40)
    seen = orbit.ground_track(made, START, time_s)
    times = TIMESCALE.utc(START.year, START.month, START.day, START.hour, 0, time_s)
    teme = np.stack([_by_hand(axis_km, eccentricity, degrees, at_s) for at_s in time_s], axis=1)
    axes = np.moveaxis(TEME.rotation_at(times), -1, 0)
    inertial = np.einsum("tji,jt->it", axes, teme)
    place = wgs84.geographic_position_of(Geocentric(Distance(km=inertial).au, t=times, center=399))
    turn_deg = (seen.longitude_deg - place.longitude.degrees + 180) % 360 - 180
    # Skyfield adds polar motion of no more than half an arcsecond only where it has a table.
    assert np.abs(seen.latitude_deg - place.latitude.degrees).max() < 1e-6
    assert np.abs(turn_deg * np.cos(np.radians(seen.latitude_deg))).max() < 1e-6
    assert np.abs(seen.altitude_km - place.elevation.km).max() < 1e-4


def test_windows_are_those_of_full_skyfield():
    shape = {"semi_major_axis_km": 9000.0, "inclination_deg": 50.0, "eccentricity": 0.2}
    made = orbit.keplerian_satellite("oval", **shape, **BY_J2)
    worst = truth.Differences()
    for site in (EIGHT_SITES[0], PLATFORM, MUNICH):
        seen = truth.View(made, site, START, DAY_S)
        for mask_deg in (0.0, 25.0):
            found = truth.found(seen, mask_deg, "sgp4")
            worst += truth.differences(seen, mask_deg, seen.windows(mask_deg), found)
    assert worst.within(truth.EXACT), worst
    assert worst.passes > 20


def test_what_it_cannot_do_is_refused():
    shape = {"semi_major_axis_km": 7000.0, "inclination_deg": 53.0, "epoch": START}
    make = orbit.keplerian_satellite
    refused("'j4' is unknown; write 'sgp4' or", make, "k", **shape, propagation="j4")
    refused("has no drag", make, "k", **shape, bstar=1e-5, propagation="secular_j2")
