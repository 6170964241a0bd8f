"""The centralised mixture of experts: all samples go to the satellite, which trains everything."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from learning.gates import GateTrainer
from learning.method import Cluster, Protocol
from learning.methods.networked_base import Networked
from learning.networked.stages import Central as Whole
from learning.payload import Payload
from learning.requests import Measure, Note
from learning.rounds import Turn
from learning.tensors import input_spec
from learning.values import Operation

LABEL_BYTES = 1
ALL_FINITE = Operation("learning.numbers:all_finite")


class Central(GateTrainer):
    """The baseline without privacy, in place of all three stages.

    Clients upload their raw samples: a byte a pixel, other features as numbers are kept, and a byte
    for the label. The server trains extractor, experts and gate jointly for as many rounds as the
    three stages have together; that takes no simulated time. Client i then gets the extractor, the
    gate and expert i. A mixture that is not finite is refused: nobody gets anything, nor answers.
    """

    pooled: ClassVar[bool] = True

    def __init__(self, system: Networked) -> None:
        super().__init__(system)
        self.tried = False

    def cluster(self, me: Cluster) -> Protocol:
        """Upload the samples, wait for all the others', and download what was trained."""
        system = self.system
        everybody = system.clients.everybody(me.name)
        size = np.asarray(system.samples[me.name] * self.sample_bytes, float)
        up = Payload("samples", size)
        yield from system.turn(me, Turn(up=up), everybody)
        yield from system.meet("samples")
        yield from self.train(me)
        if not system.clients.with_expert.any():
            return
        sizes = system.sizes
        shared = Payload("extractor", sizes.download_bytes(sizes.extractor, sizes.gate), 1)
        yield from system.turn(me, Turn(down=shared), everybody)
        own = Payload("expert", sizes.expert_bytes, 1)
        yield from system.turn(me, Turn(down=own, personal=True), everybody)

    def train(self, me: Cluster) -> Protocol:
        """Train at the server, once: the first of those that met does it."""
        system, options = self.system, self.options
        if self.tried:
            return
        self.tried = True
        rounds = options.extractor_rounds + options.expert_rounds + options.gate_rounds
        whole = system.net.central(rounds)
        if not (yield Measure("finite", lambda: self.finite(whole), True)):
            what = "the mixture trained at the server is refused: not finite"
            yield Note("fault", system.version, f"{what}; lower learning.step_size")
            system.registry.hand_out(np.zeros_like(system.registry.holders))
            return
        system.server, system.experts = whole.server, whole.experts
        for cluster in system.clients.clusters:
            system.gates[cluster.name] = system.net.spread(whole.gate, cluster.name)
        system.registry.changed(range(len(system.clients.nodes)))
        yield system.aggregated_here("model", f"rounds:{rounds} at the server")

    def finite(self, whole: Whole) -> bool:
        """Return whether all tensors of a mixture are finite. Forces."""
        held = (whole.server, whole.gate, *whole.experts.values())
        return bool(self.system.learner.number(ALL_FINITE, *held))

    @property
    def sample_bytes(self) -> int:
        """Bytes of one raw sample."""
        spec = input_spec(self.system.learner.config)
        number = 1 if spec.form == "image" else self.system.sizes.native_bytes
        return math.prod(spec.shape) * number + LABEL_BYTES
