"""A run folder that was damaged between a stop and its resume."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sim
from tests.kit.network import Interrupted
from tests.kit.small import slots


def stopped(place: Path) -> Path:
    """Folder of a trained run that was stopped in its middle."""

    def stop(number: int) -> None:
        if number == 20:
            raise Interrupted("stopped on request")

    with pytest.raises(Interrupted):
        sim.run(slots(), place, each_event=stop)
    return place


@pytest.fixture(scope="module")
def undisturbed() -> str:
    digest: str = sim.run(slots()).manifest["trace_sha256"]
    return digest


def test_a_torn_manifest_does_not_stand_in_the_way(tmp_path: Path, undisturbed: str) -> None:
    manifest = stopped(tmp_path / "run") / "manifest.json"
    manifest.write_text(manifest.read_text()[:100])
    result = sim.run(slots(), tmp_path / "run", resume=True)
    assert result.manifest["trace_sha256"] == undisturbed


def test_a_torn_manifest_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "run"
    sim.run(slots(), place)
    (place / "manifest.json").write_text("{")
    with pytest.raises(sim.InputError, match="not JSON"):
        sim.run(slots(), place, resume=True)


def test_a_journal_with_another_digit_is_refused_by_name(tmp_path: Path) -> None:
    journal = stopped(tmp_path / "run") / "checkpoint" / "journal.json"
    text = journal.read_text()
    changed = re.sub(r"0\.(\d)", lambda digit: f"0.{(int(digit[1]) + 1) % 10}", text, count=1)
    assert changed != text
    journal.write_text(changed)
    with pytest.raises(sim.InputError, match=r"journal\.json: is broken \(has changed since"):
        sim.run(slots(), tmp_path / "run", resume=True)
