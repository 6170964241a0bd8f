"""Federated data as numpy arrays: which samples each device, the server and the test hold."""

from __future__ import annotations

from collections.abc import Callable

from learning.config import LearningConfig
from learning.data.digits import digit_domains
from learning.data.partition import federate
from learning.data.samples import Domain, FederatedSamples, SampleArrays

#: Kind of data -> function that makes one :class:`Domain` a cluster.
DATASETS: dict[str, Callable[[LearningConfig], list[Domain]]] = {"digits": digit_domains}

__all__ = ["DATASETS", "Domain", "FederatedSamples", "SampleArrays", "load_samples"]


def load_samples(config: LearningConfig) -> FederatedSamples:
    """Make the domains of ``config.data.kind`` and share them out to clusters and devices.

    Raises :class:`ValueError` for an unknown kind and for more devices than there are samples.
    """
    kind = config.data.kind
    if kind not in DATASETS:
        raise ValueError(
            f"learning.data.kind is {kind!r}; known kinds: {', '.join(sorted(DATASETS))}"
        )
    return federate(DATASETS[kind](config), config)
