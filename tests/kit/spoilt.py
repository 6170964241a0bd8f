"""The shipped digits with something done to them that keeps a model from learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import learning.data
from learning.data.loading import DATASETS

if TYPE_CHECKING:
    from learning.data import Dataset, SampleArrays
    from learning.settings import LearningConfig


def unscaled(config: LearningConfig) -> Dataset:
    """Return the digits with grey values from 0 to 16, as they come, in place of 0 to 1."""
    return _each(config, lambda samples: samples._replace(x=samples.x * 16.0))


def mislabelled(config: LearningConfig) -> Dataset:
    """Return the digits with labels drawn at random, which no step size learns."""
    draw = np.random.default_rng(0)
    return _each(config, lambda samples: samples._replace(y=draw.permutation(samples.y)))


def _each(config: LearningConfig, spoil: Callable[[SampleArrays], SampleArrays]) -> Dataset:
    whole: Dataset = DATASETS.find("digits")(config)
    domains = [
        replace(domain, train=spoil(domain.train), test=spoil(domain.test))
        for domain in whole.domains
    ]
    return learning.data.Dataset(domains, whole.encode)
