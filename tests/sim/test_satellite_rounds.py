"""Rounds of satellites end where FLySTacK's rules end them, by the passes of a run alone."""

from __future__ import annotations

from collections import Counter

import pytest

import scenarios
import sim

TRAINING_S = 3000.0
"""Ten local rounds of 300 s."""
ROWS = list[tuple[float, str]]
"""Rise and satellite of each pass, by rise."""


def reference(rows: ROWS, wanted: int, selection: str, intra: bool, partial: bool) -> list[float]:
    """When rounds end: by the rules of FLySTacK's loops over passes."""
    ends, row = [], 0
    while True:
        first_s: dict[str, float] = {}
        seen: Counter[str] = Counter()
        planes: Counter[str] = Counter()
        done: set[str] = set()
        while len(done) < wanted:
            if row == len(rows):
                return ends
            now_s, name = rows[row]
            plane, row = name.split("-")[0], row + 1
            if name not in first_s and (selection == "scheduled" or len(first_s) < wanted):
                first_s[name] = now_s
            seen[name] += 1
            planes[plane] += 1
            trained = {n for n, at_s in first_s.items() if now_s - at_s > TRAINING_S}
            if name in first_s and seen[name] >= 2 and (partial or name in trained):
                done.add(name)
            if intra and planes[plane] > 2:
                done |= {n for n in trained if n.split("-")[0] == plane and seen[n] == 1}
        ends.append(rows[row - 1][0])


CASES = {
    "first": {},
    "scheduled": {"learning.options.selection": "scheduled"},
    "intra-plane": {
        "learning.options.selection": "scheduled",
        "learning.options.intra_plane": True,
    },
    "fedprox-sat": {"learning.method": "fedprox-sat"},
}


@pytest.mark.parametrize("stations", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_rounds_end_with_the_passes_that_the_rules_name(case: str, stations: int) -> None:
    changes = {"ground.stations_used": stations, "stop.days": 4 if stations == 1 else 2}
    run = sim.run(scenarios.load("flystack", changes | CASES[case]))
    rows = sorted(zip(run.contacts.rise_s, run.contacts.satellite, strict=True))
    selection = "first" if case in ("first", "fedprox-sat") else "scheduled"
    said = reference(rows, 10, selection, case == "intra-plane", case == "fedprox-sat")
    ends_s = run.events[run.events.kind == "aggregate"].time_s.tolist()
    assert len(said) == len(ends_s) > 3
    # A model is on its way for a millisecond.
    assert ends_s == pytest.approx(said, abs=0.01)


def test_a_run_stops_at_the_last_round_that_is_wanted() -> None:
    changes = {"ground.stations_used": 1, "stop.days": 4}
    whole, cut = (
        sim.run(scenarios.load("flystack", changes | {"stop.rounds": rounds}))
        for rounds in (None, 2)
    )
    ends_s = [run.events[run.events.kind == "aggregate"].time_s.tolist() for run in (whole, cut)]
    assert ends_s[1] == ends_s[0][:2] != ends_s[0]
    assert cut.manifest["simulated_s"] == ends_s[1][-1]
