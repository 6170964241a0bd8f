"""What is doubted of a run, told before it."""

import re

import yaml

import scenarios
import sim
from statements import Code
from tests.kit import small
from tests.kit.folders import cut


def test_a_dry_run_warns_of_endless_gaps(leomix, tmp_path):
    """FedAvg trains a round per contact, FedBuff all day: 360 rounds of five, less the passes."""
    mine = small.merged(small.ORBIT, {"stop": {"days": 1}, "compute": {"seconds_per_round": 240}})
    file = tmp_path / "long.yaml"
    file.write_text(yaml.safe_dump(mine))
    said = leomix("sweep", file, "-p", "learning.method=fedavg,fedbuff", "--dry-run").out
    (endless,) = (line for line in said.splitlines() if "per_gap_max" in line)
    told = r"learning.rounds.per_gap_max: up to ([\d,]+) device rounds of training, as method 'fed"
    most = re.search(told, endless)
    assert 0.8 * 5 * 360 < int(most[1].replace(",", "")) < 5 * 360
    assert endless.endswith(": give it, like 3 (at learning.method=fedbuff)")


def test_a_run_says_before_it_begins_that_it_trains_through_gaps(tmp_path):
    told = []

    class Told(sim.Observer):
        def doubted(self, doubts):
            told.extend(doubts)

    keys = {"stop.days": 1, "learning.method": "local", "learning.model": {"kind": "vector-mlp"}}
    keys["learning.rounds.per_gap_max"] = None
    cut(scenarios.load("circular", keys), tmp_path / "run", 1, [Told()])
    assert Code.MANY_ROUNDS in [doubt.code for doubt in told]
