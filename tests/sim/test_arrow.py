"""Arrow arrays made without pyarrow's own constructor are those that it would make."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.records import array

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(TEXT))
def test_text(values: list[str]) -> None:
    made = array(np.array(values, dtype=str))
    made.validate(full=True)
    assert made.equals(pa.array(values, type=pa.string()))


@given(st.lists(st.booleans(), max_size=20))
def test_flags(values: list[bool]) -> None:
    made = array(np.array(values, dtype=bool))
    made.validate(full=True)
    assert made.equals(pa.array(values, type=pa.bool_()))


@given(st.lists(st.floats(allow_nan=False)), st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers(floats: list[float], integers: list[int]) -> None:
    assert array(np.array(floats)).equals(pa.array(floats, type=pa.float64()))
    assert array(np.array(integers, dtype=np.int64)).equals(pa.array(integers, type=pa.int64()))


def test_instants_slices_and_what_is_not_known() -> None:
    times = np.datetime64("2026-08-22T00:00:00.123456", "us") + np.arange(9).astype("m8[s]")
    assert array(times).equals(pa.array(times, type=pa.timestamp("us", tz="UTC")))
    every_third = np.arange(10.0)[::3]
    assert array(every_third).equals(pa.array([0.0, 3.0, 6.0, 9.0]))
    assert array(np.array([np.nan])).null_count == 0
    with pytest.raises(TypeError, match="object"):
        array([1, None])
