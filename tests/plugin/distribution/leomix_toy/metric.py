"""A metric: whether one of the two most likely classes is right."""

import numpy as np


def top_two(logits, labels):
    """Return the share of samples whose class is one of the two most likely ones."""
    best = np.argsort(logits, axis=1)[:, -2:]
    return (best == labels[:, None]).any(axis=1).mean()
