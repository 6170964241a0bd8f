"""The register of methods and their options."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import learning
from tests.kit.learning import (
    EmsFl,
    EnhancedEmsFl,
    NoOptions,
    find_method,
    method_names,
    read_options,
)


def test_shipped_methods_are_found_by_name() -> None:
    shipped = {"synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff"}
    assert shipped <= set(method_names())
    assert find_method("emsfl-enhanced") is EnhancedEmsFl
    for name in shipped:
        assert issubclass(find_method(name), learning.Method)


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'synchronous'"):
        find_method("syncronous")


@dataclass(frozen=True)
class Options:
    alpha: float = 0.5
    name: str = "x"
    often: bool = False


class WithOptions(EmsFl):
    Options = Options


@pytest.mark.parametrize(
    ("given", "word"),
    [({"beta": 1}, "alpha, name, often"), ({"alpha": "1"}, "float"), ({"often": 1}, "bool"),
     ({"name": 3}, "str"), ({"alpha": True}, "float")],
)  # fmt: skip
def test_wrong_options_are_refused_by_name(given: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        read_options(WithOptions, given)


@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        ("emsfl", {"resplit_cycles": -1}, "resplit_cycles: -1 should be 0 or more"),
        ("emsfl", {"threshold": 1.5}, "threshold: 1.5 should lie in 0 to 1"),
        ("emsfl-enhanced", {"threshold": -0.1}, "threshold: -0.1 should lie in 0 to 1"),
        ("emsfl-enhanced", {"mask": "0"}, "mask: '0' should be -inf or zero"),
        ("fedbuff", {"buffer_size": 1.5}, "buffer_size: 1.5 should be a int"),
        ("fedbuff", {"server_step_size": -1}, "server_step_size: -1 should be above 0"),
        ("fedavg", {"threshold": 0.1}, "this method's options are: none"),
    ],
)
def test_options_of_shipped_methods_say_what_they_take(
    name: str, given: dict[str, object], line: str
) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        read_options(find_method(name), given)
    assert line in str(refused.value)


@given(st.lists(st.tuples(st.sets(st.integers(0, 3)), st.integers(0, 3)), max_size=10))
def test_versions_and_changes_are_counted_and_what_was_handed_out_stays(steps) -> None:
    """Against a plain count; arrays that a download has kept must not change behind it."""
    architecture = SimpleNamespace(experts=4, expert_bytes=1.0)
    method = Counts(SimpleNamespace(learner=SimpleNamespace(architecture=architecture)))
    counts, seen = [0] * 4, []
    for number, (experts, changes) in enumerate(steps):
        seen.append((method.changes, list(counts)))
        method.aggregated(sorted(experts), changes)
        counts = [n + changes * (expert in experts) for expert, n in enumerate(counts)]
        assert method.version == number + 1
        assert method.changes.tolist() == counts
    assert all(kept.tolist() == then for kept, then in seen)


class Counts(learning.Method):
    def cluster(self, me):
        yield from ()

    def model(self):
        raise NotImplementedError


def test_options_are_filled_with_defaults() -> None:
    assert read_options(WithOptions, {"alpha": 1}) == Options(alpha=1)
    assert read_options(find_method("synchronous"), {}) == NoOptions()


def test_importing_learning_and_its_methods_does_not_import_torch() -> None:
    modules = ["emsfl", "fedavg", "fedbuff", "synchronous"]
    imports = ", ".join(f"learning.methods.{name}" for name in modules)
    code = f"import sys, learning.costs, {imports}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_public_names_can_be_imported() -> None:
    for name in learning.__all__:
        assert getattr(learning, name) is not None
    with pytest.raises(AttributeError):
        learning.nothing  # noqa: B018
