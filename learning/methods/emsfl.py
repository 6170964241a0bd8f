"""EMS-FL: expert-driven model splitting and asynchronous federated tuning (Algorithms 1 to 3).

Equations are those of the EMS-FL paper, section III; the draws of Algorithm 1 are in
:mod:`learning.policies.model_splitting`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import NonNegativeInt
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.methods.base import NOBODY, ExpertRegistry, GlobalModelMethod, Protocol, World
from learning.methods.options import CHECKED, Share, option
from learning.methods.surface import Needs, Traits
from learning.policies.model_splitting import (
    assign_experts,
    assignment_probability,
    expert_classes,
    home_clusters,
)
from learning.requests.cluster import Assign, Chain, Cluster, Measure, NextContact, Receipt, Work
from learning.requests.facts import Cause, Note, parts_named
from learning.requests.reasons import Reason
from learning.requests.request import Request
from learning.rng import stream
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, config=CHECKED)
class EmsFlOptions:
    """Options of both forms of EMS-FL."""

    threshold: Share | None = option(
        None,
        "relevance below which an expert does not count for a cluster, eq. (32); null: the even "
        "share, learning.model.top_k over learning.model.experts",
    )
    resplit_cycles: NonNegativeInt = option(
        4, "complete cycles after which experts are split anew; 0: never"
    )


class EmsFl(GlobalModelMethod):
    """Standard EMS-FL: each cluster trains its own experts all the time, the gate when connected.

    Server state: the model, and the cluster that owns each expert. Two clusters never own the
    same one, so that uploads never compete.
    """

    colour = "#b8500a"
    Options: ClassVar[type] = EmsFlOptions
    needs: ClassVar[Needs] = replace(GlobalModelMethod.needs, experts=1)
    traits: ClassVar[Traits] = replace(
        GlobalModelMethod.traits, splits_experts=True, trains_in_gaps=True
    )

    def __init__(self, world: World, options: EmsFlOptions | None = None) -> None:
        super().__init__(world, options)
        self.splitting = Splitting(self.registry)
        given: float | None = self.options.threshold
        # The relevance of all experts for a cluster sums to K: what is selected no more often than
        # by a gate without preference is not strongly correlated with the data.
        even = self.learner.config.model.top_k / len(self.experts)
        self.threshold = even if given is None else given

    def cluster(self, me: Cluster) -> Protocol:
        """Algorithm 2: cluster c, and the server's side of each of its contacts."""
        devices = self.devices(me)  # the K clients of cluster c
        mine, mask = self.splitting.trained_by(me.index), self.mask(cycle=0)  # E_c
        # The start model is on the devices before time begins: it is what is tuned.
        devices.load_initial(self.server, self.experts if mask is None else mine)
        while True:
            # The disconnected phase: rounds on E_c, the gate frozen (38), (39).
            if mine:
                work, contact = yield devices.train_until_contact(mine, mask=mask)
                devices.train(work, mine, mask=mask)
            else:
                contact = yield NextContact()
            if contact is None:
                return
            # The connected phase: Algorithm 1 where it is due, E_c up (35), experts that change
            # their cluster, and then the gate.
            yield from self.split_again(contact.cycle)
            yield from self.upload_experts(devices)
            yield from self.hand_over(devices)
            mine = self.splitting.trained_by(me.index)
            mask = self.mask(contact.cycle)
            yield from self.connected_phase(devices, mine, mask)

    def mask(self, cycle: int) -> str | None:
        """Return what the gate's logits of other experts become (43); None without a mask."""
        return None

    def connected_phase(
        self, devices: ClusterState, mine: Sequence[int], mask: str | None
    ) -> Protocol:
        """Download the model, train E_c and the gate (40), (41), upload the gate (36) and load it.

        Under a mask only the experts that the cluster holds are downloaded, with the gate and what
        is shared beside it. A gate that does not get through is lost: it would be out of date at
        the next contact.
        """
        held = self.experts
        name = "model"
        if mask is not None:
            held = self.registry.held_by(devices.cluster.index)
            name = parts_named(held, gate=True)
        model = devices.download(name, self.server, held)
        train = devices.train_round(mine, gate=True, mask=mask)
        gate = devices.upload("gate", model, [], carry=False)
        down, work, up = yield Chain((model, train, gate))
        devices.receive(down)
        devices.train(work, mine, gate=True, mask=mask)
        yield from self.aggregate_gate(devices, down, work, up)
        back = yield devices.download_gate(self.server)
        devices.receive_gate(self.server, back.done)

    def aggregate_gate(
        self, devices: ClusterState, down: Receipt, work: Work, up: Receipt
    ) -> Protocol:
        """Aggregate the gates that have come through (36), or say why none has."""
        trained = work.rounds > 0
        arrived = up.done & trained
        yield from self.collect((yield from devices.gate_update(arrived, up)))
        if not arrived.any() and not work.excluded.all():
            yield Note("fault", self.version, f"gate lost: {_why_lost(down, work, up)}")
        devices.forget([], trained, gate=True)

    # -- Algorithm 1, and experts that change hands

    def prepare(self) -> Protocol:
        """Split the experts by the trial data that the clusters shared beforehand."""
        yield from self.split(0, "relevance")
        clusters = np.arange(len(self.world.clusters))
        self.registry.hand_out(self.splitting.drawn == clusters[:, None])

    def split_again(self, cycle: int) -> Protocol:
        """Split the experts anew, if that is due in ``cycle``; who holds what does not change yet.

        It is done at the first contact after every ``resplit_cycles`` complete cycles.
        """
        every = self.options.resplit_cycles
        number = cycle // every if every else 0
        if number > self.splitting.number:
            yield from self.split(number, f"relevance in cycle {cycle}")

    def split(self, number: int, name: str) -> Protocol:
        """Draw the cluster of each expert by Algorithm 1, every splitting from its own stream."""
        relevance = yield from self.measure_relevance(name)
        draws = stream(self.world.seed, "assign", *([number] if number else []))
        drawn = assign_experts(relevance, self.threshold, draws)
        self.splitting.redraw(number, drawn)
        yield self.assignment(relevance, drawn)

    def upload_experts(self, devices: ClusterState) -> Protocol:
        """Upload E_c and aggregate it (35), with what a short pass has left of the last upload.

        While the cluster's experts change hands, new updates are only made of what it has trained
        of those that leave, so that in the end nothing is on its way.
        """
        cluster = devices.cluster.index
        if owned := self.registry.held_by(cluster):
            who = None
            if cluster in self.splitting.changing:
                who = devices.has_unsent(self.splitting.leaving(cluster))
            devices.offer(owned, who=who)
        yield from self.send(devices)

    def hand_over(self, devices: ClusterState) -> Protocol:
        """Let go of the experts that leave a cluster, and take those that are free for it.

        That waits until all that the devices have trained of an expert is aggregated. Devices that
        do not answer shall not hold it up for ever: if a whole contact brings nothing more of what
        is missing, that is given up.
        """
        splitting = self.splitting
        cluster = devices.cluster.index
        leaving = splitting.leaving(cluster)
        waits = cluster in splitting.changing
        splitting.changing.discard(cluster)
        if not leaving and not splitting.free_for(cluster):
            return
        missing = devices.pending | devices.has_unsent(leaving)
        if missing.any():
            if not waits or devices.progressed:
                splitting.changing.add(cluster)
                return
            yield from self.send(devices, carry=False)
            devices.forget(leaving, devices.has_unsent(leaving))
            silent = f"devices:{int(missing.sum())}/{len(missing)}"
            detail = f"hand-over without the updates of {silent}: no answer"
            yield Note("drop", self.version, detail)
        gone, taken = splitting.change_hands(cluster)
        if taken:
            devices.require_download()
        for cause, experts in ((Cause.GIVES, gone), (Cause.TAKES, taken)):
            if experts:
                detail = f"{cause} {parts_named(experts)}"
                yield Note("assign", self.version, detail, cause=cause)

    def conclude(self) -> Protocol:
        """Measure the relevance once more: what training did to the gate's own mass.

        It goes with the clusters that hold the experts now, whoever they were last drawn for.
        """
        relevance = yield from self.measure_relevance("relevance")
        yield self.assignment(relevance, self.registry.owner)

    def measure_relevance(self, name: str) -> Generator[Request, Any, Floats]:
        """Relevance of every expert for every cluster (29), shape (C, E).

        A timing-only run measures none: it gets that of homes, whose rows sum to K.
        """
        experts = len(self.experts)
        top_k = self.learner.config.model.top_k
        home = home_clusters(experts, len(self.world.clusters)).T
        homes = home.sum(axis=1, keepdims=True)
        at_home = np.minimum(1.0, top_k / homes)
        elsewhere = (top_k - at_home * homes) / np.maximum(experts - homes, 1)
        default = np.where(home, at_home, elsewhere)
        weights = self.weights
        measured = yield Measure(name, lambda: self.learner.relevance(weights), default.tolist())
        return np.asarray(measured)

    def assignment(self, relevance: Floats, owner: Ints) -> Assign:
        """Describe which expert is whose, with the probabilities of equation (33)."""
        probability = assignment_probability(relevance, self.threshold)
        classes = tuple(expert_classes(relevance, self.threshold))
        assigned = owner == np.arange(len(relevance))[:, None]
        return Assign(relevance, assigned, probability, expert_class=classes)


