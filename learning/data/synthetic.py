"""``synthetic``: clients that differ in what they see and in what it means, as FedProx has them.

Synthetic(alpha, beta) of Li et al., arXiv 1812.06127, section 5.1, as their published code draws
it: alpha and beta are standard deviations. Every device is a client.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learning.config import LearningConfig
from learning.data.samples import (
    Dataset,
    Domain,
    Encoding,
    InputSpec,
    Rows,
    SampleArrays,
    join,
)
from learning.rng import stream

FEATURES, CLASSES = 60, 10
SPEC = InputSpec("vector", (FEATURES,), CLASSES)
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
        train, test, device = [], [], []
        for number in range(devices):
            rng = stream(config.seed, "synthetic", cluster, number)
            x, y, *_ = draw_client(rng, alpha, beta)
            samples = SampleArrays(x.astype(np.float32), y, np.full(len(y), index))
            trained = int(TRAINED * len(y))
            train.append(samples.at(slice(trained)))
            test.append(samples.at(slice(trained, None)))
            device.append(np.full(trained, number))
        domains.append(Domain(join(train), join(test), np.concatenate(device)))
    return Dataset(domains, lambda trial: Encoding(SPEC, lambda features: features))


def draw_client(rng: np.random.Generator, alpha: float, beta: float) -> Client:
    """Draw a client: y = argmax(W^T x + b), W and b from N(u, 1), u from N(0, alpha^2).

    Of x, the mean is drawn from N(B, 1), B from N(0, beta^2), and the variance of feature j,
    counted from 1, is j^-1.2. There are at least 50 samples, by a log-normal number more.
    """
    count = int(rng.lognormal(MEAN_LOG, DEVIATION_LOG)) + LEAST
    of_model, of_features = rng.normal(0.0, alpha), rng.normal(0.0, beta)
    mean = rng.normal(of_features, 1.0, FEATURES)
    deviation = np.arange(1, FEATURES + 1) ** -0.6
    weight = rng.normal(of_model, 1.0, (FEATURES, CLASSES))
    bias = rng.normal(of_model, 1.0, CLASSES)
    x = mean + deviation * rng.standard_normal((count, FEATURES))
    return Client(x, (x @ weight + bias).argmax(1), weight, bias)
