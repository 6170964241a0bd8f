"""How clients answer: scores, patterns and routes against the assembled model and by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from learning.nmoe.inference import Asked, grouped, mixture
from learning.nmoe.training import answers
from learning.nmoe.training.answers import local_shares, pattern_row
from learning.requests import Node
from tests.kit.small_nmoe import IMAGES, VECTOR, System

ME = Node("b", 1)
ALL = [True] * 5


class Serving(System):
    def __init__(self, config):
        super().__init__(replace(config, steps_per_round=5, gate_step_size_ratio=1.0), 20)
        self.gates = self.train(5)
        # Images have one test set for all clusters.
        parts = [self.task.test[name] for name in ("a" if config is IMAGES else "ab")]
        self.x = torch.cat([part.x for part in parts])
        self.y = torch.cat([part.y for part in parts]).numpy()

    def assembled(self, cluster, device):
        """The whole model as one client sees it."""
        parts = [self.experts[name] for name in "ab"]
        stacked = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        layer = {f"expert.{e}.0.{n}": t[e] for n, t in stacked.items() for e in range(5)}
        gate = self.gates[cluster]
        return self.task.model(layer | {f"gate.0.{n}": t[device] for n, t in gate.items()})

    def asked(self, what, routing="gate", reach=ALL, tested=None, **how):
        own = self.gates if routing == "gate" else {}
        held = [own[name] for name in own if what != "routes" or name == ME.cluster]
        asked = getattr(answers, what)
        return asked(self.task, tested or self.tested, *held, routing=routing, reach=reach, **how)

    def routes(self, batch=0, size=20, **how):
        return self.asked("routes", client=ME, batch=batch, size=size, **how)

    def scores(self, routing="gate", in_reach=(), **how):
        how |= {"in_reach": dict(in_reach)}
        return self.asked("scores", routing, **how)

    def first(self, cluster, device, own, others):
        """Share of the test set whose logit of ``own`` is larger than those of ``others``."""
        model = self.assembled(cluster, device)
        with torch.no_grad():
            logits = model.extractor(self.x) @ model.moe.gate.weight.T + model.moe.gate.bias
        return (logits[:, [own]] > logits[:, others]).all(1).double().mean().item()

    def answered(self, routed, came, tested=None):
        """Answer a query's samples whose first and second expert have answered, or not."""
        shares = []
        for row, weights in zip(routed["chosen"], routed["weights"], strict=True):
            asked = {e: Asked(ME, 1, here, 0.0) for e, here in zip(row, came, strict=True)}
            [group] = grouped([row], asked, 4, routed_s=0.0, deadline_s=1.0)
            shares.append(mixture(row, weights, group.counted))
        mixtures = [
            (row, list(own.items())) for row, own in zip(routed["rows"], shares, strict=True)
        ]
        found = answers.answered(self.task, tested or self.tested, mixtures=mixtures)
        return found["predictions"], sum(found["correct"])


@pytest.fixture(scope="module", params=[VECTOR, IMAGES], ids=["vector", "image"])
def system(request):
    return Serving(request.param)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_macro_f1_is_that_of_scikit_learn_whichever_classes_there_are(cases):
    y, guesses = np.array(cases).T
    expected = f1_score(y, guesses, average="macro", labels=range(6), zero_division=0)
    assert answers.macro_f1(y, guesses, 6) == expected


def test_scores_are_those_of_the_assembled_models(system):
    for score, k in zip(system.scores(), (3, 2), strict=True):
        found = []
        for device in range(k):
            with torch.no_grad():
                shares = system.assembled(score["cluster"], device)(system.x).exp().numpy()
            guesses = shares.argmax(-1)
            f1 = f1_score(system.y, guesses, average="macro", labels=range(10), zero_division=0)
            loss = log_loss(system.y, shares, labels=range(10))
            found.append([(guesses == system.y).mean(), loss, f1])
        means = [score["accuracy"], score["loss"], score["f1"]]
        assert means == pytest.approx(np.mean(found, axis=0), rel=1e-9)


def test_routes_are_those_of_the_clients_gate(system):
    found = system.routes()
    model = system.assembled("b", 1)
    with torch.no_grad():
        routing = model.moe.gate(model.extractor(system.x[found["rows"]]))
    assert found["chosen"] == routing.chosen.tolist()
    for weights, chosen, row in zip(found["weights"], found["chosen"], routing.weight, strict=True):
        assert weights == pytest.approx(row[chosen].tolist())
        assert sum(weights) == pytest.approx(1.0)
    assert system.routes(batch=1)["rows"] != found["rows"]
    for here in ([1, 4], [4]):
        limited = system.routes(reach=[e in here for e in range(5)])
        assert {e for row in limited["chosen"] for e in row} <= set(here)
    assert limited["weights"] == [[1.0]] * 20


def test_the_local_ratio_in_reach_asks_the_first_expert_that_a_client_can_send_to(system):
    """A/0 reaches all, A/1 itself alone, A/2 nobody who holds an expert; B/0 and B/1 each other."""
    all_ = [ALL] * 3
    pairs = [[expert > 2 for expert in range(5)]] * 2
    reach = [ALL, [expert == 1 for expert in range(5)], [False] * 5]
    (some, both), (every, _) = (system.scores(in_reach={"a": a, "b": pairs}) for a in (reach, all_))
    shares = [system.first("a", 0, 0, [1, 2, 3, 4]), 1.0, 0.0]
    assert some["local_reach_ratio"] == pytest.approx(np.mean(shares))
    shares = [system.first("b", 0, 3, [4]), system.first("b", 1, 4, [3])]
    assert both["local_reach_ratio"] == pytest.approx(np.mean(shares))
    assert every["local_reach_ratio"] == every["local_ratio"]
    assert "local_reach_ratio" not in system.scores()[0]


def test_answers_by_what_has_arrived(system):
    routed = system.routes()
    labels = system.y[routed["rows"]]
    outputs = system.tested["outputs"][routed["rows"]].numpy()
    with torch.no_grad():
        whole = system.assembled("b", 1)(system.x[routed["rows"]]).argmax(-1).tolist()
    first = [outputs[row, chosen[0]].argmax() for row, chosen in enumerate(routed["chosen"])]
    own = [outputs[row, 4].argmax() for row in range(20)]
    for came, wanted in (([True, True], whole), ([True, False], first), ([False, False], own)):
        correct = int((np.array(wanted) == labels).sum())
        assert system.answered(routed, came) == (wanted, correct)


@pytest.mark.parametrize("routing", ["gate", "random"])
def test_an_expert_out_of_reach_may_be_anything(system, routing):
    """Client a/1 holds no expert: what stands in its place counts for nobody."""
    reach = [expert != 1 for expert in range(5)]

    def everything(value):
        held = {**system.tested, "outputs": system.tested["outputs"].clone()}
        held["outputs"][:, 1] = value
        how = {"routing": routing, "reach": reach, "tested": held}
        routed = system.routes(**how)
        answered = system.answered(routed, [True, False], held)
        return [system.scores(**how), system.asked("pattern", **how), routed, answered]

    assert everything(math.nan) == everything(math.inf) == everything(0.5)


def test_three_local_shares():
    weights = np.array([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])
    shares = local_shares(weights, weights.argmax(1), 1)
    assert list(shares.values()) == pytest.approx([1 / 3, 3 / 6, 1.7 / 3])
    row = pattern_row(weights, weights.argmax(1))
    assert row["top1"] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert row["weights"] == pytest.approx([0.8 / 3, 1.7 / 3, 0.5 / 3])
