"""Stage 2 of NMoE: every client's own expert, behind the frozen extractor and without traffic."""

from __future__ import annotations

import numpy as np

from learning.method import Cluster, Protocol
from learning.methods.networked_base import Networked
from learning.requests import Ints, Train


def train_experts(system: Networked, me: Cluster) -> Protocol:
    """Train the experts of a cluster's clients for ``expert_rounds`` local rounds, side by side.

    A client whose expert is not finite holds none from now on, and trains no gate.
    """
    able, count = system.clients.able[me.name], system.options.expert_rounds
    rounds: Ints = np.zeros(me.devices, np.int64)
    if count and able.any():
        work = yield Train(system.sizes.expert_round, count, able)
        rounds = work.rounds
    nothing = np.zeros(me.devices, np.int64)
    experts = system.net.train_experts(system.server, me.name, rounds, nothing)
    finite = yield from system.finite(experts, able)
    system.clients.exclude(me.name, able & ~finite)
    system.clients.trained(me.name, rounds, finite)
    system.experts[me.name] = experts
