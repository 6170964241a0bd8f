"""Progress: a bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from scenarios import Scenario
from tests.kit import small
from tests.kit.results import Progress

pty = pytest.importorskip("pty")

RUN = ["run", "circular", "--set", "learning.train=false", "--set", "stop.days=3", "--no-cache"]
TERMINAL = {"COLUMNS": "160", "LINES": "40", "TERM": "xterm-256color"}


def on_a_terminal(folder: Path, *more: str, **environment: str) -> str:
    """Run with stderr on a terminal; what was written there, without colours."""
    ours, theirs = pty.openpty()
    env, written = {**os.environ, **TERMINAL, **environment}, b""
    line = [sys.executable, "-m", "sim", *RUN, *more]
    with subprocess.Popen(
        line, cwd=folder, stdout=subprocess.DEVNULL, stderr=theirs, env=env
    ) as process:
        os.close(theirs)
        with suppress(OSError):  # on Linux, the end of a terminal nobody writes to any more
            while part := os.read(ours, 65536):
                written += part
    os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


@pytest.mark.process
def test_a_terminal_shows_time_cycle_rate_and_rest_and_then_what_is_next(tmp_path: Path) -> None:
    said = on_a_terminal(tmp_path)
    days = [float(day) for day in re.findall(r"day (\d+\.\d) of 3\.0, cycle \d+", said)]
    assert days == sorted(days)
    assert any(0.0 < day < 3.0 for day in days)
    assert re.search(r"cycle \d+, [\d.e+]+ h/s", said)
    assert re.search(r"\d+:\d\d:\d\d", said)
    assert said.strip().endswith("next: leomix report runs/circular-emsfl-enhanced-1")
    assert on_a_terminal(tmp_path, "--quiet") == on_a_terminal(tmp_path, TERM="dumb") == ""
    assert "next:" not in on_a_terminal(tmp_path, "--json")


def shown(monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> Progress:
    """Progress as on a terminal."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    return Progress(scenario, quiet=False)


def test_the_last_accuracy_stands_there_and_the_sooner_of_days_and_cycles_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(monkeypatch, small.slots(stop={"cycles": 4})) as bar:
        bar(0.0, 0, 0.25)
        bar(900.0, 1, 0.5)
        bar.at(1200.0)
        # Two slots and an idle one, four times, are two hours; one took 900 s, so four take 3600.
        said = bar._bar.tasks[0].description
        assert "hour 0.2 of 2.0, cycle 1 of 4, accuracy 0.500" in said
        assert bar._bar.tasks[0].completed == pytest.approx(900.0 / 3600.0)
    with shown(monkeypatch, small.orbit(stop={"days": 10, "cycles": 4})) as bar:
        bar(43_200.0, 0, 0.1)
        assert bar._bar.tasks[0].completed == pytest.approx(0.05)
        bar(86_400.0, 2, 0.2)  # two cycles a day: two days for four, not ten
        assert bar._bar.tasks[0].completed == pytest.approx(0.5)
    capsys.readouterr()
