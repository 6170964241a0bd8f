"""Data sets of one's own: what libraries call an array is read, and what is none is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from torch import nn

from learning.data import Dataset, Domain, Encoding, InputSpec, SampleArrays, load_samples
from tests.kit.inner.learning import Data, LearningConfig, ModelConfig, build_task, kinds

X = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
Y = np.arange(200) % 3
GIVEN = {
    "x": lambda x: x,
    "y": lambda y: y,
    "domains": 2,
    "shape": (6,),
    "classes": 3,
    "device": None,
    "made": lambda made: made,
}


def data(config):
    domains = []
    for index in range(GIVEN["domains"]):
        train, test = (np.arange(100 * index + a, 100 * index + b) for a, b in ((0, 80), (80, 100)))
        parts = (
            SampleArrays(rows, GIVEN["y"](Y[rows]), np.full(len(rows), index))
            for rows in (train, test)
        )
        domains.append(GIVEN["made"](Domain(*parts, GIVEN["device"])))
    spec = InputSpec("vector", GIVEN["shape"], GIVEN["classes"])
    return Dataset(domains, lambda _: Encoding(spec, lambda rows: GIVEN["x"](X[rows])))


def loaded(monkeypatch, loss=None, **given):
    for name, value in given.items():
        monkeypatch.setitem(GIVEN, name, value)
    # A seed of its own, so that no samples of before are taken.
    seed = len(SEEDS)
    SEEDS.append(seed)
    kind = Data(kind=f"{__name__}:data", trial_samples=5)
    return load_samples(LearningConfig(seed, ("a", "b"), (2, 1), data=kind, loss=loss))


SEEDS = []


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.from_numpy, torch.from_numpy),
        (lambda x: torch.from_numpy(x).to_sparse(), lambda y: torch.from_numpy(y).to_sparse()),
        (scipy.sparse.csr_matrix, lambda y: y.tolist()),
        (pd.DataFrame, pd.Series),
        (lambda x: x.astype(">f4"), lambda y: y.astype(">i4")),
        (lambda x: np.flip(np.flip(x, 1).copy(), 1), lambda y: np.flip(np.flip(y).copy())),
    ],
)
def test_what_libraries_call_an_array_holds_the_same_samples(monkeypatch, x, y):
    plain, found = loaded(monkeypatch), loaded(monkeypatch, x=x, y=y)
    for name in ("a", "b"):
        assert np.array_equal(found.test[name].x, plain.test[name].x)
        assert np.array_equal(found.test[name].y, plain.test[name].y)
        assert found.test[name].y.dtype == np.int64


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"x": lambda x: x.astype(object)}, "features of type object"),
        ({"x": lambda x: x[1:]}, r"shape \(\d+, 6\) for \d+ samples; its spec says"),
        ({"x": lambda x: (row for row in x)}, "gives a generator"),
        ({"x": lambda x: x / [1, 2]}, r"features fails \(ValueError: operands"),
        ({"x": lambda x: [[1.0], [1.0, 2.0]]}, "gives no array"),
        ({"y": lambda y: y[:, None, None, None]}, r"int64 of shape \(80, 1, 1, 1\)"),
        ({"classes": None}, "whole numbers and a spec without classes; give floats, or the"),
        ({"y": lambda y: y.astype(str)}, "give whole numbers"),
        (
            {"y": lambda y: y.astype("f4"), "loss": "mse"},
            "float32 targets and a spec of 3 classes; give whole",
        ),
        ({"classes": 2}, "a label 2 for 'a'; with the 2 classes of its spec, labels are 0 to 1"),
        ({"y": lambda y: y[1:]}, "of unequal length for 'a'"),
        ({"device": np.full(80, 2)}, "a sample to device 2 of 'a', whose devices are 0 to 1"),
        ({"made": lambda made: (made.train, made.test)}, "gives a tuple for 'a'; it must give a"),
        ({"shape": 6}, r"a spec of shape 6 and 3 classes; give a tuple of whole numbers"),
        ({"y": lambda y: y.missing}, r"fails \(AttributeError: .*missing"),
        ({"domains": 1}, "gives 1 domains; it must give one for each cluster"),
    ],
)
def test_what_is_no_array_or_does_not_fit_is_refused_in_one_line(monkeypatch, given, why):
    with pytest.raises(ValueError, match=why) as error:
        loaded(monkeypatch, **given)
    assert str(error.value).startswith(f"learning.data.kind: '{__name__}:data' ")
    assert "\n" not in str(error.value)


def test_functions_that_give_floats_say_no_classes(monkeypatch):
    spec = loaded(monkeypatch, y=lambda y: np.stack([y, y], 1) / 2, classes=None, loss="mse").spec
    assert (spec.classes, spec.outputs) == (None, 2)


def test_numbers_of_a_spec_may_be_of_any_library(monkeypatch):
    found = loaded(monkeypatch, shape=[np.int64(6)], classes=np.int64(3)).spec
    assert found == InputSpec("vector", (6,), 3)
    assert json.dumps([found.shape, found.classes]) == "[[6], 3]"


def filled_in(spec):
    return nn.Sequential(Finite(), nn.Linear(6, spec.classes))


class Finite(nn.Module):
    def forward(self, x):
        return x.nan_to_num(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("x", "model", "why"),
    [
        (lambda x: (10 * x).astype(int), "vector-mlp", r"features of type int64 .* give float32"),
        (lambda x: np.where(x > 2.0, np.nan, x), "vector-mlp", r"not finite .* in \d+ of \d+ samp"),
        (
            lambda x: 1e300 * x.astype(float),
            "vector-mlp",
            r"not finite in float32, in (\d+) of \1 ",
        ),
        (lambda x: np.where(x > 2.0, np.nan, x), "filled_in", None),
        (lambda x: (10 * x).astype(int), "embedding", None),
    ],
)
def test_features_that_a_model_cannot_take_are_refused_before_the_run(monkeypatch, x, model, why):
    for name, value in {"x": x, "device": np.arange(80) % 2}.items():
        monkeypatch.setitem(GIVEN, name, value)
    SEEDS.append(None)
    kind = model if "-" in model else f"{__name__}:{model}"
    config = LearningConfig(
        len(SEEDS),
        ("a", "b"),
        (2, 2),
        data=Data(kind=f"{__name__}:data"),
        model=ModelConfig(kind=kind),
        trains_backbone=True,
    )
    if why is None:
        assert build_task(config)
        return
    with pytest.raises(ValueError, match=why) as error:
        build_task(config)
    assert "\n" not in str(error.value) and "learning.data.kind" in str(error.value)


def embedding(spec):
    return Embedded(spec.classes)


class Embedded(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.words = nn.Embedding(100, classes)

    def forward(self, x):
        return self.words(x + 50).mean(1)


def test_images_too_small_for_a_kind_are_refused():
    spec = InputSpec("image", (28, 28, 1), 3)
    with pytest.raises(ValueError, match=r"channels first, but these have the shape \(28, 28, 1\)"):
        kinds.check_form(ModelConfig(kind="image-cnn"), spec)
