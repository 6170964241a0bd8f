"""A source of contacts is its class, its maker and its row in the docs: no name is asked for."""

from datetime import datetime
from typing import Literal

import numpy as np
import pytest

import orbit
from sim import InputError
from tests.kit.every_source import ORBITS, read
from tests.kit.inner.sim import make_plan
from tests.kit.sources import (
    SOURCES,
    Made,
    ReadWindows,
    WithGeometry,
    WithWindows,
    lacks,
    satellites_of,
    windows_of,
)


@pytest.mark.parametrize("name", SOURCES)
def test_a_registered_source_has_all_that_one_needs(name):
    assert not lacks(name, SOURCES[name], ORBITS)


def test_a_source_that_nothing_makes_the_satellites_of_is_refused():
    class Half(WithGeometry):
        source: Literal["half"] = "half"

    scenario = read("circular", {}).model_copy(update={"orbit": Half()})
    with pytest.raises(NotImplementedError, match="register a function of Half"):
        make_plan(scenario)


def test_a_new_source_of_orbits_is_planned_as_any():
    class Twins(WithGeometry):
        source: Literal["twins"] = "twins"
        serving: Literal["any"] = "any"

    @satellites_of.register
    def _twins(source: Twins, start: datetime, path: None) -> Made:
        return Made([
            orbit.circular_satellite(name, 600, 97.8, raan_deg, 0.0, start)
            for name, raan_deg in (("Castor", 0.0), ("Pollux", 90.0))
        ])  # fmt: skip

    plan = make_plan(read("circular", {}).model_copy(update={"orbit": Twins()}))
    assert set(plan.contacts.servers) == {"Castor", "Pollux"}
    assert plan.contacts.served.sum() > 4


def test_a_new_source_of_windows_is_planned_and_advised_as_any():
    class Hourly(WithWindows):
        source: Literal["hourly"] = "hourly"
        site: str = "A"

    @windows_of.register
    def _hourly(source: Hourly, start: datetime, path: None, places: list[str]) -> ReadWindows:
        lines = (f"{source.site},2026-08-22T{hour:02}:00:00Z,600" for hour in range(6))
        table = "\n".join(["site,rise_utc,duration_s", *lines])
        return ReadWindows(orbit.parse_windows(table, start=start))

    scenario = read("contacts", {})
    plan = make_plan(scenario.model_copy(update={"orbit": Hourly(windows="x")}))
    np.testing.assert_allclose(plan.contacts.rise_s, 3600.0 * np.arange(6))
    two = read("contacts", {"ground.clusters": [{"name": "A"}, {"name": "B"}]})
    with pytest.raises(InputError, match=r"'B': no window has this site .*; call a site of the"):
        make_plan(two.model_copy(update={"orbit": Hourly(windows="x")}))
