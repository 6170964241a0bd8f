"""The studies behind docs/reproduction.md, cut short, and what they make of runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import scenarios
import sim

ROOT = Path(__file__).resolve().parents[2]
SHORT = 2


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Import a study; what it runs in other processes, here and for two cycles only."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "studies"))
    batch = import_module("batch")

    def short(points: list[Any]) -> list[Any]:
        return [batch.run_one((name, {**s, "stop.cycles": SHORT})) for name, s in points]

    def imported(name: str) -> Any:
        module = import_module(name)
        if hasattr(module, "run_all"):
            monkeypatch.setattr(module, "run_all", short)
        return module

    return imported


def test_the_page_shows_what_full_size_prints(
    study: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("full_size").main() == 0
    page = (ROOT / "docs" / "results.md").read_text()
    block = (
        f"python docs/studies/full_size.py\n```\n\n```text\n{capsys.readouterr().out.rstrip()}\n"
    )
    assert block in page


def test_the_upload_of_table_1_is_rank_4_on_three_matrices_a_layer(
    study: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    full_size = study("full_size")
    monkeypatch.setattr(full_size, "CYCLES", 3)
    found = {m: full_size.sizes(full_size.timed("paper-exp1", m)) for m in full_size.METHODS}
    hidden, inner, layers, experts, rank, sixteen_bits = 4096, 14336, 32, 3, 4, 2
    factors = 3 * rank * (hidden + inner) * layers * sixteen_bits
    gate = hidden * experts * layers * sixteen_bits
    expert = 3 * hidden * inner * layers * sixteen_bits
    assert found["synchronous"]["experts"] == experts * factors + gate
    assert (found["emsfl"]["experts"], found["emsfl"]["gate"]) == (factors, gate)
    less = found["synchronous"]["expert memory"] - found["emsfl-enhanced"]["expert memory"]
    assert less == 2 * expert


def test_an_outcome_says_when_a_run_reached_the_target(study: Callable[[str], Any]) -> None:
    settings = {"stop.cycles": 9, "learning.step_size": 0.1, "seed": 2}
    outcome = study("batch").run_one(("paper-exp1-small", settings))
    result = sim.run(scenarios.load("paper-exp1-small", settings))
    whole = result.metrics[result.metrics.scope == "global"]
    first = next(row for row in whole.itertuples() if row.accuracy >= 0.85)
    assert (outcome.cycles, outcome.hours) == (first.cycle, first.time_s / 3600)
    # Every device trains one round a slot of five steps: five devices, three clusters.
    assert outcome.gradient_steps == first.time_s / 600 * 5 * 3 * 5
    # A round takes half a slot at ten watts; sending costs next to nothing.
    assert outcome.energy_j == pytest.approx(outcome.gradient_steps / 5 * 300 * 10, rel=1e-5)
    assert outcome.final == whole.accuracy.iloc[-1]
    falls = [max(whole.accuracy[: i + 1]) - accuracy for i, accuracy in enumerate(whole.accuracy)]
    assert outcome.fall == max(falls)


def test_a_run_that_never_gets_there_has_no_end(study: Callable[[str], Any]) -> None:
    batch = study("batch")
    outcome = batch.run_one(("paper-exp1-small", {"stop.cycles": 1, "learning.step_size": 1e-6}))
    assert [outcome.cycles, outcome.hours, outcome.gradient_steps, outcome.energy_j] == [
        math.inf
    ] * 4
    assert batch.spread([3.0, math.inf, 2.0]) == "3 (2..never)"
    assert batch.ratio([4.0, 6.0], [math.inf, math.inf]) == "never"
    assert batch.ratio([4.0, 6.0], [2.0, 2.0]) == "2.5x"


@pytest.mark.parametrize(
    ("name", "cut", "arguments", "said"),
    [
        ("idle", {"IDLE": (2,)}, ("paper-exp1-small", "1"), "\n2 "),
        ("heterogeneity", {"FRACTIONS": (0.25,)}, ("1",), "\n0.25 "),
        ("resplit", {"FRACTIONS": (0.4,), "PERIODS": (1,)}, ("1",), "\n0.4 "),
        ("targets", {"METHODS": ("synchronous", "fedavg")}, ("paper-exp2-small", "1"), "\nfedavg "),
        ("cycles", {"METHODS": ("synchronous",)}, ("paper-exp2-small", "1", "0.1"), "\nbest step"),
    ],
)
def test_a_study_runs(
    name: str,
    cut: dict[str, Any],
    arguments: tuple[str, ...],
    said: str,
    study: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = study(name)
    for constant, value in cut.items():
        monkeypatch.setattr(module, constant, value)
    module.main(*arguments)
    assert said in capsys.readouterr().out


def test_the_study_of_remark_1_runs(
    study: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A rank more is as many bytes more up; a change of the rank is fewer bytes down."""
    lora = study("lora")
    chosen = ("rank 1", "rank 2", "rank 4, merge, full", "rank 4, merge, factors")
    monkeypatch.setattr(lora, "VARIANTS", {name: lora.VARIANTS[name] for name in chosen})
    lora.main("paper-exp1-small", "1", str(SHORT))
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("rank")]
    up, down = ([float(row.split()[place]) for row in rows] for place in (-2, -1))
    assert down[3] < down[2] == down[0]
    assert up[3] == up[2] > up[1] > up[0]
    # The factors' part grows with the rank, the gate's stays.
    assert up[2] - up[1] == pytest.approx(2 * (up[1] - up[0]), abs=0.2)


@pytest.mark.parametrize("name", ["local_sets", "balance"])
def test_a_study_of_models_sees_what_the_run_sees(name: str, study: Callable[[str], Any]) -> None:
    module, point = study(name), ("paper-exp1-small", {"stop.cycles": 1, "seed": 0})
    result = sim.run(scenarios.load(*point))
    if name == "local_sets":
        models, relevance = module.one_seed(point)
        start = result.metrics[result.metrics.time_s == 0.0]
        expected = dict(zip(start.cluster.fillna("global"), start.accuracy, strict=True))
        assert models["start model"] == pytest.approx(expected)
        assert [sum(row) for row in relevance] == pytest.approx([1.0] * 3)
    else:
        loads = module.one_seed(point)
        last = result.assignments[result.assignments.time_s == result.assignments.time_s.max()]
        load = last.groupby("expert").relevance.mean().to_numpy()
        assert loads["emsfl-enhanced"] == pytest.approx(load)
