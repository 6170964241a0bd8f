"""What a run says of its experts and of the conditions for a gain: classes, density, warnings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import learning
import scenarios
import sim
from tests.kit.learning import EmsFl, density_ratio, expert_classes
from tests.kit.results import summary_text
from tests.kit.small import slots
from tests.kit.sweeps import status

RELEVANCE = np.zeros((2, 4))
"""What the methods below have measured, shape (C, E)."""


@learning.register("measured")
class Measured(EmsFl):
    """EMS-FL with relevance that a test has set."""

    def measure_relevance(self, name):
        yield from ()
        return RELEVANCE


def run(relevance: list[list[float]], **learned: Any) -> sim.Result:
    RELEVANCE[:] = relevance
    model = {"experts": 4, "hidden": 16, "expert_hidden": 16}
    return sim.run(slots(learning={"method": "measured", "model": model, **learned}))


def test_the_class_of_an_expert_stands_in_the_assignments_table() -> None:
    result = run([[0.6, 0.3, 0.1, 0.0], [0.5, 0.05, 0.4, 0.05]])
    for _, rows in result.assignments.groupby(["time_s", "cluster"]):
        classes = rows.sort_values("expert").expert_class.tolist()
        assert classes == ["shared", "domain", "shared", "seldom"]
        assert classes == expert_classes(RELEVANCE, 0.1)


def test_every_expert_of_a_trained_run_has_the_class_of_its_relevance() -> None:
    table = sim.run(slots()).assignments
    for _, rows in table.groupby("time_s"):
        wide = rows.pivot(index="cluster", columns="expert", values="relevance").to_numpy()
        named = rows[rows.cluster == "A"].sort_values("expert").expert_class.tolist()
        assert named == expert_classes(wide, 0.1)


def test_the_summary_has_the_density_ratio_of_the_first_assignment() -> None:
    result = run([[0.7, 0.3, 0.0, 0.0], [0.1, 0.1, 0.4, 0.4]])
    rows = result.assignments[result.assignments.time_s == 0]
    owner = rows[rows.assigned].sort_values("expert").cluster.map({"A": 0, "B": 1}).tolist()
    expected = density_ratio(RELEVANCE, owner)
    assert result.summary["density_ratio"] == pytest.approx({"A": expected[0], "B": expected[1]})


def test_runs_without_a_measurement_have_no_ratio() -> None:
    for changed in ({"method": "synchronous"}, {"train": False}):
        assert sim.run(slots(learning=changed)).summary["density_ratio"] is None


def said(result: sim.Result) -> tuple[bool, bool]:
    """Whether a run warns of low own mass, and of uniform data."""
    text = result.summary["warnings"]
    return any("own gate mass" in w for w in text), any("hardly denser" in w for w in text)


def test_a_warning_names_low_mass_and_uniform_data_apart() -> None:
    assert said(run([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])) == (False, False)
    # Denser at home by 1.4 of at most 2, but much of the data is elsewhere.
    thin = [[0.35, 0.35, 0.15, 0.15], [0.15, 0.15, 0.35, 0.35]]
    assert said(run(thin, options={"threshold": 0.2})) == (True, False)
    uniform = run([[0.25, 0.25, 0.25, 0.25]] * 2)
    assert said(uniform) == (True, True)
    [line] = [w for w in uniform.summary["warnings"] if "hardly denser" in w]
    assert "A 1.00, B 1.00 (1 is uniform, 2 all at home)" in line


def test_a_cluster_without_experts_is_named_without_a_ratio() -> None:
    RELEVANCE[:] = 0
    clusters = [{"name": name, "devices": 1} for name in "ABC"]
    model = {"experts": 2, "hidden": 16, "expert_hidden": 16}
    result = sim.run(
        slots(
            ground={"clusters": clusters},
            learning={"method": "emsfl", "model": model, "data": {"own_domain_fraction": 0.34}},
        )
    )
    ratios = result.summary["density_ratio"]
    assert sum(ratio is None for ratio in ratios.values()) == 1
    assert said(result)[1]
    [line] = [w for w in result.summary["warnings"] if "hardly denser" in w]
    [silent] = [name for name, ratio in ratios.items() if ratio is None]
    assert f"{silent} -" in line


def test_other_methods_are_not_warned_of_conditions_that_are_not_theirs() -> None:
    data = {"own_domain_fraction": 0.5}
    for method in ("synchronous", "fedavg", "fedbuff"):
        assert said(sim.run(slots(learning={"method": method, "data": data}))) == (False, False)


def test_the_summary_lists_experts_by_their_class_at_the_start() -> None:
    result = sim.run(scenarios.load("paper-slots", {"stop.cycles": 1}))
    first = result.assignments[result.assignments.time_s == 0]
    for name, experts in result.summary["expert_classes"].items():
        assert experts == sorted(set(first[first.expert_class == name].expert))
    assert result.summary["expert_classes"] == {"shared": [], "domain": [0, 1, 2, 3], "seldom": []}
    assert "4 domain" in summary_text(result.summary)
    baseline = sim.run(
        scenarios.load("paper-slots", {"stop.cycles": 1, "learning.method": "synchronous"})
    )
    assert baseline.summary["expert_classes"] is None


def test_validate_says_what_a_round_takes_before_anything_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status(["validate", "paper-exp1", "--set", "learning.train=false"]) == 0
    said = capsys.readouterr().out
    assert "FLOPs, in 18." in said
    assert "40.91 GB with all (estimated)" in said