@dataclass(frozen=True, config=CHECKED)
class EnhancedOptions(EmsFlOptions):
    """Options of the enhanced form: ``zero`` is the paper's literal text."""

    mask: Literal["-inf", "zero"] = option(
        "-inf", "the gate's logits of experts that are not the cluster's, eq. (43)"
    )


class EnhancedEmsFl(EmsFl):
    """Enhanced EMS-FL (Algorithm 3): a masked gate, only E_c in memory, the gate tuned at the end.

    The last ``learning.gate_tuning_cycles`` cycles are those of standard EMS-FL. With
    ``learning.trains_backbone`` the connected cluster trains the gate and the backbone before that
    too, under the mask.
    """

    colour = "#00734a"
    Options: ClassVar[type] = EnhancedOptions
    traits: ClassVar[Traits] = replace(EmsFl.traits, tunes_at_the_end=True)

    def mask(self, cycle: int) -> str | None:
        """Return the mask of the options, and None in the last cycles.

        What time is left behind the last complete cycle belongs to them, unless there are none.
        """
        tuning = self.world.gate_tuning_cycles
        last = tuning > 0 and cycle >= self.world.cycles - tuning
        return None if last else self.options.mask

    def connected_phase(
        self, devices: ClusterState, mine: Sequence[int], mask: str | None
    ) -> Protocol:
        """Algorithm 3: download E_c as it is aggregated, and train it behind the masked gate."""
        if mask is None or (mine and self.learner.config.trains_backbone):
            yield from super().connected_phase(devices, mine, mask)
        elif mine:
            held = self.registry.held_by(devices.cluster.index)
            model = devices.download(parts_named(held), self.server, held, gate=False)
            down, work = yield Chain((model, devices.train_round(mine, mask=mask)))
            devices.receive(down)
            devices.train(work, mine, mask=mask)


