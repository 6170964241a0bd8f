"""Pictures of a sweep: what they draw is what pandas computes from the same rows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection

from tests.kit.network import InputError
from tests.kit.results import heat_map, lines

ROWS = pa.table(
    {
        "orbit.altitude_km": [400, 400, 400, 800, 800, 800, 400, 800],
        "learning.method": ["emsfl"] * 6 + ["$a$_b"] * 2,
        "seed": [1, 2, 3, 1, 2, 3, 1, 1],
        "hours": [5.0, 7.0, 12.0, 3.0, None, 4.0, None, 9.0],
    }
)


def test_fields_are_the_medians_and_say_where_runs_have_no_value() -> None:
    axes = heat_map(ROWS, "orbit.altitude_km", "learning.method", "hours")
    fields = axes.images[0].get_array()
    # "$a$_b" sorts before "emsfl"; without a value at 400 km.
    np.testing.assert_array_equal(np.ma.filled(fields, np.nan), [[np.nan, 9.0], [7.0, 3.5]])
    assert [text.get_text() for text in axes.texts] == ["9", "7", "3.5"]
    hatched = sorted((patch.get_x(), patch.get_y()) for patch in axes.patches)
    assert hatched == [(-0.5, -0.5), (0.5, 0.5)]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["400", "800"]
    axes.figure.draw_without_rendering()
    assert axes.get_yticklabels()[0].get_text() == r"\$a\$_b"  # matplotlib writes $a$_b


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3), st.none() | st.floats(-1e6, 1e6)),
        min_size=1,
        max_size=40,
    )
)
def test_any_heat_map_is_the_pivot_table_of_pandas(
    rows: list[tuple[int, int, float | None]],
) -> None:
    frame = pd.DataFrame(rows, columns=["x", "y", "value"]).astype({"value": float})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    wanted = frame.groupby(["y", "x"]).value.median().unstack("x")
    axes = heat_map(table, "x", "y", "value")
    found = np.ma.filled(np.ma.asarray(axes.images[0].get_array(), float), np.nan)
    np.testing.assert_allclose(found, wanted.to_numpy(), rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from("ab"), st.none() | st.floats(-1e6, 1e6)),
        min_size=1,
        max_size=40,
    )
)
def test_any_line_and_band_are_the_median_and_the_range(
    rows: list[tuple[int, str, float | None]],
) -> None:
    frame = pd.DataFrame(rows, columns=["x", "group", "value"]).astype({"value": float})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    axes = lines(table, "x", "value", "group")
    every = sorted(set(frame.x))
    for line, name in zip(axes.lines, sorted(set(frame.group)), strict=True):
        wanted = frame[frame.group == name].groupby("x").value.median().reindex(every)
        np.testing.assert_array_equal(line.get_xdata(), every)
        np.testing.assert_allclose(line.get_ydata(), wanted.to_numpy(), rtol=1e-12)


def test_the_band_reaches_from_the_least_to_the_most() -> None:
    axes = lines(ROWS, "orbit.altitude_km", "hours", "learning.method")
    band = axes.collections[1]
    assert isinstance(band, PolyCollection)
    edge = band.get_paths()[0].vertices
    assert (edge[:, 1].min(), edge[:, 1].max()) == (3.0, 12.0)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [r"\$a\$_b", "emsfl"]


def test_names_on_the_axis_keep_their_order_and_nothing_warns() -> None:
    rows = ROWS.append_column("kind", pa.array(["_b", "_b", "a", "a", None, "a", "_b", "a"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = lines(rows, "kind", "hours")
        axes.figure.draw_without_rendering()
        heat_map(rows, "kind", "seed", "hours").figure.draw_without_rendering()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["_b", "a", "none"]


@pytest.mark.parametrize(
    ("x", "value", "says"),
    [("altitude", "hours", "no column 'altitude'"), ("seed", "learning.method", "no numbers")],
)
def test_a_column_that_cannot_be_drawn_is_named(x: str, value: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        heat_map(ROWS, x, "seed", value)
    with pytest.raises(InputError, match=says):
        lines(ROWS, x, value)
