"""The shipped digits with something done to them that keeps a model from learning."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import learning.data
from learning.data.loading import DATASETS

if TYPE_CHECKING:
    from learning.data import Dataset
    from learning.settings import LearningConfig

HALF = 5


def untested(config: LearningConfig) -> Dataset:
    """Return the digits of which clients have those below 5, and the tests the others."""
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
