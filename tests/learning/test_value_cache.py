"""Values shared between runs: what is known is not computed again, and nothing else is believed."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.learning import (
    Handle,
    Operation,
    Tensors,
    Values,
    as_file,
    data_keys,
    model_keys,
    packed,
    unpacked,
)
from tests.kit.records import Results, Shelf

ONE = Operation("learning.tests:one")
TRAIN = Operation("learning.tests:train", trains=True)
ADD = Operation("learning.tests:add")
TOTAL = Operation("learning.tests:total")
OWN = Operation("own.maths:train", trains=True)


class Numbers:
    """Operations on one number, and how often each was applied."""

    def __init__(self) -> None:
        self.applied: Counter[str] = Counter()
        self.values = Values(self.apply, "c")

    def apply(self, operation: Operation, parents: list[Tensors], said: dict[str, Any]) -> Any:
        functions: dict[str, Callable[..., Any]] = {
            "one": lambda: {"x": torch.ones(1)},
            "train": lambda a, by=1: {"x": a["x"] * 1.25 + by},
            "add": lambda *parts: {"x": sum(part["x"] for part in parts)},
            "total": lambda *parts: [float(part["x"]) for part in parts],
        }
        self.applied[operation.name] += 1
        return functions[operation.name](*parents, **said)


def shared(folder: Path) -> Numbers:
    numbers = Numbers()
    numbers.values.cache = Results(Shelf(folder), "context")
    return numbers


def chain(numbers: Numbers, length: int = 3) -> list[Handle]:
    handles = [numbers.values.make(ONE)]
    for step in range(length):
        handles.append(numbers.values.make(TRAIN, handles[-1], by=step))
    return handles


def test_what_was_trained_is_read_and_what_it_rests_on_is_never_made(tmp_path: Path) -> None:
    first, second = shared(tmp_path), shared(tmp_path)
    wanted = first.values.force(chain(first)[-1])["x"]
    assert first.applied == {"one": 1, "train": 3}
    last = chain(second)[-1]
    assert torch.equal(second.values.force(last)["x"], wanted)
    assert not second.applied
    assert (second.values.reuse.done, second.values.reuse.spared) == (0, 3)


def test_what_is_quick_to_compute_is_not_kept(tmp_path: Path) -> None:
    first, second = shared(tmp_path), shared(tmp_path)
    for numbers in (first, second):
        trained = chain(numbers, 2)
        numbers.values.force(numbers.values.make(ADD, trained[1], trained[2]))
    assert second.applied == {"add": 1}


def test_a_number_that_is_known_forces_nothing(tmp_path: Path) -> None:
    first, second = shared(tmp_path), shared(tmp_path)
    wanted = first.values.number(TOTAL, *chain(first))
    handles = chain(second)
    assert second.values.number(TOTAL, *handles) == wanted
    assert not second.applied
    assert all(handle.value is None for handle in handles)
    assert second.values.reuse.spared == first.values.reuse.done == 3


def test_other_parents_arguments_or_contexts_are_other_numbers(tmp_path: Path) -> None:
    first, second = shared(tmp_path), shared(tmp_path)
    first.values.number(TOTAL, *chain(first))
    handles = chain(second)
    second.values.number(TOTAL, *handles[1:])
    other = Numbers()
    other.values.cache = Results(Shelf(tmp_path), "another context")
    other.values.number(TOTAL, *chain(other))
    assert second.applied["total"] == other.applied["total"] == 1
    assert other.applied["train"] == 3


@given(
    parents=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=1, max_size=12),
    trains=st.lists(st.booleans(), min_size=12, max_size=12),
    first=st.sets(st.integers(0, 12)),
    second=st.lists(st.integers(0, 12), min_size=1),
    lost=st.sets(st.integers(0, 40)),
)
def test_any_part_of_a_cache_gives_the_values_of_none_and_counts_them(
    tmp_path_factory: pytest.TempPathFactory,
    parents: list[list[int]],
    trains: list[bool],
    first: set[int],
    second: list[int],
    lost: set[int],
) -> None:
    """Whatever a run had asked, and whatever of it is lost again."""
    folder = tmp_path_factory.mktemp("cache")

    def graph(numbers: Numbers) -> list[Handle]:
        made = [numbers.values.make(ONE)]
        for number, wanted in enumerate(parents):
            chosen = [made[parent % len(made)] for parent in wanted]
            if trains[number]:
                made.append(numbers.values.make(TRAIN, chosen[0], by=number))
            else:
                made.append(numbers.values.make(ADD, *chosen))
        return made

    def ask(numbers: Numbers, places: list[int]) -> list[Any]:
        made = graph(numbers)
        return [numbers.values.number(TOTAL, made[place % len(made)]) for place in places]

    ask(shared(folder), sorted(first))
    for number, path in enumerate(sorted(folder.rglob("*.*"))):
        if number in lost:
            path.unlink()
    plain, cached = Numbers(), shared(folder)
    assert ask(cached, second) == ask(plain, second)
    reuse = cached.values.reuse
    assert reuse.done == cached.applied["train"]
    assert reuse.done + reuse.spared == plain.applied["train"]


def test_what_somebody_elses_operation_makes_is_not_shared_nor_what_comes_of_it(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        numbers = shared(tmp_path)
        own = numbers.values.make(OWN, numbers.values.make(ONE))
        after = numbers.values.make(TRAIN, numbers.values.make(ADD, own))
        numbers.values.number(TOTAL, after)
        assert numbers.applied == {"one": 1, "train": 2, "add": 1, "total": 1}
        assert numbers.values.reuse.foreign == {"own.maths:train"}
        assert numbers.values.reuse.spared == 0


def test_a_timing_only_run_takes_no_numbers() -> None:
    values = Values(Numbers().apply, "c", keep=False)
    with pytest.raises(RuntimeError, match="timing-only"):
        values.number(TOTAL, values.make(ONE))


def test_a_long_chain_that_is_never_needed_is_let_go(tmp_path: Path) -> None:
    first, second = shared(tmp_path), shared(tmp_path)
    total = 30_000
    for numbers in (first, second):
        handle = numbers.values.make(ONE)
        for _ in range(total):
            handle = numbers.values.make(ADD, handle)
        numbers.values.number(TOTAL, handle)
    assert not second.applied
    del handle
    gc.collect()
    assert not second.values.live()


TENSORS = {
    "a*b": torch.arange(6.0).reshape(2, 3),
    "rows": torch.randn(4, 3).expand(5, 4, 3),
    "one row": torch.randn(1, 4),
    "flags": torch.tensor([True, False]),
    "number": torch.tensor(3),
    "nothing": torch.zeros(0, 4),
    "short": torch.randn(7).bfloat16(),
    "ill": torch.tensor([float("nan"), float("inf"), -0.0]),
    "turned": torch.randn(3, 4).t(),
}


def test_a_packed_value_comes_back_bit_by_bit() -> None:
    back = unpacked(packed(TENSORS))
    assert set(back) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        same = back[name].contiguous().view(-1), tensor.contiguous().view(-1)
        if tensor.is_floating_point():
            bits = torch.int16 if tensor.element_size() == 2 else torch.int32
            same = same[0].view(bits), same[1].view(bits)
        assert torch.equal(*same), name


def test_the_tensors_of_a_model_s_file_are_read_too() -> None:
    model = {"5*w": torch.randn(3, 2), "b": torch.zeros(2)}
    back = unpacked(as_file(model))
    assert all(torch.equal(back[name], tensor) for name, tensor in model.items())


def test_rows_that_devices_share_are_packed_once_and_laid_out_as_they_were() -> None:
    alike = {"w": torch.randn(100, 100).expand(50, 100, 100)}
    data = packed(alike)
    assert len(data) < 2 * 100 * 100 * 4
    assert unpacked(data)["w"].stride() == alike["w"].stride()


def test_other_bytes_are_no_value() -> None:
    with pytest.raises(ValueError, match="no value"):
        unpacked(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")


def test_all_shipped_kinds_are_known_without_importing_them() -> None:
    """Kinds that may be shared between runs are told from others by their keys."""
    from learning.data import DATASETS
    from learning.models import MODELS

    assert all(model_keys(kind, False) is not None for kind in MODELS.shipped)
    assert all(data_keys(kind) is not None for kind in DATASETS.shipped)
    assert model_keys("own:Model", False) is None
    assert data_keys("own:data") is None
