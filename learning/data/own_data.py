"""Data sets of one's own: what a function gives, as NumPy's arrays, or refused in one line."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from learning.data.samples import (
    LEFT_OUT,
    TEXTS,
    Dataset,
    Domain,
    Encoding,
    InputSpec,
    Rows,
    SampleArrays,
    columns_of,
    not_finite,
)
from learning.losses import is_of_classes
from learning.own.raised import ANYTHING, what_of
from learning.settings import LearningConfig

T = TypeVar("T")


def own_dataset(make: Callable[..., Dataset], config: LearningConfig) -> Dataset:
    """Return what a function of the user's makes, with arrays of NumPy in place of its own.

    Tensors of PyTorch (sparse ones, and of bfloat16, too), sparse matrices of SciPy, frames of
    pandas and lists become arrays. Raises :class:`ValueError` that names the kind where the
    function fails, or where samples are none or do not go with each other.
    """
    own = _Own(config)
    made = own.called("fails", lambda: make(config, **config.data.arguments))
    if not isinstance(made, Dataset):
        own.refuse(f"gives a {type(made).__name__}; it must give a learning.data.samples.Dataset")
    if len(made.domains) != len(config.clusters):
        own.refuse(f"gives {len(made.domains)} domains; it must give one for each cluster")
    domains = [
        own.domain(domain, cluster, devices)
        for domain, cluster, devices in zip(
            made.domains, config.clusters, config.devices, strict=True
        )
    ]

    def encode(rows: Rows) -> Encoding:
        given = own.called("encode fails", lambda: made.encode(rows))
        found = own.encoding(given)
        spec = own.checked_targets(domains, found.spec)
        return Encoding(spec, lambda some: own.features(found, some))

    return replace(made, domains=domains, encode=encode)


class _Own:
    """The data set of one kind, as it is named in messages."""

    def __init__(self, config: LearningConfig) -> None:
        self._kind = config.data.kind
        self._clusters = config.clusters
        self._loss = config.loss

    def refuse(self, why: str) -> NoReturn:
        """Raise the error of this kind of data."""
        raise ValueError(f"learning.data.kind: {self._kind!r} {why}") from None

    def called(self, what: str, call: Callable[[], T]) -> T:
        """Return what a call of the user's code gives; whatever it raises is one line."""
        try:
            return call()
        except ANYTHING as error:
            self.refuse(f"{what} ({what_of(error)})")

    def domain(self, domain: Domain, cluster: str, devices: int) -> Domain:
        """Return the samples of a cluster: what ``encode`` makes features of, and whole numbers."""
        if not isinstance(domain, Domain):
            what = f"a {type(domain).__name__} for {cluster!r}"
            self.refuse(f"gives {what}; it must give a learning.data.samples.Domain")
        train = self._samples(domain.train, f"train of {cluster!r}")
        test = self._samples(domain.test, f"test of {cluster!r}")
        device = domain.device
        if device is not None:
            device = self._whole(device, f"the devices of {cluster!r}")
            odd = device[(device < 0) | (device >= devices)]
            if len(odd):
                self.refuse(
                    f"gives a sample to device {odd[0]} of {cluster!r}, whose devices are 0 to "
                    f"{devices - 1}"
                )
        for samples in (train, test):
            sizes = {len(part) for part in samples}
            if device is not None and samples is train:
                sizes.add(len(device))
            if len(sizes) > 1:
                self.refuse(f"gives rows, labels and domains of unequal length for {cluster!r}")
        return replace(domain, train=train, test=test, device=device)

    def _samples(self, given: SampleArrays, what: str) -> SampleArrays:
        x, y, domain = given
        rows = self._array(x, what)
        if rows.dtype.kind not in "fiub":
            self.refuse(f"gives rows of type {rows.dtype} ({what}); give numbers (n, ...)")
        return SampleArrays(rows, self._targets(y, what), self._whole(domain, what))

    def _targets(self, values: Any, what: str) -> NDArray[Any]:
        array = self._array(values, what)
        if array.ndim not in (1, 2, 3) or array.dtype.kind not in "iubf":
            self.refuse(
                f"gives targets {array.dtype} of shape {array.shape} ({what}); give whole numbers "
                "or floats (n,), (n, d) or (n, h, w)"
            )
        if array.dtype.kind != "f":
            return array.astype(np.int64, copy=False)
        if not_finite(array).any():
            self.refuse(f"gives targets that are not finite in float32 ({what}); fill them")
        return array

    def _whole(self, values: Any, what: str) -> NDArray[np.int64]:
        array = self._array(values, what)
        if array.ndim != 1 or array.dtype.kind not in "iub":
            self.refuse(
                f"gives {array.dtype} of shape {array.shape} among domains and devices ({what}); "
                "give whole numbers (n,)"
            )
        return array.astype(np.int64, copy=False)

    def encoding(self, given: Encoding) -> Encoding:
        """Return an encoding whose spec has numbers of Python's, as are stored as JSON."""
        if not isinstance(given, Encoding) or not isinstance(given.spec, InputSpec):
            what = type(getattr(given, "spec", given)).__name__
            self.refuse(
                f"encode gives a {what}; it must give a learning.data.samples.Encoding of an "
                "InputSpec"
            )
        spec = given.spec
        try:
            whole = replace(
                spec,
                shape=tuple(operator.index(side) for side in spec.shape),
                classes=None if spec.classes is None else operator.index(spec.classes),
                outputs=operator.index(spec.outputs),
                vocabulary=None if spec.vocabulary is None else operator.index(spec.vocabulary),
                separator=None if spec.separator is None else operator.index(spec.separator),
            )
        except TypeError:
            self.refuse(
                f"gives a spec of shape {spec.shape!r:.60} and {spec.classes!r:.40} classes; give "
                "a tuple of whole numbers, like (6,), and a whole number, or None of floats"
            )
        return given._replace(spec=whole)

    def checked_targets(self, domains: list[Domain], spec: InputSpec) -> InputSpec:
        """Return a spec with the outputs of its targets; refuse targets that it does not tell of.

        These are floats beside classes, whole numbers without any, and labels that are none of
        them. Targets of all clusters have one shape.
        """
        classes = spec.classes
        first = domains[0].train.y
        for domain, cluster in zip(domains, self._clusters, strict=True):
            for part in (domain.train, domain.test):
                y = part.y
                if y.dtype.kind != first.dtype.kind or y.shape[1:] != first.shape[1:]:
                    self.refuse(
                        f"gives targets {y.dtype} of shape {y.shape} for {cluster!r}, beside "
                        f"{first.dtype} of {first.shape}; give one type and shape to all"
                    )
                if y.dtype.kind == "f":
                    if classes is not None:
                        self.refuse(
                            f"gives {y.dtype} targets and a spec of {classes} classes; give whole "
                            "numbers, or classes=None"
                        )
                    continue
                if classes is None:
                    if is_of_classes(self._loss):
                        self.refuse(
                            "gives whole numbers and a spec without classes; give floats, or the "
                            "number of classes"
                        )
                    continue
                odd = y[((y < 0) & (y != LEFT_OUT)) | (y >= classes)]
                if len(odd):
                    self.refuse(
                        f"gives a label {odd[0]} for {cluster!r}; with the {classes} classes of "
                        f"its spec, labels are 0 to {classes - 1}"
                    )

        return replace(spec, outputs=columns_of(first)) if first.dtype.kind == "f" else spec

    def features(self, encoding: Encoding, rows: Rows) -> NDArray[Any]:
        """Return the features of samples, (n, ...), as the spec says that they are."""
        given = self.called("features fails", lambda: encoding.features(rows))
        array = self._array(given, "features")
        if array.dtype.kind not in "fiub":
            self.refuse(f"gives features of type {array.dtype}; give numbers, like float32")
        spec = encoding.spec
        tokens = spec.form in TEXTS
        if len(array) != len(rows) or (not tokens and array.shape[1:] != spec.shape):
            self.refuse(
                f"gives features of shape {array.shape} for {len(rows)} samples; its spec says "
                f"{(len(rows), *spec.shape)}"
            )
        return array

    def _array(self, values: Any, what: str) -> NDArray[Any]:
        """Return what a library calls an array, a tensor or a frame as NumPy's."""
        if isinstance(values, np.ma.MaskedArray):
            self.refuse(f"gives a masked array ({what}); fill it with numbers")
        array = self.called(f"gives no array ({what})", lambda: as_array(values))
        if array.ndim == 0:
            self.refuse(f"gives a {type(values).__name__} ({what}); give an array of numbers")
        return array


def as_array(values: Any) -> NDArray[Any]:
    """Return an array, a tensor, a sparse matrix, a frame or a list as a dense array of NumPy."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.layout) != "torch.strided":
            values = values.to_dense()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
        return np.asarray(values.numpy())
    for way in ("toarray", "to_numpy"):  # sparse of SciPy, and frames
        if hasattr(values, way):
            values = getattr(values, way)()
    array = np.asarray(values)
    # Torch knows no strides that go backward, as of arrays that were flipped.
    copied = not array.flags.writeable or any(stride < 0 for stride in array.strides)
    return array.astype(array.dtype.newbyteorder("="), copy=copied)
