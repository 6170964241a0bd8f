"""What the stages of NMoE share: clients, their memory, and round trips to the satellite."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from learning.architecture.costs import Part
from learning.architecture.kinds import KINDS, kind_of
from learning.learner import TRAINS
from learning.losses import check_classes
from learning.methods.base import ExpertRegistry, Method, Protocol, World
from learning.methods.surface import Needs, Traits
from learning.nmoe.costs import sizes_of
from learning.nmoe.options import NetworkedOptions
from learning.nmoe.round_trip import RoundTrip
from learning.requests.cluster import Cluster, Cost, Meet, Train
from learning.requests.facts import Aggregated, UpdatesUsed, Used
from learning.requests.payload import Payload
from learning.requests.peers import All, Compute, Node, Reach
from learning.requests.request import Request
from learning.settings import LearningConfig
from learning.values.lazy import Handle
from statements.arrays import Floats, Ints, Mask

TRAINS.update(
    f"learning.nmoe.training.{name}"
    for name in (
        "experts:train_experts",
        "extractor:train_extractor",
        "gates:central",
        "gates:train_gates",
    )
)


class Networked(Method):
    """A method whose clients are devices with one expert each; the satellite is their server.

    ``server`` is the shared extractor, ``experts`` and ``gates`` are those of the clients, stacked
    over a cluster's devices, by cluster; each stage fills in its own. ``samples`` (K,) counts each
    client's samples, by cluster; ``reach`` (K, N) is whom its clients could send to when inference
    began. Start weights are drawn from the scenario's seed, which all clients know: they are never
    sent.
    """

    Options: ClassVar[type] = NetworkedOptions
    needs: ClassVar[Needs] = Needs(experts=1)
    traits: ClassVar[Traits] = Traits(
        trains=("experts", "gate"), uses_lora=False, uses_optimizer=False, waits_for_all=True
    )

    def __init__(self, world: World, options: NetworkedOptions | None = None) -> None:
        super().__init__(world, options)
        self.sizes = sizes_of(self.learner.sized_by)
        self.clients = Clients(world.clusters, self.registry)
        self.server = self.learner.make(
            "learning.nmoe.training.extractor:start_extractor", loss=self.options.loss
        )
        self.experts: dict[str, Handle] = {}
        self.gates: dict[str, Handle] = {}
        self.samples: dict[str, Ints] = {}
        self.reach: dict[str, Mask] = {}
        self._tested: Handle | None = None
        self._validated: Handle | None = None

    @classmethod
    def check(cls, config: LearningConfig) -> None:
        """Raise ValueError unless the model has networked experts, one per device, of classes."""
        model = config.model
        check_classes(config.loss, "networked experts")
        if not kind_of(model.kind).expert_per_device:
            networked = (repr(name) for name, kind in KINDS.items() if kind.expert_per_device)
            raise ValueError(
                f"learning.model.kind: got {model.kind!r}; networked experts need "
                f"{' or '.join(networked)}"
            )
        if model.experts != sum(config.devices):
            raise ValueError(
                f"model.experts is {model.experts}; networked experts are one a device, "
                f"{sum(config.devices)} here"
            )
        if model.top_k > model.experts:
            raise ValueError(
                f"learning.model.top_k is {model.top_k}, but there are {model.experts} "
                "clients with an expert each; lower it"
            )

    def prepare(self) -> Protocol:
        """Count the samples of each client; in a timing-only run those of a local round."""
        self.samples = yield from self.measure_samples(self.sizes.samples)

    def meet(self, key: str) -> Protocol:
        """Wait for all clusters at the barrier ``key``."""
        yield Meet(key, len(self.world.clusters))

    def admit(self, me: Cluster, cost: Cost) -> Protocol:
        """Exclude clients without the memory for a round of ``cost``; takes no time.

        This precedes a stage, so that no client sends data for training it cannot take part in.
        """
        able = self.clients.able[me.name]
        if able.any():
            asked = yield Train(cost, 0, able)
            self.clients.exclude(me.name, asked.excluded)

    def round_trip(
        self,
        me: Cluster,
        who: Mask,
        *,
        down: Payload | None = None,
        cost: Cost | None = None,
        up: Payload | None = None,
        personal: bool = False,
    ) -> Generator[Request, Any, RoundTrip]:
        """Run a round trip of the clients in ``who``; exclude those without the memory for it."""
        trip = RoundTrip(who, down, cost, up, personal=personal)
        yield from trip.run()
        self.clients.exclude(me.name, trip.excluded)
        return trip

    def compute(self, me: Cluster, flops: Floats) -> Protocol:
        """Compute ``flops`` (K,) at the clients of a cluster, in parallel."""
        nodes = zip(self.clients.of(me.name), flops.tolist(), strict=True)
        yield All(tuple(self.computing(node, own) for node, own in nodes if own > 0))

    def computing(self, node: Node, flops: float) -> Generator[Request, float, float]:
        """Compute at one client; return the time at which it ends, s.

        The seconds of a local round, if the scenario gives them, are those of a supervised round of
        the extractor, however the extractor is trained: this sets the speed of the device.
        """
        round_flops = float(self.sizes.extractor_round("ce").flops)
        return (yield Compute(node, flops, round_flops))

    def reaching(self) -> Reach:
        """Return the request for the clients in reach: those whose experts may be asked now."""
        reach_ms = self.options.reach_ms
        return Reach(self.options.reach_hops, None if reach_ms is None else reach_ms / 1e3)

    def upload(self, name: str, *parts: Part) -> Payload:
        """Return ``parts`` as one client sends them to the satellite."""
        tensors = self.sizes.sent_tensors(*parts)
        return Payload(name, float(sum(t.bytes for t in tensors)), self.version, tensors)

    def averaged(
        self,
        payload: str,
        who: Mapping[str, Mask],
        contacts: Mapping[str, Ints],
        *,
        weighted: bool,
    ) -> Protocol:
        """Tell of a mean over the clients in ``who`` (K,), by their samples if ``weighted``.

        ``contacts`` (K,) are those in which their uploads got through.
        """

        def weights(name: str, samples: Mapping[str, Ints]) -> Floats:
            counts = {n: mask * (samples[n] if weighted else 1) for n, mask in who.items()}
            return np.asarray(counts[name] / sum(int(own.sum()) for own in counts.values()))

        used = [
            UpdatesUsed(
                name,
                payload,
                mine,
                np.full(len(mine), self.version),
                contacts.get(name),
                partial(weights, name),
            )
            for name, mine in who.items()
        ]
        yield Used(used, self.version, self.round)
        sent = sum(int(mask.sum()) for mask in who.values())
        yield self.aggregated_here(payload, f"clients:{sent}/{len(self.clients.nodes)}")

    def aggregated_here(self, key: str, detail: str) -> Aggregated:
        """Count a new version at the satellite and return its row of the events."""
        self.aggregated(())
        return Aggregated(self.version, f"{key} {detail}")

    def in_order(self, by_cluster: Mapping[str, Handle]) -> dict[str, Handle]:
        """Return the values of the clusters that have one, in canonical order."""
        return {c.name: by_cluster[c.name] for c in self.world.clusters if c.name in by_cluster}

    def all_experts(self) -> tuple[Handle, ...]:
        """Return the experts of all clusters, which have trained them."""
        return tuple(self.in_order(self.experts).values())

    def features(self, cluster: str) -> Handle:
        """Return the features (n, d) of all training samples of a cluster, device after device."""
        return self.learner.make(
            "learning.nmoe.training.experts:features", self.server, cluster=cluster
        )

    def tested(self) -> Handle:
        """Return features, all experts' outputs and labels of the global test set.

        They are kept here, so that they are computed once as long as nothing changes.
        """
        self._tested = self._examined("learning.nmoe.training.experts:tested")
        return self._tested

    def validated(self) -> Handle:
        """Return the same of the global validation set."""
        self._validated = self._examined("learning.nmoe.training.experts:validated")
        return self._validated

    def _examined(self, examine: str) -> Handle:
        return self.learner.make(examine, self.server, *self.all_experts())

    def model(self) -> Handle:
        """Return the extractor and, as far as there are any, the clients' experts and gates."""
        clusters = [cluster.name for cluster in self.world.clusters]
        experts = self.in_order(self.experts)
        gates = self.in_order(self.gates)
        if list(experts) != clusters:
            return self.server
        if list(gates) != clusters:
            gates = {}
        return self.learner.make(
            "learning.nmoe.training.experts:assembled",
            self.server,
            *experts.values(),
            *gates.values(),
            clusters=clusters,
        )


