"""The log file of a run, and that nothing hangs on it."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

import sim
from tests.kit.records import LOG
from tests.kit.small import slots

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) \S.*")


def lines(run: Path) -> list[str]:
    found = (run / "run.log").read_text(encoding="utf-8").splitlines()
    assert all(LINE.fullmatch(line) for line in found)
    return found


def stop_at(event: int):
    def each_event(number: int) -> None:
        if number == event:
            raise sim.Interrupted("asked for")

    return each_event


def test_a_run_says_what_it_did(tmp_path: Path) -> None:
    result = sim.run(slots(), tmp_path / "run")
    said = lines(tmp_path / "run")
    assert "method emsfl, seed 3" in said[0]
    assert "numpy" in said[1]
    measured = result.metrics[result.metrics.scope == "global"]
    logged = [line for line in said if "evaluated" in line]
    assert len(logged) == len(measured)
    assert logged[-1].endswith(f"accuracy {measured.accuracy.iloc[-1]:.4f}")
    assert result.manifest["trace_sha256"] in said[-1]
    assert not LOG.handlers[1:]


def test_a_resumed_run_goes_on_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(sim.Interrupted):
        sim.run(slots(), tmp_path, each_event=stop_at(15))
    first = lines(tmp_path)
    assert " WARNING interrupted: asked for at" in first[-1]
    assert any("checkpoint saved at event 15" in line for line in first)
    sim.run(slots(), tmp_path, resume=True)
    both = lines(tmp_path)
    assert both[: len(first)] == first
    assert any("up to event 15" in line for line in both[len(first) :])


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    def fail(number: int) -> None:
        if number == 10:
            raise sim.SimulationError("a reason\nin two lines")

    with pytest.raises(sim.SimulationError):
        sim.run(slots(), tmp_path, each_event=fail)
    assert lines(tmp_path)[-1].endswith("ERROR failed: a reason in two lines")


def test_wrong_input_leaves_no_folder(tmp_path: Path) -> None:
    data = {"kind": "npz", "path": str(tmp_path / "none.npz")}
    with pytest.raises(sim.InputError):
        sim.run(slots(learning={"data": data}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_was_killed_at_once_can_be_started_again(resume: bool, tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("all that there was\n")
    assert sim.run(slots(), tmp_path, resume=resume).manifest["status"] == "complete"
    assert (tmp_path / "run.log").read_text().startswith("all that there was\n")


def test_a_log_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "run.log").mkdir()
    assert sim.run(slots(), tmp_path).manifest["status"] == "complete"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_log_on_a_full_disk_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.log").symlink_to("/dev/full")
    assert sim.run(slots(), tmp_path).manifest["status"] == "complete"
    assert capsys.readouterr().err == ""


def test_without_a_folder_nothing_is_logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    sim.run(slots())
    assert capsys.readouterr().err == ""
    # Whoever listens to the logger hears it all the same.
    assert any("evaluated" in message for message in caplog.messages)
    assert logging.getLogger("leomix.run").level == logging.NOTSET


def test_the_share_of_idle_time_is_that_of_events_and_transfers(tmp_path: Path) -> None:
    """Rounds of 200 s that are complete, and what the uplink's rows say of time on air."""
    result = sim.run(slots(stop={"cycles": 2}, learning={"rounds": {"per_gap_max": 1}}))
    trained_s = 200.0 * result.events[result.events.kind == "train_end"].rounds.sum()
    up = result.transfers[result.transfers.direction == "uplink"]
    air_s = (up.end_s - up.start_s).sum()
    devices_s = 5 * result.manifest["simulated_s"]
    assert result.summary["idle_share"] == pytest.approx(1 - (trained_s + air_s) / devices_s, 1e-3)
    assert 0 < result.summary["idle_share"] < 1
