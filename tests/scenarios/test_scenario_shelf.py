"""The shipped scenarios load, say what they claim, and are described for the list command."""

import math
import re
from itertools import combinations, pairwise
from typing import Any

import pytest

import scenarios

NAMES = [
    "aligned-digits",
    "circular",
    "nmoe-cifar10",
    "nmoe-digits",
    "paper-exp1",
    "paper-exp1-gpu",
    "paper-exp1-small",
    "paper-exp2",
    "paper-exp2-cifar",
    "paper-exp2-gpu",
    "paper-exp2-small",
    "paper-slots",
    "paper-slots-idle",
    "quickstart",
    "walker",
]


def test_these_scenarios_are_shipped() -> None:
    assert list(scenarios.shipped()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scenario_loads_by_name_and_by_path(name: str) -> None:
    assert scenarios.load(name) == scenarios.load(scenarios.shipped_path(name))
    assert scenarios.load(name).source_path == scenarios.shipped_path(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_description_is_the_first_comment_line_and_a_sentence(name: str) -> None:
    first = scenarios.shipped_path(name).read_text().splitlines()[0]
    assert first == f"# {scenarios.shipped()[name]}"
    assert re.fullmatch(r"[A-Z].{20,110}\.", scenarios.shipped()[name])


def test_an_unknown_name_has_no_path() -> None:
    with pytest.raises(
        scenarios.ScenarioError, match="not a shipped scenario; did you mean 'circular'"
    ):
        scenarios.shipped_path("circlar")


def test_a_shipped_name_wins_over_a_folder_of_that_name(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("work")
    (folder / "quickstart").mkdir()
    monkeypatch.chdir(folder)
    assert scenarios.load("quickstart").orbit.source == "tle"
    with pytest.raises(scenarios.ScenarioError, match="is a folder"):
        scenarios.load("./quickstart")


def separation_deg(first: Any, second: Any) -> float:
    lat1, lat2 = math.radians(first.latitude_deg), math.radians(second.latitude_deg)
    dlon = math.radians(second.longitude_deg - first.longitude_deg)
    cosine = math.sin(lat1) * math.sin(lat2) + math.cos(lat1) * math.cos(lat2) * math.cos(dlon)
    return math.degrees(math.acos(cosine))


@pytest.mark.parametrize(("name", "altitude_km"), [("quickstart", 790), ("circular", 610)])
def test_no_two_cities_are_ever_in_view_at_once(name: str, altitude_km: float) -> None:
    scenario = scenarios.load(name)
    mask = math.radians(scenario.orbit.min_elevation_deg)
    # Earth central angle to the edge of the view (law of sines); the polar radius is the safe side.
    reach_deg = math.degrees(math.acos(6357 * math.cos(mask) / (6378 + altitude_km)) - mask)
    disc_deg = math.degrees(50 / 6357)
    clusters = scenario.ground.clusters
    nearest_deg = min(separation_deg(a, b) for a, b in combinations(clusters, 2))
    assert nearest_deg > 2 * (reach_deg + disc_deg)


def test_the_quickstarts_elements_are_intact() -> None:
    content = scenarios.element_file(scenarios.load("quickstart")).read_bytes()
    name, first, second = content.decode("ascii").removesuffix("\n").split("\n")
    assert name == "IRIDIUM 106"
    for line in (first, second):
        digits = sum(int(c) if c.isdigit() else c == "-" for c in line[:68])
        assert len(line) == 69
        assert digits % 10 == int(line[68])
    assert first[2:7] == second[2:7] == "41917"
    day_of_year = float(first[20:32])
    assert (first[18:20], int(day_of_year)) == ("26", 31 + 28 + 31 + 30 + 31 + 30 + 31 + 22)
    assert divmod(round((day_of_year % 1) * 24 * 60), 60) == (14, 2)


def test_the_constellation_serves_with_every_satellite() -> None:
    orbit = scenarios.load("walker").orbit
    assert (orbit.pattern, orbit.satellites, orbit.planes, orbit.phasing) == ("delta", 12, 3, 1)
    assert (orbit.serving, orbit.satellite) == ("any", None)


def test_one_satellite_of_the_constellation_can_be_chosen() -> None:
    one = scenarios.load("walker", {"orbit.serving": "single", "orbit.satellite": "any name"})
    assert one.orbit.satellite == "any name"


def test_the_idle_cycle_differs_from_the_paper_cycle_in_its_idle_slots_only() -> None:
    plain, idle = scenarios.load("paper-slots"), scenarios.load("paper-slots-idle")
    assert idle.orbit.slots.idle == 12
    same = {"orbit.slots.idle": 0, "description": plain.description}
    assert scenarios.load("paper-slots-idle", same) == plain


def test_the_paper_cycle_is_the_papers() -> None:
    scenario = scenarios.load("paper-slots")
    assert (scenario.orbit.slots.count, scenario.orbit.slots.seconds) == (4, 600)
    assert [cluster.devices for cluster in scenario.ground.clusters] == [5, 5, 5, 5]
    assert (scenario.stop.cycles, scenario.compute.seconds_per_round) == (40, 300)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_in_canonical_order(name: str) -> None:
    clusters = scenarios.load(name).ground.clusters
    assert all(first.name < second.name for first, second in pairwise(clusters))
