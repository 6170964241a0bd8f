"""Labelled samples as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class SampleArrays(NamedTuple):
    """Features ``x`` (n, d) float32, class labels ``y`` (n,) and domain indices (n,), int64."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    domain: NDArray[np.int64]

    def at(self, rows: NDArray[np.int64] | slice) -> SampleArrays:
        """Return the samples at ``rows``."""
        return SampleArrays(self.x[rows], self.y[rows], self.domain[rows])


def join(parts: list[SampleArrays]) -> SampleArrays:
    """Put samples one after another, in the order of ``parts``."""
    x, y, domain = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return SampleArrays(x, y, domain)


@dataclass(frozen=True)
class Domain:
    """One data modality: what is there to train on, and its test set."""

    train: SampleArrays
    test: SampleArrays


@dataclass(frozen=True)
class FederatedSamples:
    """Who holds what, by cluster name.

    ``shards`` has one entry a device; ``trial`` is shared with the server and in no shard;
    ``test`` is the cluster's own domain. ``classes`` is the number of labels.
    """

    shards: Mapping[str, tuple[SampleArrays, ...]]
    trial: Mapping[str, SampleArrays]
    test: Mapping[str, SampleArrays]
    classes: int
