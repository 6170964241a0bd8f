"""The shipped digits with something done to them that keeps a model from learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import learning.data
from learning.data.loading import DATASETS

if TYPE_CHECKING:
    from learning.data import Dataset, Domain
    from learning.settings import LearningConfig

HALF = 5


def unscaled(config: LearningConfig) -> Dataset:
    """Return the digits with grey values from 0 to 16, as they come, in place of 0 to 1."""

    def spoilt(domain: Domain) -> Domain:
        train, test = domain.train, domain.test
        return replace(
            domain, train=train._replace(x=train.x * 16.0), test=test._replace(x=test.x * 16.0)
        )

    return _each(config, spoilt)


def untested(config: LearningConfig) -> Dataset:
    """Return the digits of which clients have those below 5, and the tests the others."""

    def spoilt(domain: Domain) -> Domain:
        return replace(
            domain,
            train=domain.train.at(np.flatnonzero(domain.train.y < HALF)),
            test=domain.test.at(np.flatnonzero(domain.test.y >= HALF)),
        )

    return _each(config, spoilt)


def _each(config: LearningConfig, spoil: Callable[[Domain], Domain]) -> Dataset:
    whole: Dataset = DATASETS.find("digits")(config)
    return learning.data.Dataset([spoil(domain) for domain in whole.domains], whole.encode)
