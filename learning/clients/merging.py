"""Merging: how updates that have arrived move the server's model, and what was used for that."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from learning.clients.updates import Update
from learning.learner import Learner
from learning.requests.used import UpdatesUsed
from learning.training.recipe import Weighing
from learning.values.lazy import Handle
from statements.arrays import Floats, Ints, Mask

Weighted = tuple[Update, float | Floats]
"""An update, and the weight of its mean: one number, or one for each device (K,)."""


def merge(
    learner: Learner,
    server: Handle,
    update: Update,
    scale: float | Floats = 1.0,
    usage: Floats | None = None,
    start: Handle | None = None,
) -> tuple[Handle, UpdatesUsed]:
    """Add the weighted mean of the snapshots in ``update`` to ``server``, as :func:`aggregate`.

    Returns the model, and what was used for it: who moves the server's model asks for
    :class:`~learning.requests.used.Used` with that.

    What an update holds as a whole, like the statistics of a BatchNorm, counts against ``start``,
    by default ``server``: the model before several updates are added, one after the other.
    """
    sent = update.sent
    used = UpdatesUsed(
        update.cluster,
        sent.name,
        update.who,
        update.version,
        update.contact_id,
        lambda samples: update.weights(samples, scale),
    )
    if not learner.trains:
        return server, used
    offered = sent.handle
    if start is not None and start is not server:
        offered = learner.make("learning.training.changes:towards", offered, start)
    weighing = Weighing(update.cluster, update.who, update.eligible, scale, usage)
    return aggregate(learner, server, offered, sent.experts, weighing, gate=sent.gate), used


def aggregate(
    learner: Learner,
    server: Handle,
    offered: Handle,
    experts: Sequence[int],
    weighing: Weighing,
    *,
    gate: bool = False,
) -> Handle:
    """Add what devices have ``offered`` of ``experts`` (35) and of the ``gate`` (36) to ``server``.

    Devices whose changes go down cut to a rank of theirs will ask for the model of that rank.
    """
    if not learner.trains:
        return server
    moved = partial(
        learner.make,
        "learning.training.aggregation:aggregate",
        experts=list(experts),
        weighing=weighing,
        gate=gate,
    )
    lora = learner.config.model.lora
    rank = lora.rank if lora.aggregate == "merge" and lora.download == "factors" else None
    after = moved(server, offered, cut=rank)
    if ranks := learner.config.cuts:
        before = learner.cut_to_ranks.get(server, {})
        learner.cut_to_ranks[after] = {
            each: moved(before.get(each, server), offered, cut=each) for each in ranks
        }
    return after


def changes_in(learner: Learner, cluster: str, who: Mask) -> Ints:
    """Return how many changes an update of the devices ``who`` (K,), or (K, E), is to an expert.

    It is one or, where factors are stacked, the ranks of all these devices.
    """
    lora = learner.config.model.lora
    ranks = learner.config.ranks_of(cluster)
    if lora.aggregate != "stack":
        return np.asarray(who.any(axis=0), np.int64)
    return np.tensordot(ranks or [lora.rank or 0] * len(who), who, 1)


Moved = tuple[Handle, Sequence[UpdatesUsed]]
"""The server's next model, or its change, and the updates that were used for it."""


def mean_change(learner: Learner, server: Handle, updates: Sequence[Weighted]) -> Moved:
    """Return what :func:`merge` adds to ``server`` for all the updates together, by stored name.

    With it comes what was used.
    """
    return merge_all(learner, learner.zeros(server), updates, start=server)


def merge_all(
    learner: Learner, weights: Handle, updates: Sequence[Weighted], *, start: Handle
) -> Moved:
    """Add all updates to ``weights``, one after the other; ``start`` as in :func:`merge`."""
    every = []
    for update, weight in updates:
        weights, used = merge(learner, weights, update, weight, start=start)
        every.append(used)
    return weights, every


def changes(learner: Learner, update: Update) -> Handle:
    """Return what each device in ``update`` has changed, (K, ...) by stored name.

    Factors are there as the matrices that they make. Devices that are not in it have changed
    nothing.
    """
    return learner.make("learning.training.changes:changes", update.sent.handle, who=update.who)
