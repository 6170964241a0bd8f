"""NMoE's operations, lazily.

Clients are all devices of all clusters in canonical order; client i holds expert i. A value of one
cluster is stacked over its K devices. Nothing here needs torch before a value is forced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from learning.architecture.nmoe import KINDS
from learning.config import LearningConfig
from learning.learner import Learner
from learning.methods.nmoe.options import LATE, WAYS, check_training, known
from learning.requests.cluster import Ints, Mask
from learning.requests.peers import Node
from learning.values.lazy import Handle, Operation

if TYPE_CHECKING:
    from learning.training.evaluation import Score


START_EXTRACTOR = Operation("learning.training.nmoe.extractor:start_extractor")
CORRELATION = Operation("learning.training.nmoe.extractor:correlation")
TOTAL = Operation("learning.training.nmoe.extractor:total")
TRAIN_EXTRACTOR = Operation("learning.training.nmoe.extractor:train_extractor", trains=True)
AVERAGE = Operation("learning.training.aggregation:average")
TRAIN_EXPERTS = Operation("learning.training.nmoe.experts:train_experts", trains=True)
FEATURES = Operation("learning.training.nmoe.experts:features")
KNOWLEDGE = Operation("learning.training.nmoe.experts:knowledge")
TESTED = Operation("learning.training.nmoe.experts:tested")
START_GATE = Operation("learning.training.nmoe.gates:start_gate")
SPREAD = Operation("learning.training.nmoe.gates:spread")
TRAIN_GATES = Operation("learning.training.nmoe.gates:train_gates", trains=True)
TAKE_GATE = Operation("learning.training.nmoe.gates:take_gate")
SHARE_GATES = Operation("learning.training.aggregation:share_gates")
CENTRAL = Operation("learning.training.nmoe.gates:central", trains=True)
CENTRAL_SERVER = Operation("learning.training.nmoe.gates:central_server")
CENTRAL_EXPERTS = Operation("learning.training.nmoe.gates:central_experts")
CENTRAL_GATE = Operation("learning.training.nmoe.gates:central_gate")


def check_networked(config: LearningConfig) -> None:
    """Raise ValueError unless the model is one of networked experts, with one a device."""
    if config.model.kind not in KINDS:
        raise ValueError(
            f"learning.model.kind is {config.model.kind!r}; networked experts need "
            f"{' or '.join(repr(kind) for kind in KINDS)}"
        )
    if config.model.experts != sum(config.devices):
        raise ValueError(
            f"model.experts is {config.model.experts}; networked experts are one a device, "
            f"{sum(config.devices)} here"
        )
    if config.model.top_k > config.model.experts:
        raise ValueError(
            f"learning.model.top_k is {config.model.top_k}, but there are {config.model.experts} "
            "clients with an expert each; lower it"
        )


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


# Networked experts as a method uses them: lazy stages, and the numbers that come out of them.


SCORES = Operation("learning.training.nmoe.operations:scores")
PATTERN = Operation("learning.training.nmoe.operations:pattern")
ROUTES = Operation("learning.training.nmoe.operations:routes")
ANSWERED = Operation("learning.training.nmoe.operations:answered")
SAMPLES = Operation("learning.training.task:samples")


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
