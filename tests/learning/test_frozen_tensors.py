"""Shares that sum to one, and tensors that stay as they are: told by identity and by hash."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.learning import Violation, check_shares
from tests.kit.training import Before, Frozen, fingerprint

COUNTS = st.lists(st.integers(1, 10**9), min_size=1, max_size=200)


@given(COUNTS)
def test_shares_of_counts_sum_to_one_in_spite_of_rounding(counts: list[int]) -> None:
    check_shares([count / sum(counts) for count in counts], "all")


@given(COUNTS, st.floats(1e-6, 1e6))
def test_shares_of_another_total_do_not(counts: list[int], factor: float) -> None:
    shares = [factor * count / sum(counts) for count in counts]
    if abs(factor - 1.0) > 1e-8:
        with pytest.raises(Violation, match="weight"):
            check_shares(shares, "all")
    if factor <= 1.0:
        check_shares(shares, "some", whole=False)


@pytest.mark.parametrize("wrong", [-1e-12, 1.1, float("nan"), float("inf"), -float("inf")])
def test_no_share_is_negative_above_one_or_no_number(wrong: float) -> None:
    for whole in (True, False):
        with pytest.raises(Violation, match="weights sum to one' is violated: a weight of all is"):
            check_shares([0.0, wrong], "all", whole)


def test_nobody_at_all_sums_to_nothing() -> None:
    check_shares([], "some", whole=False)
    with pytest.raises(Violation, match=r"sum to 0\.0"):
        check_shares([], "all")


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {"a": torch.arange(6.0).reshape(2, 3), "b": torch.full((2,), torch.nan)}


def test_only_what_may_change_does(tensors: dict[str, torch.Tensor]) -> None:
    before = Before(tensors)
    before.check({**tensors, "a": tensors["a"] + 1.0}, lambda name: name == "a", "it")
    before.check({**tensors, "b": tensors["b"].clone()}, lambda name: False, "it")
    with pytest.raises(Violation, match="it changed 'a', which it must not"):
        before.check({**tensors, "a": tensors["a"] + 1.0}, lambda name: name == "b", "it")
    with pytest.raises(Violation, match="it changed 'b', which it must not"):
        before.check({"a": tensors["a"]}, lambda name: False, "it")


def test_what_others_hold_is_not_changed_in_place(tensors: dict[str, torch.Tensor]) -> None:
    before = Before(tensors)
    tensors["a"][0, 0] += 1.0
    with pytest.raises(Violation, match="changed 'a' in place"):
        before.check(dict(tensors), lambda name: True, "it")


@pytest.mark.parametrize("thoroughly", [False, True])
def test_what_is_frozen_stays(tensors: dict[str, torch.Tensor], thoroughly: bool) -> None:
    frozen = Frozen(tensors)
    frozen.check(tensors, "it", thoroughly)
    frozen.check({name: tensor.clone() for name, tensor in tensors.items()}, "it", thoroughly)
    tensors["a"].data[1, 2] += 1e-3  # torch does not count this
    if thoroughly:
        with pytest.raises(Violation, match="'a' of it is not what it was"):
            frozen.check(tensors, "it", thoroughly)
    with pytest.raises(Violation, match="'a' of it is not what it was"):
        frozen.check({**tensors, "a": tensors["a"].clone()}, "it", thoroughly)
    with pytest.raises(Violation, match="'b' of it has come or gone"):
        frozen.check({"a": tensors["a"]}, "it")


def test_a_fingerprint_tells_numbers_shapes_and_formats() -> None:
    numbers = torch.arange(6.0)
    different = [
        numbers,
        numbers + torch.tensor([0, 0, 0, 0, 0, 1e-6]),
        numbers.reshape(2, 3),
        numbers.reshape(3, 2),
        numbers.double(),
        numbers.bfloat16(),
        torch.zeros(0),
        torch.tensor(0.0),
    ]
    assert len({fingerprint(tensor) for tensor in different}) == len(different)
    stacked = torch.arange(12.0).reshape(2, 6)
    assert fingerprint(stacked.T[3]) == fingerprint(torch.tensor([3.0, 9.0]))
    assert fingerprint(numbers.expand(4, 6)) == fingerprint(numbers.repeat(4, 1))
