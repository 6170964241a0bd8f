"""From a data set to clusters and devices: domains, splits, trial data and test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from learning.data.client_tests import of_devices, split_like
from learning.data.partition import (
    check_split,
    needs_trial,
    rows_by_holder,
    share_devices,
    split_rows,
)
from learning.data.samples import (
    LEFT_OUT,
    Dataset,
    Domain,
    FederatedSamples,
    Rows,
    SampleArrays,
    join,
)
from learning.data.table import Table, check_one_type
from learning.data.validation import KEY as VALIDATION
from learning.data.validation import besides, set_aside
from learning.losses import check_form, check_targets, is_of_classes
from learning.rng import stream
from learning.settings import LearningConfig

# Which rows of data files are whose domain.


def cluster_domains(
    tables: Sequence[Table], classes: Sequence[Rows], config: LearningConfig
) -> list[Domain]:
    """Return one domain per cluster; its ``x`` (n,) are row numbers, counted over all tables.

    Several tables are one per cluster. In one table with domains, the sorted distinct domains go to
    the clusters in contiguous groups. In one without, the train rows are shuffled and split
    evenly, and the test rows are seen by all; so they are with a split that does not keep domains.
    ``classes`` are the class of each row by table.

    Raises :class:`ValueError` for a split by domains of data that have none.
    """
    y = np.concatenate(classes)
    table = tables[0]
    split = config.data.split
    by_domain = split is None or split.keeps_domains
    device: Rows | None = None
    if config.data.paths:
        splits: list[tuple[Rows, ...]] = []
        start = 0
        for own, cluster in zip(tables, config.clusters, strict=True):
            rows = _split(own, np.arange(len(own.labels)), config, cluster, own.file)
            splits.append(tuple(start + part for part in rows))
            start += len(own.labels)
        if not by_domain:
            splits = _pooled(splits, table.file, config)
    elif by_domain and table.domains is not None:
        splits, device = _by_domain(table, config)
    elif split is not None and split.kind == "domains":
        helps = "name their column in learning.data.columns.domain, or use another kind"
        if config.data.kind == "images":  # which has no columns
            helps = "use another kind, or paths, with a folder for each cluster"
        raise ValueError(f"learning.data.split.kind: {table.file} has no domains; {helps}")
    else:
        whole_file = _split(table, np.arange(len(table.labels)), config, "", table.file)
        splits = _pooled([whole_file], table.file, config)
    domains = []
    for index, parts in enumerate(splits):
        train, test = (SampleArrays(part, y[part], np.full(len(part), index)) for part in parts)
        holds = [None if device is None else device[part.x] for part in (train, test)]
        domains.append(Domain(train, test, *holds))
    return domains


def _by_domain(table: Table, config: LearningConfig) -> tuple[list[tuple[Rows, ...]], Rows | None]:
    """Assign the distinct domains of ``table`` to the clusters, or to the devices of all of them.

    Returns the train and the test rows of each cluster, and in the latter case the device (n,) of
    its cluster that each row of the table comes from.
    """
    assert table.domains is not None
    check_one_type(table.domains, "domain", table.place)
    distinct, number = np.unique(np.array(table.domains), return_inverse=True)
    over_clients = config.data.split is not None and config.data.split.over == "clients"
    holders = config.devices if over_clients else (1,) * len(config.clusters)
    if sum(holders) > len(distinct):
        what = "devices" if over_clients else "clusters"
        raise ValueError(
            f"{table.file}: {len(distinct)} domains for {sum(holders)} {what}; have fewer {what}, "
            "or another learning.data.columns.domain"
        )
    groups = iter(np.array_split(np.arange(len(distinct)), sum(holders)))
    splits: list[tuple[Rows, ...]] = []
    device = np.empty(len(distinct), np.int64)
    for cluster, count in zip(config.clusters, holders, strict=True):
        own = [next(groups) for _ in range(count)]
        for index, group in enumerate(own):
            device[group] = index
        domains = np.concatenate(own)
        rows = np.flatnonzero(np.isin(number, domains))
        names = ", ".join(f"{name!r:.40}" for name in distinct[domains[:3]].tolist())
        more = ", ..." if len(domains) > 3 else ""
        where = f"{table.file}: domains of cluster {cluster!r} ({names}{more})"
        splits.append(_split(table, rows, config, cluster, where))
    return splits, device[number] if over_clients else None


def _pooled(
    splits: Sequence[tuple[Rows, ...]], file: str, config: LearningConfig
) -> list[tuple[Rows, ...]]:
    """Deal the train rows of all ``splits`` evenly; all clusters see the same test rows."""
    train, test = (np.concatenate(rows) for rows in zip(*splits, strict=True))
    count = len(config.clusters)
    if len(train) < count:
        trial = config.data.trial_samples if needs_trial(config) else 0
        least = count * (max(config.devices) + trial)
        raise ValueError(
            f"{file}: {len(train)} train samples for {count} clusters; add some, to {least} at "
            "least, or have fewer clusters"
        )
    order = stream(config.seed, "clusters").permutation(len(train))
    return [(train[part], test) for part in np.array_split(order, count)]


def _split(
    table: Table, rows: Rows, config: LearningConfig, name: str, where: str
) -> tuple[Rows, Rows]:
    """Return the train and the test rows among ``rows``, at least one of each.

    Where the table does not say what is test, ``test_fraction`` is drawn from stream ``name``.
    """
    if table.is_test is not None:
        test: NDArray[np.bool_] = table.is_test[rows]
        for split, marked in (("train", ~test), ("test", test)):
            if not marked.any():
                raise ValueError(f"{where}: no {split} samples; add some, or deal fewer clusters")
        return rows[~test], rows[test]
    fraction = config.data.test_fraction
    if len(rows) < 2:
        raise ValueError(f"{where}: one sample cannot be both trained on and tested; add some")
    size = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
    order = stream(config.seed, "held out", name).permutation(len(rows))
    return rows[np.sort(order[size:])], rows[np.sort(order[:size])]


# From domains to clusters to devices.


Held = tuple[SampleArrays, Rows | None]
"""A cluster's samples, shuffled, and the device (n,) that holds each, None for nobody yet."""


