"""Coverage figures: closed forms, and second by second."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.plain_windows import windows_of

DAY_S = 86400.0


@st.composite
def plans(draw):
    """Windows of three satellites over five sites at whole seconds; those of a pair are apart."""
    rows = []
    for satellite in range(3):
        for site in range(5):
            edges = sorted(draw(st.sets(st.integers(0, 30), max_size=6)))
            rows += [(satellite, site, a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return rows


@given(plans(), st.integers(0, 40))
def test_figures_are_those_counted_second_by_second(rows, later):
    span_s = 30 + later
    found = orbit.coverage(windows_of(rows), 6, span_s)
    for site in range(6):
        mine = [(rise, set_) for _, where, rise, set_ in rows if where == site]
        seen = [any(a <= second < b for a, b in mine) for second in range(span_s)]
        runs = "".join("." if now else "x" for now in seen).split(".")
        assert found.passes[site] == len(mine)
        assert found.passes_per_day[site] == pytest.approx(len(mine) * DAY_S / span_s)
        assert found.in_view_fraction[site] == pytest.approx(sum(seen) / span_s, abs=1e-12)
        assert found.longest_gap_s[site] == max(len(run) for run in runs)
        lasts = [b - a for a, b in mine]
        if mine:
            assert found.mean_duration_s[site] == pytest.approx(sum(lasts) / len(lasts))
            assert found.longest_duration_s[site] == max(lasts)
        else:
            assert np.isnan([found.mean_duration_s[site], found.longest_duration_s[site]]).all()


@given(st.integers(1, 6), st.floats(0.1, 1e3), st.integers(0, 4), st.integers(1, 20))
def test_slots_cover_every_site_alike(sites, slot_s, idle, cycles):
    span_s = (sites + idle) * cycles * slot_s
    found = orbit.coverage(orbit.slot_windows(sites, slot_s, idle, cycles), sites, span_s)
    assert (found.passes == cycles).all()
    np.testing.assert_allclose(found.passes_per_day, DAY_S / ((sites + idle) * slot_s))
    np.testing.assert_allclose(found.mean_duration_s, slot_s, rtol=1e-9)
    np.testing.assert_allclose(found.longest_duration_s, slot_s, rtol=1e-9)
    np.testing.assert_allclose(found.in_view_fraction, 1 / (sites + idle), atol=1e-9)
    if cycles > 1:
        gap_s = (sites + idle - 1) * slot_s
        np.testing.assert_allclose(found.longest_gap_s, gap_s, rtol=1e-9, atol=1e-9 * span_s)


def test_a_site_always_in_view_and_one_never():
    both = windows_of([(0, 0, 0, 60), (1, 0, 40, 100)])
    found = orbit.coverage(both, 2, 100.0)
    assert found.passes.tolist() == [2, 0]
    assert found.in_view_fraction.tolist() == [1.0, 0.0]
    assert found.longest_gap_s.tolist() == [0.0, 100.0]
    assert found.mean_duration_s[0] == 60.0
    nothing = orbit.coverage(windows_of([]), 3, 10.0)
    assert nothing.passes.tolist() == [0, 0, 0]
    assert nothing.passes_per_day.tolist() == [0.0, 0.0, 0.0]


def test_a_circular_orbit_over_the_equator_is_in_view_for_the_share_that_geometry_says(start):
    # Spherical closed form: the Earth central angle is acos(R cos(e) / r) - e on either side, and
    # the satellite laps the turning Earth at its mean motion less the Earth's.
    satellite = orbit.circular_satellite("equatorial", 1400, 0.0, 0.0, 0.0, start)
    site, days = orbit.Site("equator", 0.0, 30.0), 10
    windows = orbit.contact_windows([satellite], [site], start, start + timedelta(days=days), 10.0)
    found = orbit.coverage(windows, 1, days * DAY_S)
    radius_km = 6378.137 + 1400
    mask = np.radians(10.0)
    angle = np.arccos(6378.137 / radius_km * np.cos(mask)) - mask
    assert found.in_view_fraction[0] == pytest.approx(angle / np.pi, rel=0.01)
    lap_rad_s = np.sqrt(398600.4418 / radius_km**3) - 7.292115e-5
    assert found.passes_per_day[0] == pytest.approx(DAY_S * lap_rad_s / (2 * np.pi), rel=0.01)
    assert found.longest_duration_s[0] == pytest.approx(2 * angle / lap_rad_s, rel=0.01)
    assert found.longest_gap_s[0] == pytest.approx((2 * np.pi - 2 * angle) / lap_rad_s, rel=0.01)


@pytest.mark.parametrize(
    ("sites", "span_s", "words"),
    [
        (3, 30.0, "windows reach site 3 .* beyond 3 sites"),
        (4, 5.0, "from 0.0 s to 10.0 s, beyond 4 sites and span_s 5.0"),
        (4, 0.0, "span_s 0.0 is not a positive"),
        (4, float("inf"), "span_s inf is not finite; give a positive number of seconds"),
        (4, float("nan"), "span_s nan is not finite; give a positive number of seconds"),
        (4, "86400", "span_s '86400' is not a number; give a positive number of seconds"),
        (4, None, "span_s None is not a number"),
        ("4", 30.0, "sites '4' is not a whole number"),
        (True, 30.0, "sites True is not a whole number"),
    ],
)
def test_windows_of_other_sites_or_spans_are_refused(sites, span_s, words):
    with pytest.raises(ValueError, match=words):
        orbit.coverage(windows_of([(0, 3, 0, 10)]), sites, span_s)


def test_windows_before_the_span_are_refused():
    with pytest.raises(ValueError, match=r"from -5.0 s to 10.0 s"):
        orbit.coverage(windows_of([(0, 0, -5, 10)]), 1, 30.0)
