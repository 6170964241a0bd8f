"""Several element sets of one satellite."""

from datetime import timedelta

import orbit
from tests.kit.skies import START, refused


def made(days, number=1):
    epoch = START + timedelta(days=days)
    one = orbit.keplerian_satellite("S", epoch, semi_major_axis_km=6900.0, inclination_deg=97.5)
    return orbit.Satellite("S", number, epoch, one.model)


def test_sets_are_told_by_number_or_name_and_the_latest_stands_for_its_satellite():
    sets = [made(0), made(1.5), made(1)]
    nameless = [made(days, number=0) for days in (0, 1)]
    other = made(0, number=2)
    found = orbit.one_each([*sets, other, *nameless])
    assert found == [sets[1], other, nameless[1]] and found[0].model is sets[1].model
    refused("sets 'nearest' is unknown; write 'latest'", orbit.one_each, sets, "nearest")