def federate(dataset: Dataset, config: LearningConfig) -> FederatedSamples:
    """Split ``dataset``: cluster ``c`` holds mostly domain ``c``, its devices parts of that.

    With a split over clients or clusters (``config.data.split``) all samples are split instead.
    Some ``trial_samples`` of a cluster are its trial data: they reflect the cluster's local
    distribution, are known to the server and are in no shard. Where the server needs none
    (:func:`needs_trial`) the devices hold all samples, and a model is tried on some of them. What
    ``config.data.validation`` sets aside is in no shard, and no trial data. Raises
    :class:`ValueError` where a cluster has fewer samples left than devices, and for data of a
    single class.
    """
    size = config.data.trial_samples
    trial = {}
    shards = {}
    for domain in dataset.domains:
        check_targets(config.loss, config.data.kind, domain.train.y.dtype)
        check_split(config.data.split, domain.train.y)
    limited = [_limited(domain, config) for domain in dataset.domains]
    domains, validated = set_aside(limited, config)
    for cluster, devices, (samples, device) in zip(
        config.clusters, config.devices, _held(domains, config), strict=True
    ):
        kept = rows = np.arange(len(samples.y))
        if device is not None:  # no device's only sample is tried
            rows = np.delete(rows, np.unique(device, return_index=True)[1])
        rows = rows[:size]
        if needs_trial(config):
            kept = np.delete(kept, rows)
        trial[cluster] = samples.at(rows)
        if device is None:
            parts = share_devices(samples.y[kept], cluster, devices, config)
        else:
            parts = rows_by_holder(device[kept], devices)
        shards[cluster] = [samples.at(kept[part]) for part in parts]
    encoding = dataset.encode(np.concatenate([part.x for part in trial.values()]))
    check_form(config.loss, encoding.spec.form)
    of_one = encoding.spec.outputs < 2 and encoding.spec.form != "next_token"
    if all((part.y == LEFT_OUT).all() for part in trial.values()):
        raise ValueError(
            f"learning.data: every label is {LEFT_OUT}, and these are left out; give labels"
        )
    if of_one and is_of_classes(config.loss):
        raise ValueError(
            "learning.data: all samples have one and the same label; a classifier needs two "
            "classes or more"
        )

    def encoded(part: SampleArrays) -> SampleArrays:
        return part._replace(x=encoding.features(part.x))

    # Clusters that see the same test rows hold one array.
    tested = {domain.test.x.tobytes(): domain.test.x for domain in domains}
    made = {key: encoding.features(rows) for key, rows in tested.items()}
    tests = [domain.test._replace(x=made[domain.test.x.tobytes()]) for domain in domains]
    validation = {id(part): encoded(part) for part in validated}
    federated = FederatedSamples(
        {cluster: tuple(map(encoded, parts)) for cluster, parts in shards.items()},
        {cluster: encoded(part) for cluster, part in trial.items()},
        dict(zip(config.clusters, tests, strict=True)),
        encoding.spec,
        {c: validation[id(part)] for c, part in zip(config.clusters, validated, strict=False)},
    )
    return _with_client_sets(federated, domains, config) if config.tests_clients else federated


