"""Data that need no file: digits that come with scikit-learn, and clients that are drawn.

``digits``, ``digit-images``: all clusters hold handwritten digits, one domain each, and are tested
on the same images. ``synthetic``: clients that differ in what they see and in what it means, as
FedProx has them: Synthetic(alpha, beta) of Li et al., arXiv 1812.06127, section 5.1, as their
published code draws it: alpha and beta are standard deviations. Every device is a client.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learning.data.samples import Dataset, Domain, Encoding, InputSpec, Rows, SampleArrays, join
from learning.rng import stream
from learning.settings import LearningConfig

TRAIN_IMAGES = 1400
BRIGHTEST_PIXEL = 16.0
MAX_DOMAINS = 20
DIGITS = InputSpec("vector", (64,), 10)
DIGIT_IMAGES = InputSpec("image", (1, 8, 8), 10)

Features = NDArray[np.float32]


def digits(config: LearningConfig) -> Dataset:
    """Return the digits as 64 pixels in 0..1, permuted by domain.

    Where clusters do not keep their domains, they are one task in one order. 1400 images are split
    disjointly, 397 test images are seen by all. Raises :class:`ValueError` for more than 20
    clusters, where a domain would have too few images to learn from.
    """
    split = config.data.split
    one_task = split is not None and not split.keeps_domains

    def permuted(x: Features, index: int) -> Features:
        if one_task:
            return x
        return x[:, stream(config.seed, "domain", index).permutation(x.shape[1])]

    return _digits(config, DIGITS, "digits", TRAIN_IMAGES if one_task else MAX_DOMAINS, permuted)


def digit_images(config: LearningConfig) -> Dataset:
    """Return the digits as images (n, 1, 8, 8) in 0..1, shuffled and split as ``digits``.

    Raises :class:`ValueError` for more clusters than there are images, and for a split by domains.
    """
    if config.data.split is not None and config.data.split.kind == "domains":
        raise ValueError(
            "learning.data.split.kind: digit-images have no domains; use another kind, or digits"
        )

    shape = (-1, *DIGIT_IMAGES.shape)
    called = "digit images"
    return _digits(config, DIGIT_IMAGES, called, TRAIN_IMAGES, lambda x, _: x.reshape(shape))


def _digits(
    config: LearningConfig,
    spec: InputSpec,
    name: str,
    most: int,
    view: Callable[[Features, int], Features],
) -> Dataset:
    """Return the digits, shuffled by stream ``name``; domains see them through ``view``."""
    count = len(config.clusters)
    if not 1 <= count <= most:
        raise ValueError(f"{count} clusters; the {name} serve 1 to {most} clusters")
    pixels, labels = shipped_digits()
    order = stream(config.seed, name, "split").permutation(len(labels))
    x = (pixels[order] / BRIGHTEST_PIXEL).astype(np.float32)
    y = labels[order]
    test = np.arange(TRAIN_IMAGES, len(y))

    def samples(rows: NDArray[Any], index: int) -> SampleArrays:
        return SampleArrays(view(x[rows], index), y[rows], np.full(len(rows), index))

    parts = enumerate(np.array_split(np.arange(TRAIN_IMAGES), count))
    domains = [Domain(samples(rows, index), samples(test, index)) for index, rows in parts]
    return Dataset(domains, lambda _: Encoding(spec, lambda features: features))


def shipped_digits() -> tuple[NDArray[np.int64], Rows]:
    """Return the pixels (n, 64) and labels (n,) of the digits that scikit-learn holds.

    The package's file is read without the package, which takes longer to import than a short run
    trains. Raises :class:`ValueError` where it is not there.
    """
    package = find_spec("sklearn")
    places = None if package is None else package.submodule_search_locations
    if not places:
        raise ValueError("learning.data: digits come with scikit-learn, which is not installed")
    file = Path(places[0], "datasets", "data", "digits.csv.gz")
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            table = np.loadtxt(lines, np.int64, delimiter=",")
    except OSError as error:
        raise ValueError(
            f"learning.data: cannot read the digits of scikit-learn ({error}); install it anew"
        ) from None
    return table[:, :-1], table[:, -1]


FEATURES, CLASSES = 60, 10
SYNTHETIC = InputSpec("vector", (FEATURES,), CLASSES)
LEAST, MEAN_LOG, DEVIATION_LOG = 50, 4.0, 2.0
TRAINED = 0.9
"""Share of a client's samples that are trained on; the others are its test set."""


class Client(NamedTuple):
    """Features (n, 60), labels (n,) of one client, and the map ``weight`` (60, 10), ``bias``."""

    x: NDArray[np.float64]
    y: Rows
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


def synthetic(config: LearningConfig, alpha: float = 1.0, beta: float = 1.0) -> Dataset:
    """Return Synthetic(``alpha``, ``beta``): how far apart the clients' models and features are.

    Raises :class:`ValueError` for what is no number from 0.
    """
    for name, value in (("alpha", alpha), ("beta", beta)):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value < math.inf:
            raise ValueError(
                f"learning.data.arguments.{name}: got {value!r:.40}; must be a number from 0"
            )
    domains = []
    for index, (cluster, devices) in enumerate(zip(config.clusters, config.devices, strict=True)):
        train = []
        test = []
        device = []
        for number in range(devices):
            rng = stream(config.seed, "synthetic", cluster, number)
            x, y, *_ = draw_client(rng, alpha, beta)
            samples = SampleArrays(x.astype(np.float32), y, np.full(len(y), index))
            trained = int(TRAINED * len(y))
            train.append(samples.at(slice(trained)))
            test.append(samples.at(slice(trained, None)))
            device.append(np.full(trained, number))
        domains.append(Domain(join(train), join(test), np.concatenate(device)))
    return Dataset(domains, lambda _: Encoding(SYNTHETIC, lambda features: features))


def draw_client(rng: np.random.Generator, alpha: float, beta: float) -> Client:
    """Draw a client: y = argmax(W^T x + b), W and b from N(u, 1), u from N(0, alpha^2).

    Of x, the mean is drawn from N(B, 1), B from N(0, beta^2), and the variance of feature j,
    counted from 1, is j^-1.2. There are at least 50 samples, by a log-normal number more.
    """
    count = int(rng.lognormal(MEAN_LOG, DEVIATION_LOG)) + LEAST
    of_model = rng.normal(0.0, alpha)
    of_features = rng.normal(0.0, beta)
    mean = rng.normal(of_features, 1.0, FEATURES)
    deviation = np.arange(1, FEATURES + 1) ** -0.6
    weight = rng.normal(of_model, 1.0, (FEATURES, CLASSES))
    bias = rng.normal(of_model, 1.0, CLASSES)
    x = mean + deviation * rng.standard_normal((count, FEATURES))
    return Client(x, (x @ weight + bias).argmax(1), weight, bias)
