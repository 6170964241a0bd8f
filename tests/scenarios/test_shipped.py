"""The shipped scenarios load, say what they claim, and are described for the list command."""

import re
from itertools import pairwise

import pytest

import scenarios
from tests.scenarios.test_parsing import through_json

NAMES = [
    "aligned-digits", "circular", "doves", "fedisl", "fedsat", "flystack", "flystack-isl",
    "iridium-isl", "nmoe-cifar10", "nmoe-digits", "nmoe-orbit", "paper-exp1",
    "paper-exp1-gpu", "paper-exp1-real", "paper-exp1-real-orbit", "paper-exp1-small", "paper-exp2",
    "paper-exp2-cifar", "paper-exp2-gpu", "paper-exp2-real", "paper-exp2-small", "paper-slots",
    "paper-slots-idle", "plain-fedavg", "plain-text", "quickstart", "quickstart-8b",
    "three-stations", "walker",
]  # fmt: skip


def test_these_are_shipped_and_win_over_folders_of_their_names(tmp_path, monkeypatch):
    (tmp_path / "quickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    assert scenarios.load("quickstart").orbit.source == "tle"
    with pytest.raises(scenarios.ScenarioError, match="is a folder"):
        scenarios.load("./quickstart")
    assert list(scenarios.shipped()) == NAMES
    with pytest.raises(scenarios.ScenarioError, match=r"not a .* mean 'circular'"):
        scenarios.shipped_path("circlar")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scenario_loads_and_is_described_in_a_sentence(name):
    scenario = scenarios.load(name)
    path = scenarios.shipped_path(name)
    assert scenario == scenarios.load(path) == through_json(scenario)
    assert scenario.source_path == path
    assert path.read_text().splitlines()[0] == f"# {scenarios.shipped()[name]}"
    assert re.fullmatch(r"[A-Z].{20,110}\.", scenarios.shipped()[name])
    assert all(one.name < other.name for one, other in pairwise(scenario.ground.clusters))
