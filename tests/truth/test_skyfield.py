"""Contact windows and look angles against full Skyfield: orbits, sites, masks, dates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import orbit
from tests.kit import skies
from tests.kit.skies import CIRCLES, DAY, DAY_S, EIGHT_SITES, SITES, START
from tests.truth import accuracy
from tests.truth import skyfield_views as truth
from tests.truth.skyfield_views import View

KINDS = [*skies.TYPED_IN, *skies.VERIFICATION.values()]


def views_of(name):
    """A day from half of the sites, which half in turn; from all for those that stand still."""
    satellite = next(s for s in skies.typed_in() + skies.verification() if s.name == name)
    still = name in ("geostationary", "XM-3")
    sites = SITES if still else SITES[KINDS.index(name) % 2 :: 2]
    return [View(satellite, site, skies.start_of(satellite), DAY_S) for site in sites]


def assert_conformance(views_and_masks, least_passes):
    for refine, worst in accuracy.measure(views_and_masks).items():
        assert worst.within(truth.BOUNDS[refine]), (refine, worst)
        assert worst.passes >= least_passes


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.quick(4)
def test_windows_of_every_kind_of_orbit_over_sites_and_masks(name):
    """Also for masks next to the peak of a pass, and spans cut inside one."""
    every = (one for seen in views_of(name) for one in accuracy.views_and_masks(seen))
    assert_conformance(every, 4)


@pytest.mark.parametrize(
    ("count", "seed"),
    [(3, 1), pytest.param(30, 20261120, marks=pytest.mark.slow(reason="half a minute"))],
)
def test_random_satellites_sites_and_dates(count, seed):
    """From low circles to eccentricity 0.75, some with drag, some over poles and the equator."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        eccentricity = rng.choice([0.0, 1e-3, 0.02, 0.2, 0.5, 0.7, 0.75])
        axis_km = (6378.0 + rng.uniform(300, 1500)) / (1 - eccentricity)
        epoch = datetime(1985, 1, 1, tzinfo=UTC) + timedelta(seconds=int(rng.uniform(0, 1.3e9)))
        satellite = orbit.keplerian_satellite(
            f"{axis_km} {eccentricity}", epoch, semi_major_axis_km=axis_km,
            inclination_deg=rng.choice([0.0, 90.0, *rng.uniform(0, 180, 6)]),
            eccentricity=eccentricity, raan_deg=rng.uniform(0, 360),
            argument_of_perigee_deg=rng.uniform(0, 360), mean_anomaly_deg=rng.uniform(0, 360),
            bstar=rng.choice([0.0, 1e-5, 2e-4]),
        )  # fmt: skip
        latitude = float(rng.choice([-90.0, 0.0, *rng.uniform(-90, 90, 6)]))
        site = orbit.Site("any", latitude, rng.uniform(-180, 180), rng.uniform(-500, 9e3))
        seen = View(satellite, site, epoch + int(rng.integers(-3, 4)) * DAY, DAY_S)
        masks_deg = [*rng.uniform(0, 85, 3).tolist(), *seen.grazing_masks(5)]
        assert_conformance([(seen, mask_deg) for mask_deg in masks_deg], 0)


@pytest.mark.slow(reason="two minutes")
def test_the_page_shows_what_the_comparison_prints(capsys):
    assert accuracy.main() == 0
    page = Path(__file__).resolve().parents[2] / "docs" / "trust.md"
    assert capsys.readouterr().out in page.read_text()


def _apart_deg(elevation, azimuth, other_elevation, other_azimuth):
    """Angle between two directions: azimuth alone means nothing near the zenith."""
    turn = (azimuth - other_azimuth + 180) % 360 - 180
    return np.hypot(elevation - other_elevation, turn * np.cos(np.radians(elevation)))


# Elevation of edges (deg), angles (deg), ranges (km), range rates (km/s).
NEAR = {"hermite": (2e-5, 1e-4, 1e-4, 5e-5), "sgp4": (1e-6, 2e-6, 2e-5, 1e-6)}


@pytest.mark.parametrize("refine", truth.BOUNDS)
def test_what_a_window_says_of_its_rise_culmination_and_set(refine):
    edge_deg, angle_deg, range_km, rate_km_s = NEAR[refine]
    windows = orbit.contact_windows(CIRCLES, EIGHT_SITES, START, START + DAY / 2, 10.0, refine)
    assert len(windows) > 200
    for i, k in sorted(set(zip(windows.satellite, windows.site, strict=True))):
        mine = windows.where((windows.satellite == i) & (windows.site == k))
        for name, wanted_deg, free in (
            ("rise", 10.0, ~mine.clipped_start),
            ("culminate", mine.max_elevation_deg, True),
            ("set", 10.0, ~mine.clipped_end),
        ):
            elevation, azimuth, distance, rate = truth.look_angles(
                CIRCLES[i], EIGHT_SITES[k], START, getattr(mine, f"{name}_s")
            )
            off = _apart_deg(elevation, getattr(mine, f"{name}_azimuth_deg"), elevation, azimuth)
            assert (np.abs(elevation - wanted_deg) * free).max() < edge_deg
            assert off.max() < angle_deg
            assert np.abs(getattr(mine, f"{name}_slant_range_km") - distance).max() < range_km
            assert np.abs(getattr(mine, f"{name}_range_rate_km_s") - rate).max() < rate_km_s


def test_look_angles_over_weeks():
    stations = orbit.read_satellites(skies.element_file("earth2026_stations.tle"))
    time_s = np.linspace(-1, 20, 99) * DAY_S
    for satellite in [*CIRCLES[::3], *stations[:3]]:
        ours = orbit.look_angles(satellite, EIGHT_SITES, START, time_s)
        for k, site in enumerate(EIGHT_SITES):
            elevation, azimuth, distance, rate = truth.look_angles(satellite, site, START, time_s)
            apart = _apart_deg(ours.elevation_deg[:, k], ours.azimuth_deg[:, k], elevation, azimuth)
            assert apart.max() < 1e-6
            assert np.abs(ours.slant_range_km[:, k] - distance).max() < 5e-5
            assert np.abs(ours.range_rate_km_s[:, k] - rate).max() < 1e-6
