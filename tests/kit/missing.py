"""Data of which something is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import learning.data
from learning.data.loading import DATASETS

if TYPE_CHECKING:
    from learning.data import Dataset
    from learning.settings import LearningConfig

MISSING = 9
HALF = 5


def digits(config: LearningConfig) -> Dataset:
    """The shipped digits, of which no client has a nine to train on; the tests do."""
    whole: Dataset = DATASETS.find("digits")(config)
    domains = [
        replace(domain, train=domain.train.at(domain.train.y != MISSING))
        for domain in whole.domains
    ]
    return learning.data.Dataset(domains, whole.encode)


def all_of_them(config: LearningConfig) -> Dataset:
    """The shipped digits, of which clients have those below 5, and the tests the others."""
    whole: Dataset = DATASETS.find("digits")(config)
    domains = [
        replace(
            domain,
            train=domain.train.at(np.flatnonzero(domain.train.y < HALF)),
            test=domain.test.at(np.flatnonzero(domain.test.y >= HALF)),
        )
        for domain in whole.domains
    ]
    return learning.data.Dataset(domains, whole.encode)
