"""Networked experts as a method uses them: lazy stages, and the numbers that come out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from learning.networked.checks import LATE, WAYS, known
from learning.networked.stages import TESTED, Stages
from learning.peering import Node
from learning.requests import Mask
from learning.values import Handle, Operation

if TYPE_CHECKING:
    from learning.evaluation import Score

SCORES = Operation("learning.networked.numbers:scores")
PATTERN = Operation("learning.networked.numbers:pattern")
ROUTES = Operation("learning.networked.numbers:routes")
ANSWERED = Operation("learning.networked.numbers:answered")
SAMPLES = Operation("learning.numbers:samples")


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
        found: list[Score] = self._number(
            SCORES, server, experts, self._held(gates, way, self._names),
            way=way, reach=reach, combine=self.combine,
        )  # fmt: skip
        return found

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
        held = self._held(gates, way, self._names)
        found: dict[str, list[list[float]]] = self._number(
            PATTERN, server, experts, held, way=way, reach=reach
        )
        return found

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
        found: dict[str, Any] = self._number(
            ROUTES, server, experts, self._held(gates, way, (client.cluster,)),
            way=way, client=client, batch=batch, size=size, in_reach=reach,
        )  # fmt: skip
        return found

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
        known("late", late, LATE)
        found: dict[str, Any] = self.learner.number(
            ANSWERED, self._test(server, experts),
            client=client, routed=routed, arrived=arrived, late=late, combine=self.combine,
        )  # fmt: skip
        return found

    def samples(self) -> list[list[int]]:
        """Return each device's number of training samples, cluster by cluster."""
        counts: list[list[int]] = self.learner.number(SAMPLES)
        return counts

    def _number(
        self,
        operation: Operation,
        server: Handle,
        experts: Mapping[str, Handle],
        gates: Mapping[str, Handle],
        **arguments: Any,
    ) -> Any:
        """Take a number out of the test results and ``gates``."""
        parents = self._test(server, experts), *gates.values()
        return self.learner.number(operation, *parents, clusters=list(gates), **arguments)

    def _test(self, server: Handle, experts: Mapping[str, Handle]) -> Handle:
        """Return features and outputs on the global test set, kept until something changes."""
        self._tested = self._make(TESTED, server, *self._all(experts), combine=self.combine)
        return self._tested

    def _held(
        self, gates: Mapping[str, Handle] | None, way: str, clusters: Sequence[str]
    ) -> dict[str, Handle]:
        """Return the gates of ``clusters``; none for a way that needs none."""
        known("way", way, WAYS)
        if way != "gate":
            return {}
        if missing := [name for name in clusters if name not in (gates or {})]:
            raise ValueError(
                f"no gates of cluster {missing[0]!r} to route by; give them, or route 'local' or "
                "'random'"
            )
        assert gates is not None
        return {name: gates[name] for name in clusters}
