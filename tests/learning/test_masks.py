"""Masks of devices, worked out by which array they are: what numpy makes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.learning import masks

flags = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=3)


@given(flags, st.booleans(), st.booleans())
def test_masks_are_what_numpy_makes_of_them(pairs, first, second):
    """Whether everybody and nobody are given as the arrays that stand for them, or not."""
    a, b = (np.array(column, bool) for column in zip(*pairs, strict=True))
    one = masks.known(a) if first else a
    other = masks.known(b) if second else b
    made = {
        "both": (masks.both(one, other), a & b),
        "either": (masks.either(one, other), a | b),
        "without": (masks.without(one, other), a & ~b),
        "others": (masks.others(one), ~a),
    }
    for name, (mask, wanted) in made.items():
        assert mask.tolist() == wanted.tolist(), name
    assert masks.is_everybody(one) == all(a.tolist())
    assert masks.is_anybody(one) == any(a.tolist())


def test_everybody_and_nobody_are_one_array_each_that_stays():
    everybody = masks.known(np.ones(3, bool))
    nobody = masks.known(np.zeros(3, bool))
    some = masks.known(np.array([True, False, True]))
    assert masks.others(nobody) is everybody
    assert masks.both(everybody, nobody) is masks.without(some, some) is nobody
    assert masks.either(some, masks.others(some)) is everybody
    assert masks.both(some, everybody) is masks.either(nobody, some) is some
    for mask in (everybody, nobody):
        with pytest.raises(ValueError, match="read-only"):
            mask[0] = not mask[0]
