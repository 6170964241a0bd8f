"""What networked experts are judged by, in numpy."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class LocalShares(NamedTuple):
    """How much of a client's work stays with its own expert, each 0..1.

    ``ratio`` of samples by the expert of the largest weight, ``count_share`` of all selected
    experts (those of positive weight), ``weight_share`` of the weights. The shares of weights that
    are not finite are nan.
    """

    ratio: float
    count_share: float
    weight_share: float


def macro_f1(y: Ints, predictions: Ints, classes: int) -> float:
    """Return the macro F1 over all ``classes``; one that is never predicted or met counts 0."""
    from sklearn.metrics import f1_score

    labels = range(classes)
    return float(f1_score(y, predictions, labels=labels, average="macro", zero_division=0))


def local_shares(weights: Floats, top: Ints, own: int) -> LocalShares:
    """Return the local shares of a client's ``weights`` (n, N) and first choices ``top`` (n,)."""
    if not np.isfinite(weights).all():
        return LocalShares(math.nan, math.nan, math.nan)
    selected = weights > 0
    return LocalShares(
        ratio=float((top == own).mean()),
        count_share=float(selected[:, own].sum() / selected.sum()),
        weight_share=float(weights[:, own].sum() / weights.sum()),
    )


class Pattern(NamedTuple):
    """Where one client's samples go, (N,) each: by first choice, and by weight."""

    top1: Floats
    weights: Floats


def pattern_row(weights: Floats, top: Ints) -> Pattern:
    """Return one row of the gating pattern of ``weights`` (n, N) and first choices (n,)."""
    first = np.bincount(top, minlength=weights.shape[1]) / len(top)
    return Pattern(first, weights.sum(0) / weights.sum())
