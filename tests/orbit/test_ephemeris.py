"""Interpolation beside SGP4, SGP4's failures, and how far elements and spans can be trusted."""

import re
import tracemalloc
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from sgp4.api import WGS72, Satrec

import orbit
from tests.kit import skies
from tests.kit.skies import CIRCLES, DAY, DAY_S, EIGHT_SITES, FALLING, ISS, START, refused, verified

LATTICE = [
    orbit.Site("any", float(latitude), float(longitude))
    for latitude, longitude in product(range(-75, 90, 30), range(-180, 180, 40))
]


@pytest.mark.parametrize(
    ("axis_km", "eccentricity", "bstar", "inclination_deg"),
    [
        (6578.0, 0.0, 0.0, 63.4), (6700.0, 0.001, 1e-2, 63.4), (6928.0, 0.0001, 3e-4, 63.4),
        (7578.0, 0.0, 0.0, 63.4), (9378.0, 0.05, 0.0, 63.4), (12000.0, 0.4, 1e-4, 63.4),
        (26560.0, 0.01, 0.0, 63.4), (26562.0, 0.73, 1e-4, 63.4), (42165.0, 0.0, 0.0, 63.4),
        # Against the Earth's rotation, where it is not small beside the satellite's own.
        (10366.0, 0.056, 0.0, 137.7), (12000.0, 0.0, 0.0, 178.0), (15882.0, 0.0, 0.0, 154.9),
        (16000.0, 0.04, 0.0, 90.0), (18312.0, 0.032, 0.0, 151.5), (23000.0, 0.1, 0.0, 120.0),
    ],
)  # fmt: skip
def test_windows_are_within_a_decimetre_of_sgp4_at_a_moderate_cost(
    axis_km, eccentricity, bstar, inclination_deg
):
    satellite = orbit.keplerian_satellite(
        "s", START, semi_major_axis_km=axis_km, inclination_deg=inclination_deg, bstar=bstar,
        eccentricity=eccentricity, raan_deg=40.0, argument_of_perigee_deg=270.0,
    )  # fmt: skip
    tracemalloc.start()
    orbit.contact_windows([satellite], EIGHT_SITES, START, START + DAY / 1440, 0.0)
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()
    windows = orbit.contact_windows([satellite], LATTICE, START, START + DAY, 0.0)
    assert len(windows) > 20
    for name in ("rise", "culminate", "set"):
        # SGP4's own velocity is a metre a second off the derivative here and there.
        range_km, rate_km_s = _off(windows, name, satellite, LATTICE, START)
        assert range_km < 1e-4 and rate_km_s < 5e-5


def _off(windows, name, satellite, sites, start):
    """How far ranges (km) and range rates (km/s) of an instant are from exact SGP4's."""
    time_s = getattr(windows, f"{name}_s")
    seen = orbit.look_angles(satellite, sites, start, time_s)
    own = np.arange(len(time_s)), windows.site
    columns = "slant_range_km", "range_rate_km_s"
    return [np.abs(getattr(windows, f"{name}_{c}") - getattr(seen, c)[own]).max() for c in columns]


def _codes(satellite, start, time_s):
    fraction = (start - start.replace(hour=0, minute=0, second=0)) / DAY
    whole = np.full(len(time_s), start.toordinal() + 1721424.5)
    return satellite.model.sgp4_array(whole, fraction + time_s / DAY_S)[0]


def _with(satellite, **elements):
    """The satellite with other elements, as SGP4's own initialiser takes them."""
    names = ("bstar", "ecco", "argpo", "inclo", "mo", "no_kozai", "nodeo")
    old = satellite.model
    model = Satrec()
    bstar, *others = (elements.get(name, getattr(old, name)) for name in names)
    days = old.jdsatepoch - 2433281.5 + old.jdsatepochF
    model.sgp4init(WGS72, "i", 5, days, bstar, 0.0, 0.0, *others)
    return replace(satellite, model=model)


