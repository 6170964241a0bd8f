"""What a run takes, told before it: memory, and a trial of some seconds."""

import math
import re
import signal
import time

import pytest
import yaml

import scenarios
import sim
from statements import Code
from tests.kit import small
from tests.kit.costs import Point, Stop, Watch, tried
from tests.kit.folders import cut


@pytest.mark.process
def test_a_dry_run_tries_each_method_and_warns_of_endless_gaps(leomix, tmp_path):
    """FedAvg trains a round per contact, FedBuff all day: 360 rounds of five, less the passes."""
    mine = small.merged(small.ORBIT, {"stop": {"days": 1}, "compute": {"seconds_per_round": 240}})
    file = tmp_path / "long.yaml"
    file.write_text(yaml.safe_dump(mine))
    said = leomix("sweep", file, "-p", "learning.method=fedavg,fedbuff", "--dry-run").out
    for number, name in enumerate(("fedavg", "fedbuff")):
        assert f"a point of {name}, tried on point {number}" in said
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


LATE = """
import time

import learning
from learning.requests import NextContact


class Late(learning.Method):
    def cluster(self, me):
        while (yield NextContact()):
            pass

    def model(self):
        return self.learner.start()

    def conclude(self):
        time.sleep(8)
        yield from ()
"""


@pytest.mark.slow(reason="a trial of a run that does not end waits for some seconds")
def test_a_trial_that_does_not_end_in_time_has_not_failed(tmp_path, monkeypatch):
    """What is left of the run behind its last event takes longer than the trial waits."""
    (tmp_path / "late.py").write_text(LATE)
    monkeypatch.chdir(tmp_path)
    keys = {"learning.method": "late:Late", "learning.train": False, "stop.cycles": 2}
    found = tried(Point(0, "", "paper-slots", keys, {}, 0, 1), 0.1)
    assert found.error == ""
    assert found.figures["tried_s"] > 5.0 and found.figures["wall_s"] == math.inf


def test_a_share_that_was_run_in_no_time_does_not_tell_what_all_of_it_takes():
    """The first events come at once; what the last one began takes all of the trial's time."""
    watch = Watch(Stop(days=100), 60.0, trains=False)
    watch.event(0, 0.0)
    watch.event(1, 90 * 86400.0)
    time.sleep(0.05)
    watch.ended(0.0)
    assert watch.share == 0.9 and not watch.is_telling
    watch.ended(1.0)
    assert watch.is_telling
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)  # it would end who does not wait
