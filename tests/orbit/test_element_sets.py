"""Several element sets of one satellite."""

from datetime import timedelta

import orbit
from tests.kit.skies import START, refused


def made(days, number=1):
    epoch = START + timedelta(days=days)
    one = orbit.keplerian_satellite("S", epoch, semi_major_axis_km=6900.0, inclination_deg=97.5)
    return orbit.Satellite("S", number, epoch, one.model)


def test_the_latest_set_before_the_start_stands_for_its_satellite():
    """Before the first, the first; satellites are told by number, those without one all stay."""
    sets = [made(0), made(1.5), made(1)]
    nameless = [made(days, number=0) for days in (0, 1)]
    other = made(0, number=2)
    for days, which in ((None, 1), (2, 1), (1.5, 1), (1.4, 2), (1, 2), (0.5, 0), (-1, 0)):
        start = None if days is None else START + timedelta(days=days)
        found = orbit.one_each([*sets, other, *nameless], start)
        assert found == [sets[which], other, *nameless], days
    refused("has no time zone", orbit.one_each, sets, START.replace(tzinfo=None))
    corrected = [made(0), made(0)]
    assert orbit.one_each(corrected) == corrected[1:]
