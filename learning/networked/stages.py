"""The stages of NMoE as lazy values: extractor, personal experts, gates.

Clients are all devices of all clusters in canonical order; client i holds expert i. A value of one
cluster is stacked over its K devices. Nothing here needs torch before a value is forced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from learning.learner import Learner
from learning.networked.checks import check_networked, check_training, known
from learning.peering import Node
from learning.requests import Ints, Mask
from learning.values import Handle, Operation

START_EXTRACTOR = Operation("learning.networked.extractor:start_extractor")
CORRELATION = Operation("learning.networked.extractor:correlation")
TOTAL = Operation("learning.networked.extractor:total")
TRAIN_EXTRACTOR = Operation("learning.networked.extractor:train_extractor", trains=True)
AVERAGE = Operation("learning.networked.averages:average")
TRAIN_EXPERTS = Operation("learning.networked.experts:train_experts", trains=True)
FEATURES = Operation("learning.networked.features:features")
KNOWLEDGE = Operation("learning.networked.features:knowledge")
TESTED = Operation("learning.networked.features:tested")
START_GATE = Operation("learning.networked.gates:start_gate")
SPREAD = Operation("learning.networked.gates:spread")
TRAIN_GATES = Operation("learning.networked.gates:train_gates", trains=True)
TAKE_GATE = Operation("learning.networked.gates:take_gate")
SHARE_GATES = Operation("learning.networked.averages:share_gates")
CENTRAL = Operation("learning.networked.central:central", trains=True)
CENTRAL_SERVER = Operation("learning.networked.central:central_server")
CENTRAL_EXPERTS = Operation("learning.networked.central:central_experts")
CENTRAL_GATE = Operation("learning.networked.central:central_gate")


class Central(NamedTuple):
    """A whole mixture trained in one place, taken apart as the clients hold it."""

    server: Handle
    experts: dict[str, Handle]
    gate: Handle


class Stages:
    """The stages of NMoE on the task of ``learner``.

    ``combine`` mixes the experts' probabilities (``prob``) or their logits (``logit``).
    ``estimator`` of the spectral loss: ``shared``, whose correlation matrices clients can share, or
    ``pairs``. ``radius`` is mu of that loss: rows are clipped to the norm sqrt(mu). ``momentum`` is
    that of the extractor (and of central training), ``largest_gradient`` the norm that its gradient
    is clipped to (None: never). Raises ValueError for what does not go together.
    """

    def __init__(
        self,
        learner: Learner,
        combine: str = "prob",
        estimator: str = "shared",
        radius: float = 4.0,
        momentum: float = 0.9,
        largest_gradient: float | None = None,
        extractor_step_size_ratio: float = 1.0,
    ) -> None:
        check_networked(learner.config)
        check_training(combine, estimator, radius, momentum, largest_gradient)
        self.learner = learner
        self.combine = combine
        self.estimator = estimator
        self.radius = radius
        self.momentum = momentum
        self.largest_gradient = largest_gradient
        self.extractor_step_size_ratio = extractor_step_size_ratio

    # -- stage 1: the extractor

    def start_extractor(self, loss: str) -> Handle:
        """Return the server's extractor with what trains it: a head (``ce``), a projector
        (``spectral``), or neither (``none``: the extractor as drawn).
        """
        return self._make(START_EXTRACTOR, loss=known("loss", loss, ("ce", "spectral", "none")))

    def correlation(self, server: Handle, cluster: str, number: int, noise: float = 0.0) -> Handle:
        """R_j (K, d, d) of two views of each device's samples, drawn from stream ``number``.

        Each entry gets Gaussian noise of the standard deviation ``noise``.
        """
        if not 0 <= noise < float("inf"):
            raise ValueError(f"noise is {noise}; it must be 0 or more, and finite")
        return self._make(
            CORRELATION, server, cluster=cluster, number=number, noise=noise, radius=self.radius
        )

    def total(self, correlations: Sequence[Handle], who: Sequence[Mask] | None = None) -> Handle:
        """Sum of all clients' correlation matrices, one handle (K, d, d) a cluster.

        ``who`` (K,) a cluster are the clients that count, all by default.
        """
        return self._make(TOTAL, *correlations, who=None if who is None else list(who))

    def train_extractor(
        self,
        server: Handle,
        cluster: str,
        rounds: Ints,
        first_round: Ints,
        loss: str,
        *,
        own: Handle | None = None,
        total: Handle | None = None,
        alpha: float = 1.0,
        who: Mask | None = None,
    ) -> Handle:
        """Train each device's copy for ``rounds`` (K,) local rounds; returns all copies stacked.

        ``own`` (K, d, d) and ``total`` are shared correlation matrices, of which the weight
        ``alpha`` leaves something to count (alpha = 1 counts the device's own alone; it is 1 for a
        single client). Devices that are not in ``who`` keep the server's. Momentum begins anew in
        every call: rounds trained in several calls equal those trained in one for momentum 0 only.
        """
        known("loss", loss, ("ce", "spectral"))
        if (own is None) != (total is None):
            raise ValueError("own and total belong together; give both or none")
        if own is not None and (loss, self.estimator) != ("spectral", "shared"):
            raise ValueError("correlation matrices are shared by the estimator 'shared' only")
        matrices = () if own is None or total is None else (own, total)
        return self._make(
            TRAIN_EXTRACTOR,
            server,
            *matrices,
            cluster=cluster,
            rounds=rounds if who is None else rounds * who,
            first_round=first_round,
            loss=loss,
            alpha=alpha,
            estimator=self.estimator,
            radius=self.radius,
            step_size_ratio=self.extractor_step_size_ratio,
            **self._descent,
        )

    def average(
        self,
        server: Handle,
        trained: Mapping[str, Handle],
        who: Mapping[str, Mask],
        weighted: bool,
    ) -> Handle:
        """Mean of the trained extractors of the clients in ``who``, by samples if ``weighted``.

        What ``learning.upload_format`` rounds is a copy's change against ``server``. Clusters may
        be missing. Raises ValueError, when forced, for a copy that is not finite.
        """
        names = self._clusters(trained)
        return self._make(
            AVERAGE,
            server,
            *(trained[name] for name in names),
            clusters=names,
            who=[who[name] for name in names],
            weighted=weighted,
        )

    # -- stage 2: personal experts

    def train_experts(
        self, server: Handle, cluster: str, rounds: Ints, first_round: Ints
    ) -> Handle:
        """Train each device's expert, from its start weights, behind the frozen extractor.

        Each on its own samples, by plain gradient descent; returns them stacked.
        """
        cached = self._features(server, cluster)
        return self._make(
            TRAIN_EXPERTS, cached, cluster=cluster, rounds=rounds, first_round=first_round
        )

    # -- stage 3: gates

    def start_gate(self) -> Handle:
        """Return the gate as drawn: ``weight`` (N, d) and ``bias`` (N,)."""
        return self._make(START_GATE)

    def spread(self, gate: Handle, cluster: str) -> Handle:
        """Return one gate as all K devices of ``cluster`` hold it, stacked."""
        return self._make(SPREAD, gate, cluster=cluster)

    def knowledge(self, server: Handle, experts: Mapping[str, Handle], cluster: str) -> Handle:
        """What gates of ``cluster`` are trained on: of all devices' samples in a row (n, ...).

        ``features`` (n, d), and all experts' ``outputs`` (n, N, C): probabilities or logits.
        """
        cached = self._features(server, cluster)
        return self._make(KNOWLEDGE, cached, *self._all(experts), combine=self.combine)

    def train_gates(
        self,
        gates: Handle,
        knowledge: Handle,
        cluster: str,
        rounds: Ints,
        first_round: Ints,
        reach: Mask | None = None,
    ) -> Handle:
        """Train the gates (K, ...) for ``rounds`` (K,) local rounds, all else frozen.

        All experts count but those out of ``reach`` (K, N). Plain gradient descent: rounds trained
        in several calls equal those trained in one.
        """
        if not rounds.any():
            return gates
        return self._make(
            TRAIN_GATES,
            gates,
            knowledge,
            cluster=cluster,
            rounds=rounds,
            first_round=first_round,
            reach=reach,
            combine=self.combine,
        )

    def share_gates(
        self,
        gates: Mapping[str, Handle],
        who: Mapping[str, Mask],
        names: Sequence[str] = ("weight", "bias"),
        weighted: bool = True,
    ) -> dict[str, Handle]:
        """Average ``names`` over the clients in ``who`` and set them at all clients in ``gates``.

        What is not named stays each client's own.
        """
        clusters = self._clusters(gates)
        for name in names:
            known("names", name, ("weight", "bias"))
        arguments = {
            "clusters": clusters,
            "who": [who[name] for name in clusters],
            "names": list(names),
            "weighted": weighted,
        }
        parents = [gates[name] for name in clusters]
        return {c: self._make(SHARE_GATES, *parents, cluster=c, **arguments) for c in clusters}

    def take_gate(self, gates: Mapping[str, Handle], source: Node) -> Handle:
        """Return the gate of one client."""
        return self._make(TAKE_GATE, gates[source.cluster], device=source.device)

    def central(self, rounds: int) -> Central:
        """Train extractor, experts and gate jointly on all clients' pooled samples (baseline)."""
        whole = self._make(CENTRAL, rounds=rounds, combine=self.combine, **self._descent)
        experts = {name: self._make(CENTRAL_EXPERTS, whole, cluster=name) for name in self._names}
        return Central(self._make(CENTRAL_SERVER, whole), experts, self._make(CENTRAL_GATE, whole))

    # -- inside

    @property
    def _names(self) -> tuple[str, ...]:
        return self.learner.config.clusters

    @property
    def _descent(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "largest_gradient": self.largest_gradient}

    def _make(self, operation: Operation, *parents: Handle, **arguments: Any) -> Handle:
        return self.learner.make(operation, *parents, **arguments)

    def _clusters(self, by_cluster: Mapping[str, Any]) -> list[str]:
        """Return the clusters that are there, in canonical order."""
        return [name for name in self._names if name in by_cluster]

    def _all(self, experts: Mapping[str, Handle]) -> list[Handle]:
        if missing := [name for name in self._names if name not in experts]:
            raise ValueError(f"no experts of cluster {missing[0]!r}; train those of every cluster")
        return [experts[name] for name in self._names]

    def _features(self, server: Handle, cluster: str) -> Handle:
        return self._make(FEATURES, server, cluster=cluster)