class Clients:
    """The N clients, all devices in canonical order; client i holds expert i, or none.

    ``numbers`` are the clients' i. ``able`` (K,) by cluster are those with the memory for the
    present stage; the others take no part in it. Clients that are able when experts are handed out
    hold their own, and keep it if their memory does not suffice for a gate later on. Clients
    without one query the others.
    """

    def __init__(self, clusters: Sequence[Cluster], registry: ExpertRegistry) -> None:
        self.clusters = tuple(clusters)
        self.registry = registry
        self.nodes = tuple(Node(c.name, device) for c in clusters for device in range(c.devices))
        self.able = {c.name: np.ones(c.devices, bool) for c in clusters}
        self.numbers = {node: number for number, node in enumerate(self.nodes)}

    def hand_out(self) -> None:
        """Assign the expert of its own number to every able client."""
        self.registry.hand_out(np.diag(np.concatenate([self.able[c.name] for c in self.clusters])))

    def trained(self, cluster: str, rounds: Ints, finite: Mask) -> None:
        """Count changes of a cluster's experts; a client loses an expert that is not finite."""
        for node, count, is_finite in zip(self.of(cluster), rounds, finite, strict=True):
            expert = self.numbers[node]
            if not is_finite:
                self.registry.hold(expert, [expert], held=False)
            elif count:
                self.registry.changed([expert])

    def own(self, node: Node) -> int | None:
        """Return the expert that a client holds; None if it holds none."""
        number = self.numbers[node]
        return number if self.with_expert[number] else None

    def of(self, cluster: str) -> tuple[Node, ...]:
        """Return a cluster's clients."""
        return tuple(node for node in self.nodes if node.cluster == cluster)

    def everybody(self, cluster: str) -> Mask:
        """Return a mask (K,) of all."""
        return np.ones_like(self.able[cluster])

    def mask(self, cluster: str, nodes: Collection[Node]) -> Mask:
        """Return a mask (K,) of those among ``nodes``."""
        return np.array([node in nodes for node in self.of(cluster)], bool)

    def exclude(self, cluster: str, who: Mask) -> None:
        """Exclude ``who`` (K,) from training from now on."""
        self.able[cluster] = self.able[cluster] & ~who

    @property
    def able_nodes(self) -> tuple[Node, ...]:
        """Clients that take part in training."""
        return tuple(node for node in self.nodes if self.able[node.cluster][node.device])

    @property
    def holders(self) -> tuple[Node, ...]:
        """Clients that hold an expert."""
        return tuple(n for n, has in zip(self.nodes, self.with_expert, strict=True) if has)

    @property
    def with_expert(self) -> Mask:
        """Experts (N,) that a client holds; none before they are handed out."""
        return np.asarray(self.registry.holders.any(axis=0), bool)
