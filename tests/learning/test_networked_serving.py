"""How clients answer, against the assembled model and against arithmetic by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss
from torch import Tensor

from tests.kit.learning import (
    DataConfig,
    Handle,
    Learner,
    LearningConfig,
    ModelConfig,
    NetworkedLearner,
    Node,
    Tensors,
)

MODEL = ModelConfig(kind="vector-nmoe", experts=5, top_k=2, hidden=12, expert_hidden=8)
CONFIG = LearningConfig(
    3, ("a", "b"), (3, 2), MODEL, DataConfig(kind="digits", trial_samples=1),
    step_size=0.1, gate_step_size_ratio=1.0, steps_per_round=5, batch_size=8, precision="float64",
)  # fmt: skip
IMAGES = replace(
    CONFIG,
    model=replace(MODEL, kind="image-nmoe", hidden=8),
    data=DataConfig(kind="digit-images", trial_samples=1),
)


class System:
    """A system with gates that differ from client to client."""

    def __init__(self, config: LearningConfig = CONFIG, combine: str = "prob") -> None:
        self.net = NetworkedLearner(Learner(config), combine=combine)
        self.task = self.net.learner.task
        devices = list(zip(config.clusters, config.devices, strict=True))
        self.server = self.net.start_extractor("none")
        self.experts: dict[str, Handle] = {}
        self.gates: dict[str, Handle] = {}
        for name, k in devices:
            rounds, zero = np.full(k, 20), np.zeros(k, int)
            self.experts[name] = self.net.train_experts(self.server, name, rounds, zero)
        for name, k in devices:
            known = self.net.knowledge(self.server, self.experts, name)
            start = self.net.spread(self.net.start_gate(), name)
            rounds, zero = np.full(k, 5), np.zeros(k, int)
            self.gates[name] = self.net.train_gates(start, known, name, rounds, zero)

    def force(self, handle: Handle) -> Tensors:
        return self.net.learner.force(handle)

    def assembled(self, cluster: str, device: int) -> torch.nn.Module:
        """The whole model as one client sees it."""
        experts = [self.force(self.experts[name]) for name in self.task.config.clusters]
        stacked = {name: torch.cat([part[name] for part in experts]) for name in experts[0]}
        weights = {f"expert.{e}.0.{n}": t[e] for n, t in stacked.items() for e in range(5)}
        gate = self.force(self.gates[cluster])
        weights |= {f"gate.0.{name}": tensor[device] for name, tensor in gate.items()}
        return self.task.model(weights)


@pytest.fixture(scope="module", params=[CONFIG, IMAGES], ids=["vector", "image"])
def system(request: pytest.FixtureRequest) -> System:
    return System(request.param)


def global_samples(system: System) -> tuple[Tensor, np.ndarray]:
    parts = system.task.test.values()
    if system.task.spec.form == "image":  # one test set for all clusters
        parts = [system.task.test["a"]]
    return torch.cat([p.x for p in parts]), torch.cat([p.y for p in parts]).numpy()


def test_scores_are_those_of_the_assembled_models(system: System) -> None:
    x, y = global_samples(system)
    for score, k in zip(
        system.net.scores(system.server, system.experts, system.gates), (3, 2), strict=True
    ):
        found = []
        for device in range(k):
            with torch.no_grad():
                logits = system.assembled(score["cluster"], device)(x)
            guesses = logits.argmax(-1).numpy()
            loss = log_loss(y, logits.exp().numpy(), labels=range(10))
            f1 = f1_score(y, guesses, average="macro", labels=range(10), zero_division=0)
            found.append(((guesses == y).mean(), loss, f1))
        means = np.mean(found, axis=0)
        assert score["samples"] == len(y)
        assert [score["accuracy"], score["loss"], score["f1"]] == pytest.approx(means, rel=1e-9)


def test_alone_a_client_is_its_expert(system: System) -> None:
    x, y = global_samples(system)
    (_, score) = system.net.scores(system.server, system.experts, None, "local")
    accuracies = []
    for device, client in enumerate((3, 4)):
        model = system.assembled("b", device)
        with torch.no_grad():
            shares = model.moe.experts[str(client)](model.extractor(x))
        accuracies.append((shares.argmax(-1).numpy() == y).mean())
    assert score["accuracy"] == pytest.approx(np.mean(accuracies))
    assert score["local_ratio"] == score["local_count_share"] == score["local_weight_share"] == 1.0


def test_random_routes_are_even(system: System) -> None:
    pattern = system.net.pattern(system.server, system.experts, None, "random")
    samples = len(global_samples(system)[1])
    error = 5 * (0.2 * 0.8 / samples) ** 0.5
    for name in ("top1", "weights"):
        assert np.array(pattern[name]) == pytest.approx(np.full((5, 5), 0.2), abs=error)


def test_random_routes_keep_to_those_in_reach(system: System) -> None:
    reach = {"a": np.ones((3, 5), bool), "b": np.ones((2, 5), bool)}
    reach["b"][1] = [False, False, False, False, True]
    pattern = system.net.pattern(system.server, system.experts, None, "random", reach)
    assert pattern["weights"][4] == [0, 0, 0, 0, 1]


def test_mixed_logits_are_an_option() -> None:
    system = System(combine="logit")
    x, y = global_samples(system)
    (score, _) = system.net.scores(system.server, system.experts, system.gates)
    accuracies, losses = [], []
    for device in range(3):
        model = system.assembled("a", device)
        for expert in model.moe.experts.values():
            expert.combine = "logit"
        with torch.no_grad():
            logits = model.moe(model.extractor(x))
        accuracies.append((logits.argmax(-1).numpy() == y).mean())
        losses.append(log_loss(y, logits.softmax(-1).numpy(), labels=range(10)))
    assert score["accuracy"] == pytest.approx(np.mean(accuracies))
    assert score["loss"] == pytest.approx(np.mean(losses), rel=1e-9)


# -- queries

ME = Node("b", 1)


def routes(system: System, batch: int = 0, **how: object) -> dict:  # type: ignore[type-arg]
    return system.net.routes(system.server, system.experts, system.gates, ME, batch, 20, **how)  # type: ignore[arg-type]


def test_routes_are_those_of_the_clients_gate(system: System) -> None:
    found = routes(system)
    model = system.assembled("b", 1)
    x, _ = global_samples(system)
    with torch.no_grad():
        routing = model.moe.gate(model.extractor(x[found["rows"]]))
    assert found["chosen"] == routing.chosen.tolist()
    for weights, chosen, row in zip(found["weights"], found["chosen"], routing.weight, strict=True):
        assert weights == pytest.approx(row[chosen].tolist())
        assert sum(weights) == pytest.approx(1.0)
    assert routes(system) == found
    assert routes(system, batch=1)["rows"] != found["rows"]


def test_routes_keep_to_those_in_reach(system: System) -> None:
    only = np.array([False, True, False, False, True])
    assert {e for row in routes(system, reach=only)["chosen"] for e in row} <= {1, 4}
    alone = np.arange(5) == 4
    found = routes(system, reach=alone)
    assert found["chosen"] == [[4]] * 20
    assert found["weights"] == [[1.0]] * 20
    assert routes(system, way="local")["chosen"] == [[4]] * 20


def answers(system: System, routed: dict, arrived: list[list[bool]], late: str) -> dict:  # type: ignore[type-arg]
    return system.net.answered(system.server, system.experts, ME, routed, arrived, late)


def test_all_arrived_is_the_assembled_model(system: System) -> None:
    routed = routes(system)
    x, y = global_samples(system)
    with torch.no_grad():
        guesses = system.assembled("b", 1)(x[routed["rows"]]).argmax(-1)
    for late in ("wait", "renormalise", "local"):
        found = answers(system, routed, [[True, True]] * 20, late)
        assert found["predictions"] == guesses.tolist()
        assert found["correct"] == int((guesses.numpy() == y[routed["rows"]]).sum())


def test_what_is_late(system: System) -> None:
    routed, first = routes(system), [[True, False]] * 20
    _, y = global_samples(system)
    tested = system.force(system.net._test(system.server, system.experts))
    outputs = tested["outputs"][routed["rows"]].numpy()
    waited = answers(system, routed, first, "wait")
    assert waited["predictions"] == [-1] * 20
    assert waited["correct"] == 0
    there = answers(system, routed, first, "renormalise")
    wanted = [outputs[row, chosen[0]].argmax() for row, chosen in enumerate(routed["chosen"])]
    assert there["predictions"] == wanted
    own = [outputs[row, 4].argmax() for row in range(20)]
    for found in (
        answers(system, routed, first, "local"),
        answers(system, routed, [[False, False]] * 20, "renormalise"),
    ):
        assert found["predictions"] == own
        assert found["correct"] == int((np.array(own) == y[routed["rows"]]).sum())


def test_a_gate_of_nan_is_refused(system: System) -> None:
    broken = {name: dict(system.force(handle)) for name, handle in system.gates.items()}
    broken["b"]["weight"] = broken["b"]["weight"] * math.nan
    tested = system.force(system.net._test(system.server, system.experts))
    from tests.kit.training import routes as route_queries

    with pytest.raises(ValueError, match="gate of b/1 is not finite"):
        route_queries(
            system.task, tested, broken, "gate",
            client=ME, batch=0, size=4, in_reach=None,
        )  # fmt: skip


def test_routes_need_the_clients_gates_alone(system: System) -> None:
    only = {"b": system.gates["b"]}
    found = system.net.routes(system.server, system.experts, only, ME, 0, 20)
    assert found == routes(system)
    with pytest.raises(ValueError, match="no gates of cluster 'a'"):
        system.net.routes(system.server, system.experts, only, Node("a", 0), 0, 20)
    with pytest.raises(ValueError, match="no gates of cluster 'a'"):
        system.net.scores(system.server, system.experts, only)


def test_scores_of_a_gate_of_nan_come_without_a_warning(system: System) -> None:
    from tests.kit.training import scores

    broken = {name: dict(system.force(handle)) for name, handle in system.gates.items()}
    broken["b"]["weight"] = broken["b"]["weight"] * math.nan
    tested = system.force(system.net._test(system.server, system.experts))
    (fine, ill) = scores(system.task, tested, broken, "gate", None, "prob")
    assert fine == system.net.scores(system.server, system.experts, system.gates)[0]
    assert math.isnan(ill["loss"] or 0.0)
    assert math.isnan(ill["local_ratio"])


@pytest.mark.parametrize("way", ["gate", "random"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_expert_out_of_reach_may_be_anything(system: System, way: str, value: float) -> None:
    """Client a/1 holds no expert: what stands in its place counts for nobody."""
    from tests.kit.training import queries, scoring

    task, gates = system.task, {n: dict(system.force(h)) for n, h in system.gates.items()}
    whole = np.arange(5) != 1
    reach = {"a": np.tile(whole, (3, 1)), "b": np.tile(whole, (2, 1))}
    tested = dict(system.force(system.net._test(system.server, system.experts)))
    broken = tested | {"outputs": tested["outputs"].clone()}
    broken["outputs"][:, 1] = value

    def everything(held: Tensors) -> list[object]:
        routed = queries.routes(task, held, gates, way, client=ME, batch=0, size=20, in_reach=whole)
        answered = [
            queries.answered(task, held, ME, routed, [came] * 20, late, "prob")
            for came in ([True, True], [True, False], [False, False])
            for late in ("wait", "renormalise", "local")
        ]
        found = scoring.scores(task, held, gates, way, reach, "prob")
        return [found, scoring.pattern(task, held, gates, way, reach), routed, *answered]

    assert everything(broken) == everything(tested)


def test_gates_are_needed_to_route_by(system: System) -> None:
    with pytest.raises(ValueError, match="no gates"):
        system.net.scores(system.server, system.experts, None)
    with pytest.raises(ValueError, match="no experts of cluster 'b'"):
        system.net.scores(system.server, {"a": system.experts["a"]}, None, "local")