def _with_client_sets(
    samples: FederatedSamples, domains: Sequence[Domain], config: LearningConfig
) -> FederatedSamples:
    """Return the samples with those that each device is tested, and validated, on."""
    owners = {
        name: domain.test_device
        for name, domain in zip(config.clusters, domains, strict=True)
        if domain.test_device is not None
    }
    if _keeps_devices(domains, config) and len(owners) == len(domains):
        test = of_devices(samples.test, owners, config.devices)
    else:
        test = split_like(samples.test, samples.shards, config.seed, "test")
    validation = split_like(samples.validation, samples.shards, config.seed, "validation")
    return replace(samples, client_test=test, client_validation=validation)


def united(samples: FederatedSamples, config: LearningConfig) -> FederatedSamples:
    """Let the one device of each cluster hold what the cluster's ``config.holders`` hold."""
    clusters = {name: n for n, own in enumerate(config.holders) for name in own}
    cluster = np.array([clusters[name] for name in samples.shards])

    def of(parts: Sequence[SampleArrays]) -> SampleArrays:
        whole = parts[0] if len(parts) == 1 else join(parts)
        return whole._replace(domain=cluster[whole.domain])

    def once(sets: Mapping[str, SampleArrays], own: Sequence[str]) -> SampleArrays:
        # What all of them are tested with counts once.
        apart = {id(sets[one].x): sets[one] for one in own}
        return of(list(apart.values()))

    shards = {}
    trial = {}
    test = {}
    validation = {}
    for name, own in zip(config.clusters, config.holders, strict=True):
        shards[name] = (of([part for one in own for part in samples.shards[one]]),)
        trial[name] = of([samples.trial[one] for one in own])
        test[name] = once(samples.test, own)
        if samples.validation:
            validation[name] = once(samples.validation, own)
    pairs = [*zip(config.clusters, config.holders, strict=True)]
    client_test, client_validation = (
        {name: (of([part for one in own for part in sets[one]]),) for name, own in pairs if sets}
        for sets in (samples.client_test, samples.client_validation)
    )
    return replace(
        samples,
        shards=shards,
        trial=trial,
        test=test,
        validation=validation,
        client_test=client_test,
        client_validation=client_validation,
    )


def _keeps_devices(domains: Sequence[Domain], config: LearningConfig) -> bool:
    """Whether devices hold the samples that the data say come from them."""
    split = config.data.split
    if split is None:
        whole = config.data.own_domain_fraction == 1.0
        return whole and all(domain.device is not None for domain in domains)
    return split.kind == "domains" and split.over == "clients"


def _held(domains: Sequence[Domain], config: LearningConfig) -> list[Held]:
    """Return what each cluster holds, and who of its devices holds it where that is decided."""
    data = config.data
    trains = [domain.train for domain in domains]
    split = data.split
    if _keeps_devices(domains, config):
        return _natural(domains, config)
    if split is None or (split.keeps_domains and split.over != "clients"):
        mixed = mix_domains(trains, data.own_domain_fraction, config.seed)
        return [(samples, None) for samples in mixed]
    pool = join(trains)
    over_clients = split.over == "clients"
    holders = sum(config.devices) if over_clients else len(config.clusters)
    rng = stream(config.seed, "split")

    def lack(counts: Rows) -> str:
        lacking = _lack(config, counts, over_clients=over_clients)
        return f"{lacking}{besides(config.data)}" if lacking else ""

    parts = split_rows(pool.y, holders, split, rng, lack)
    if not over_clients:
        return [(pool.at(rows), None) for rows in parts]
    held: list[Held] = []
    ends = np.cumsum(config.devices)
    for cluster, devices, end in zip(config.clusters, config.devices, ends, strict=True):
        own = parts[end - devices : end]
        device = np.repeat(np.arange(devices), [len(rows) for rows in own])
        order = stream(config.seed, "shuffle", cluster).permutation(len(device))
        held.append((pool.at(np.concatenate(own)[order]), device[order]))
    return held


