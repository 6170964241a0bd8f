"""The three gates on digits, in wide bands: ten clients of two classes each, and of all classes.

The bands are those of a second implementation, in scikit-learn, behind random features as here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.kit.learning import (
    DataConfig,
    Handle,
    Learner,
    LearningConfig,
    ModelConfig,
    NetworkedLearner,
    Node,
)

CLIENTS, EXPERT_ROUNDS, GATE_ROUNDS = 10, 40, 100
CONFIG = LearningConfig(
    1, ("a",), (CLIENTS,),
    ModelConfig(kind="vector-nmoe", experts=CLIENTS, top_k=2, hidden=256, expert_hidden=32),
    step_size=0.1, gate_step_size_ratio=0.5,
)  # fmt: skip
EVERYBODY, ONES, ZERO = np.ones(CLIENTS, bool), np.ones(CLIENTS, int), np.zeros(CLIENTS, int)


class Ten:
    """Ten clients with an extractor of so many rounds of FedCE, and trained experts."""

    def __init__(self, partition: str, extractor_rounds: int = 0, seed: int = 1) -> None:
        data = DataConfig(kind="digits", partition=partition, trial_samples=1)
        config = replace(CONFIG, seed=seed, data=data)
        self.net = net = NetworkedLearner(Learner(config), momentum=0.5)
        server = net.start_extractor("ce")
        for number in range(extractor_rounds):
            trained = net.train_extractor(server, "a", ONES, number * ONES, "ce")
            server = net.average(server, {"a": trained}, {"a": EVERYBODY}, weighted=True)
        self.server = server
        self.experts = {"a": net.train_experts(server, "a", EXPERT_ROUNDS * ONES, ZERO)}
        self.known = net.knowledge(server, self.experts, "a")

    def fedgate(self) -> Handle:
        gates = self.net.spread(self.net.start_gate(), "a")
        for number in range(GATE_ROUNDS):
            gates = self.net.train_gates(gates, self.known, "a", ONES, number * ONES)
            gates = self.net.share_gates({"a": gates}, {"a": EVERYBODY})["a"]
        return gates

    def passed_round(self, order: range) -> Handle:
        """One long pass: RollGate; of a single client: RanGate."""
        gate = self.net.start_gate()
        for client in order:
            gates = self.net.spread(gate, "a")
            rounds = np.where(np.arange(CLIENTS) == client, GATE_ROUNDS, 0)
            trained = self.net.train_gates(gates, self.known, "a", rounds, ZERO)
            gate = self.net.take_gate({"a": trained}, Node("a", client))
        return self.net.spread(gate, "a")

    def f1(self, gates: Handle | None, way: str = "gate") -> float:
        given = None if gates is None else {"a": gates}
        (score,) = self.net.scores(self.server, self.experts, given, way)
        f1 = score["f1"]
        assert f1 is not None
        return 100 * f1


def test_two_classes_each() -> None:
    ten = Ten("classes")
    assert ten.f1(ten.fedgate()) >= 85
    assert ten.f1(None, "local") <= 12
    assert ten.f1(ten.passed_round(range(1))) <= 15
    assert ten.f1(ten.passed_round(range(CLIENTS))) <= 25
    assert 10 <= ten.f1(None, "random") <= 45


def test_a_trained_extractor_serves_too() -> None:
    ten = Ten("classes", extractor_rounds=30)
    assert ten.f1(ten.fedgate()) >= 85
    assert ten.f1(None, "local") <= 12


def test_all_classes_each() -> None:
    ten = Ten("even")
    for gates in (ten.fedgate(), ten.passed_round(range(1)), ten.passed_round(range(CLIENTS))):
        assert ten.f1(gates) >= 80
    for way in ("local", "random"):
        assert ten.f1(None, way) >= 80
