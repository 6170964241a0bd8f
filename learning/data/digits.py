"""``digits``, ``digit-images``: handwritten digits that come with scikit-learn.

All clusters hold the same kind of data, one domain each, and are tested on the same images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.config import LearningConfig
from learning.data.samples import Dataset, Domain, Encoding, InputSpec, SampleArrays
from learning.rng import stream

TRAIN_IMAGES = 1400
BRIGHTEST_PIXEL = 16.0
MAX_DOMAINS = 20
SPEC = InputSpec("vector", (64,), 10)
IMAGE_SPEC = InputSpec("image", (1, 8, 8), 10)

Features = NDArray[np.float32]


def digits(config: LearningConfig) -> Dataset:
    """Return the digits as 64 pixels in 0..1, permuted by domain.

    Where all samples are split by anything else than domains, they are one task in one order. 1400
    images are split disjointly, 397 test images are seen by all. Raises :class:`ValueError` for
    more than 20 clusters, where a domain would have too few images to learn from.
    """
    split = config.data.split

    def permuted(x: Features, index: int) -> Features:
        if split is not None and split.kind != "domains":
            return x
        return x[:, stream(config.seed, "domain", index).permutation(x.shape[1])]

    return _dataset(config, SPEC, "digits", "digits data", MAX_DOMAINS, permuted)


def digit_images(config: LearningConfig) -> Dataset:
    """Return the digits as images (n, 1, 8, 8) in 0..1, shuffled and split as ``digits``.

    Raises :class:`ValueError` for more clusters than there are images, and for a split by domains.
    """
    if config.data.split is not None and config.data.split.kind == "domains":
        raise ValueError(
            "learning.data.split.kind: digit-images have no domains; use another kind, or digits"
        )

    def image(x: Features, index: int) -> Features:
        return x.reshape(-1, *IMAGE_SPEC.shape)

    return _dataset(config, IMAGE_SPEC, "digit images", "digit images", TRAIN_IMAGES, image)


def _dataset(
    config: LearningConfig,
    spec: InputSpec,
    name: str,
    called: str,
    most: int,
    view: Callable[[Features, int], Features],
) -> Dataset:
    """Return the digits, shuffled by stream ``name``; domains see them through ``view``."""
    count = len(config.clusters)
    if not 1 <= count <= most:
        raise ValueError(f"{count} clusters; the {called} serve 1 to {most} clusters")
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = stream(config.seed, name, "split").permutation(len(labels))
    x = (pixels[order] / BRIGHTEST_PIXEL).astype(np.float32)
    y = labels[order].astype(np.int64)
    test = np.arange(TRAIN_IMAGES, len(y))

    def samples(rows: NDArray[Any], index: int) -> SampleArrays:
        return SampleArrays(view(x[rows], index), y[rows], np.full(len(rows), index))

    parts = enumerate(np.array_split(np.arange(TRAIN_IMAGES), count))
    domains = [Domain(samples(rows, index), samples(test, index)) for index, rows in parts]
    return Dataset(domains, lambda trial: Encoding(spec, lambda features: features))