def _natural(domains: Sequence[Domain], config: LearningConfig) -> list[Held]:
    """Return the samples of clusters whose data say from which device each comes."""
    held: list[Held] = []
    counts = []
    for index, (domain, devices) in enumerate(zip(domains, config.devices, strict=True)):
        if domain.device is None:
            raise ValueError(
                "learning.data.split.kind: 'domains' over clients takes one file whose samples "
                "name their client in a column of domains; set learning.data.split.over: clusters"
            )
        order = stream(config.seed, "shuffle", index).permutation(len(domain.train.y))
        held.append((domain.train.at(order), domain.device[order]))
        counts.append(np.bincount(domain.device, minlength=devices))
    if lacking := _lack(config, np.concatenate(counts), over_clients=True):
        data = config.data
        key = f"learning.data.kind: {data.kind!r}"
        if data.split is not None:
            key = f"learning.data.split.kind: {data.split.kind!r}"
        helps = ["have fewer devices"]
        helps += ["lower learning.data.trial_samples"] if needs_trial(config) else []
        if data.validation:
            key = f"{VALIDATION}: {data.validation:g} of the samples"
            helps.insert(0, "lower it")
        cures = " or ".join([", ".join(helps[:-1]), helps[-1]] if helps[1:] else helps)
        raise ValueError(f"{key} leaves {lacking}; {cures}")
    return held


def _lack(config: LearningConfig, counts: Rows, *, over_clients: bool) -> str:
    """Say who of the clients or clusters has too few of ``counts`` samples, "" for nobody."""
    starts = np.cumsum([0, *config.devices[:-1]])
    if over_clients and not counts.all():
        empty = int(counts.argmin())
        place = int(np.searchsorted(starts, empty, side="right")) - 1
        client = f"client '{config.clusters[place]}/{empty - starts[place]}'"
        return f"{client} without a sample"
    totals = np.add.reduceat(counts, starts) if over_clients else counts
    trial = config.data.trial_samples if needs_trial(config) else 0
    for cluster, total, devices in zip(config.clusters, totals, config.devices, strict=True):
        if total < trial + devices:
            return (
                f"cluster {cluster!r} {total} samples for {devices} devices and {trial} trial "
                "samples"
            )
    return ""


def _limited(domain: Domain, config: LearningConfig) -> Domain:
    """Keep the first samples of a seeded shuffle, where ``config`` sets a limit.

    Domains of the same size keep the same rows: where all clusters see one test set, they still
    do.
    """

    def rows(samples: SampleArrays, limit: int | None, split: str) -> Rows | slice:
        if limit is None or limit >= len(samples.y):
            return slice(None)
        return stream(config.seed, "limit", split).permutation(len(samples.y))[:limit]

    train = rows(domain.train, config.data.train_samples, "train")
    test = rows(domain.test, config.data.test_samples, "test")
    device = None if domain.device is None else domain.device[train]
    of_test = None if domain.test_device is None else domain.test_device[test]
    return Domain(domain.train.at(train), domain.test.at(test), device, of_test)


def mix_domains(
    domains: list[SampleArrays], own_domain_fraction: float, seed: int
) -> list[SampleArrays]:
    """Give each cluster ``own_domain_fraction`` of its domain and even parts of the others.

    A cluster's samples are shuffled. Every sample goes to one cluster; a fraction of ``1/C``
    is uniform data, 1 the extreme of heterogeneity.
    """
    count = len(domains)
    if count == 1 and own_domain_fraction != 1.0:
        raise ValueError(
            f"learning.data.own_domain_fraction: got {own_domain_fraction}; "
            "there is one cluster, which has all samples: set 1"
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
