"""Curves over time and over cycles: steps between evaluations, and their mean over seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.kit.results import Steps, clusters_measured, curve_of, curve_over_seeds


@st.composite
def some_curves(draw):
    """Curves of one to six seeds over few instants, so that several often step together."""
    curves = []
    for _ in range(draw(st.integers(1, 6))):
        x = sorted(draw(st.sets(st.integers(0, 12), min_size=1, max_size=8)))
        values = draw(st.lists(st.floats(0, 1), min_size=len(x), max_size=len(x)))
        end = x[-1] + draw(st.integers(0, 3))
        curves.append(Steps(np.array(x, float), np.array(values), float(end)))
    return curves


@given(some_curves())
def test_the_mean_and_its_band_are_those_of_the_last_values_of_each_seed(curves):
    """The band is the range of few seeds, and the interval of scipy of five or more."""
    band = curve_over_seeds(curves, "accuracy")
    assert band.x.tolist() == sorted({x for curve in curves for x in curve.x})
    assert band.end == max(curve.end for curve in curves)
    for (
        x,
        mean,
        low,
        high,
        seeds,
        ended,
    ) in zip(*band[:-1], strict=True):
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


def test_curves_of_a_run_are_those_of_its_tables_and_its_summary(runs):
    run = runs.result("slots")
    rows = run.metrics
    simulated_s = run.manifest["simulated_s"]
    for cluster in (None, "A", "B"):
        own = rows[rows.scope == "global"] if cluster is None else rows[rows.cluster == cluster]
        for what in ("accuracy", "loss"):
            curve = curve_of(run.tables, simulated_s, what, "time", cluster)
            last = own.groupby("time_s")[what].last()
            np.testing.assert_array_equal(curve.x, last.index)
            np.testing.assert_array_equal(curve.values, last)
            first = own.groupby("cycle")[what].first()
            curve = curve_of(run.tables, simulated_s, what, "cycle", cluster)
            np.testing.assert_array_equal(curve.x, first.index)
            np.testing.assert_array_equal(curve.values, first)
    assert clusters_measured(run.tables) == ["A", "B"]
    summary = run.summary
    moved = sum(summary[f"{way}_bytes"] for way in ("uplink", "downlink", "sidelink", "isl"))
    ends = {
        "cycles": summary["cycles"],
        "sent_bytes": moved,
        "staleness": summary["staleness_mean"],
    }
    for what, wanted in ends.items():
        assert curve_of(run.tables, simulated_s, what).values[-1] == pytest.approx(wanted)
    curve = curve_of(run.tables, simulated_s)
    pooled = rows[rows.scope == "global"]
    for target in pooled.accuracy:
        reached = pooled[pooled.accuracy >= target].time_s.iloc[0]
        assert curve.first_at(target) == reached
    assert curve.first_at(2.0) is None
