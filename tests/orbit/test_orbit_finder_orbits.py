"""Any orbit over any site and mask: windows agree with exact SGP4 sample by sample."""

from datetime import timedelta

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

import orbit

HOURS, STEP_S = 10, 7.0
# A tolerance of the elevation on either side of the mask, degrees.
NEAR_DEG = 2e-5


@given(
    perigee_km=st.floats(200, 5000),
    eccentricity=st.one_of(st.just(0.0), st.floats(0, 0.01), st.floats(0, 0.8)),
    angles_deg=st.tuples(*[st.floats(0, 360)] * 3),
    inclination_deg=st.floats(0, 180),
    latitude_deg=st.floats(-90, 90),
    altitude_m=st.floats(-500, 9000),
    mask_deg=st.floats(0, 89),
)
@example(200.0, 0.0, (0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0.0)
@example(400.0, 0.72, (0.0, 270.0, 0.0), 63.4, 70.0, 0.0, 85.0)
@example(300.0, 0.001, (10.0, 20.0, 30.0), 90.0, 90.0, 5000.0, 45.0)
@settings(max_examples=120, deadline=None)
def test_windows_hold_the_samples_above_the_mask_and_no_others(
    start, perigee_km, eccentricity, angles_deg, inclination_deg, latitude_deg, altitude_m, mask_deg
):
    satellite = orbit.keplerian_satellite(
        "any", start, semi_major_axis_km=(6378.135 + perigee_km) / (1 - eccentricity),
        inclination_deg=inclination_deg, eccentricity=eccentricity, raan_deg=angles_deg[0],
        argument_of_perigee_deg=angles_deg[1], mean_anomaly_deg=angles_deg[2],
    )  # fmt: skip
    site = orbit.Site("any", latitude_deg, 12.0, altitude_m)
    end, told = start + timedelta(hours=HOURS), []
    windows = orbit.contact_windows(
        [satellite], [site], start, end, mask_deg, on_failure=told.append
    )
    time_s = np.arange(0.0, HOURS * 3600.0, STEP_S)
    if told:
        good = (time_s < told[0].first_s) & (not told[0].whole)
        time_s = time_s[good]
    if not time_s.size:
        assert not len(windows)
        return
    elevation_deg = orbit.look_angles(satellite, site, start, time_s).elevation_deg[:, 0]
    inside = np.zeros(len(time_s), dtype=bool)
    for rise_s, set_s in zip(windows.rise_s, windows.set_s, strict=True):
        inside |= (time_s >= rise_s) & (time_s <= set_s)
    sure = np.abs(elevation_deg - mask_deg) > NEAR_DEG
    np.testing.assert_array_equal(inside[sure], (elevation_deg >= mask_deg)[sure])
    edges_s = np.concatenate(
        [windows.rise_s[~windows.clipped_start], windows.set_s[~windows.clipped_end]]
    )
    at_edges = orbit.look_angles(satellite, site, start, np.append(edges_s, 0.0))
    assert np.abs(at_edges.elevation_deg[:-1, 0] - mask_deg).max(initial=0) < NEAR_DEG
    assert (windows.max_elevation_deg >= mask_deg - NEAR_DEG).all()
