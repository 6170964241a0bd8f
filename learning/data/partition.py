"""Splits of data: domains over clusters, and clusters over their devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.config import LearningConfig
from learning.data.samples import (
    Dataset,
    Domain,
    Encoding,
    FederatedSamples,
    Rows,
    SampleArrays,
    join,
)
from learning.data.table import Table, check_one_type
from learning.rng import stream

# How the samples of one cluster go to its devices.


def share_devices(y: Rows, cluster: str, devices: int, config: LearningConfig) -> list[Rows]:
    """Return the rows (n_d,) of each device; every sample goes to exactly one device.

    ``y`` (n,) are the labels of the cluster's samples. Every device gets at least one. Draws come
    from a stream of the cluster's own. Raises :class:`ValueError` for more devices than samples
    and where a partition is impossible.
    """
    count, data = len(y), config.data
    if not 1 <= devices <= count:
        limit = f"raise learning.data.train_samples ({data.train_samples}), "
        raise ValueError(
            f"cluster {cluster!r}: {count} samples are left for {devices} devices behind "
            f"{data.trial_samples} trial samples; {'' if data.train_samples is None else limit}"
            "lower learning.data.trial_samples, or have fewer devices or clusters"
        )
    rng = stream(config.seed, "partition", cluster)
    if data.partition == "even":
        return np.array_split(np.arange(count), devices)
    if data.partition == "dirichlet":
        return dirichlet_parts(y, devices, data.dirichlet_alpha, rng)
    if data.partition == "classes":
        try:
            return class_parts(y, devices, data.classes_per_device, rng)
        except ValueError as error:
            raise ValueError(f"cluster {cluster!r}: {error}") from None
    raise ValueError(
        f"learning.data.partition is {data.partition!r}; it is even, dirichlet or classes"
    )


def dirichlet_parts(y: Rows, devices: int, alpha: float, rng: np.random.Generator) -> list[Rows]:
    """Draw each device's label shares from a symmetric Dirichlet(``alpha``).

    Every sample is used: the samples of a label are divided in proportion to the shares that the
    devices drew for it (in steps of one sample). With equally frequent labels and many devices a
    device's shares are thus the ones it drew. A device that got nothing takes one sample of the
    device that has most.
    """
    if not 0 < alpha < np.inf:
        raise ValueError(f"learning.data.dirichlet_alpha is {alpha}; it must be above 0, finite")
    labels = np.unique(y)
    shares = rng.dirichlet(np.full(len(labels), alpha), size=devices)
    owner = np.empty(len(y), np.int64)
    for label, wanted in zip(labels, shares.T, strict=True):
        rows = np.flatnonzero(y == label)
        # a very small alpha may leave a label that no device drew at all
        weights = wanted if wanted.sum() > 0 else np.ones(devices)
        ends = np.rint(np.cumsum(weights) / weights.sum() * len(rows)).astype(np.int64)
        owner[rows] = np.searchsorted(ends, np.arange(len(rows)), side="right")
    _fill_empty(owner, devices)
    return [np.flatnonzero(owner == device) for device in range(devices)]


def _fill_empty(owner: Rows, devices: int) -> None:
    sizes = np.bincount(owner, minlength=devices)
    for empty in np.flatnonzero(sizes == 0):
        richest = int(sizes.argmax())
        owner[np.flatnonzero(owner == richest)[-1]] = empty
        sizes[richest] -= 1
        sizes[empty] = 1


def class_parts(y: Rows, devices: int, per_device: int, rng: np.random.Generator) -> list[Rows]:
    """Give each device samples of exactly ``per_device`` labels; every sample is used.

    A label goes to a number of devices in proportion to its samples, and they divide these
    evenly. Raises :class:`ValueError` where labels, devices or samples are too few for that.
    """
    labels, sizes = np.unique(y, return_counts=True)
    holders = _holders(sizes, devices, per_device)
    order = rng.permutation(len(labels))
    # Giving the places of one label to devices in turn gives no device a label twice, since no
    # label has more places than there are devices, and gives every device as many places.
    places = rng.permutation(devices)[np.arange(devices * per_device) % devices]
    owner = np.empty(len(y), np.int64)
    holding = np.split(places, np.cumsum(holders[order])[:-1])
    for index, own in zip(order, holding, strict=True):
        parts = np.array_split(np.flatnonzero(y == labels[index]), len(own))
        for device, rows in zip(own, parts, strict=True):
            owner[rows] = device
    return [np.flatnonzero(owner == device) for device in range(devices)]


def _holders(sizes: Rows, devices: int, per_device: int) -> Rows:
    """Return how many devices hold each label: at least 1, at most as many as it has samples.

    Places beyond the first go one by one to the label with most samples for a holder (D'Hondt).
    """
    most = np.minimum(sizes, devices)
    places = devices * per_device
    if not 1 <= per_device <= len(sizes) or not len(sizes) <= places <= most.sum():
        raise ValueError(
            f"{devices} devices with {per_device} labels each cannot share {sizes.sum()} samples "
            f"of {len(sizes)} labels; change learning.data.classes_per_device, or the number of "
            "devices or of samples"
        )
    holders = np.ones_like(sizes)
    for _ in range(places - len(sizes)):
        demand = np.where(holders < most, sizes / (holders + 1), 0.0)
        holders[demand.argmax()] += 1
    return holders


def cluster_domains(
    tables: Sequence[Table], classes: Sequence[Rows], config: LearningConfig
) -> list[Domain]:
    """Return one domain per cluster; its ``x`` (n,) are row numbers, counted over all tables.

    Several tables are one per cluster. In one table with domains, the sorted distinct domains go to
    the clusters in contiguous groups. In one without, the train rows are shuffled and split
    evenly, and the test rows are seen by all. ``classes`` are the class of each row by table.
    """
    y = np.concatenate(classes)
    if config.data.paths:
        starts = np.cumsum([0, *map(len, classes)])
        whole = [np.arange(len(numbers)) for numbers in classes]
        splits: list[tuple[Rows, ...]] = [
            tuple(start + part for part in _split(table, rows, config, cluster, table.file))
            for start, rows, table, cluster in zip(
                starts[:-1], whole, tables, config.clusters, strict=True
            )
        ]
    elif tables[0].domains is not None:
        splits = _by_domain(tables[0], config)
    else:
        splits = _pooled(tables[0], config)
    return [
        Domain(*(SampleArrays(rows, y[rows], np.full(len(rows), index)) for rows in split))
        for index, split in enumerate(splits)
    ]


def _by_domain(table: Table, config: LearningConfig) -> list[tuple[Rows, ...]]:
    """Assign the distinct domains of ``table`` to the clusters."""
    assert table.domains is not None
    check_one_type(table.domains, "domain", table.place)
    distinct, number = np.unique(np.array(table.domains), return_inverse=True)
    if len(config.clusters) > len(distinct):
        raise ValueError(
            f"{table.file}: {len(distinct)} domains for {len(config.clusters)} clusters; have "
            "fewer clusters, or another learning.data.columns.domain"
        )
    splits: list[tuple[Rows, ...]] = []
    groups = np.array_split(np.arange(len(distinct)), len(config.clusters))
    for cluster, group in zip(config.clusters, groups, strict=True):
        rows = np.flatnonzero(np.isin(number, group))
        names = ", ".join(f"{name!r:.40}" for name in distinct[group[:3]].tolist())
        more = ", ..." if len(group) > 3 else ""
        where = f"{table.file}: domains of cluster {cluster!r} ({names}{more})"
        splits.append(_split(table, rows, config, cluster, where))
    return splits


def _pooled(table: Table, config: LearningConfig) -> list[tuple[Rows, ...]]:
    """Split the train rows of ``table`` evenly; all clusters see the same test rows."""
    train, test = _split(table, np.arange(len(table.labels)), config, "", table.file)
    count = len(config.clusters)
    if len(train) < count:
        raise ValueError(
            f"{table.file}: {len(train)} train samples for {count} clusters; have fewer clusters"
        )
    order = stream(config.seed, "clusters").permutation(len(train))
    return [(train[part], test) for part in np.array_split(order, count)]


def _split(
    table: Table, rows: Rows, config: LearningConfig, name: str, where: str
) -> tuple[Rows, Rows]:
    """Return the train and the test rows among ``rows``, at least one of each.

    Where the table does not say what is test, ``test_fraction`` is drawn from stream ``name``.
    """
    if table.is_test is None:
        return _held_out(rows, config, name, where)
    test: NDArray[np.bool_] = table.is_test[rows]
    for split, marked in (("train", ~test), ("test", test)):
        if not marked.any():
            raise ValueError(f"{where}: no {split} samples; add some, or deal fewer clusters")
    return rows[~test], rows[test]


def _held_out(rows: Rows, config: LearningConfig, name: str, where: str) -> tuple[Rows, Rows]:
    fraction = config.data.test_fraction
    if not 0 < fraction < 1:
        raise ValueError(f"learning.data.test_fraction is {fraction}; it lies between 0 and 1")
    if len(rows) < 2:
        raise ValueError(f"{where}: one sample cannot be both trained on and tested; add some")
    size = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
    order = stream(config.seed, "held out", name).permutation(len(rows))
    return rows[np.sort(order[size:])], rows[np.sort(order[:size])]


# From domains to clusters to devices.


def federate(dataset: Dataset, config: LearningConfig) -> FederatedSamples:
    """Split ``dataset``: cluster ``c`` holds mostly domain ``c``, its devices parts of that.

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
