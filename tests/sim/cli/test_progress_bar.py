"""Progress: a bar on a terminal, and a line now and then elsewhere."""

import re
import sys
import time

import pytest

import scenarios
import sim
from tests.kit import small
from tests.kit.inner.sim import Point, Progress, SweepProgress
from tests.kit.inner.sim import PointOutcome as Outcome

RUN = ["run", "circular", "--set", "learning.train=false", "--set", "stop.days=20", "--no-cache"]


def on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_a_terminal_shows_time_cycle_rounds_and_rest(leomix, tmp_path, monkeypatch):
    on_a_terminal(monkeypatch)
    monkeypatch.chdir(tmp_path)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", leomix(*RUN).err)
    told = (
        r"(\d+\.\d\d) of 20 days, cycle \d+, \d+ rounds?, about \S+ \w+ left\s+at \S+ m?s a round"
    )
    days = [float(day) for day in re.findall(told, said)]
    assert days == sorted(days)
    assert any(0.0 < day < 20.0 for day in days)
    assert "h/s" not in said and "first test" not in said
    short = [*RUN, "--set", "stop.days=1"]
    assert leomix(*short, "--quiet", "-o", "quiet").err == ""
    monkeypatch.setenv("TERM", "dumb")
    assert leomix(*short, "-o", "dumb").err == ""


def so_far(time_s, cycle=0, rounds=0, **most):
    """How far a run has come that is tested every hour."""
    most = {"span_s": 6 * 3600.0, "cycles": None, "most_rounds": None} | most
    next_s = 3600.0 * (time_s // 3600.0 + 1.0)
    return {"time_s": time_s, "cycle": cycle, "rounds": rounds, "next_test_s": next_s, **most}


@pytest.mark.wide
def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(monkeypatch, capsys):
    """Also while nothing reports: a training may take minutes between two events."""
    for name, seconds in (("STILL_EVERY_S", 0.3), ("LOOK_EVERY_S", 0.01)):
        monkeypatch.setattr(f"sim.formatting.{name}", seconds)
    with Progress(small.slots(stop={"cycles": 4}), quiet=False) as shown:
        time.sleep(0.5)
        for percent in (6, 6.5, 9, 11, 19, 21):
            shown.follows(lambda percent=percent: so_far(216.0 * percent, rounds=20))
            shown.event(1, 216.0 * percent)
            time.sleep(0.2)
    first, *lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"getting ready, for 0\.[3-9] s", first)
    told = r"(\S+) of 6 h, 20 rounds, about \d.* left at .* a round; first test at .* h"
    assert [re.fullmatch(told, line)[1] for line in lines] == ["0.36", "0.66", "1.26"]
    with Progress(small.slots(), quiet=True) as shown:
        shown.follows(lambda: so_far(1296.0))
        shown.event(1, 900.0)
        time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_what_a_run_says_of_itself_is_when_it_is_tested_and_how_many_rounds_it_has_done():
    """In a run that is tested every hour and at its cycles, against its own tables."""
    told = []

    class Asks(sim.Observer):
        def follows(self, so_far):
            self.so_far = so_far

        def event(self, number, time_s):
            told.append(dict(self.so_far()))

    keys = {"learning.method": "fedavg", "learning.model": {"kind": "vector-mlp"}}
    keys |= {"learning.evaluate_every_hours": 1, "stop.days": 1}
    result = sim.run(scenarios.load("circular", keys), observers=[Asks()])
    tested_s = result.metrics.time_s.unique()
    ends_s = result.events[result.events.kind == "aggregate"].time_s.to_numpy()
    assert len(told) > 20 and len(ends_s) > 1
    for beat in told[1:-1]:
        assert (ends_s < beat["time_s"]).sum() <= beat["rounds"] <= (ends_s <= beat["time_s"]).sum()
        later_s = tested_s[tested_s >= beat["time_s"]]
        assert beat["next_test_s"] in later_s[:2]


def test_the_time_left_counts_what_running_points_have_done(capsys):
    """Twelve points run at once: four have ended after 12 s, eight are half done."""
    points = [Point(number, f"d{number}", "s", {}, {}, 0, 1) for number in range(12)]
    with SweepProgress(points, quiet=False) as shown:
        shown.running = 8 * 0.5
        shown._began -= 120.0
        for number in range(4):
            shown(Outcome(f"d{number}", "complete"))
        shown.look_after()
    assert capsys.readouterr().err == "4 of 12 points done, 8 left, about 60 s\n"


def test_points_that_failed_are_counted_and_are_no_longer_left(capsys):
    """Four of six have ended after a minute, two of them by a failure: as long again for half."""
    points = [Point(number, f"d{number}", "s", {}, {}, 0, 1) for number in range(6)]
    with SweepProgress(points, quiet=False) as shown:
        shown._began -= 60.0
        for number, status in enumerate(("complete", "failed", "refused", "complete")):
            shown(Outcome(f"d{number}", status))
        shown.look_after()
    assert capsys.readouterr().err == "2 of 6 points done, 2 failed, 2 left, about 30 s\n"
