"""Progress: a bar on a terminal, nothing elsewhere, and hardly any time for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import timeit
from pathlib import Path
from typing import NamedTuple

import pytest

from scenarios import Scenario
from tests.kit import small
from tests.kit.results import Progress

pty = pytest.importorskip("pty")

RUN = ["run", "circular", "--set", "learning.train=false", "--set", "stop.days=3", "--no-cache"]
WIDE = {"COLUMNS": "160", "LINES": "40", "TERM": "xterm-256color"}


class Seen(NamedTuple):
    status: int
    out: str
    err: str


def on_a_terminal(folder: Path, *line: str, **environment: str) -> Seen:
    """Run the command line with stderr on a terminal; what it wrote there, without colours."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "sim", *line],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, **WIDE, **environment},
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # on Linux, what a terminal nobody writes to any more gives
                break
            if not more:
                break
            written += more
        assert process.stdout is not None
        out = process.stdout.read().decode()
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    return Seen(process.returncode, out, plain)


@pytest.mark.process
def test_a_terminal_shows_time_cycle_rate_and_rest_and_then_what_is_next(tmp_path: Path) -> None:
    seen = on_a_terminal(tmp_path, *RUN)
    assert seen.status == 0
    days = [float(day) for day in re.findall(r"day (\d+\.\d) of 3\.0, cycle \d+", seen.err)]
    assert days == sorted(days)
    assert any(0.0 < day < 3.0 for day in days)
    assert days[-1] > 1.0
    assert re.search(r"cycle \d+, [\d.e+]+ h/s", seen.err)
    assert re.search(r"\d+:\d\d:\d\d", seen.err)
    last = seen.err.strip().splitlines()[-1]
    assert last.endswith("next: leomix report runs/circular-emsfl-enhanced-1")
    assert seen.err.count("next:") == 1
    assert "next:" not in seen.out


@pytest.mark.process
def test_json_quiet_and_dumb_terminals_are_left_alone(tmp_path: Path) -> None:
    short = [*RUN, "--set", "stop.days=1"]
    done = on_a_terminal(tmp_path, *short, "--json")
    assert done.out.startswith("{")
    assert "next:" not in done.err
    quiet = on_a_terminal(tmp_path, *short, "--quiet")
    dumb = on_a_terminal(tmp_path, *short, TERM="dumb")
    assert (quiet.status, quiet.err, dumb.status, dumb.err) == (0, "", 0, "")


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
        text = bar._bar.tasks[0]
        # Two slots and an idle one, four times, are two hours; one took 900 s, so four take 3600.
        assert "hour 0.2 of 2.0, cycle 1 of 4, accuracy 0.500" in text.description
        assert text.completed == pytest.approx(900.0 / 3600.0)
    with shown(monkeypatch, small.orbit(stop={"days": 10, "cycles": 4})) as bar:
        bar(43_200.0, 0, 0.1)
        assert bar._bar.tasks[0].completed == pytest.approx(0.05)
        bar(86_400.0, 2, 0.2)  # two cycles a day: two days for four, not ten
        assert bar._bar.tasks[0].completed == pytest.approx(0.5)
    capsys.readouterr()


def test_an_event_costs_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SimPy needs about 10 us for one; nothing shown is below 1 us, a bar not far above."""
    with Progress(small.slots(), quiet=True) as hidden:
        assert min(timeit.repeat(lambda: hidden.at(1.0), number=10_000, repeat=7)) < 0.01
    with shown(monkeypatch, small.slots()) as bar:
        bar.at(1.0)
        assert min(timeit.repeat(lambda: bar.at(1.0), number=10_000, repeat=7)) < 0.02
    capsys.readouterr()
