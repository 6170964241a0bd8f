"""Labelled samples as numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Form = Literal["vector", "image", "text", "choices", "next_token"]
Rows = NDArray[np.int64]
LEFT_OUT = -100
"""The label of what is not learnt: of a sample, or of a place in it."""
TEXTS: tuple[Form, ...] = ("text", "choices", "next_token")
"""Forms of token ids."""


class SampleArrays(NamedTuple):
    """Features ``x`` (n, ...), targets ``y`` and domain indices (n,), int64.

    Targets are int64, classes (n,) or a label at each place (n, d), (n, h, w), of which -100 is
    left out; or floating-point numbers (n,), (n, d), (n, h, w). ``x`` by form:

    - ``vector``: float32 (n, d);
    - ``image``: float32 (n, C, H, W);
    - ``text``: int64 (n, T), token ids, padded with -1;
    - ``choices``: int64 (n, O, 2, T); ``[..., 0, :]`` are the token ids of a question and one of
      its options, padded with -1, and ``[..., 1, :]`` is 1 where a token belongs to the option.
      An option that a question does not have is all -1 and 0;
    - ``next_token``: int64 (n, T), token ids, padded with -1, each of which is predicted from those
      before it. Nothing learns the label.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    domain: NDArray[np.int64]

    def at(self, rows: Rows | slice) -> SampleArrays:
        """Return the samples at ``rows``."""
        return SampleArrays(self.x[rows], self.y[rows], self.domain[rows])


def are_classes(y: NDArray[Any]) -> bool:
    """Whether targets are one class of each sample."""
    return y.ndim == 1 and y.dtype.kind == "i"


def not_finite(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which floats are not finite as float32."""
    with np.errstate(over="ignore"):
        return ~np.isfinite(values.astype(np.float32))


def columns_of(y: NDArray[Any]) -> int:
    """Return how many numbers a model gives for float targets, of a sample or a place in it."""
    return int(y.shape[1]) if y.ndim == 2 else 1


def join(parts: Sequence[SampleArrays]) -> SampleArrays:
    """Put samples one after another, in the order of ``parts``."""
    x, y, domain = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return SampleArrays(x, y, domain)


@dataclass(frozen=True)
class InputSpec:
    """The input of a model: the form, the shape of one sample's ``x``, and how many it tells apart.

    ``classes`` are those of integer targets, None of floats. ``outputs`` are the numbers that a
    model gives of a sample, or of a place in it: one for each class, or for each column of (n, d)
    floats, and 1 of other floats. ``vocabulary`` is the number of token ids of forms of texts, None
    of other forms, and ``separator`` the token that stands between two texts and in none, if there
    is such a one. The classes of ``choices`` are the options of the question that has most.
    """

    form: Form
    shape: tuple[int, ...]
    classes: int | None
    vocabulary: int | None = None
    separator: int | None = None
    outputs: int = 0

    def __post_init__(self) -> None:
        """There is an output for each class."""
        given = self.outputs if self.classes is None else self.classes
        object.__setattr__(self, "outputs", given or 1)


@dataclass(frozen=True)
class Domain:
    """One data modality: samples to train on, and its test set.

    ``device`` (n,) says which of the cluster's devices each train sample comes from, by its number;
    None where the data do not say. It holds the sample, unless a split is asked for. So does
    ``test_device`` of the test samples.
    """

    train: SampleArrays
    test: SampleArrays
    device: Rows | None = None
    test_device: Rows | None = None


class Encoding(NamedTuple):
    """How the features of samples are made from their row numbers (n,)."""

    spec: InputSpec
    features: Callable[[Rows], NDArray[Any]]


@dataclass(frozen=True)
class Dataset:
    """One domain per cluster, whose ``x`` are row numbers (n,), and what those stand for.

    Rows are split before features are made of them. ``encode`` takes the trial rows of all
    clusters, which is what the server knows (a tokenizer is trained on them), and returns the
    encoding of all rows.
    """

    domains: list[Domain]
    encode: Callable[[Rows], Encoding]


@dataclass(frozen=True)
class FederatedSamples:
    """Who holds what, by cluster name.

    ``shards`` has one entry per device; ``trial`` is shared with the server and in no shard;
    ``test`` is the cluster's own domain. ``validation``, which nobody trains on either, is of the
    domain that the test is of; it is empty where nothing is set aside. ``spec`` is the same for all
    of them. Where clients are tested for themselves, ``client_test`` and ``client_validation`` have
    one entry per device.
    """

    shards: Mapping[str, tuple[SampleArrays, ...]]
    trial: Mapping[str, SampleArrays]
    test: Mapping[str, SampleArrays]
    spec: InputSpec
    validation: Mapping[str, SampleArrays] = field(default_factory=dict)
    client_test: Mapping[str, tuple[SampleArrays, ...]] = field(default_factory=dict)
    client_validation: Mapping[str, tuple[SampleArrays, ...]] = field(default_factory=dict)
