"""The validation split: training samples that nobody trains on, to choose settings by.

They are taken out before clusters and devices get theirs, so that how these are split and
partitioned does not count. A cluster is validated on samples like those that it is tested on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from learning.data.samples import Domain, Rows, SampleArrays, are_classes, join
from learning.rng import stream
from learning.settings import Data, LearningConfig

KEY = "learning.data.validation"


def besides(data: Data) -> str:
    """Say that samples are missing for this reason too, where somebody has too few; or nothing."""
    return f", with learning.data.validation {data.validation:g}" if data.validation else ""


def set_aside(
    domains: Sequence[Domain], config: LearningConfig
) -> tuple[list[Domain], list[SampleArrays]]:
    """Take the share ``config.data.validation`` out of the training samples of ``domains``.

    Returns the domains without them, and what the cluster of each domain is validated on: samples
    of its domain. Clusters that are tested on the same samples are validated on the same, which are
    drawn from all of theirs. With a share of 0 nothing is drawn, and the list is empty.

    Raises :class:`ValueError` for a share that leaves a cluster, a device that the data name, or a
    class without training samples, or a cluster without validation samples.
    """
    share = config.data.validation
    if share == 0:
        return list(domains), []
    alike: dict[tuple[bytes, bytes], list[int]] = {}
    for index, domain in enumerate(domains):
        alike.setdefault((domain.test.x.tobytes(), domain.test.y.tobytes()), []).append(index)
    left = list(domains)
    validation: dict[int, SampleArrays] = {}
    for members in alike.values():
        drawn = _drawn([domains[index] for index in members], members[0], config)
        parts = []
        for index, rows in zip(members, drawn, strict=True):
            parts.append(domains[index].train.at(rows))
            left[index] = _without(domains[index], rows)
        validation |= dict.fromkeys(members, join(parts))
    _check_left(domains, left, config)
    return left, [validation[index] for index in range(len(domains))]


def _drawn(domains: Sequence[Domain], first: int, config: LearningConfig) -> list[Rows]:
    """Draw the share from the training samples of several domains; return the rows in each.

    ``first`` is the number of the first one. The first sample of a device that the data name stays.
    """
    share = config.data.validation
    may_go = np.concatenate([_may_go(domain) for domain in domains])
    size = round(share * len(may_go))
    cluster = config.clusters[first]
    if size == 0:
        raise ValueError(
            f"{KEY}: {share:g} of {len(may_go)} training samples leaves cluster {cluster!r} no "
            "validation samples; raise it"
        )
    rows = np.flatnonzero(may_go)
    if size > len(rows):
        raise ValueError(
            f"{KEY}: {share:g} of {len(may_go)} training samples leaves a device of cluster "
            f"{cluster!r} no training samples; lower it"
        )
    drawn = np.zeros(len(may_go), np.bool_)
    order = stream(config.seed, "validation", first).permutation(len(rows))
    drawn[rows[order[:size]]] = True
    ends = np.cumsum([len(domain.train.y) for domain in domains])
    return [np.flatnonzero(part) for part in np.split(drawn, ends[:-1])]


def _may_go(domain: Domain) -> np.ndarray:
    """Return which training samples (n,) may be set aside: no device's only one."""
    may_go = np.ones(len(domain.train.y), np.bool_)
    if domain.device is not None:
        may_go[np.unique(domain.device, return_index=True)[1]] = False
    return may_go


def _without(domain: Domain, rows: Rows) -> Domain:
    """Return a domain without some of its training samples."""
    kept = np.delete(np.arange(len(domain.train.y)), rows)
    device = None if domain.device is None else domain.device[kept]
    return replace(domain, train=domain.train.at(kept), device=device)


def _check_left(before: Sequence[Domain], left: Sequence[Domain], config: LearningConfig) -> None:
    """Raise ValueError where a cluster or a class has no training samples left."""
    share = config.data.validation
    for cluster, domain in zip(config.clusters, left, strict=True):
        if not len(domain.train.y):
            raise ValueError(
                f"{KEY}: {share:g} leaves cluster {cluster!r} no training samples; lower it"
            )
    if not all(are_classes(domain.train.y) for domain in before):
        return
    had, has = (np.unique(np.concatenate([d.train.y for d in of])) for of in (before, left))
    if len(lost := np.setdiff1d(had, has)):
        raise ValueError(f"{KEY}: {share:g} leaves class {lost[0]} no training samples; lower it")
