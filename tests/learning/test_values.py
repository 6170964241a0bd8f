"""Lazy values: named by content, computed once, replayed from a store."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.kit.learning import FolderStore, Operation, Tensors, Values

ONE, ADD, SCALE = (Operation(f"tests:{name}") for name in ("one", "add", "scale"))


def numbers(keep: bool = True, context: str = "c") -> Values:
    """Operations on one number, enough to see what is computed when."""
    functions: dict[str, Callable[..., Tensors]] = {
        "one": lambda **_: {"x": torch.ones(1)},
        "add": lambda a, b, **_: {"x": a["x"] + b["x"]},
        "scale": lambda a, by: {"x": a["x"] * sum(by)},
    }
    return Values(lambda op, parents, said: functions[op.name](*parents, **said), context, keep)


def test_nothing_is_computed_before_it_is_forced_and_then_once() -> None:
    values = numbers()
    one = values.make(ONE)
    two = values.make(ADD, one, one)
    assert not values.computed
    assert values.force(two)["x"].item() == 2
    assert values.force(two)["x"].item() == 2
    assert values.computed == {"one": 1, "add": 1}


def test_equal_content_is_the_same_value() -> None:
    values = numbers()
    one = values.make(ONE)
    assert values.make(SCALE, one, by=[2]) is values.make(SCALE, one, by=np.array([2]))
    assert values.make(SCALE, one, by=[2]).key != values.make(SCALE, one, by=[3]).key
    assert numbers(context="other").make(ONE).key != one.key


def test_an_array_that_changes_later_does_not_change_what_was_asked_for() -> None:
    values = numbers()
    by = np.array([2.0])
    doubled = values.make(SCALE, values.make(ONE), by=by)
    by[0] = 100.0
    assert values.force(doubled)["x"].item() == 2


def test_a_chain_of_ten_thousand_values_needs_no_recursion() -> None:
    values = numbers()
    total = one = values.make(ONE)
    for _ in range(10_000):
        total = values.make(ADD, total, one)
    assert values.force(total)["x"].item() == 10_001


def test_values_that_nobody_holds_are_forgotten() -> None:
    values = numbers()
    total = one = values.make(ONE)
    for _ in range(20):
        total = values.make(ADD, total, one)
    values.force(total)
    gc.collect()
    assert len(values.live()) == 2


def test_a_stored_value_is_loaded_and_its_ancestors_are_never_needed(tmp_path: Path) -> None:
    first, store = numbers(), FolderStore(tmp_path)
    total = first.make(ADD, first.make(ONE), first.make(ONE))
    first.force(total)
    store.save(total)
    second = numbers()
    second.store = FolderStore(tmp_path)
    again = second.make(ADD, second.make(ONE), second.make(ONE))
    assert again.parents == ()
    assert second.force(again)["x"].item() == 2
    assert not second.computed


def test_a_store_keeps_what_it_is_told(tmp_path: Path) -> None:
    values, store = numbers(), FolderStore(tmp_path)
    one = values.make(ONE)
    two = values.make(ADD, one, one)
    values.force(two)
    for handle in (one, two):
        store.save(handle)
    store.keep_only([two.key])
    again = FolderStore(tmp_path)
    assert one.key not in again
    assert two.key in again
    assert [path.name for path in tmp_path.iterdir()] == [f"{two.key}.safetensors"]


def test_timing_only_values_have_keys_and_no_tensors() -> None:
    values = numbers(keep=False)
    two = values.make(ADD, values.make(ONE), values.make(ONE))
    assert two.parents == ()
    with pytest.raises(RuntimeError, match="timing-only"):
        values.force(two)


@pytest.mark.parametrize("use", [bool, float])
def test_a_value_is_not_a_number(use: type) -> None:
    with pytest.raises(TypeError, match="yield Measure"):
        use(numbers().make(ONE))
