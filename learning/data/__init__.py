"""Federated data as numpy arrays: which samples each device, the server and the test hold."""

from __future__ import annotations

from collections.abc import Callable

from learning.config import LearningConfig
from learning.data.digits import digits
from learning.data.federate import federate
from learning.data.files import data_files
from learning.data.hub import hf
from learning.data.npz import npz
from learning.data.samples import Dataset, Domain, FederatedSamples, Form, InputSpec, SampleArrays
from learning.data.texts import jsonl

#: Kind of data -> function that makes the :class:`Dataset` of a configuration.
DATASETS: dict[str, Callable[[LearningConfig], Dataset]] = {
    "digits": digits,
    "hf": hf,
    "jsonl": jsonl,
    "npz": npz,
}

__all__ = [
    "DATASETS",
    "Dataset",
    "Domain",
    "FederatedSamples",
    "Form",
    "InputSpec",
    "SampleArrays",
    "data_files",
    "load_samples",
]


def load_samples(config: LearningConfig) -> FederatedSamples:
    """Make the data set of ``config.data.kind`` and share it out to clusters and devices.

    Raises :class:`ValueError`, in one line, for an unknown kind, for files that cannot be read or
    hold something wrong, and for more clusters or devices than there are domains or samples.
    """
    kind = config.data.kind
    if kind not in DATASETS:
        raise ValueError(
            f"learning.data.kind is {kind!r}; known kinds: {', '.join(sorted(DATASETS))}"
        )
    return federate(DATASETS[kind](config), config)