def _contacts(satellites, sites, start, end, refine="hermite"):
    told = []
    windows = orbit.contact_windows(satellites, sites, start, end, 5.0, refine, told.append)
    return windows, told


# It decays hours after its epoch, and has good codes again later on, and before: on the fifth day
# for more than an hour.
DEBRIS = verified(29141)
FAILING = {
    "decay in the span": (FALLING, 0, 8, "decayed"),
    "decay hours after the epoch": (DEBRIS, 0, 2, "; use elements of a date nearer"),
    "errors before the epoch": (DEBRIS, -3, 0, "its contacts are cut there"),
    "months away": (_with(CIRCLES[0], bstar=0.0014 / 9), 134, 138, ""),
    "on both sides": (verified(22312), -3, 3, "; it works from 2006-04-0"),
    "good codes beyond": (DEBRIS, 5.0946, 5.1156, "its position leaves its orbit"),
}


@pytest.mark.parametrize(("satellite", "first", "last", "words"), FAILING.values(), ids=FAILING)
def test_windows_end_at_the_first_failure_on_the_way_from_the_epoch(satellite, first, last, words):
    epoch = satellite.epoch.replace(microsecond=0)
    span_s = (last - first) * DAY_S
    start = epoch + first * DAY
    end = epoch + last * DAY
    # Out from the epoch both ways, each to its first error.
    away_s = np.arange(0.0, max(-first, last) * DAY_S + 60, 60.0)
    good_s = [0.0, span_s]
    for side, sign, limit in ((0, -1, max), (1, 1, min)):
        bad = np.flatnonzero(_codes(satellite, epoch, sign * away_s))
        if bad.size:
            good_s[side] = limit(sign * away_s[bad[0]] - first * DAY_S, good_s[side])
    whole = good_s[1] <= good_s[0]
    before = good_s[0] > 0
    after = good_s[1] < span_s
    windows, (failure,) = _contacts([CIRCLES[1], satellite], EIGHT_SITES, start, end)
    assert (failure.satellite, failure.name, failure.whole) == (1, satellite.name, whole)
    alone, _ = _contacts([CIRCLES[1]], EIGHT_SITES, start, end)
    np.testing.assert_array_equal(windows.where(windows.satellite == 0).rise_s, alone.rise_s)
    mine = windows.where(windows.satellite == 1)
    assert (len(mine) > 3) != whole
    assert (mine.rise_s >= good_s[0] - 60).all() and (mine.set_s <= good_s[1] + 60).all()
    cut = mine.clipped_start & before | mine.clipped_end & after
    np.testing.assert_array_equal(mine.sgp4_error, cut)
    assert all(np.isfinite(getattr(mine, column.name)).all() for column in fields(mine))
    assert words in str(failure) and "\n" not in str(failure)
    if before != after and not whole:
        edges_s = (failure.first_s, failure.last_s)[:: 1 if after else -1]
        into = 1 if after else -1
        around = _codes(satellite, start, edges_s[0] + into * np.array([-0.002, 0.002]))
        assert around[0] == 0 and around[1] > 0 and edges_s[1] == (span_s if after else 0.0)


@pytest.mark.parametrize("refine", ["hermite", "sgp4"])
def test_positions_far_outside_the_orbit_are_no_positions(refine):
    """SGP4 sends 33333 to 59 million km within a minute before it owns up to an error."""
    wild = verified(33333)
    site = orbit.Site("here", 48.1, 11.6, 0.0, 10.0)
    words = []
    for minutes in (20, 21, 300):
        end = wild.epoch + timedelta(minutes=minutes)
        windows, told = _contacts([wild], [site], wild.epoch, end, refine)
        assert windows.rise_s.tolist() == [0.0]
        looks = orbit.look_angles(wild, site, wild.epoch, windows.set_s)
        assert looks.elevation_deg[0, 0] == pytest.approx(10.0, abs=2e-4)
        words += map(str, told)
    assert ["its position leaves its orbit" in text for text in words] == [True, True]


