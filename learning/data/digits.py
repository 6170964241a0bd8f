"""Handwritten digits in pixel-permuted domains: the bundled default, no download.

Each domain sees the 8 x 8 images of scikit-learn's ``load_digits`` through its own fixed
permutation of the pixels, so that a model for one domain is of no use in another.
"""

from __future__ import annotations

import numpy as np

from learning.config import LearningConfig
from learning.data.samples import Dataset, Domain, Encoding, InputSpec, SampleArrays
from learning.streams import stream

TRAIN_IMAGES = 1400
BRIGHTEST_PIXEL = 16.0
MAX_DOMAINS = 20
SPEC = InputSpec("vector", (64,), 10)


def digits(config: LearningConfig) -> Dataset:
    """Return the digits; their ``x`` are features from the start, 64 pixels in 0..1."""
    return Dataset(digit_domains(config), lambda trial: Encoding(SPEC, lambda features: features))


def digit_domains(config: LearningConfig) -> list[Domain]:
    """Return one domain a cluster: 1400 images split disjointly, 397 test images seen by all.

    Features are 64 pixels in 0..1. Raises :class:`ValueError` for more than 20 clusters, where
    a domain would have too few images to learn from.
    """
    count = len(config.clusters)
    if not 1 <= count <= MAX_DOMAINS:
        raise ValueError(f"{count} clusters; the digits data serve 1 to {MAX_DOMAINS} clusters")
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = stream(config.seed, "digits", "split").permutation(len(labels))
    x = (pixels[order] / BRIGHTEST_PIXEL).astype(np.float32)
    y = labels[order].astype(np.int64)
    parts = np.array_split(np.arange(TRAIN_IMAGES), count)
    test = np.arange(TRAIN_IMAGES, len(y))
    domains = []
    for index, rows in enumerate(parts):
        view = stream(config.seed, "domain", index).permutation(x.shape[1])
        train, tested = (
            SampleArrays(x[np.ix_(part, view)], y[part], np.full(len(part), index))
            for part in (rows, test)
        )
        domains.append(Domain(train, tested))
    return domains
