"""PayloadSizes: how many bytes of a model go down to the devices of a cluster, and up from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.clients.holdings import NOT_HELD, HeldExperts, Ranks, same
from learning.learner import Learner
from learning.requests.cluster import Floats, Ints
from learning.requests.payload import Payload


class PayloadSizes:
    """Sizes of payloads of K devices, by the experts that they hold and the ranks of their changes.

    A payload has ``copies`` sets of the tensors that it names.
    """

    def __init__(self, learner: Learner, copies: int, ranks: Ranks) -> None:
        self._architecture = learner.architecture
        self._lora = learner.config.model.lora
        self._copies = copies
        self._ranks = ranks

    def download_bytes(
        self,
        held: HeldExperts,
        experts: Sequence[int],
        changes_held: Ints,
        changes: Ints | None,
        *,
        gate: bool,
    ) -> Floats:
        """Return the bytes (K,) that devices download of those of ``experts`` that they hold.

        These are whole experts or, where factors go down, the changes that a device misses, cut to
        its rank, where those are less. ``changes`` (E,) counts those at the server, stacked ones by
        their ranks, and ``changes_held`` (K, E) those that devices have.
        """
        sizes = self._architecture
        every = list(experts)
        rank = self._lora.rank
        total: Floats
        if changes is not None and self._lora.sends_factors and rank is not None:
            # What a device misses is counted in changes of the server, which have its rank.
            missed = changes[every] - changes_held[:, every]
            whole = sizes.download_bytes(every[:1], gate=False)
            factors = missed * (sizes.factor_bytes(1) / rank) * self._ranks.cuts[:, None]
            lacks = changes_held[:, every] == NOT_HELD
            parts = np.where(lacks, whole, np.minimum(whole, factors))
            total = (held.mask[:, every] * parts).sum(axis=1)
        elif held.alike:  # nearly always
            return same(len(held.mask), self._copies * sizes.download_bytes(every, gate=gate))
        else:
            number = np.count_nonzero(held.mask[:, every], axis=1)
            total = number * sizes.download_bytes(every[:1], gate=False)
        return self._copies * (total + sizes.download_bytes([], gate=gate))

    def upload(
        self,
        name: str,
        held: HeldExperts,
        experts: Sequence[int],
        version: int | Ints,
        *,
        gate: bool,
    ) -> Payload:
        """Return what devices send up of those of ``experts`` that they hold, and of the gate.

        Where they send different ones, the list of tensors is that of a device that sends most.
        """
        sizes = self._architecture
        copies = self._copies
        if held.alike and self._ranks.common is not None:
            tensors, size = sizes.upload(experts, gate=gate, rank=self._ranks.common)
            return Payload(name, copies * size, version, tensors * copies)
        ranks: list[int] = self._ranks.each.tolist()
        first = list(experts)[:1]
        sent_experts = held.mask[:, list(experts)]
        each = [sizes.upload_bytes(first, gate=False, rank=rank) for rank in ranks]
        sent = sent_experts.sum(axis=1) * each + sizes.upload_bytes([], gate=gate)
        device = sent.argmax()
        most = np.array(experts, np.int64)[sent_experts[device]].tolist()
        tensors = sizes.upload_tensors(most, gate=gate, rank=ranks[device]) * copies
        return Payload(name, copies * sent, version, tensors)
