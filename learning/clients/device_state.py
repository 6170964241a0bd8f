"""DeviceState: what the devices of a cluster hold of models, named and not yet computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learning.learner import Learner, LocalLoss
from learning.training.recipe import LocalRounds, TrainedPart
from learning.values.lazy import Handle
from statements.arrays import Ints, Mask


@dataclass(frozen=True, eq=False)
class DeviceState:
    """What the K devices of a ``cluster`` hold: the server's models by reference, and their own.

    ``own`` are the tensors that are not the server's. ``versions`` (E + 1, K) says which of the
    ``servers`` a device has of each expert, and in the last row of what is shared; -1 for none.
    """

    learner: Learner
    cluster: str
    own: Handle
    servers: tuple[Handle, ...]
    versions: Ints

    @classmethod
    def load(
        cls,
        learner: Learner,
        server: Handle,
        before: DeviceState | None,
        cluster: str,
        who: Mask,
        experts: Sequence[int],
        adapter_epoch: Ints,
    ) -> DeviceState:
        """Devices in ``who`` take ``experts`` and the gate of ``server``.

        Where changes go down cut to a rank of theirs, it is the model that these add up to.
        """
        none = np.full((learner.config.model.experts + 1, len(who)), -1)
        sent = [(server, who)]
        cut = learner.cut_to_ranks.get(server)
        if cut:
            ranks = np.array(learner.config.ranks_of(cluster) or [*cut] * len(who))[: len(who)]
            sent = [(model, who & (ranks == rank)) for rank, model in sorted(cut.items())]
            sent.append((server, who & ~np.isin(ranks, [*cut])))
        parts = [*experts, learner.config.model.experts]
        how: dict[str, Any] = {"cluster": cluster, "experts": list(experts)}
        state = before
        for model, mine in sent:
            if cut and not mine.any():
                continue
            known: tuple[Handle, ...] = ()
            versions = none.copy()
            if state is not None:
                known = state.parents
                versions[parts] = state.versions[parts]
                how["versions"] = state.versions
            own = learner.make(
                "learning.training.sync:load",
                model,
                *known,
                **how,
                who=mine,
                adapter_epoch=adapter_epoch,
            )
            state = cls(learner, cluster, own, known[1:], versions).downloaded(model, mine, parts)
        assert state is not None  # for the type checker: somebody loads
        return state

    def load_gate(self, server: Handle, who: Mask) -> DeviceState:
        """Devices in ``who`` take what is shared of ``server``."""
        own = self.learner.make(
            "learning.training.sync:load_gate",
            server,
            *self.parents,
            versions=self.versions,
            who=who,
        )
        return replace(self, own=own).downloaded(server, who, [len(self.versions) - 1])

    def train(
        self, local: LocalRounds, part: TrainedPart, local_loss: LocalLoss | None = None
    ) -> DeviceState:
        """Train a ``part`` of the model; ``local_loss`` is added to the loss of every minibatch."""
        if not np.count_nonzero(local.rounds):
            return self
        how: dict[str, Any] = {"local": local, "part": part}
        how |= {"versions": self.versions, "servers": len(self.servers)}
        memories: tuple[Handle, ...] = ()
        calls = ""
        if local_loss is not None:
            calls = local_loss.place
            how["local_loss"] = {"place": calls, "arguments": local_loss.arguments}
            memories = local_loss.memories
        parents = (*self.parents, *memories)
        own = self.learner.values.make("learning.training.local:train", parents, how, calls)
        return replace(self, own=own)

    def offer(self, experts: Sequence[int], *, gate: bool) -> Handle:
        """Return the upload: factors of ``experts``, and with ``gate`` the gate's change."""
        return self.learner.make(
            "learning.training.sync:offer",
            *self.parents,
            versions=self.versions,
            experts=list(experts),
            gate=gate,
        )

    def commit(
        self, who: Mask, adapter_epoch: Ints, experts: Sequence[int], *, gate: bool
    ) -> DeviceState:
        """Devices in ``who`` add what they offered to their base and begin fresh factors."""
        own = self.learner.make(
            "learning.training.sync:commit",
            *self.parents,
            versions=self.versions,
            cluster=self.cluster,
            who=who,
            adapter_epoch=adapter_epoch,
            experts=list(experts),
            gate=gate,
        )
        return replace(self, own=own)

    @property
    def parents(self) -> tuple[Handle, ...]:
        """What its tensors are made of."""
        return self.own, *self.servers

    @property
    def whole(self) -> Handle:
        """The state with its bases as one value."""
        assembled = "learning.training.sync:assembled"
        return self.learner.make(assembled, *self.parents, versions=self.versions)

    def downloaded(self, server: Handle, who: Mask, parts: Sequence[int]) -> DeviceState:
        """Return the state once devices in ``who`` have ``parts`` (rows) of ``server``."""
        if len(parts) == len(self.versions) and who.all():
            return replace(self, servers=(server,), versions=np.zeros_like(self.versions))
        servers = [*self.servers, server]
        versions = self.versions.copy()
        versions[parts] = np.where(who, len(self.servers), versions[parts])
        counts = np.bincount(versions.ravel() + 1, minlength=len(servers) + 1)
        used = np.flatnonzero(counts[1:]).tolist()
        renamed = np.full(len(servers) + 1, -1)  # the last one stands for none, too
        renamed[used] = range(len(used))
        return replace(self, servers=tuple(servers[n] for n in used), versions=renamed[versions])
