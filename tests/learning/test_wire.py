"""What arrives of numbers that are sent in sixteen or eight bits, and what it costs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.kit.learning import as_sent, tensor_bytes

stacks = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@settings(max_examples=60, deadline=None)
@given(stacks)
def test_eight_bits_are_off_by_half_a_step_of_each_devices_own_range(values):
    arrived = as_sent(torch.from_numpy(values), "int8").numpy()
    step = np.abs(values).max(axis=(1, 2), keepdims=True) / 127
    assert (np.abs(arrived - values) <= 0.5 * step * (1 + 1e-5) + 1e-30).all()
    numbers = np.unique(np.rint(arrived[0] / max(step[0, 0, 0], 1e-30)))
    assert len(numbers) <= 255


@settings(max_examples=60, deadline=None)
@given(stacks)
def test_sixteen_bits_are_numpys_half(values):
    arrived = as_sent(torch.from_numpy(values), "float16").numpy()
    np.testing.assert_array_equal(arrived, values.astype(np.float16).astype(np.float32))


def test_native_numbers_arrive_as_they_are_and_broken_ones_stay_broken():
    values = torch.tensor([[1.0, torch.nan], [2.0, 3.0]])
    assert as_sent(values, "native") is values
    for upload_format in ("float16", "int8"):
        arrived = as_sent(values, upload_format)
        assert not torch.isfinite(arrived[0]).all()
        assert torch.isfinite(arrived[1]).all()


@pytest.mark.parametrize(
    ("upload_format", "size"), [("native", 4 * 6), ("float16", 2 * 6), ("int8", 6 + 4)]
)
def test_bytes_of_a_tensor(upload_format, size):
    assert tensor_bytes((2, 3), upload_format, native_bytes=4) == size


def test_eight_bits_are_whole_steps_of_the_largest_over_127():
    values = torch.tensor([[127.0, 1.4, -0.6, 0.3], [-254.0, 3.1, 2.9, -1.1]])
    expected = torch.tensor([[127.0, 1.0, -1.0, 0.0], [-254.0, 4.0, 2.0, -2.0]])
    assert torch.equal(as_sent(values, "int8"), expected)
