"""How the samples of one cluster go to its devices."""

from __future__ import annotations

import numpy as np

from learning.config import LearningConfig
from learning.data.samples import Rows
from learning.streams import stream


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
    # Dealing the places of one label to devices in turn gives no device a label twice, since no
    # label has more places than there are devices, and gives every device as many places.
    places = rng.permutation(devices)[np.arange(devices * per_device) % devices]
    owner = np.empty(len(y), np.int64)
    dealt = np.split(places, np.cumsum(holders[order])[:-1])
    for index, hands in zip(order, dealt, strict=True):
        parts = np.array_split(np.flatnonzero(y == labels[index]), len(hands))
        for device, rows in zip(hands, parts, strict=True):
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
