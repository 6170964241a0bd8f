"""Data: a cloud of points per class, the clouds of each cluster somewhere else."""

import numpy as np

import learning
from learning.data import Dataset, Domain, Encoding, InputSpec, SampleArrays

CLASSES = 3
FEATURES = 4
TRAIN_SAMPLES = 150
TEST_SAMPLES = 60


def blobs(config, spread=0.3):
    """Return a domain per cluster; ``spread`` is the standard deviation of a cloud."""
    centres = learning.stream(config.seed, "centres").normal(size=(CLASSES, FEATURES))

    def drawn(cluster, index, part, samples):
        draws = learning.stream(config.seed, part, cluster)
        labels = draws.integers(0, CLASSES, samples)
        points = centres[labels] + spread * draws.normal(size=(samples, FEATURES))
        return SampleArrays(points.astype(np.float32), labels, np.full(samples, index))

    domains = [
        Domain(
            drawn(cluster, index, "train", TRAIN_SAMPLES),
            drawn(cluster, index, "test", TEST_SAMPLES),
        )
        for index, cluster in enumerate(config.clusters)
    ]
    spec = InputSpec("vector", (FEATURES,), CLASSES)
    return Dataset(domains, lambda trial: Encoding(spec, lambda features: features))