@pytest.mark.parametrize("before", [True, False])
def test_next_to_a_failure_ranges_are_sgp4s(before):
    satellite, days = (DEBRIS, timedelta(minutes=10) - DAY) if before else (FALLING, 3.5 * DAY)
    start = satellite.epoch.replace(microsecond=0) + days
    _, (failure,) = _contacts([satellite], EIGHT_SITES, start, start + DAY)
    edge_s = failure.last_s if before else failure.first_s
    away_s = np.concatenate([np.geomspace(2e-3, 4.0, 20), np.arange(5.0, 1500.0, 25.0)])
    under = orbit.ground_track(satellite, start, edge_s + (1 if before else -1) * away_s)
    places = zip(under.latitude_deg.tolist(), under.longitude_deg.tolist(), strict=True)
    sites = [orbit.Site("below", *place, -500.0) for place in places]
    windows, _ = _contacts([satellite], sites, start, start + DAY)
    near = windows.where(np.abs(windows.culminate_s - edge_s) < 1500.0)
    assert len(near) > 50
    for name in ("rise", "culminate", "set"):
        assert _off(near, name, satellite, sites, start)[0] < 1e-3
    cut = near.clipped_start if before else near.clipped_end
    assert cut.sum() > 5
    np.testing.assert_array_equal(near.sgp4_error, cut)
    if not before:
        # A span that ends before the failure knows nothing of it.
        end = start + timedelta(seconds=edge_s - 30)
        windows, told = _contacts([satellite], sites, end - DAY / 24, end)
        assert len(windows) > 50 and not told and not windows.sgp4_error.any()


@pytest.mark.parametrize("name", ["bstar", "mo", "ecco", "inclo", "no_kozai"])
def test_elements_that_give_no_finite_position_are_a_failure(name):
    broken = _with(CIRCLES[3], **{name: float("nan")})
    windows, (failure,) = _contacts([broken, CIRCLES[4]], EIGHT_SITES, START, START + DAY)
    assert set(windows.satellite) == {1} and failure.whole and failure.reason
    refused("^SGP4 fails", orbit.look_angles, broken, EIGHT_SITES, START, np.array([0.0]))


def test_a_failure_is_a_warning_or_an_error_where_nobody_asks():
    with pytest.warns(orbit.OrbitWarning, match="SGP4 fails for 'FALLING'") as warned:
        orbit.contact_windows([FALLING], EIGHT_SITES, START, START + 8 * DAY, 10.0)
    assert [warning.filename for warning in warned] == [__file__]
    span = START + 9 * DAY, START + 10 * DAY, 10.0
    refused("^SGP4 fails for 'FALLING'", orbit.contact_windows, [FALLING], EIGHT_SITES, *span)
    with pytest.warns(orbit.OrbitWarning, match="from their epoch"):
        assert not len(orbit.find_contacts(FALLING, EIGHT_SITES, *span, on_failure=[].append))
    times_s = np.arange(40) * DAY_S
    words = "SGP4 fails for 'FALLING' at 2026-0.*decayed"
    refused(words, orbit.look_angles, FALLING, EIGHT_SITES, START, times_s)


OLD = replace(ISS, name="OLD ONE", norad_id=25545, epoch=ISS.epoch - 34 * DAY)
MADE = orbit.circular_satellite("c", 550.0, 53.0, 0.0, 0.0, ISS.epoch - 900 * DAY)


def test_elements_far_from_the_span_are_named_with_their_age():
    for satellites, first, last, words in (
        ([ISS], -7, 7, None),
        ([MADE, OLD, ISS], 0, 1, "^1 of 3 element sets lie more than 7.*OLD ONE the most with 35"),
    ):
        lines = orbit.doubts(satellites, ISS.epoch + first * DAY, ISS.epoch + last * DAY)
        assert len(lines) == bool(words)
        assert all(re.search(words, str(line)) and "\n" not in str(line) for line in lines)


