"""Accuracy averaged over time, by numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.results import (
    Evaluation,
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
