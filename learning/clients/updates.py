"""Updates on their way up and models on their way down: bytes, progress and refusal."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.learner import Learner
from learning.requests.cluster import Measure
from learning.requests.facts import Cause, Note, Range, update_refused
from learning.requests.request import Request
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


def refuse_broken(learner: Learner, offered: Handle, done: Mask) -> Generator[Request, Any, Mask]:
    """Return those of ``done`` (K,) whose offered tensors are finite; refuse the others by name."""
    if not np.count_nonzero(done):
        return done
    found = yield Measure("not finite", lambda: learner.not_finite(offered), [])
    refused = [device for device in found if done[device]]
    for device in refused:
        detail = update_refused(device, spoilt=False)
        yield Note("drop", detail=detail, cause=Cause.UPDATE_NOT_FINITE)
    kept = done.copy()
    if refused:
        kept[refused] = False
    return kept


def arrived(learner: Learner, offered: Handle, done: Mask) -> Generator[Request, Any, Mask]:
    """Return whose uploads of ``done`` (K,) are finite: all of them where nothing is trained."""
    if not learner.measures:
        return done
    return (yield from refuse_broken(learner, offered, done))
