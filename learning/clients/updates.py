"""Updates: what devices send, who is refused, and how what has arrived moves the server's model."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from learning.learner import Learner
from learning.requests.cluster import Measure
from learning.requests.facts import Cause, Note, Range, UpdatesUsed, update_refused
from learning.requests.request import Request
from learning.training.recipe import Weighing
from learning.values.lazy import Handle
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class ServerModel:
    """A model at the server: its weights, its version, the changes in each expert (E,).

    ``changes`` counts what has been aggregated into each; None where the method does not count.
    """

    weights: Handle
    version: int = 0
    changes: Ints | None = None


@dataclass(frozen=True, eq=False)
class PendingUpdate:
    """What was frozen to be sent: the changes of ``experts``, and of the gate if it is part.

    ``name`` is what it is called in the traces.
    """

    handle: Handle
    experts: tuple[int, ...]
    gate: bool
    name: str

    def holds(self, experts: Sequence[int], *, gate: bool) -> bool:
        """Whether it is an update of these parts."""
        return self.experts == tuple(experts) and self.gate == gate


@dataclass(frozen=True, eq=False)
class Update:
    """What has arrived from the devices ``who`` (K,) of a cluster.

    ``eligible`` (K,) are the devices that can take part, whose samples all count for the weights.
    ``version`` (K,) is the server's that each stems from, ``rounds`` (K,) the local rounds that the
    device has trained since it downloaded that, ``contact_id`` (K,) the contact in which its last
    bit was sent (None where that is not known).
    """

    cluster: str
    sent: PendingUpdate
    who: Mask
    eligible: Mask
    version: Ints
    rounds: Ints
    contact_id: Ints | None = None

    def behind(self, server_version: int) -> Ints:
        """Return how many versions behind the server each of the devices in it is."""
        return server_version - self.version[self.who]

    def staleness(self, server_version: int) -> Range:
        """Return how old it is at least and at most, in the server's versions."""
        return Range.of(self.behind(server_version))

    @property
    def rounds_held(self) -> Range:
        """How many local rounds it holds of one device, at least and at most."""
        return Range.of(self.rounds[self.who])

    def weights(self, samples: Mapping[str, Ints], scale: float | Floats = 1.0) -> Floats:
        """Return ``scale n_k / n_c`` (K,), from the ``samples`` (K,) of each cluster's devices.

        ``n_c`` counts the samples of the devices that are eligible.
        """
        own = samples[self.cluster]
        if self.eligible.all():
            return scale * own / own.sum()
        return scale * own / own[self.eligible].sum()


def finite(learner: Learner, offered: Handle, done: Mask) -> Generator[Request, Any, Mask]:
    """Return those of ``done`` (K,) whose offered tensors are finite; refuse the others by name.

    Where nothing is measured all of them are.
    """
    if not (learner.measures and done.any()):
        return done
    found = yield Measure("not finite", lambda: learner.not_finite(offered), [])
    refused = [device for device in found if done[device]]
    yield from refuse(refused)
    kept = done.copy()
    kept[refused] = False
    return kept


def refuse(devices: Iterable[int]) -> Generator[Request, Any, None]:
    """Refuse the updates of these devices by name: they are not finite."""
    for device in devices:
        detail = update_refused(device, spoilt=False)
        yield Note("drop", detail=detail, cause=Cause.UPDATE_NOT_FINITE)


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
    :class:`~learning.requests.facts.Used` with that.

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
    offered = sent.handle
    if start is not None and start is not server:
        offered = learner.make("learning.training.aggregation:towards", offered, start)
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
    return learner.make("learning.training.aggregation:changes", update.sent.handle, who=update.who)