def _why_lost(down: Receipt, work: Work, up: Receipt) -> str:
    """Say what kept the gates of a contact from the server."""
    if up.reason is Reason.CORRUPTED:
        return up.reason
    if (work.rounds > 0).any():
        return f"{up.reason or 'no round ended'} before the second upload was through"
    if down.reason is Reason.NO_CONTACT:
        return "the upload of the experts took the whole contact"
    if not down.done.any():
        return f"{down.reason} before the download was through"
    return "no round ended"


# Who trains which expert while the experts are split anew from time to time (Algorithm 1).


class Splitting:
    """Who holds which expert of ``registry``, and the cluster (E,) that it was ``drawn`` for.

    An expert changes hands in two steps, so that no two clusters ever train it: its owner lets go
    of it, and from then on the cluster that it was drawn for can take it; it has no owner in
    between. A splitting that is replaced by the next one before it was carried out
    leaves nothing behind: only the last one counts. ``changing`` are the clusters that still have
    to send what they trained of an expert that leaves them.
    """

    def __init__(self, registry: ExpertRegistry) -> None:
        self.registry = registry
        self.drawn: Ints = np.full(len(registry.changes), NOBODY)
        self.number = 0
        self.changing: set[int] = set()

    def redraw(self, number: int, drawn: Ints) -> None:
        """Let splitting ``number`` say who shall own what; who holds what does not change yet."""
        self.number = number
        self.drawn = drawn

    def trained_by(self, cluster: int) -> list[int]:
        """Return the experts E_c that ``cluster`` trains: those that it holds and shall keep."""
        return self._drawn_for(cluster, self.registry.owner == cluster)

    def leaving(self, cluster: int) -> list[int]:
        """Return the experts that ``cluster`` holds and shall let go of."""
        held = self.registry.held_by(cluster)
        kept = self.trained_by(cluster)
        return [] if held == kept else [expert for expert in held if expert not in kept]

    def free_for(self, cluster: int) -> list[int]:
        """Return the experts that nobody holds and ``cluster`` shall take."""
        return self._drawn_for(cluster, self.registry.owner == NOBODY)

    def change_hands(self, cluster: int) -> tuple[list[int], list[int]]:
        """Let ``cluster`` go of what leaves it and take what is free for it; return both."""
        gone = self.leaving(cluster)
        taken = self.free_for(cluster)
        self.registry.hold(cluster, gone, held=False)
        self.registry.hold(cluster, taken)
        return gone, taken

    def _drawn_for(self, cluster: int, among: Mask) -> list[int]:
        (drawn,) = (among & (self.drawn == cluster)).nonzero()
        return drawn.tolist()
