"""From the rows of files to one domain a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learning.config import LearningConfig
from learning.data.samples import Domain, Rows, SampleArrays
from learning.data.table import Table, check_one_type
from learning.streams import stream


def cluster_domains(
    tables: Sequence[Table], classes: Sequence[Rows], config: LearningConfig
) -> list[Domain]:
    """Return one domain a cluster; its ``x`` (n,) are row numbers, counted through all tables.

    Several tables are one a cluster. In one table with domains, the sorted distinct domains go to
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
    """Deal the distinct domains of ``table`` to the clusters."""
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
