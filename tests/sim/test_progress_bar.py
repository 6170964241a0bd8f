"""Progress: a bar on a terminal, and a line now and then elsewhere."""

import json
import re
import sys
import time

import pytest

from tests.kit import small
from tests.kit.results import Progress
from tests.kit.sweeps import Holds, LocalEngine, Outcome, Point, SweepProgress

RUN = ["run", "circular", "--set", "learning.train=false", "--set", "stop.days=40", "--no-cache"]


def evaluated(time_s, cycle, accuracy):
    """Rows of an evaluation, of which a bar shows the pooled one."""
    return [{"time_s": time_s, "cycle": cycle, "accuracy": accuracy, "loss": 3.25}]


def on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_a_terminal_shows_time_cycle_rate_and_rest_and_then_what_is_next(
    leomix, tmp_path, monkeypatch
):
    on_a_terminal(monkeypatch)
    monkeypatch.chdir(tmp_path)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", leomix(*RUN).err)
    days = [float(day) for day in re.findall(r"day (\d+\.\d) of 40\.0, cycle \d+, .*? h/s", said)]
    assert days == sorted(days)
    assert any(0.0 < day < 40.0 for day in days)
    assert re.search(r"\d+:\d\d:\d\d", said)
    assert said.strip().endswith("next: leomix report runs/circular-emsfl-enhanced-1")
    short = [*RUN, "--set", "stop.days=1"]
    assert "next:" not in leomix(*short, "--json", "-o", "json").err
    assert leomix(*short, "--quiet", "-o", "quiet").err == ""
    monkeypatch.setenv("TERM", "dumb")
    assert leomix(*short, "-o", "dumb").err == ""


def test_the_last_accuracy_stands_there_and_the_sooner_of_days_and_cycles_counts(
    monkeypatch, capsys
):
    on_a_terminal(monkeypatch)
    with Progress(small.slots(stop={"cycles": 4}), quiet=False) as bar:
        bar.measured(evaluated(0.0, 0, 0.25))
        bar.measured(evaluated(900.0, 1, 0.5))
        bar.event(1, 1200.0)
        # Two slots and an idle one, four times, are two hours; one took 900 s, so four take 3600.
        said = bar._bar.tasks[0].description
        assert "hour 0.2 of 2.0, cycle 1 of 4, accuracy 0.500" in said
        assert bar._bar.tasks[0].completed == pytest.approx(900.0 / 3600.0)
    with Progress(small.orbit(stop={"days": 10, "cycles": 4}), quiet=False) as bar:
        bar.measured(evaluated(43_200.0, 0, 0.1))
        assert bar._bar.tasks[0].completed == pytest.approx(0.05)
        bar.measured(evaluated(86_400.0, 2, 0.2))  # two cycles a day: two days for four, not ten
        assert bar._bar.tasks[0].completed == pytest.approx(0.5)
    capsys.readouterr()


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(monkeypatch, capsys):
    """Also while nothing reports: a training may take minutes between two events."""
    for name, seconds in (("STILL_EVERY_S", 0.3), ("LOOK_EVERY_S", 0.05)):
        monkeypatch.setattr(f"sim.formatting.{name}", seconds)
    with Progress(small.slots(stop={"cycles": 4}), quiet=False) as shown:
        shown.measured(evaluated(900.0, 1, 0.5))
        time.sleep(1.0)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 4
    assert lines[0].startswith("hour 0.2 of 2.0, cycle 1 of 4, accuracy 0.500")
    assert re.search(r", for 0\.[3-9] s$", lines[0]), lines
    with Progress(small.slots(), quiet=True) as shown:
        shown.measured(evaluated(900.0, 1, 0.5))
        time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_the_time_left_of_a_sweep_does_not_stand_still_and_says_what_is_not_known():
    """Six points of 20 s each, of two methods: what one method took says little of the other."""
    methods = ["fedavg", "fedavg", "fedbuff", "fedbuff", "fedavg", "fedavg"]
    points = [
        Point(number, f"d{number}", "s", {}, {"learning.method": method}, 0, 1)
        for number, method in enumerate(methods)
    ]
    with SweepProgress(points, LocalEngine([Holds()]), quiet=True) as shown:
        shown._began -= 20.0
        shown(Outcome("d0", "complete"))
        assert shown._text() == "1 of 6 points done, 5 left, at least 100 s"
        shown(Outcome("d2", "complete"))
        assert shown._text() == "2 of 6 points done, 4 left, about 40 s"
        passed(shown, 10.0)
        assert shown._text() == "2 of 6 points done, 4 left, about 30 s"
        passed(shown, 590.0)
        assert shown._text() == (
            "2 of 6 points done, 4 left, at least 21 min, no point has ended for 10 min"
        )


