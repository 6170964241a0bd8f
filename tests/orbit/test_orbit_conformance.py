"""Contact windows against full Skyfield: orbits, sites, masks, grazing passes, cut spans."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import orbit
from tests.kit import conformance_cases as cases
from tests.kit.conformance import BOUNDS, Differences, View, differences, found

DAY_S = 86_400.0
REFINES = list(BOUNDS)
KINDS = [*cases.TYPED_IN, *cases.VERIFICATION.values()]
STILL = ("geostationary", "XM-3")
# The reference itself is slow: it is tried where it costs little.
FAST = [refine for refine in REFINES if refine != "skyfield"]


@pytest.fixture(scope="module")
def kinds():
    return {s.name: s for s in cases.typed_in() + cases.verification()}


@pytest.fixture(scope="module")
def view(kinds):
    """Views of one day, each made once."""
    made = {}

    def make(name, site):
        if (name, site) not in made:
            satellite = kinds[name]
            made[name, site] = View(satellite, site, cases.start_of(satellite), DAY_S)
        return made[name, site]

    return make


def compared(view, mask_deg, refine):
    return differences(view, mask_deg, view.windows(mask_deg), found(view, mask_deg, refine))


def total(differing):
    return sum(differing, Differences())


def sites_of(name):
    """Half of the sites, which half in turn; all for those that stand still."""
    return cases.SITES if name in STILL else cases.SITES[KINDS.index(name) % 2 :: 2]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("refine", FAST)
def test_every_kind_of_orbit_over_sites_and_masks(view, name, refine):
    worst = total(
        compared(view(name, site), mask_deg, refine)
        for site in sites_of(name)
        for mask_deg in cases.MASKS_DEG
    )
    assert worst.within(BOUNDS[refine]), worst
    assert worst.passes >= 4


def test_the_reference_by_skyfields_own_elevation(view):
    for name, site in (("ISS", cases.SITES[5]), ("Molniya", cases.SITES[3])):
        for mask_deg in (10.0, 45.0):
            worst = compared(view(name, site), mask_deg, "skyfield")
            assert worst.within(BOUNDS["skyfield"]), (name, mask_deg, worst)
            assert worst.passes


@pytest.mark.parametrize("refine", FAST)
@pytest.mark.parametrize("name", ["ISS", "OneWeb", "polar", "Molniya"])
def test_masks_next_to_the_peak_of_a_pass(view, name, refine):
    compare = [
        (v, mask_deg)
        for v in (view(name, site) for site in sites_of(name))
        for mask_deg in cases.grazing_masks(v, 4)
    ]
    worst = total(compared(v, mask_deg, refine) for v, mask_deg in compare)
    assert len(compare) >= 10
    assert worst.within(BOUNDS[refine]), worst


@pytest.mark.parametrize("refine", FAST)
@pytest.mark.parametrize("name", ["Starlink", "polar", "Molniya", "MOLNIYA 1-36"])
def test_spans_that_start_and_end_inside_a_pass(view, name, refine):
    tried = 0
    for site in sites_of(name):
        cut = cases.cut_in_passes(view(name, site), 5.0)
        if cut is None:
            continue
        windows = found(cut, 5.0, refine)
        assert (windows.clipped_start[0], windows.rise_s[0]) == (True, 0.0)
        last = windows.set_s.argmax()
        assert (windows.clipped_end[last], windows.set_s[last]) == (True, cut.span_s)
        worst = total(compared(cut, mask_deg, refine) for mask_deg in (0.0, 5.0, 10.0))
        assert worst.within(BOUNDS[refine]), worst
        tried += 1
    assert tried >= 2


def test_a_geostationary_satellite_is_one_window_clipped_at_both_ends(view):
    for site in cases.SITES:
        seen = view("geostationary", site)
        windows = found(seen, 5.0, "hermite")
        low, high = seen.look(np.linspace(0.0, DAY_S, 200))[0].min(), max(seen.peaks_deg())
        assert len(windows) == (low > 5.0)
        if len(windows):
            assert windows.clipped_start.all()
            assert windows.clipped_end.all()
            assert windows.max_elevation_deg[0] == pytest.approx(high, abs=1e-4)


@pytest.mark.parametrize("refine", FAST)
def test_real_elements_over_a_day(element_files, refine):
    satellites = orbit.read_satellites(element_files / "earth2026_stations.tle")[::9]
    satellites += orbit.read_satellites(element_files / "earth2026_starlink.tle")[::4000]
    satellites += orbit.read_satellites(element_files / "earth2026_oneweb.tle")[::400]
    start = max(s.epoch for s in satellites).replace(microsecond=0)
    worst = total(
        compared(View(satellite, site, start, DAY_S), mask_deg, refine)
        for satellite, site in zip(satellites, cases.SITES * 9, strict=False)
        for mask_deg in (0.0, 10.0, 25.0)
    )
    assert worst.passes > 30
    assert worst.within(BOUNDS[refine]), worst


def random_satellite(rng):
    """From low circles to eccentricity 0.75, with a perigee above 300 km, and some with drag."""
    eccentricity = rng.choice([0.0, 1e-3, 0.02, 0.2, 0.5, 0.7, 0.75])
    perigee_km = 6378.0 + rng.uniform(300, 1500)
    epoch = datetime(1985, 1, 1, tzinfo=UTC) + timedelta(seconds=int(rng.uniform(0, 1.3e9)))
    return orbit.keplerian_satellite(
        f"e={eccentricity:g} perigee={perigee_km:.0f} {epoch:%Y-%m-%d}",
        epoch,
        semi_major_axis_km=perigee_km / (1 - eccentricity),
        inclination_deg=rng.uniform(0, 180),
        eccentricity=eccentricity,
        raan_deg=rng.uniform(0, 360),
        argument_of_perigee_deg=rng.uniform(0, 360),
        mean_anomaly_deg=rng.uniform(0, 360),
        bstar=rng.choice([0.0, 1e-5, 2e-4]),
    )


@pytest.mark.slow
def test_random_satellites_sites_and_dates():
    rng = np.random.default_rng(20261120)
    worst = dict.fromkeys(FAST, Differences())
    for _ in range(30):
        satellite = random_satellite(rng)
        start = satellite.epoch + timedelta(days=int(rng.integers(-3, 4)))
        site = orbit.Site(
            "random", rng.uniform(-90, 90), rng.uniform(-180, 180), rng.uniform(0, 5e3)
        )
        seen = View(satellite, site, start, DAY_S)
        masks_deg = [*rng.uniform(0, 60, 3), *cases.grazing_masks(seen, 5)]
        for refine in FAST:
            here = total(compared(seen, float(mask_deg), refine) for mask_deg in masks_deg)
            assert here.within(BOUNDS[refine]), (satellite.name, site, refine, here)
            worst[refine] += here
    assert worst["hermite"].passes > 300


def test_the_comparison_itself_sees_what_is_wrong(view):
    """A window dropped, invented, split or moved is counted; so are flags and ranges."""
    seen = view("ISS", cases.SITES[5])
    true, good = seen.windows(10.0), found(seen, 10.0, "sgp4")
    assert differences(seen, 10.0, true, good) == replace(
        compared(seen, 10.0, "sgp4"), passes=len(true.rise_s)
    )
    every = np.ones(len(good), dtype=bool)
    dropped = good.where(np.arange(len(good)) != 2)
    assert differences(seen, 10.0, true, dropped).missed == 1
    fewer = replace(true, **{k: v[1:] for k, v in vars(true).items()})
    assert differences(seen, 10.0, fewer, good).extra == 1
    moved = replace(good, rise_s=good.rise_s + 0.02)
    late = differences(seen, 10.0, true, moved)
    assert late.time_ms == pytest.approx(20.0, abs=0.1)
    assert late.elevation_deg > 1e-3
    far = replace(good, set_slant_range_km=good.set_slant_range_km + 0.03)
    assert differences(seen, 10.0, true, far).range_m == pytest.approx(30.0, abs=0.1)
    flagged = replace(good, clipped_start=every)
    assert differences(seen, 10.0, true, flagged).wrong_flags == len(good)
    middle_s = (good.rise_s[0] + good.set_s[0]) / 2
    halves = good.where(np.arange(len(good)).repeat(np.where(np.arange(len(good)) == 0, 2, 1)))
    halves = replace(
        halves,
        set_s=np.r_[middle_s - 1, halves.set_s[1:]],
        rise_s=np.r_[halves.rise_s[0], middle_s + 1, halves.rise_s[2:]],
    )
    assert differences(seen, 10.0, true, halves).extra == 1


@pytest.mark.slow
def test_the_page_shows_what_the_study_prints(monkeypatch, capsys):
    root = Path(__file__).resolve().parents[2]
    monkeypatch.syspath_prepend(str(root / "docs" / "studies"))
    import accuracy

    assert accuracy.main() == 0
    assert capsys.readouterr().out in (root / "docs" / "accuracy.md").read_text()
