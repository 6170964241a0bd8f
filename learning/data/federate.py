"""From domains to clusters to devices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.config import LearningConfig
from learning.data.partition import share_devices
from learning.data.samples import Dataset, Domain, Encoding, FederatedSamples, SampleArrays, join
from learning.streams import stream


def federate(dataset: Dataset, config: LearningConfig) -> FederatedSamples:
    """Share ``dataset`` out: cluster ``c`` holds mostly domain ``c``, its devices parts of that.

    The first ``trial_samples`` of a cluster are its trial data: they reflect the cluster's local
    distribution, are known to the server and are in no shard. Raises :class:`ValueError` where a
    cluster has fewer samples left than devices, and for data of a single class.
    """
    trial_size = config.data.trial_samples
    if trial_size < 1:
        raise ValueError(
            f"learning.data.trial_samples is {trial_size}; the server needs at least 1"
        )
    domains = [_limited(domain, config) for domain in dataset.domains]
    mixed = mix_domains([d.train for d in domains], config.data.own_domain_fraction, config.seed)
    trial = [samples.at(slice(0, trial_size)) for samples in mixed]
    kept = [samples.at(slice(trial_size, None)) for samples in mixed]
    shards = [
        tuple(samples.at(rows) for rows in share_devices(samples.y, cluster, devices, config))
        for cluster, devices, samples in zip(config.clusters, config.devices, kept, strict=True)
    ]
    encoding = dataset.encode(np.concatenate([part.x for part in trial]))
    if encoding.spec.classes < 2:
        raise ValueError(
            "learning.data: all samples have one and the same label; a classifier needs two "
            "classes or more"
        )
    return FederatedSamples(
        {
            cluster: tuple(_encoded(shard, encoding) for shard in parts)
            for cluster, parts in zip(config.clusters, shards, strict=True)
        },
        {c: _encoded(part, encoding) for c, part in zip(config.clusters, trial, strict=True)},
        dict(zip(config.clusters, _tests([d.test for d in domains], encoding), strict=True)),
        encoding.spec,
    )


def _limited(domain: Domain, config: LearningConfig) -> Domain:
    """Keep the first samples of a seeded shuffle, where ``config`` sets a limit.

    Domains of the same size keep the same rows: where all clusters see one test set, they still
    do.
    """
    parts = []
    for samples, split in zip((domain.train, domain.test), ("train", "test"), strict=True):
        limit = config.data.train_samples if split == "train" else config.data.test_samples
        if limit is not None and limit < len(samples.y):
            order = stream(config.seed, "limit", split).permutation(len(samples.y))
            samples = samples.at(order[:limit])
        parts.append(samples)
    return Domain(*parts)


def _encoded(samples: SampleArrays, encoding: Encoding) -> SampleArrays:
    return samples._replace(x=encoding.features(samples.x))


def _tests(tests: list[SampleArrays], encoding: Encoding) -> list[SampleArrays]:
    """Make features of the test sets; clusters that see the same rows hold one array."""
    made: dict[bytes, NDArray[Any]] = {}
    for rows in (test.x for test in tests):
        key = rows.tobytes()
        if key not in made:
            made[key] = encoding.features(rows)
    return [test._replace(x=made[test.x.tobytes()]) for test in tests]


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
