"""Handwritten digits as images, dealt evenly over the clusters: no download.

All clusters hold the same kind of data, and are tested on the same images.
"""

from __future__ import annotations

import numpy as np

from learning.config import LearningConfig
from learning.data.digits import BRIGHTEST_PIXEL, TRAIN_IMAGES
from learning.data.samples import Dataset, Domain, Encoding, InputSpec, SampleArrays
from learning.streams import stream

SPEC = InputSpec("image", (1, 8, 8), 10)


def digit_images(config: LearningConfig) -> Dataset:
    """Return the digits; their ``x`` are images (n, 1, 8, 8) in 0..1 from the start."""
    return Dataset(image_domains(config), lambda trial: Encoding(SPEC, lambda images: images))


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
    x = (pixels[order] / BRIGHTEST_PIXEL).astype(np.float32).reshape(-1, *SPEC.shape)
    y = labels[order].astype(np.int64)
    test = np.arange(TRAIN_IMAGES, len(y))
    domains = []
    for index, rows in enumerate(np.array_split(np.arange(TRAIN_IMAGES), count)):
        train, tested = (
            SampleArrays(x[part], y[part], np.full(len(part), index)) for part in (rows, test)
        )
        domains.append(Domain(train, tested))
    return domains
