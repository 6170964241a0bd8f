"""The shipped scenarios load, say what they claim, and are described for the list command."""

import math
import re
from itertools import combinations, pairwise
from pathlib import Path

import pytest

import scenarios
from tests.scenarios.test_parsing import through_json

NAMES = [
    "aligned-digits", "circular", "nmoe-cifar10", "nmoe-digits", "paper-exp1", "paper-exp1-gpu",
    "paper-exp1-small", "paper-exp2", "paper-exp2-cifar", "paper-exp2-gpu", "paper-exp2-small",
    "paper-slots", "paper-slots-idle", "quickstart", "walker",
]  # fmt: skip


def test_these_are_shipped_and_win_over_folders_of_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    assert scenarios.load("quickstart").orbit.source == "tle"
    with pytest.raises(scenarios.ScenarioError, match="is a folder"):
        scenarios.load("./quickstart")
    assert list(scenarios.shipped()) == NAMES
    with pytest.raises(scenarios.ScenarioError, match=r"not a .* mean 'circular'"):
        scenarios.shipped_path("circlar")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scenario_loads_and_is_described_in_a_sentence(name: str) -> None:
    scenario, path = scenarios.load(name), scenarios.shipped_path(name)
    assert scenario == scenarios.load(path) == through_json(scenario)
    assert scenario.source_path == path
    assert path.read_text().splitlines()[0] == f"# {scenarios.shipped()[name]}"
    assert re.fullmatch(r"[A-Z].{20,110}\.", scenarios.shipped()[name])
    assert all(one.name < other.name for one, other in pairwise(scenario.ground.clusters))


@pytest.mark.parametrize(("name", "altitude_km"), [("quickstart", 790), ("circular", 610)])
def test_no_two_cities_are_ever_in_view_at_once(name: str, altitude_km: float) -> None:
    """By the spherical law of cosines; the polar radius, 6357 km, is the safe side."""
    scenario = scenarios.load(name)
    mask = math.radians(scenario.orbit.min_elevation_deg)
    reach = math.acos(6357 * math.cos(mask) / (6378 + altitude_km)) - mask
    for one, other in combinations(scenario.ground.clusters, 2):
        north, south = math.radians(one.latitude_deg), math.radians(other.latitude_deg)
        east = math.radians(other.longitude_deg - one.longitude_deg)
        cosine = math.cos(north) * math.cos(south) * math.cos(east)
        apart = math.acos(math.sin(north) * math.sin(south) + cosine)
        assert apart > 2 * (reach + 50 / 6357)
