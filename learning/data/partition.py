"""Partitions: which of the holders, devices or clusters, gets which samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.data.samples import Rows, are_classes
from learning.data.validation import besides
from learning.rng import stream
from learning.settings import LearningConfig, Split


def rows_by_holder(owner: Rows, holders: int) -> list[Rows]:
    """Return the rising rows of each holder; ``owner`` (n,) is the holder of each row."""
    ends = np.cumsum(np.bincount(owner, minlength=holders))
    return np.split(np.argsort(owner, kind="stable"), ends[:-1])


def check_split(split: Split | None, y: NDArray[Any]) -> None:
    """Raise ValueError for a split by classes of samples whose targets y (n, ...) are none."""
    if split is not None and split.kind in ("dirichlet", "shards") and not are_classes(y):
        raise ValueError(
            f"learning.data.split.kind: {split.kind!r} goes by the class of each sample, and these "
            f"targets are {y.dtype} of shape {y.shape[1:]}, which are none; set iid or quantity"
        )


# How all samples of a run are split among its devices, or among its clusters.


TRIES = 100
"""Draws of sizes among which one must leave nobody without samples."""


def split_rows(
    y: NDArray[Any],
    holders: int,
    split: Split,
    rng: np.random.Generator,
    lack: Callable[[Rows], str],
) -> list[Rows]:
    """Return the rows of each of ``holders``, in random order; every sample has one holder.

    ``y`` (n,) are labels. ``lack`` says of the holders' numbers of samples (holders,) who has too
    few, "" for nobody: sizes that are drawn are drawn again then, at most :data:`TRIES` times.
    Raises :class:`ValueError` where that does not help, and for labels that are too few.
    """
    order = rng.permutation(len(y))
    for _ in range(1 if split.alpha is None else TRIES):
        owner = _owners(y[order], holders, split, rng)
        lacking = lack(np.bincount(owner, minlength=holders))
        if not lacking:
            return [order[rows] for rows in rows_by_holder(owner, holders)]
    if split.alpha is None:
        key = f"kind: {split.kind!r}"
        cure = ""
    else:
        key = f"alpha: {split.alpha:g}"
        cure = f" in each of {TRIES} draws; raise it"
    raise ValueError(
        f"learning.data.split.{key} leaves {lacking}{cure}{',' if cure else ';'} have fewer "
        "devices or clusters, or lower learning.data.trial_samples"
    )


def _owners(y: Rows, holders: int, split: Split, rng: np.random.Generator) -> Rows:
    """Return the holder (n,) of each of n shuffled samples by their labels (n,).

    ``iid`` gives everybody as many, of whatever label. ``dirichlet`` draws, for each label, the
    share of it that each holder gets from Dirichlet(``alpha``): label skew of Yurochkin et al.
    (arXiv:1905.12022). ``quantity`` draws everybody's share of all samples so, labels as they come:
    quantity skew of NIID-Bench (arXiv:2102.02079), as is the other. ``shards`` sorts the samples by
    label, cuts them into equal shards, and gives everybody ``classes`` shards, which may span two
    labels each: McMahan et al. (arXiv:1602.05629), section 3.
    """
    if split.kind == "iid":
        return np.sort(np.arange(len(y)) % holders)
    known = len(np.unique(y))
    if split.kind == "dirichlet":
        return _by_shares(y, rng.dirichlet(np.full(holders, split.alpha), size=known).T)
    if split.kind == "quantity":
        return _by_shares(
            np.zeros(len(y), np.int64), rng.dirichlet(np.full(holders, split.alpha))[:, None]
        )
    each = split.classes or 1
    shards = each * holders
    if each > known:
        raise ValueError(
            f"learning.data.split.classes: got {each}; must be at most {known}, the classes that "
            "the data have"
        )
    if shards > len(y):
        raise ValueError(
            f"learning.data.split.classes: got {each}; {holders} holders of as many shards need "
            f"{shards} samples, and there are {len(y)}; lower it, or have fewer devices or clusters"
        )
    owner = np.empty(len(y), np.int64)
    owner_of_shard = rng.permutation(np.repeat(np.arange(holders), each))
    owner[np.argsort(y, kind="stable")] = owner_of_shard[np.sort(np.arange(len(y)) % shards)]
    return owner


def _by_shares(y: Rows, shares: np.ndarray) -> Rows:
    """Divide the samples of each label in proportion to a column of ``shares`` (holders, labels).

    Returns the holder (n,) of each sample. Every sample is used, in steps of one.
    """
    owner = np.empty(len(y), np.int64)
    for label, wanted in zip(np.unique(y), shares.T, strict=True):
        rows = np.flatnonzero(y == label)
        # a very small alpha may leave a label that nobody drew at all
        weights = wanted if wanted.sum() > 0 else np.ones(len(wanted))
        ends = np.rint(np.cumsum(weights) / weights.sum() * len(rows)).astype(np.int64)
        owner[rows] = np.searchsorted(ends, np.arange(len(rows)), side="right")
    return owner


# How the samples of one cluster go to its devices.


def needs_trial(config: LearningConfig) -> bool:
    """Return whether the server needs samples of its own.

    A mixture of experts is split and pre-trained by them, and a tokenizer is made of them. A plain
    model needs none, unless the server trains it before time begins.
    """
    return bool(config.model.experts or config.pretraining.backbone_steps)


def share_devices(y: Rows, cluster: str, devices: int, config: LearningConfig) -> list[Rows]:
    """Return the rows (n_d,) of each device; every sample goes to exactly one device.

    ``y`` (n,) are the labels of the cluster's samples. Every device gets at least one. Draws come
    from a stream of the cluster's own. Without a split over ``devices`` all get as many. Raises
    :class:`ValueError` for more devices than samples and where a split is impossible.
    """
    count = len(y)
    data = config.data
    if not 1 <= devices <= count:
        helps = ["have fewer devices or clusters"]
        behind = ""
        if data.validation:
            helps.insert(0, "lower learning.data.validation")
        if needs_trial(config):
            helps.insert(0, "lower learning.data.trial_samples")
            behind = f" behind {data.trial_samples} trial samples"
        if data.train_samples is not None:
            helps.insert(0, f"raise learning.data.train_samples ({data.train_samples})")
        elif data.path is not None or data.paths:
            helps.insert(0, "add samples")
        raise ValueError(
            f"cluster {cluster!r}: {count} samples are left for {devices} devices{behind}"
            f"{besides(data)}; {', '.join(helps[:-1])}{', or ' if helps[1:] else ''}{helps[-1]}"
        )
    split = data.split
    if split is None or split.over != "devices" or split.kind == "iid":
        return np.array_split(np.arange(count), devices)
    rng = stream(config.seed, "partition", cluster)
    if split.alpha is not None:  # kind dirichlet
        return dirichlet_parts(y, devices, split.alpha, rng)
    try:
        return class_parts(y, devices, split.classes or 1, rng)
    except ValueError as error:
        raise ValueError(f"cluster {cluster!r}: {error}") from None


def dirichlet_parts(y: Rows, devices: int, alpha: float, rng: np.random.Generator) -> list[Rows]:
    """Draw each device's label shares from a symmetric Dirichlet(``alpha``).

    Every sample is used: the samples of a label are divided in proportion to the shares that the
    devices drew for it (in steps of one sample). With equally frequent labels and many devices a
    device's shares are thus the ones it drew. A device that got nothing takes one sample of the
    device that has most.
    """
    shares = rng.dirichlet(np.full(len(np.unique(y)), alpha), size=devices)
    owner = _by_shares(y, shares)
    sizes = np.bincount(owner, minlength=devices)
    for empty in np.flatnonzero(sizes == 0):
        richest = int(sizes.argmax())
        owner[np.flatnonzero(owner == richest)[-1]] = empty
        sizes[richest] -= 1
        sizes[empty] = 1
    return rows_by_holder(owner, devices)


def class_parts(y: Rows, devices: int, per_device: int, rng: np.random.Generator) -> list[Rows]:
    """Give each device samples of exactly ``per_device`` labels; every sample is used.

    A label goes to a number of devices in proportion to its samples, and they divide these
    evenly. Raises :class:`ValueError` where labels, devices or samples are too few for that.
    """
    labels, sizes = np.unique(y, return_counts=True)
    most = np.minimum(sizes, devices)
    wanted = devices * per_device
    if not 1 <= per_device <= len(sizes) or not len(sizes) <= wanted <= most.sum():
        raise ValueError(
            f"{devices} devices with {per_device} labels each cannot share {sizes.sum()} samples "
            f"of {len(sizes)} labels; change learning.data.split.classes, or the number of "
            "devices or of samples"
        )
    # Devices that hold each label: places beyond the first go one by one to the label with most
    # samples for a holder (D'Hondt).
    holders = np.ones_like(sizes)
    for _ in range(wanted - len(sizes)):
        demand = np.where(holders < most, sizes / (holders + 1), 0.0)
        holders[demand.argmax()] += 1
    order = rng.permutation(len(labels))
    # Giving the places of one label to devices in turn gives no device a label twice, since no
    # label has more places than there are devices, and gives every device as many places.
    places = rng.permutation(devices)[np.arange(wanted) % devices]
    owner = np.empty(len(y), np.int64)
    holding = np.split(places, np.cumsum(holders[order])[:-1])
    for index, own in zip(order, holding, strict=True):
        parts = np.array_split(np.flatnonzero(y == labels[index]), len(own))
        for device, rows in zip(own, parts, strict=True):
            owner[rows] = device
    return rows_by_holder(owner, devices)
