"""What a run takes, told before it: rounds of training are counted, and their time is measured."""

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
from tests.kit.costs import (
    Cost,
    Pace,
    Point,
    Stop,
    Watch,
    build,
    cost_of,
    pace_of,
    rehearsed,
    tried,
)
from tests.kit.folders import cut

PLAIN = {"learning.model": {"kind": "vector-mlp"}, "learning.rounds.per_gap_max": 3}
METHODS = {
    "fedavg": PLAIN,
    "scaffold": PLAIN,
    "fedbuff": PLAIN,
    "fedasync": PLAIN,
    "local": PLAIN,
    "centralised": PLAIN,
    "synchronous": {},
    "emsfl": {},
    "emsfl-enhanced": {},
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.quick(3)
def test_a_rehearsal_counts_the_rounds_and_evaluations_of_the_run(method):
    keys = {"stop.days": 1, "learning.method": method, **METHODS[method]}
    scenario = scenarios.load("circular", keys)
    found = rehearsed(build(scenario), limit_s=60.0)
    result = sim.run(scenario)
    own = result.manifest["spent"]["server_rounds"][-1]
    counted = (found.device_rounds, found.server_rounds, found.evaluations)
    evaluated = result.metrics.query("scope == 'global'").shape[0]
    assert counted == (result.summary["device_rounds"], own, evaluated)
    assert found.share == 1.0
    assert found.device_rounds + found.server_rounds > 0


def test_a_rehearsal_that_is_broken_off_is_told_for_the_whole_run():
    built = build(scenarios.load("circular", {"learning.train": False, "stop.days": 40}))
    whole = rehearsed(built, limit_s=600.0)
    part = rehearsed(built, limit_s=0.1)
    assert 0.0 < part.share < 1.0
    assert part.device_rounds < whole.device_rounds and whole == whole.whole
    assert part.whole.device_rounds == pytest.approx(whole.device_rounds, rel=0.3)


@pytest.mark.parametrize("most", [None, 40])
def test_of_too_little_of_a_run_nothing_is_estimated(most):
    """No rounds, evaluations or seconds; a run of few rounds is told by those it has done."""
    keys = {"stop.days": 40, "learning.model": {"kind": "vector-mlp"}, "stop.rounds": most}
    built = build(scenarios.load("circular", keys | {"learning.method": "fedavg"}))
    nothing = rehearsed(built, limit_s=0.0)
    cost = Cost(nothing, 1e6, trains=True, pace=Pace(0.17, 1.58), most_rounds=most)
    assert (nothing.share < 0.02, nothing.whole) == (True, None)
    assert (cost.rounds, cost.training_s, cost.wall_s) == (None, None, None)
    for text in (cost.text, cost.counts_text, cost.rounds_text):
        reached = (
            r"not estimated\. Rehearsing \S+ s reached (< )?0\.\d\d% of the run; stop\.rounds "
        )
        assert re.search(reached, text), text
        assert not re.search("about [^1]|device round|evaluations|in all", text), text
    assert ("stop.rounds is 40" in cost.text) == (most == 40)


def test_a_run_that_ends_by_rounds_is_told_by_those_that_were_rehearsed():
    keys = {"stop.days": 100, "stop.rounds": 60, "learning.method": "fedavg", **PLAIN}
    built = build(scenarios.load("circular", keys))
    whole = rehearsed(built, limit_s=60.0)
    limits_s = (0.02 * 1.5**n for n in range(20))
    part = next(one for limit_s in limits_s if (one := rehearsed(built, limit_s)).whole)
    assert part.share < 1.0
    assert part.whole.device_rounds == pytest.approx(whole.device_rounds, rel=0.5)


@pytest.mark.slow(reason="trains a CNN for some seconds, with three methods")
@pytest.mark.parametrize("method", ["fedavg", "fedprox", "fedbuff"])
def test_the_time_of_training_is_right_within_its_factor(method):
    """Of computing, which other programs do not lengthen; a run also does other things."""
    keys = {"learning.method": method, "learning.rounds.per_gap_max": 1, "stop.days": 1}
    scenario = scenarios.load("plain-fedavg", keys)
    built = build(scenario)
    estimate_s = cost_of(built, pace=pace_of(built)).training_s
    began_s = time.process_time()
    sim.run(scenario)
    took_s = time.process_time() - began_s
    assert took_s / 3 < estimate_s < took_s * 3


def test_validate_tells_rounds_time_and_memory(leomix):
    keys = ["--set", "learning.model={kind: vector-mlp}", "--set", "learning.method=fedavg"]
    said = leomix("validate", "circular", *keys, "--set", "stop.days=1").out.splitlines()[-1]
    told = r"in all \d+ device rounds, about \S+ s of training here \(\S+ [mu]s a round, "
    told += r"\d+ evaluations of \S+ \w+; within a factor of 3\); about \S+ MB of memory"
    assert re.fullmatch(told, said), said
    timing = leomix("validate", "circular", *keys, "--set", "learning.train=false").out
    assert "device rounds, none of which is trained here; about" in timing


@pytest.mark.process
def test_a_dry_run_tries_each_method_and_compares_what_they_take(leomix, tmp_path):
    """FedAvg trains a round per contact, FedBuff all day: 720 rounds of five, less the passes."""
    mine = small.merged(small.ORBIT, {"stop": {"days": 1}, "compute": {"seconds_per_round": 120}})
    file = tmp_path / "long.yaml"
    file.write_text(yaml.safe_dump(mine))
    said = leomix("sweep", file, "-p", "learning.method=fedavg,fedbuff", "--dry-run").out
    costs = dict(
        re.findall(r"^cost +(\w+): ([\d,]+) device rounds; about .* of memory", said, re.M)
    )
    rounds = {method: int(number.replace(",", "")) for method, number in costs.items()}
    assert all(f"a point of {name}, tried on point {n}" in said for n, name in enumerate(rounds))
    endless, unlike = (line for line in said.splitlines() if line.startswith("warning"))
    told = r"learning.rounds.per_gap_max: up to ([\d,]+) device rounds of training, as method 'fed"
    most = re.search(told, endless)
    assert 0.8 * 5 * 720 < int(most[1].replace(",", "")) < 5 * 720
    assert "point 1: " in endless and endless.endswith(": give it, like 3")
    times = int(re.search(r"fedbuff trains ([\d,]+) times as many rounds as fedavg", unlike)[1])
    assert times == round(rounds["fedbuff"] / rounds["fedavg"]) >= 100
    assert "learning.rounds.per_gap_max" in unlike


def test_a_run_says_before_it_begins_that_it_trains_through_gaps(tmp_path):
    told = []

    class Told(sim.Observer):
        def doubted(self, doubts):
            told.extend(doubts)

    keys = {"stop.days": 1, "learning.method": "local", "learning.model": {"kind": "vector-mlp"}}
    keys["learning.rounds.per_gap_max"] = None
    cut(scenarios.load("circular", keys), tmp_path / "run", 1, [Told()])
    assert Code.MANY_ROUNDS in [doubt.code for doubt in told]


@pytest.mark.process
def test_a_sweep_says_before_its_first_point_what_a_run_says(leomix, tmp_path):
    """Once for each method, whatever its seeds, and of no point that is complete."""
    keys = {"stop": {"days": 1, "cycles": 1}, "compute": {"seconds_per_round": 120}}
    file = tmp_path / "long.yaml"
    file.write_text(yaml.safe_dump(small.merged(small.ORBIT, keys)))
    swept = ["sweep", file, "-p", "learning.method=fedavg,fedbuff", "--replications", 2]
    folder = ["-o", tmp_path / "out"]
    said = leomix(*swept, *folder).err.splitlines()
    told = [line.partition(" (at learning.method=fed")[0] for line in said[:2]]
    alone = ["run", file, "--set", "learning.method=fedbuff", "-o", tmp_path / "run"]
    assert {*told} <= {*leomix(*alone).err.splitlines()}
    [endless] = [line for line in said if "learning.rounds.per_gap_max" in line]
    assert endless in said[:2] and endless.endswith(
        ": give it, like 3 (at learning.method=fedbuff)"
    )
    assert len([line for line in said if line.startswith("warning")]) == 2
    assert "warning" not in leomix(*swept, *folder, "--resume").err
    assert leomix(*swept, "-o", tmp_path / "quiet", "--quiet").err.splitlines() == said[:2]


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