def test_a_sweep_shows_what_its_methods_have_come_to_and_which_takes_long():
    methods = ["fedavg", "fedavg", "fedbuff", "fedbuff"]
    points = [
        Point(number, f"d{number}", "s", {}, {"learning.method": method}, 0, 1)
        for number, method in enumerate(methods)
    ]
    ends = [(0.9, 20.0), (0.8, 30.0), (0.7, 300.0)]
    with SweepProgress(points, LocalEngine([Holds()]), quiet=True) as shown:
        for number, (accuracy, wall_s) in enumerate(ends):
            figures = {"accuracy_final": accuracy, "wall_s": wall_s}
            shown(Outcome(f"d{number}", "complete", figures=figures))
        shown(Outcome("d3", "failed"))
        assert shown._text() == (
            "3 of 4 points done, 1 failed; accuracy fedavg 0.850, fedbuff 0.700; "
            "slowest fedbuff, 5 min a point"
        )


def test_points_that_run_at_once_end_together():
    """Six points of 20 s, four at a time: the second two begin when the first four have ended."""
    points = [Point(number, f"d{number}", "s", {}, {}, 0, 1) for number in range(6)]
    engine = LocalEngine([Holds()])
    engine.at_once = 4
    with SweepProgress(points, engine, quiet=True) as shown:
        passed(shown, 20.0)
        for number in range(4):
            shown(Outcome(f"d{number}", "complete"))
            assert shown._text() == f"{number + 1} of 6 points done, {5 - number} left, about 20 s"
        passed(shown, 15.0)
        assert shown._text() == "4 of 6 points done, 2 left, about 5.0 s"
        passed(shown, 45.0)
        assert "2 left, no point has ended for 60 s" in shown._text()


def test_the_time_left_counts_what_running_points_have_done(tmp_path):
    """Twelve points share one process: four have ended after 12 s, eight are half done."""
    points = [Point(number, f"d{number}", "s", {}, {}, 0, 1) for number in range(12)]
    engine = LocalEngine([Holds()])
    engine.at_once = 12
    for number in range(4, 12):
        place = tmp_path / f"d{number}" / ".live"
        place.mkdir(parents=True)
        beat = {"began_utc": BEGAN, "beat": 1, "time_s": 43_200, "span_s": 86_400}
        (place / "beat.json").write_text(json.dumps(beat))
    with SweepProgress(points, engine, quiet=True, place=tmp_path) as shown:
        passed(shown, 12.0)
        for number in range(4):
            shown(Outcome(f"d{number}", "complete"))
        assert shown._text() == "4 of 12 points done, 8 left, about 6.0 s"


BEGAN = "2026-08-22T12:00:00+00:00"


def test_a_sweep_on_a_terminal_has_a_line_for_each_point_that_runs(tmp_path, monkeypatch, capsys):
    """From the points' folders: of many those that are furthest behind, in the sweep's order."""
    on_a_terminal(monkeypatch)
    points = [
        Point(number, f"d{number}", "s", {}, {"learning.method": "fedavg"}, number, number + 1)
        for number in range(9)
    ]

    def runs(number, **so_far):
        place = tmp_path / f"d{number}" / ".live"
        place.mkdir(parents=True)
        (place / "beat.json").write_text(json.dumps({"began_utc": BEGAN, "beat": 1, **so_far}))

    for number in range(8):
        days = 0.5 * (8 - number)
        runs(number, time_s=days * 86400, span_s=8 * 86400, cycle=2, cycles=None, accuracy=0.5)
    runs(8)
    with SweepProgress(points, LocalEngine([Holds()]), quiet=False, place=tmp_path) as shown:
        shown.look_after()
        lines = [(task.description, task.completed) for task in shown._bar.tasks[1:]]
        assert len(lines) == 6
        assert lines[0] == (
            "learning.method=fedavg, seed 4, day 2.5 of 8.0, cycle 2, accuracy 0.500",
            pytest.approx(2.5 / 8.0),
        )
        assert lines[-1] == ("learning.method=fedavg, seed 9, starting", 0.0)
        for number in range(7):
            shown(Outcome(f"d{number}", "complete"))
        shown.look_after()
        assert [task.description[24:30] for task in shown._bar.tasks[1:]] == ["seed 8", "seed 9"]
    capsys.readouterr()


def passed(shown, seconds):
    """Let this much time have passed since everything that is known."""
    shown._began -= seconds
    shown._ends = [end - seconds for end in shown._ends]
