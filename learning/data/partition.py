"""From domains to clusters to devices."""

from __future__ import annotations

import numpy as np

from learning.config import LearningConfig
from learning.data.samples import Domain, FederatedSamples, SampleArrays, join
from learning.streams import stream


def federate(domains: list[Domain], config: LearningConfig) -> FederatedSamples:
    """Share ``domains`` out: cluster ``c`` holds mostly domain ``c``, its devices equal shards.

    The first ``trial_samples`` of a cluster are its trial data: they reflect the cluster's local
    distribution, are known to the server and are in no shard. Raises :class:`ValueError` where a
    cluster has fewer samples left than devices.
    """
    mixed = mix_domains([d.train for d in domains], config.data.own_domain_fraction, config.seed)
    trial, shards = {}, {}
    for name, devices, samples in zip(config.clusters, config.devices, mixed, strict=True):
        trial_size = config.data.trial_samples
        if trial_size < 1:
            raise ValueError(
                f"learning.data.trial_samples is {trial_size}; the server needs at least 1"
            )
        trial[name] = samples.at(slice(0, trial_size))
        shards[name] = _shards(samples.at(slice(trial_size, None)), devices, name)
    tests = [domain.test for domain in domains]
    classes = 1 + int(max(domain.train.y.max() for domain in domains))
    return FederatedSamples(shards, trial, dict(zip(config.clusters, tests, strict=True)), classes)


def _shards(samples: SampleArrays, devices: int, cluster: str) -> tuple[SampleArrays, ...]:
    count = len(samples.y)
    if not 1 <= devices <= count:
        raise ValueError(
            f"cluster {cluster!r}: {count} samples are left for {devices} devices; lower "
            "learning.data.trial_samples, or have fewer devices or clusters"
        )
    return tuple(samples.at(rows) for rows in np.array_split(np.arange(count), devices))


def mix_domains(
    domains: list[SampleArrays], own_domain_fraction: float, seed: int
) -> list[SampleArrays]:
    """Give each cluster ``own_domain_fraction`` of its domain and even parts of the others.

    A cluster's samples are shuffled. Every sample goes to one cluster; a fraction of ``1/C``
    is uniform data, 1 the extreme of heterogeneity.
    """
    count = len(domains)
    lowest = 1.0 if count == 1 else 0.0
    if not lowest <= own_domain_fraction <= 1.0:
        raise ValueError(
            f"learning.data.own_domain_fraction is {own_domain_fraction}; "
            f"with {count} clusters it lies in {lowest:g} to 1"
        )
    received: list[list[SampleArrays]] = [[] for _ in domains]
    for home, samples in enumerate(domains):
        rows = stream(seed, "mix", home).permutation(len(samples.y))
        own, rest = np.split(rows, [round(own_domain_fraction * len(rows))])
        received[home].append(samples.at(own))
        others = [cluster for cluster in range(count) if cluster != home]
        for cluster, part in zip(others, np.array_split(rest, len(others) or 1), strict=False):
            received[cluster].append(samples.at(part))
    joined = [join(parts) for parts in received]
    return [
        samples.at(stream(seed, "shuffle", cluster).permutation(len(samples.y)))
        for cluster, samples in enumerate(joined)
    ]
