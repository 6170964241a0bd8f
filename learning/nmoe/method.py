"""NMoE (Gao et al., arXiv 2511.01743): three stages of training, then inference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning.clients.updates import finite
from learning.methods.base import Protocol, World
from learning.methods.surface import Traits
from learning.metrics import as_validation
from learning.nmoe.extractor import ExtractorStage
from learning.nmoe.gate_trainers import GATE_TRAINERS
from learning.nmoe.gates import GateTrainer
from learning.nmoe.inference import infer
from learning.nmoe.options import NetworkedOptions
from learning.nmoe.round_trip import NoContactLeft
from learning.nmoe.system import Networked
from learning.requests.cluster import Assign, Cluster, Measure, Train
from learning.requests.facts import Note
from learning.values.lazy import Handle

if TYPE_CHECKING:
    from learning.metrics import Score


class NMoE(Networked):
    """Three stages in sequence, then inference. The clients are all devices of all clusters.

    Stage 1 trains a feature extractor by FedCE or FedSC through the satellite. Stage 2 trains a
    personal expert at each client on top of the frozen extractor, without traffic. Stage 3 trains
    the gates on top of frozen experts, by the gate trainer ``learning.options.gate``. Clients then
    answer queries together with the neighbours that their gates choose.
    """

    colour = "#4c2aa0"
    traits: ClassVar[Traits] = replace(
        Networked.traits,
        trial_kind="vector-nmoe",
        uses_isl=("within_plane", "between_planes"),
        sends_over_mesh=True,
    )

    def __init__(self, world: World, options: NetworkedOptions | None = None) -> None:
        super().__init__(world, options)
        self.extractor = ExtractorStage(self)
        self.trainer: GateTrainer = GATE_TRAINERS[self.options.gate](self)
        self._scored: dict[str, tuple[object, list[Score]]] = {}

    def cluster(self, me: Cluster) -> Protocol:
        """Run the stages in sequence; stop where the plan has no contact left."""
        stage = 1
        try:
            yield from self.hand_out(me)
            if not self.trainer.trains_everything:
                yield from self.extractor.cluster(me)
                stage = 2
                yield from self.train_experts(me)
                if self.trainer.routing == "gate" and self.options.gate_rounds:
                    # The least cost of a round of stage 3, by any exchange.
                    everyone = self.options.exchange == "experts"
                    experts = len(self.clients.holders) if everyone else 1
                    yield from self.admit(me, self.sizes.gate_round(self.samples[me.name], experts))
                yield from self.meet("experts trained")
            stage = 3
            if self.clients.with_expert.any():
                yield from self.trainer.cluster(me)
        except NoContactLeft:
            yield Note("fault", self.version, f"no contact left in stage {stage}")
            return
        if self.clients.with_expert.any():
            self.reach[me.name] = yield self.reaching()
            yield from infer(self, me, self.trainer.routing)
        elif me.index == 0:
            yield Note("fault", self.version, "no client holds an expert: nobody can answer")

    def hand_out(self, me: Cluster) -> Protocol:
        """Assign an expert to every client with the memory for stages 1 and 2; takes no time.

        A trainer that trains everything does so at the server: clients need no memory for it.
        """
        options = self.options
        if not self.trainer.trains_everything:
            if options.extractor != "none" and options.extractor_rounds:
                yield from self.admit(me, self.sizes.extractor_round(options.loss))
            if options.expert_rounds:
                yield from self.admit(me, self.sizes.expert_round)
        yield from self.meet("experts handed out")
        if not len(self.registry.holders):
            self.clients.hand_out()

    def train_experts(self, me: Cluster) -> Protocol:
        """Stage 2: personal experts on top of the frozen extractor, without traffic.

        They train for ``expert_rounds`` local rounds. A client whose expert is not finite holds
        none from now on, and trains no gate.
        """
        able = self.clients.able[me.name]
        count = self.options.expert_rounds
        rounds = nothing = np.zeros(me.devices, np.int64)
        if count and able.any():
            rounds = (yield Train(self.sizes.expert_round, count, able)).rounds
        how = {"cluster": me.name, "rounds": rounds, "first_round": nothing}
        experts = self.learner.make(
            "learning.nmoe.training.experts:train_experts", self.features(me.name), **how
        )
        sound = yield from finite(self.learner, experts, able)
        self.clients.exclude(me.name, able & ~sound)
        self.clients.trained(me.name, rounds, sound)
        self.experts[me.name] = experts

    @property
    def routing(self) -> str | None:
        """How clients route now: ``local`` until there are gates; None until there are experts."""
        clusters = {cluster.name for cluster in self.world.clusters}
        if set(self.experts) != clusters or not self.clients.with_expert.any():
            return None
        no_gates = self.trainer.routing == "gate" and set(self.gates) != clusters
        return "local" if no_gates else self.trainer.routing

    def scores(self) -> list[Score]:
        """Return means over each cluster's clients on the global test set; None without experts.

        The same clients are validated on the global validation set, where there is one.
        """
        routing = self.routing
        scores: list[Score] = [
            {"cluster": cluster.name, "accuracy": None, "loss": None, "samples": 0}
            for cluster in self.world.clusters
        ]
        found = scores
        validates = self.learner.config.data.validation > 0
        if routing is not None:
            everybody = len(self.reach) == len(self.world.clusters)
            scores = self._scores(self.tested(), routing, self.reach if everybody else {})
            found = self._scores(self.validated(), routing, {}) if validates else scores
        if not validates:
            return scores
        return [score | as_validation(other) for score, other in zip(scores, found, strict=True)]

    def _scores(self, examined: Handle, routing: str, known: Mapping[str, Any]) -> list[Score]:
        """Return means over each cluster's clients on a global set.

        ``known`` says whom each client can send to, where its local share is to be counted.
        """
        held = (examined, *self._routes(routing))
        reach = self.clients.with_expert
        key = (routing, reach.tobytes(), len(known), *(handle.key for handle in held))
        before, scores = self._scored.get(examined.place, (None, []))
        if before != key:
            how = {"routing": routing, "reach": reach}
            scores = self.learner.number(
                "learning.nmoe.training.answers:scores", *held, **how, in_reach=known
            )
            self._scored[examined.place] = key, scores
        return scores

    def _routes(self, routing: str) -> Iterable[Handle]:
        """Return the gates, if clients route by them."""
        return self.in_order(self.gates).values() if routing == "gate" else ()

    def conclude(self) -> Protocol:
        """Write the gating pattern: the share of client i's test samples that goes to expert e.

        The score of a pair is the share of first choices, its probability the mean weight. In a
        timing-only run the score is who holds which expert, without a probability.
        """
        routing = self.routing
        if routing is None:
            return
        held = (self.tested(), *self._routes(routing))
        reach = self.clients.with_expert
        found = yield Measure(
            "gating pattern",
            lambda: self.learner.number(
                "learning.nmoe.training.answers:pattern", *held, routing=routing, reach=reach
            ),
            None,
        )
        own = np.diag(self.clients.with_expert)
        score = own.astype(float) if found is None else np.array(found["top1"])
        weights = None if found is None else np.array(found["weights"])
        yield Assign(score, own, weights, by_device=True)
