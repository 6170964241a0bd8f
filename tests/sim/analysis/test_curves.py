"""Curves of steps between evaluations: their mean over seeds, over time, and thinned out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import sim
from tests.kit.handmade import tables_of
from tests.kit.inner.sim import Evaluation, StepCurve, curve_of, curve_over_seeds, time_averaged


@st.composite
def some_curves(draw):
    """Curves of one to six seeds over few instants, so that several often step together."""
    curves = []
    for _ in range(draw(st.integers(1, 6))):
        x = sorted(draw(st.sets(st.integers(0, 12), min_size=1, max_size=8)))
        values = draw(st.lists(st.floats(0, 1), min_size=len(x), max_size=len(x)))
        end = x[-1] + draw(st.integers(0, 3))
        curves.append(StepCurve(np.array(x, float), np.array(values), float(end)))
    return curves


@given(some_curves())
def test_the_mean_and_its_band_are_those_of_the_last_values_of_each_seed(curves):
    """The band is the range of few seeds, and the interval of scipy of five or more."""
    band = curve_over_seeds(curves, "accuracy")
    assert band.x.tolist() == sorted({x for curve in curves for x in curve.x})
    assert band.end == max(curve.end for curve in curves)
    for x, mean, low, high, seeds, ended in zip(*band[:-1], strict=True):
        begun = [curve for curve in curves if curve.x[0] <= x]
        held = [curve.values[curve.x <= x][-1] for curve in begun]
        assert (seeds, ended) == (len(held), sum(curve.end < x for curve in begun))
        assert mean == pytest.approx(np.mean(held))
        if len(held) < 2:
            assert np.isnan([low, high]).all()
            continue
        if len(curves) < 5:
            assert (low, high) == (min(held), max(held))
            continue
        wanted = (mean, mean)
        if np.ptp(held):  # of equal values scipy's interval is nan
            wanted = stats.t.interval(0.95, len(held) - 1, mean, stats.sem(held))
        assert (low, high) == pytest.approx(np.clip(wanted, 0.0, 1.0), abs=1e-12)


@given(some_curves(), st.integers(2, 9))
def test_thinned_curves_hold_the_same_values_at_the_edges_of_a_screens_columns(curves, most):
    for curve in (*curves, curve_over_seeds(curves, "staleness")):
        values = dict(
            zip(curve.x, curve[1] if isinstance(curve, tuple) else curve.values, strict=True)
        )
        few = curve.thinned(most)
        kept = few[1] if isinstance(few, tuple) else few.values
        assert len(few.x) <= max(most, 2)
        assert dict(zip(few.x, kept, strict=True)).items() <= values.items()
        assert (few.x[0], few.x[-1]) == (curve.x[0], curve.x[-1])
        if len(curve.x) > most:
            for edge in np.linspace(curve.x[0], curve.end, most):
                assert kept[few.x <= edge][-1] == values[curve.x[curve.x <= edge][-1]]


def test_an_evaluation_counts_what_was_spent_by_then_the_same_instant_included():
    """A transfer that ends as the model is tested has brought the update that is tested."""
    measured = {0.0: 0.1, 10.0: 0.4, 19.0: 0.5, 20.0: 0.7}
    metrics = [{"time_s": t, "scope": "global", "accuracy": a} for t, a in measured.items()]
    sent = {10.0: 3000.0, 15.0: 500.0, 20.0: 1500.0}
    transfers = [{"end_s": end_s, "on_air_bytes": size} for end_s, size in sent.items()]
    joules = {
        "time_s": [*measured],
        "training_j": [0.0, 8.0, 8.0, 20.0],
        "transmit_j": [0, 1, 1, 2],
    }
    manifest = {"method": "fedavg", "simulated_s": 20.0, "scenario": {"learning": {}}}
    tables = tables_of(metrics=metrics, transfers=transfers)
    plot = sim.Result(tables, {**manifest, "spent": joules}).plot
    line, *_ = plot.accuracy(over="bytes").lines
    assert line.get_xydata().tolist() == [[0.0, 0.1], [3.0, 0.4], [3.5, 0.5], [5.0, 0.7]]  # kB
    line, *_ = plot.accuracy(over="energy").lines
    assert line.get_xydata().tolist() == [[0.0, 0.1], [9.0, 0.5], [22.0, 0.7]]  # J
    unknown = {**manifest, "spent": joules | {"transmit_j": [None] * 4}}
    with pytest.raises(sim.InputError, match="over energy: that is not modelled"):
        sim.Result(tables, unknown).plot.accuracy(over="energy")


def test_the_figure_by_a_time_is_that_of_the_last_evaluation_the_same_instant_included():
    rows = [
        {"time_s": 3600.0 * hour, "scope": "global", "accuracy": 0.5, "validation_accuracy": own}
        for hour, own in ((1, 0.2), (5, 0.6), (10, 0.4))
    ]
    manifest = {"method": "fedavg", "simulated_s": 36e3, "scenario": {"learning": {}}}
    manifest["scenario"]["learning"]["steps_per_round"] = 1
    result = sim.Result(tables_of(metrics=rows), manifest)
    found = [result.validation_at(hours) for hours in (0.5, 1.0, 4.9, 5.0, 9.9, 10.0)]
    assert found == [None, 0.2, 0.2, 0.6, 0.6, 0.4]
    assert result.validation_at() == 0.4


def test_the_staleness_by_a_time_is_the_mean_of_all_updates_until_then():
    rows = [{"time_s": t, "staleness": old} for t, old in ((1.0, 0), (2.0, 2), (5.0, 3), (5.0, 7))]
    run = sim.Result(tables_of(updates=rows[::-1]), {"simulated_s": 9.0})
    curve = curve_of(run, "staleness")
    assert (curve.x.tolist(), curve.values.tolist(), curve.end) == ([1, 2, 5], [0, 1, 3], 9.0)


def test_a_sample_on_which_several_clusters_are_tested_counts_once():
    rows = [{"time_s": 0.0, "scope": "global", "accuracy": 0.5, "samples": 1000}]
    manifest = {"method": "", "simulated_s": 1.0, "scenario": {"learning": {"steps_per_round": 1}}}
    tests = {"choices": 2, "samples": [600, 400], "distinct": 250}
    result = sim.Result(tables_of(metrics=rows), manifest | {"tests": tests})
    assert [one.samples for one in result.evaluations] == [250]


ACCURACY = st.sampled_from([0.0, 0.5, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0])
WAITS = st.lists(st.tuples(st.floats(0.0, 30.0), ACCURACY), max_size=12)


def evaluations(hours, accuracies):
    return [
        Evaluation(float(a), None, n, float(h), 5 * n, None, None)
        for n, (h, a) in enumerate(zip(hours, accuracies, strict=True))
    ]


@given(ACCURACY, WAITS, st.floats(0.1, 60.0))
def test_the_average_accuracy_is_the_area_under_the_steps_by_the_time(start, steps, until):
    hours = np.cumsum([0.0, *(wait for wait, _ in steps)])
    accuracies = np.array([start, *(accuracy for _, accuracy in steps)])
    found = time_averaged(evaluations(hours, accuracies), until)
    # The area by numpy: the accuracy is constant between the edges, so its value in the middle.
    edges = np.unique([*hours[hours < until], until])
    held = accuracies[np.searchsorted(hours, (edges[1:] + edges[:-1]) / 2, "right") - 1]
    assert found == pytest.approx(np.sum(held * np.diff(edges)) / until)
