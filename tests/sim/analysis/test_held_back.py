"""What held a run back: `show`, its JSON and the page say the same, and the remedy shortens it."""

import json
from pathlib import Path

import pytest

import scenarios
import sim
from sim.page import report
from tests.kit import small

TWO_SATELLITES = {"source": "walker", "satellites": 2, "planes": 1, "phasing": 0}
TWO_SATELLITES |= {"altitude_km": 600, "inclination_deg": 0}
QUITO = {"clusters": [{"name": "Quito", "latitude_deg": 0, "longitude_deg": -78, "devices": 2}]}
LEARNING = {"method": "fedavg", "train": False, "model": {"kind": "vector-mlp"}}
CASES = {
    "waiting for passes": (
        {"orbit": TWO_SATELLITES, "ground": QUITO},
        "93.4 % of the critical path went into waiting for passes "
        "(28.0 a day for each client). Try orbit.satellites=4.",
        {"orbit.satellites": 4},
    ),
    "upload size": (
        {"link": small.fixed(uplink=1e-4)},
        "98.2 % of the critical path went into waiting for passes, "
        "as an upload of 19.24 kB takes 5.4 of them. Try link.uplink.fixed_rate_mbps=0.001.",
        {"link.uplink.fixed_rate_mbps": 1e-3},
    ),
}
"""What a scenario changes, what `show` prints of its run, and the key to change."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.quick(1)
def test_show_says_what_held_a_run_back_and_the_key_that_shortens_it(
    leomix, tmp_path, monkeypatch, name
):
    changes, line, keys = CASES[name]
    mapping = {**small.ORBIT, "learning": LEARNING, **changes}
    monkeypatch.chdir(tmp_path)
    run = sim.run(scenarios.from_dict(mapping), Path("run"))
    shown = leomix("show", "run").out
    whole = leomix("show", "run", "--all").out
    [(key, value)] = keys.items()
    for text in (" ".join(whole.split()), report([run.folder]).read_text()):
        assert text.count(f"Try {key}={value:g}.") == 1
        assert (line in text) == (name == "waiting for passes")  # else a check names the key
    assert max(map(len, shown.splitlines())) <= 79
    said = json.loads(leomix("show", run.folder, "--json").out)["held_back"]
    assert said["code"] == "held-back" and line.startswith(said["sentence"])
    assert {said["key"]: said["value"]} == keys
    mended = sim.run(scenarios.from_stored(run.manifest["scenario"], keys))
    assert mended.summary["rounds"]["mean_s"] < 0.7 * run.summary["rounds"]["mean_s"]


def test_of_a_run_that_sends_nothing_no_part_is_named():
    mapping = {**small.ORBIT, "learning": {**LEARNING, "method": "local"}}
    assert sim.run(scenarios.from_dict(mapping)).held_back is None
