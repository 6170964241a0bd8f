"""Accuracy until a deadline: by numpy, by formulas, by definition."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import InputError
from tests.kit.results import (
    Evaluation,
    common_deadline,
    time_averaged,
)

ACCURACY = st.sampled_from([0.0, 0.5, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0])
STEPS = st.lists(st.tuples(st.floats(0.0, 30.0), ACCURACY), max_size=12)


def curve(hours, accuracies):
    return [
        Evaluation(float(a), None, n, float(h), 5 * n, None, None)
        for n, (h, a) in enumerate(zip(hours, accuracies, strict=True))
    ]


@given(ACCURACY, STEPS, st.floats(0.1, 60.0))
def test_the_average_is_the_area_under_the_steps_by_the_time(start, steps, until):
    hours = np.cumsum([0.0, *(wait for wait, _ in steps)])
    accuracies = np.array([start, *(accuracy for _, accuracy in steps)])
    found = time_averaged(curve(hours, accuracies), until)
    # The area by numpy: the accuracy is constant between the edges, so its value in the middle.
    edges = np.unique([*hours[hours < until], until])
    held = accuracies[np.searchsorted(hours, (edges[1:] + edges[:-1]) / 2, "right") - 1]
    assert found == pytest.approx(np.sum(held * np.diff(edges)) / until)
    later = [*curve(hours, accuracies), *curve([max(hours[-1], until)], [0.123])]
    assert time_averaged(later, until) == pytest.approx(found)


@pytest.fixture
def spans(leomix, runs):
    """Two methods over three seeds, of which one stops a day earlier."""

    def make(folder):
        folder.mkdir()
        small = ("--set", "learning.targets=[0.7, 0.76]", "--quiet")
        for method, days in (("synchronous", 1.5), ("emsfl-enhanced", 0.5)):
            for seed in (1, 2, 3):
                own = ("--set", f"learning.method={method}", "--set", f"stop.days={days}")
                place = folder / f"{method}-{seed}"
                assert (
                    leomix("run", "quickstart", *own, *small, "--seed", seed, "-o", place).status
                    == 0
                )

    return runs.made("spans-of-two-methods", make)


def test_runs_are_averaged_over_the_time_that_all_of_them_cover(leomix, spans, tmp_path):
    folders = sorted(spans.iterdir())
    plain = json.loads(leomix("compare", *folders, "--json").out)
    assert "accuracy_mean_to_deadline" not in {row["figure"] for row in plain["rows"]}
    found = json.loads(leomix("compare", *folders, "--deadline", 0.5, "--json").out)
    assert found["deadline_hours"] == pytest.approx(12.0)
    shown = {f.name: json.loads(leomix("show", f, "--json").out) for f in folders}
    rows = {(row["figure"], row["group"].split()[0]): row for row in found["rows"]}
    mean = "accuracy_mean_to_deadline"
    own = [shown[f"emsfl-enhanced-{seed}"]["accuracy_mean"] for seed in (1, 2, 3)]
    assert rows[mean, "emsfl-enhanced"]["mean"] == pytest.approx(np.mean(own))
    own = [shown[f"synchronous-{seed}"]["accuracy_mean"] for seed in (1, 2, 3)]
    assert rows[mean, "synchronous"]["mean"] < np.mean(own)
    # The baseline of seed 2 never gets to 0.76: no mean of the others is taken for it.
    late = rows["hours_to_0.76", "synchronous"]
    assert (late["verdict"], late["mean"], late["low"]) == ("not reached", None, None)
    text = leomix("compare", *folders, "--deadline", 0.5, "--all").out
    assert "time-averaged accuracy" in text and "2 of 3" in text
    early = json.loads(leomix("compare", *folders, "--deadline", 0.1, "--json").out)
    starts = {round(one["accuracy_start"], 9) for one in shown.values()}
    assert len(starts) == 3  # one a seed
    means = [row["mean"] for row in early["rows"] if row["figure"] == mean]
    assert means == pytest.approx([np.mean([*starts])] * 2)
    for days, why in (
        (0.6, "the shortest run ends after 0.5"),
        (0.50000001, "0.50000001 days, but the shortest run ends after 0.5;"),
        (0, "above 0"),
        ("nan", "above 0"),
    ):
        refused = leomix("compare", *folders, "--deadline", days)
        assert (refused.status, why in refused.err) == (2, True)


@given(st.floats(0.01, 1000.0))
def test_the_deadline_that_is_advised_is_taken(hours):
    run = SimpleNamespace(summary={"hours": hours}, evaluations=curve([0.0], [0.5]))
    with pytest.raises(InputError) as refused:
        common_deadline([run], hours / 24.0 * 1.01)
    days = refused.value.statement.values["days"]
    assert f"ends after {days:.12g}; give that at most" in str(refused.value)
    assert common_deadline([run], days) == pytest.approx(hours, abs=1e-4)
