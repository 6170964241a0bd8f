"""The data set of a task, made by its kind and shared out to clusters and devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from inspect import signature

from learning.data.federation import federate, united
from learning.data.own_data import own_dataset
from learning.data.samples import Dataset, FederatedSamples, InputSpec
from learning.files import Fingerprints, fingerprints_under
from learning.registry import Register
from learning.settings import LearningConfig

DATASETS: Register[Callable[..., Dataset]] = Register(
    "data set",
    "leomix.datasets",
    {
        "digits": "learning.data.embedded:digits",
        "digit-images": "learning.data.embedded:digit_images",
        "hf": "learning.text.texts:hf",
        "images": "learning.data.images:images",
        "jsonl": "learning.text.texts:jsonl",
        "npz": "learning.data.npz:npz",
        "synthetic": "learning.data.embedded:synthetic",
    },
)
"""Kinds of ``learning.data.kind``, each with a function that makes the :class:`Dataset`.

It is called with the :class:`LearningConfig`, and ``learning.data.arguments`` as keywords.
"""


def load_samples(config: LearningConfig) -> FederatedSamples:
    """Make the data set of ``config.data.kind`` and share it out to clusters and devices.

    Raises :class:`ValueError`, in one line, for an unknown kind, for files that cannot be read or
    hold something wrong, and for more clusters or devices than there are domains or samples.
    """
    return _loaded(*_source(config))


def loaded_spec(config: LearningConfig) -> InputSpec:
    """Return the form of the samples that :func:`load_samples` gives; these are not kept for it."""
    return _spec(*_source(config))


_Source = tuple[Callable[..., Dataset], LearningConfig, Fingerprints]
"""What samples depend on: who makes them, from what, and the state of the files."""


def _source(config: LearningConfig) -> _Source:
    make = DATASETS.find(config.data.kind)
    arguments = config.data.arguments
    try:
        signature(make).bind(config, **arguments)
    except TypeError as error:
        raise ValueError(
            f"learning.data.arguments: {config.data.kind!r} is not called like that ({error})"
        ) from None
    # Whoever asks before the compute device is found gets the same ones.
    anywhere = replace(config, device="cpu")
    return make, anywhere, fingerprints_under(config.named)


@lru_cache(maxsize=64)
def _spec(make: Callable[..., Dataset], config: LearningConfig, files: Fingerprints) -> InputSpec:
    """Return the form for all runs of this process: points of a sweep come in any order."""
    return _loaded(make, config, files).spec


@lru_cache(maxsize=1)
def _loaded(
    make: Callable[..., Dataset], config: LearningConfig, _files: Fingerprints
) -> FederatedSamples:
    """Load once for all who ask in a row, as long as the files stay as they are."""
    apart = config
    if config.holders:
        names = tuple(sorted(name for own in config.holders for name in own))
        apart = replace(config, clusters=names, devices=(1,) * len(names), holders=())
    shipped = config.data.kind in DATASETS.shipped
    made = make(apart, **config.data.arguments) if shipped else own_dataset(make, apart)
    samples = federate(made, apart)
    return united(samples, config) if config.holders else samples
