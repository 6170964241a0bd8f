"""What `-p KEY=SPEC` means, and which combinations a sweep visits."""

from __future__ import annotations

import itertools
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.network import InputError
from tests.kit.sweeps import (
    Items,
    Span,
    Spec,
    combinations,
    combinations_count,
    read_pair,
    read_pairs,
    read_spec,
)


def listed(text: str) -> list[Any]:
    spec = read_spec("key", text)
    assert not isinstance(spec, Span)
    return [spec.at(place) for place in range(spec.count)]


def sampled(pairs: list[str], sampling: str, samples: int | None = None, seed: int = 1) -> Any:
    specs = read_pairs(pairs)
    return list(combinations(specs, sampling, samples, lambda: seed))


decimals = st.decimals(min_value=-1000, max_value=1000, places=3)
steps = st.decimals(min_value=Decimal("0.001"), max_value=50, places=3)


@given(decimals, steps, st.integers(0, 60), st.decimals(0, Decimal("0.999"), places=3))
def test_a_range_goes_to_its_stop_without_rounding_dust(
    start: Decimal, step: Decimal, count: int, beyond: Decimal
) -> None:
    stop = start + step * count + step * beyond  # beyond less than a step: not one value more
    values = listed(f"{start:f}:{stop:f}:{step:f}")
    assert values == [float(start + step * place) for place in range(count + 1)]
    assert all(isinstance(value, float) for value in values)


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6), st.integers(0, 50))
def test_a_range_of_whole_numbers_is_of_whole_numbers(start: int, step: int, count: int) -> None:
    values = listed(f"{start}:{start + step * count}:{step}")
    assert values == list(range(start, start + step * count + 1, step))
    assert all(type(value) is int for value in values)


plain = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)
nested = st.recursive(plain, lambda inner: st.lists(inner, max_size=3), max_leaves=6)


@given(st.lists(nested, min_size=1, max_size=5))
def test_items_are_read_as_yaml_and_keep_their_commas(values: list[Any]) -> None:
    found = listed(",".join(json.dumps(value) for value in values))
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize(
    "text",
    [
        "2026-08-22T00:00:00Z",
        "08:30:00",
        "a:b:c",
        "'1:2:3'",
        "400:1200:km",
        "1:2:3:4",
        "mine:Slow",
    ],
)
def test_text_with_colons_is_no_range(text: str) -> None:
    assert listed(text) == [text.strip("'")]


def test_values_have_the_types_that_yaml_gives_them() -> None:
    assert listed("550, 550.0, '550', true, null, x, [1, 2]") == [
        *(550, 550.0, "550", True, None, "x"),
        [1, 2],
    ]
    assert listed("0.1:0.5:0.1") == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert listed("1e2:3e2:1e2") == [100.0, 200.0, 300.0]
    assert listed("5:5:1") == [5]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no values"),
        ("  ", "no values"),
        ("a,,b", "no list"),
        ("a,", "empty item"),
        (",", "no list"),
        ("[1,2", "no list"),
        ("a]", "no list"),
        ("900:400:100", "reversed"),
        ("1:0.9999:0.1", "reversed"),
        ("900:400", "reversed"),
        ("400:900:0", "above 0"),
        ("400:900:0.0", "above 0"),
        ("400:900:-100", "above 0"),
        ("0:inf:1", "finite"),
        ("0:.inf:1", "finite"),
        ("nan:1:1", "finite"),
        ("0:1e400:1", "finite"),
        ("0:99999999999999999999:1", "too large"),
        ("0:1:1e-300", "far too many"),
        ("1,.inf", "finite"),
        ("010,020", "leading zero"),
        ("!!python/object:os.system x", "no list"),
    ],
)
def test_a_spec_that_is_wrong_is_told_with_its_key(text: str, word: str) -> None:
    with pytest.raises(InputError, match=rf"^-p some\.key: .*{word}") as found:
        read_pair(f"some.key={text}")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("pair", ["", "key", "=1,2", " =1"])
def test_what_is_no_pair_is_told(pair: str) -> None:
    with pytest.raises(InputError, match="KEY=SPEC"):
        read_pair(pair)


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_grid_is_the_product_with_the_last_key_fastest(lists: list[list[int]]) -> None:
    pairs = [f"k{n}={','.join(map(str, values))}" for n, values in enumerate(lists)]
    found = sampled(pairs, "grid")
    assert [tuple(values.values()) for values in found] == list(itertools.product(*lists))
    assert combinations_count(read_pairs(pairs), "grid", None) == len(found)


def test_zip_takes_one_of_each() -> None:
    pairs = ["a=1,2,3", "b=10:30:10"]
    assert sampled(pairs, "zip") == [{"a": n, "b": 10 * n} for n in (1, 2, 3)]
    with pytest.raises(InputError, match=r"^-p b: has 2 values and -p a 3"):
        combinations_count(read_pairs(["a=1,2,3", "b=1,2"]), "zip", None)


def test_random_values_hang_on_key_and_seed_only() -> None:
    pairs = ["a=0.5:2.5", "b=1:9:2", "c=x,y,z"]
    found = sampled(pairs, "random", 200)
    assert sampled(pairs[::-1], "random", 200) == found
    assert sampled(pairs, "random", 50) == found[:50]
    assert [v["b"] for v in sampled(pairs[1:2], "random", 200)] == [v["b"] for v in found]
    assert sampled(pairs, "random", 200, seed=2) != found
    assert all(0.5 <= values["a"] <= 2.5 for values in found)
    assert {values["b"] for values in found} == {1, 3, 5, 7, 9}
    assert {values["c"] for values in found} == {"x", "y", "z"}
    twins = sampled(["a=0:1", "b=0:1"], "random", 50)
    assert all(values["a"] != values["b"] for values in twins)
    # Mean of a uniform draw: 1.5, with a standard error of 2 / sqrt(12 * 200) = 0.041.
    assert sum(v["a"] for v in found) / 200 == pytest.approx(1.5, abs=5 * 0.041)


@pytest.mark.parametrize(
    ("sampling", "samples", "word"),
    [
        ("random", None, "--samples"),
        ("random", 0, "at least 1"),
        ("grid", 5, "goes with --sampling random"),
        ("latin", None, "one of grid, zip, random"),
    ],
)
def test_samplings_that_do_not_go(sampling: str, samples: int | None, word: str) -> None:
    with pytest.raises(InputError, match=word):
        combinations_count({"a": Items((1, 2))}, sampling, samples)


def test_a_range_without_a_step_is_for_random_samples() -> None:
    spec: dict[str, Spec] = {"a": Span(0, 1)}
    for sampling in ("grid", "zip"):
        with pytest.raises(InputError, match=r"^-p a: .*without a step"):
            combinations_count(spec, sampling, None)


def test_counting_makes_nothing() -> None:
    began = time.perf_counter()
    specs = read_pairs([f"k{n}=0:1000000:1" for n in range(5)])
    assert combinations_count(specs, "grid", None) == 1000001**5
    assert time.perf_counter() - began < 0.1