@pytest.mark.parametrize("propagation", ["sgp4", "secular_j2"])
@pytest.mark.parametrize("altitude_km", [180.0, 200.0, 250.0])
def test_a_low_orbit_without_drag_says_how_long_a_satellite_would_live(altitude_km, propagation):
    """As SGP4 itself ends it, with B* 0.0005: in days at 180 km, in months at 250 km."""

    def low(bstar=0.0, propagation="sgp4"):
        keys = {"semi_major_axis_km": orbit.circular_axis_km(altitude_km), "inclination_deg": 53.0}
        keys |= {"bstar": bstar, "propagation": propagation}
        return orbit.keplerian_satellite("low", START, **keys)

    model = low(5e-4).model
    days = np.arange(0.0, 200.0, 0.25)
    error, place_km, _ = model.sgp4_array(
        np.full(len(days), model.jdsatepoch), model.jdsatepochF + days
    )
    falls = (error != 0) | (np.linalg.norm(place_km, axis=1) < 6478.0)
    [said] = orbit.doubts([MADE, low(propagation=propagation)], START, START + 30 * DAY)
    assert "drag" in str(said) and f"low, at {altitude_km:.0f} km" in str(said)
    assert said.values["days"] == pytest.approx(days[falls.argmax()], rel=0.1, abs=0.3)
    assert not orbit.doubts([low(propagation=propagation)], START, START + 0.5 * DAY)
    assert not orbit.doubts([low(5e-4)], START, START + 30 * DAY)


def test_leap_seconds_and_the_end_of_the_table_of_ut1_are_told():
    refused("satellites: a Satellite is no list of sat", orbit.doubts, ISS, START, START + DAY)
    refused("is not after start", orbit.doubts, [MADE], START, START)
    # UTC had leap seconds at the end of June 2012, of June 2015 and of December 2016.
    years = (datetime(year, 1, 1, tzinfo=UTC) for year in (2012, 2018))
    days = ("2012-06-30", "2015-06-30", "2016-12-31")
    told = [str(line)[:33] for line in orbit.doubts([MADE], *years)]
    assert told == [f"a leap second ends {day}, wi" for day in days]
    last = skies.TIMESCALE.tt_jd(skies.TIMESCALE.delta_t_table[0][-1]).utc_datetime()
    # The table's dates are TT; its rows are midnights of UTC to the rounding of a Julian date.
    last = (last + timedelta(seconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert orbit.doubts([MADE], last - DAY, last) == []
    (line,) = orbit.doubts([MADE], last - DAY, last + DAY)
    assert f"leaves the table of UT1, 1973-01-02 to {last:%Y-%m-%d}" in str(line)
    assert str(line).endswith("install a newer Skyfield, which has a longer table")


def test_names_and_numbers_that_come_more_than_once_are_told():
    for names, words in (
        ("A1 B2 C0 D0", []),
        ("A1 B2 A0 B3", ["2 satellites are called 'A' (1), and 1 more name comes more than once"]),
        ("A1 A2 A3 A4 A5 A6 A7", ["7 satellites are called 'A' (1, 2, 3, 4, 5, ...)"]),
        ("A0 A0", ["2 satellites are called 'A'"]),
        ("A7 A7", ["7 comes twice, and two element sets of one satellite count as two"]),
        ("A7 B7", ["7 comes twice, and two element sets of one satellite count as two"]),
        ("A5 B6 C7 D6 E7 F8 G8 H6", ["6 comes 3 times, and 2 more numbers come more than once, "
                                     "and 3 element sets of one satellite count as 3"]),
    ):  # fmt: skip
        satellites = [replace(ISS, name=word[0], norad_id=int(word[1:])) for word in names.split()]
        lines = orbit.doubts(iter(satellites), ISS.epoch, ISS.epoch + DAY)
        assert [re.split("[;:]", str(line))[0] for line in lines] == words
