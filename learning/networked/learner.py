"""Networked experts as a method uses them: lazy stages, and the numbers that come out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from learning.networked.checks import LATE, WAYS, known
from learning.networked.stages import TESTED, Stages
from learning.peering import Node
from learning.requests import Mask
from learning.values import Handle

if TYPE_CHECKING:
    from torch import Tensor

    from learning.evaluation import Score


class NetworkedLearner(Stages):
    """The stages, and what clients answer: for Method.scores, or inside of a Measure."""

    _tested: Handle | None = None

    def scores(
        self,
        server: Handle,
        experts: Mapping[str, Handle],
        gates: Mapping[str, Handle] | None,
        way: str = "gate",
        reach: Mapping[str, Mask] | None = None,
    ) -> list[Score]:
        """Means over each cluster's clients, all tested on the global test set. Forces.

        ``way``: by each client's ``gate``, by its own expert alone (``local``), or by k experts
        drawn at random (``random``), out of those in ``reach`` (K, N).
        """
        from learning.networked.scoring import scores

        held = self._held(gates, way, self._names)
        return scores(
            self.learner.task, self._forced(server, experts), held, way, reach, self.combine
        )

    def pattern(
        self,
        server: Handle,
        experts: Mapping[str, Handle],
        gates: Mapping[str, Handle] | None,
        way: str = "gate",
        reach: Mapping[str, Mask] | None = None,
    ) -> dict[str, list[list[float]]]:
        """Gating pattern on the global test set: ``top1`` and ``weights`` (N, N). Forces.

        Row i says where client i's samples go; rows sum to 1.
        """
        from learning.networked.scoring import pattern

        held = self._held(gates, way, self._names)
        return pattern(self.learner.task, self._forced(server, experts), held, way, reach)

    def routes(
        self,
        server: Handle,
        experts: Mapping[str, Handle],
        gates: Mapping[str, Handle] | None,
        client: Node,
        batch: int,
        size: int,
        way: str = "gate",
        reach: Mask | None = None,
    ) -> dict[str, Any]:
        """Route the ``size`` samples of a client's query number ``batch``. Forces.

        They are drawn from the global test set, from a stream of the client's own. Returns
        ``rows`` (size,), ``chosen`` (size, k) experts, best first, and ``weights`` (size, k), which
        sum to 1. Experts out of ``reach`` (N,) are never chosen; k is at most how many are in it.
        Gates of other clusters than the client's are not needed.
        """
        from learning.networked.queries import routes

        held = self._held(gates, way, (client.cluster,))
        tested = self._forced(server, experts)
        return routes(
            self.learner.task, tested, held, way,
            client=client, batch=batch, size=size, in_reach=reach,
        )  # fmt: skip

    def answered(
        self,
        server: Handle,
        experts: Mapping[str, Handle],
        client: Node,
        routed: Mapping[str, Any],
        arrived: Sequence[Sequence[bool]],
        late: str = "renormalise",
    ) -> dict[str, Any]:
        """Answer routed samples with those experts' outputs that ``arrived`` (size, k). Forces.

        Where some are missing: ``wait`` gives no answer, ``renormalise`` weighs those that are
        there, and the client's own expert answers if none is; ``local`` always lets the own expert
        answer. A client that holds no expert (one that is not finite counts as none) has no own one
        to answer by: give ``renormalise``, and samples that somebody answers. Returns
        ``predictions`` (size,; -1 for none) and ``correct`` (how many).
        """
        from learning.networked.queries import answered

        known("late", late, LATE)
        tested = self._forced(server, experts)
        return answered(self.learner.task, tested, client, routed, arrived, late, self.combine)

    def samples(self) -> list[list[int]]:
        """Return each device's number of training samples, cluster by cluster."""
        return [list(self.learner.task.shards[name].sizes) for name in self._names]

    def _forced(self, server: Handle, experts: Mapping[str, Handle]) -> Mapping[str, Tensor]:
        """Return features and outputs on the global test set, kept until something changes."""
        self._tested = self._make(TESTED, server, *self._all(experts), combine=self.combine)
        return self.learner.force(self._tested)

    def _held(
        self, gates: Mapping[str, Handle] | None, way: str, clusters: Sequence[str]
    ) -> dict[str, Mapping[str, Tensor]] | None:
        """Return the gates of ``clusters``; None for a way that needs none."""
        known("way", way, WAYS)
        if way != "gate":
            return None
        if missing := [name for name in clusters if name not in (gates or {})]:
            raise ValueError(
                f"no gates of cluster {missing[0]!r} to route by; give them, or route 'local' or "
                "'random'"
            )
        assert gates is not None
        return {name: self.learner.force(gates[name]) for name in clusters}
