"""``digits``, ``digit-images``.

All clusters hold the same kind of data, and are tested on the same images.
"""

from __future__ import annotations

import numpy as np

from learning.config import LearningConfig
from learning.data.samples import Dataset, Domain, Encoding, InputSpec, SampleArrays
from learning.rng import stream

# Handwritten digits in pixel-permuted domains: the bundled default, no download.


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


IMAGE_SPEC = InputSpec("image", (1, 8, 8), 10)


def digit_images(config: LearningConfig) -> Dataset:
    """Return the digits; their ``x`` are images (n, 1, 8, 8) in 0..1 from the start."""
    return Dataset(image_domains(config), lambda trial: Encoding(IMAGE_SPEC, lambda images: images))


def image_domains(config: LearningConfig) -> list[Domain]:
    """Return one domain a cluster: 1400 images dealt at random, 397 test images seen by all.

    Raises :class:`ValueError` for more clusters than there are images.
    """
    count = len(config.clusters)
    if not 1 <= count <= TRAIN_IMAGES:
        raise ValueError(f"{count} clusters; the digit images serve 1 to {TRAIN_IMAGES} clusters")
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = stream(config.seed, "digit images", "split").permutation(len(labels))
    x = (pixels[order] / BRIGHTEST_PIXEL).astype(np.float32).reshape(-1, *IMAGE_SPEC.shape)
    y = labels[order].astype(np.int64)
    test = np.arange(TRAIN_IMAGES, len(y))
    domains = []
    for index, rows in enumerate(np.array_split(np.arange(TRAIN_IMAGES), count)):
        train, tested = (
            SampleArrays(x[part], y[part], np.full(len(part), index)) for part in (rows, test)
        )
        domains.append(Domain(train, tested))
    return domains
