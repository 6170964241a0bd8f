"""What the summary and the warnings say of faults that the scenario asked for, and of real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sim
from sim.forking import fork
from tests.kit.results import summary_text
from tests.kit.small import orbit, slots

FAULTS: dict[str, Any] = {
    "outages": {"per_day": 4, "mean_hours": 0.5},
    "churn": {"mean_present_hours": 3, "mean_away_hours": 1},
    "stragglers": {"share": 0.5, "slowdown": 3},
    "packets": {"loss": 0.2, "bytes": 200},
    "uploads": {"corrupted": 0.3, "not_finite": 0.2, "late": 0.5},
}


@pytest.fixture(scope="module")
def struck() -> sim.Result:
    return sim.run(orbit(learning={"train": False}, faults=FAULTS, stop={"days": 4}))


def test_faults_are_counted_by_kind(struck: sim.Result) -> None:
    events, counts = struck.events, struck.summary["faults"]
    detail = events["detail"].fillna("")
    assert counts["satellite outages"] == detail.str.contains("injected: satellite").sum() > 0
    assert counts["absences of devices"] == detail.str.contains("away until").sum() > 0
    assert (
        counts["corrupted uploads"]
        == detail.str.endswith("refused: corrupted in transit").sum()
        > 0
    )
    line = next(x for x in summary_text(struck.summary).splitlines() if x.startswith("faults"))
    assert f"{counts['late uploads']} late uploads" in line


def test_faults_that_were_asked_for_are_no_warnings(struck: sim.Result) -> None:
    assert not [text for text in struck.summary["warnings"] if "injected" in text]
    assert not [text for text in struck.summary["warnings"] if "not finite" in text]


def test_a_run_without_faults_has_none() -> None:
    result = sim.run(slots(learning={"train": False}))
    assert result.summary["faults"] == {}
    assert "faults" not in summary_text(result.summary)


def test_a_fork_is_told_of(tmp_path: Path) -> None:
    sim.run(slots(learning={"train": False}), tmp_path / "parent")
    changed = {"compute.seconds_per_round": 50}
    result = fork(tmp_path / "parent", 900.0, changed, tmp_path / "fork")
    assert result.summary["fork"]["set"] == changed
    assert "from 0.25 h on: compute.seconds_per_round=50" in summary_text(result.summary)
