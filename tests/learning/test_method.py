"""The register of methods and their options."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

import learning
from learning.method import NoOptions, find_method, method_names, read_options
from learning.methods.emsfl import EmsFl, EnhancedEmsFl


def test_shipped_methods_are_found_by_name() -> None:
    assert {"synchronous", "emsfl", "emsfl-enhanced"} <= set(method_names())
    assert find_method("emsfl-enhanced") is EnhancedEmsFl


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


def test_options_are_filled_with_defaults() -> None:
    assert read_options(WithOptions, {"alpha": 1}) == Options(alpha=1)
    assert read_options(find_method("synchronous"), {}) == NoOptions()


def test_importing_learning_and_its_methods_does_not_import_torch() -> None:
    code = "import sys, learning.methods.emsfl, learning.costs; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_public_names_can_be_imported() -> None:
    for name in learning.__all__:
        assert getattr(learning, name) is not None
    with pytest.raises(AttributeError):
        learning.nothing  # noqa: B018
