"""Gates of networked experts: what must hold whatever is learnt (oracles 8 to 19 of the notes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

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
from tests.kit.training import answer, losses, mixed, reach_of, route, rows_of_round, train_gates

MODEL = ModelConfig(kind="vector-nmoe", experts=5, top_k=2, hidden=12, expert_hidden=8)
CONFIG = LearningConfig(
    3, ("a", "b"), (3, 2), MODEL, DataConfig(kind="digits", trial_samples=1),
    step_size=0.1, gate_step_size_ratio=1.0, steps_per_round=2, batch_size=8, precision="float64",
)  # fmt: skip
EVERYBODY = {"a": np.ones(3, bool), "b": np.ones(2, bool)}


class System:
    """A system after stage 2, of little training."""

    def __init__(self, config: LearningConfig = CONFIG, **options: object) -> None:
        self.learner = Learner(config)
        self.net = NetworkedLearner(self.learner, **options)  # type: ignore[arg-type]
        self.devices = dict(zip(config.clusters, config.devices, strict=True))
        self.server = self.net.start_extractor("none")
        self.experts = {
            name: self.net.train_experts(self.server, name, counts(k, 10), counts(k, 0))
            for name, k in self.devices.items()
        }
        self.known = {n: self.net.knowledge(self.server, self.experts, n) for n in self.devices}

    def spread(self, gate: Handle | None = None) -> dict[str, Handle]:
        start = self.net.start_gate() if gate is None else gate
        return {name: self.net.spread(start, name) for name in self.devices}

    def train(self, gates: dict[str, Handle], rounds: int = 1, first: int = 0) -> dict[str, Handle]:
        return {
            n: self.net.train_gates(gates[n], self.known[n], n, counts(k, rounds), counts(k, first))
            for n, k in self.devices.items()
        }

    def force(self, handle: Handle) -> Tensors:
        return self.learner.force(handle)


def counts(devices: int, value: int) -> np.ndarray:
    return np.full(devices, value)


@pytest.fixture(scope="module")
def system() -> System:
    return System()


def equal(one: Tensors, other: Tensors) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_a_shared_gate_on_a_common_test_set_keeps_one_nth() -> None:
    images = replace(
        CONFIG,
        data=DataConfig(kind="digit-images", trial_samples=1),
        model=replace(MODEL, kind="image-nmoe", hidden=8),
    )
    system = System(images)
    trained = system.net.share_gates(system.train(system.spread()), EVERYBODY)
    scores = system.net.scores(system.server, system.experts, trained)
    weights = [scores[0]["samples"], scores[1]["samples"]]
    assert weights == [397, 397]
    for key in ("local_ratio", "local_count_share", "local_weight_share"):
        mean = (3 * scores[0][key] + 2 * scores[1][key]) / 5  # type: ignore[literal-required]
        assert mean == pytest.approx(1 / 5, abs=1e-12)
    pattern = system.net.pattern(system.server, system.experts, trained)
    assert set(pattern) == {"top1", "weights"}
    for rows in pattern.values():
        assert all(row == rows[0] for row in rows)


def test_rows_of_the_pattern_sum_to_1_and_its_diagonal_is_the_local_ratio(system: System) -> None:
    gates = system.train(system.spread())
    pattern = system.net.pattern(system.server, system.experts, gates)
    scores = system.net.scores(system.server, system.experts, gates)
    for name, key in (("top1", "local_ratio"), ("weights", "local_weight_share")):
        matrix = np.array(pattern[name])
        assert matrix.shape == (5, 5)
        assert matrix.sum(1) == pytest.approx(1.0)
        ratio = (3 * scores[0][key] + 2 * scores[1][key]) / 5  # type: ignore[literal-required]
        assert np.trace(matrix) / 5 == pytest.approx(ratio)


def test_one_client_answers_itself_whatever_the_gate() -> None:
    system = System(
        replace(CONFIG, clusters=("a",), devices=(1,), model=replace(MODEL, experts=1, top_k=1))
    )
    gates = system.spread()
    trained = system.train(gates, 3)
    assert equal(system.force(trained["a"]), system.force(gates["a"]))
    by_gate = system.net.scores(system.server, system.experts, trained)
    assert by_gate == system.net.scores(system.server, system.experts, None, "local")
    assert by_gate[0]["local_ratio"] == 1.0


def features_and_outputs(system: System, cluster: str) -> tuple[Tensor, Tensor, Tensor]:
    known = system.force(system.known[cluster])
    return known["features"], known["outputs"], system.learner.task.shards[cluster].samples.y


def own_step(
    system: System, gate: Tensors, cluster: str, device: int, number: int
) -> dict[str, Tensor]:
    """A device's round in plain torch: dense softmax, log of mixed probabilities, its mean loss."""
    features, outputs, y = features_and_outputs(system, cluster)
    weight, bias = gate["weight"].clone(), gate["bias"].clone()
    for rows in rows_of_round(system.learner.task, cluster, device, number):
        weight.requires_grad_(), bias.requires_grad_()
        share = (features[rows] @ weight.T + bias).softmax(-1)
        shares = (share[:, :, None] * outputs[rows]).sum(1)
        loss = -shares[range(len(rows)), y[rows]].log().mean()
        by_weight, by_bias = torch.autograd.grad(loss, (weight, bias))
        weight, bias = (weight - 0.1 * by_weight).detach(), (bias - 0.1 * by_bias).detach()
    return {"weight": weight, "bias": bias}


def test_training_is_plain_gradient_descent(system: System) -> None:
    trained = system.force(system.train(system.spread(), 2)["b"])
    start = system.force(system.net.start_gate())
    for device in range(2):
        one = own_step(system, start, "b", device, 0)
        wanted = own_step(system, one, "b", device, 1)
        for name, tensor in wanted.items():
            torch.testing.assert_close(trained[name][device], tensor, rtol=1e-10, atol=1e-12)


def test_one_step_of_fedgate_is_one_step_on_the_weighted_mean_loss() -> None:
    system = System(replace(CONFIG, steps_per_round=1))
    shared = system.net.share_gates(system.train(system.spread()), EVERYBODY, weighted=True)
    start = system.force(system.net.start_gate())
    weight, bias = (start[name].clone().requires_grad_() for name in ("weight", "bias"))
    loss = torch.zeros((), dtype=torch.float64)
    sizes = system.net.samples()
    everyone = sum(map(sum, sizes))
    for cluster, own in zip("ab", sizes, strict=True):
        features, outputs, y = features_and_outputs(system, cluster)
        for device, size in enumerate(own):
            rows = rows_of_round(system.learner.task, cluster, device, 0)[0]
            share = (features[rows] @ weight.T + bias).softmax(-1)
            shares = (share[:, :, None] * outputs[rows]).sum(1)
            loss = loss + size / everyone * functional.nll_loss(shares.log(), y[rows])
    steps = torch.autograd.grad(loss, (weight, bias))
    for name, tensor, step in zip(("weight", "bias"), (weight, bias), steps, strict=True):
        for cluster in "ab":
            for row in system.force(shared[cluster])[name]:
                torch.testing.assert_close(row, (tensor - 0.1 * step).detach(), rtol=0, atol=1e-15)


def test_fedgate_of_one_client_is_central_training_bit_for_bit(system: System) -> None:
    alone, rounds = {"b": np.array([True, False])}, np.array([1, 0])
    gates = system.spread()["b"]
    for number in range(3):
        trained = system.net.train_gates(gates, system.known["b"], "b", rounds, counts(2, number))
        gates = system.net.share_gates({"b": trained}, alone)["b"]
    start = system.spread()["b"]
    central = system.net.train_gates(start, system.known["b"], "b", 3 * rounds, counts(2, 0))
    averaged, whole = system.force(gates), system.force(central)
    for name in ("weight", "bias"):
        assert torch.equal(averaged[name][0], whole[name][0])
        assert torch.equal(averaged[name][1], whole[name][0])


def test_fedgate_of_several_rounds_is_no_central_training(system: System) -> None:
    """Averages of what was trained apart differ from one who trains on all, as they must."""
    once = system.net.share_gates(system.train(system.spread(), 2), EVERYBODY)
    twice = system.net.share_gates(system.train(system.spread(), 1), EVERYBODY)
    twice = system.net.share_gates(system.train(twice, 1, first=1), EVERYBODY)
    one, other = system.force(once["a"])["weight"], system.force(twice["a"])["weight"]
    assert not torch.allclose(one, other, rtol=1e-6, atol=1e-9)


@given(
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_rounds_in_several_calls_are_rounds_in_one(first: list[int], more: list[int]) -> None:
    system = SPLIT
    one, two = np.array(first), np.array(more)
    gates = system.spread()["a"]
    nothing = counts(3, 0)
    part = system.net.train_gates(gates, system.known["a"], "a", one, nothing)
    part = system.net.train_gates(part, system.known["a"], "a", two, one)
    whole = system.net.train_gates(gates, system.known["a"], "a", one + two, nothing)
    assert equal(system.force(part), system.force(whole))


SPLIT = System()


def test_rollgate_round_one_client_is_that_many_epochs(system: System) -> None:
    """Cyclic weight transfer among one client: c cycles of E rounds are c E rounds."""
    gate = system.net.start_gate()
    me, others = Node("a", 1), np.array([0, 1, 0])
    for cycle in range(3):
        spread = system.net.spread(gate, "a")
        trained = system.net.train_gates(
            spread, system.known["a"], "a", 2 * others, counts(3, 2 * cycle)
        )
        gate = system.net.take_gate({"a": trained}, me)
    start = system.spread()["a"]
    whole = system.net.train_gates(start, system.known["a"], "a", 6 * others, counts(3, 0))
    assert equal(system.force(gate), system.force(system.net.take_gate({"a": whole}, me)))


def test_rangate_is_training_on_one_clients_data(system: System) -> None:
    only = np.array([0, 0, 3])
    trained = system.net.train_gates(
        system.spread()["a"], system.known["a"], "a", only, counts(3, 0)
    )
    gate = system.force(system.net.take_gate({"a": trained}, Node("a", 2)))
    wanted = system.force(system.net.start_gate())
    for number in range(3):
        wanted = own_step(system, wanted, "a", 2, number)
    for name in ("weight", "bias"):
        torch.testing.assert_close(gate[name], wanted[name], rtol=1e-9, atol=1e-12)
    start = system.force(system.net.start_gate())
    rested = system.force(trained)
    assert torch.equal(rested["weight"][0], start["weight"])


def test_partial_sync_shares_what_is_named(system: System) -> None:
    trained = system.train(system.spread(), 2)
    shared = system.net.share_gates(trained, EVERYBODY, ("weight",))
    before = {name: system.force(handle) for name, handle in trained.items()}
    after = {name: system.force(handle) for name, handle in shared.items()}
    rows = torch.cat([after["a"]["weight"], after["b"]["weight"]])
    sizes = torch.tensor([*system.net.samples()[0], *system.net.samples()[1]], dtype=torch.float64)
    old = torch.cat([before["a"]["weight"], before["b"]["weight"]])
    mean = (old * (sizes / sizes.sum())[:, None, None]).sum(0)
    torch.testing.assert_close(rows, mean.expand(5, *mean.shape))
    for name in "ab":
        assert torch.equal(after[name]["bias"], before[name]["bias"])


def test_unweighted_sharing_over_some(system: System) -> None:
    trained = system.train(system.spread(), 2)
    who = {"a": np.array([True, False, True]), "b": np.zeros(2, bool)}
    shared = system.net.share_gates(trained, who, weighted=False)
    mean = system.force(trained["a"])["bias"][[0, 2]].mean(0)
    torch.testing.assert_close(system.force(shared["b"])["bias"], mean.expand(2, 5))


def test_frozen_means_frozen(system: System) -> None:
    frozen = [system.server, *system.experts.values()]
    before = [{name: t.clone() for name, t in system.force(handle).items()} for handle in frozen]
    for handle in system.train(system.spread(), 3).values():
        system.force(handle)
    for handle, kept in zip(frozen, before, strict=True):
        assert equal(system.force(handle), kept)


def test_identical_experts_leave_the_gate_no_gradient(system: System) -> None:
    for combine in ("prob", "logit"):
        one = torch.rand(7, 1, 10, dtype=torch.float64).softmax(-1)
        outputs = one.expand(7, 5, 10)
        logits = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
        out = answer(mixed(logits.softmax(-1), outputs), combine)
        torch.testing.assert_close(out, answer(one[:, 0], combine))
        (gradient,) = torch.autograd.grad(out[:, 0].sum(), logits)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-15, rtol=0)


# -- routing

LOGITS = st.lists(st.floats(-60, 60), min_size=5, max_size=5)


def routed(system: System, logits: Sequence[float], k: int | None, reach: Sequence[bool]) -> Tensor:
    gate = {
        "weight": torch.zeros(5, 12, dtype=torch.float64),
        "bias": torch.tensor(logits, dtype=torch.float64),
    }
    features = torch.ones(1, 12, dtype=torch.float64)
    return route(
        system.learner.task, gate, features, k, reach_of(system.learner.task, reach)
    ).weight[0]


@given(LOGITS)
def test_all_experts_are_a_dense_softmax(logits: list[float]) -> None:
    weights = routed(SPLIT, logits, None, [True] * 5)
    torch.testing.assert_close(weights, torch.tensor(logits, dtype=torch.float64).softmax(0))
    assert routed(SPLIT, logits, 1, [True] * 5).max().item() == 1.0


@given(LOGITS, st.integers(1, 5), st.floats(-100, 100))
def test_a_constant_changes_nothing(logits: list[float], k: int, shift: float) -> None:
    # logits on a grid that the shift keeps exact: ties stay ties
    coarse = [round(4 * value) / 4 for value in logits]
    moved = [value + round(4 * shift) / 4 for value in coarse]
    one, other = (routed(SPLIT, values, k, [True] * 5) for values in (coarse, moved))
    torch.testing.assert_close(one.sort().values, other.sort().values)


@given(LOGITS, st.lists(st.booleans(), min_size=5, max_size=5).filter(any), st.integers(1, 5))
def test_out_of_reach_is_weight_zero(logits: list[float], reach: list[bool], k: int) -> None:
    low = [-50.0 if here else value for here, value in zip(reach, logits, strict=True)]
    weights = routed(SPLIT, low, k, reach)
    assert all(weights[i] == 0.0 for i in range(5) if not reach[i])
    assert weights.sum().item() == pytest.approx(1.0)
    assert (weights > 0).sum() <= min(k, sum(reach))


def test_masked_as_in_the_notes() -> None:
    weights = routed(SPLIT, [-3, -4, -5, 0, 0], None, [True, True, False, False, False])
    assert weights[:3].tolist() == pytest.approx([0.7310585786, 0.2689414214, 0.0])


def test_a_client_without_any_expert_is_refused() -> None:
    with pytest.raises(ValueError, match="reaches no expert"):
        routed(SPLIT, [0.0] * 5, 1, [False] * 5)


def test_reach_in_training_leaves_the_others_alone(system: System) -> None:
    reach = np.ones((3, 5), bool)
    reach[:, 3] = False
    rounds = counts(3, 2)
    limited = system.net.train_gates(
        system.spread()["a"], system.known["a"], "a", rounds, counts(3, 0), reach
    )
    gate, start = system.force(limited), system.force(system.net.start_gate())
    assert torch.equal(gate["weight"][:, 3], start["weight"][3].expand(3, -1))
    assert not torch.equal(gate["weight"][:, 2], start["weight"][2].expand(3, -1))


def test_an_expert_of_nan_out_of_reach_leaves_training_as_it_was(system: System) -> None:
    reach = np.ones((3, 5), bool)
    reach[:, 3] = False
    task, start = system.learner.task, system.force(system.spread()["a"])
    known = dict(system.force(system.known["a"]))
    found = []
    for value in (None, torch.nan, torch.inf):
        outputs = known["outputs"].clone()
        if value is not None:
            outputs[:, 3] = value
        found.append(
            train_gates(
                task, start, known | {"outputs": outputs}, cluster="a", rounds=[2] * 3,
                first_round=[0] * 3, reach=reach.tolist(), combine="prob",
            )
        )  # fmt: skip
    assert equal(found[0], found[1])
    assert equal(found[0], found[2])


@pytest.mark.parametrize("combine", ["prob", "logit"])
def test_weight_zero_is_no_weight(combine: str) -> None:
    """Neither the mixture nor its gradient knows an expert of weight 0."""
    weights = torch.tensor([[0.25, 0.0, 0.75]], dtype=torch.float64, requires_grad=True)
    outputs = torch.rand(1, 3, 4, dtype=torch.float64).softmax(-1)
    outputs[0, 1] = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0])
    out = answer(mixed(weights, outputs), combine)
    torch.testing.assert_close(
        mixed(weights, outputs)[0], 0.25 * outputs[0, 0] + 0.75 * outputs[0, 2]
    )
    (gradient,) = torch.autograd.grad(out.sum(), weights)
    assert torch.isfinite(gradient).all()
    assert not torch.isfinite(mixed(weights + 0.1, outputs)).all()  # any weight counts


def test_a_probability_of_zero_has_a_finite_loss() -> None:
    weights = torch.tensor([[1.0, 0.0]], requires_grad=True)
    outputs = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])
    logits = answer(mixed(weights, outputs), "prob")
    assert torch.isfinite(logits).all()
    loss = losses(logits, torch.tensor([1]), "prob")
    assert loss.item() == pytest.approx(-np.log(torch.finfo(torch.float32).tiny), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss.sum(), weights)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("ratio", [0.25, 2.0])
def test_gates_take_steps_of_their_own_size(ratio: float) -> None:
    system = System(replace(CONFIG, steps_per_round=1, gate_step_size_ratio=ratio))
    trained = system.force(system.train(system.spread())["b"])
    start = system.force(system.net.start_gate())
    for device in range(2):
        whole_step = own_step(system, start, "b", device, 0)
        for name in ("weight", "bias"):
            wanted = start[name] + ratio * (whole_step[name] - start[name])
            torch.testing.assert_close(trained[name][device], wanted, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("upload_format", ["float16", "int8"])
def test_gates_are_averaged_as_they_were_sent(upload_format: str) -> None:
    system = System(replace(CONFIG, upload_format=upload_format))
    trained = system.train(system.spread(), 2)
    who = {"a": np.array([True, False, True]), "b": np.zeros(2, bool)}
    mean = system.force(system.net.share_gates(trained, who, weighted=False)["b"])
    for name in ("weight", "bias"):
        sent = []
        for own in system.force(trained["a"])[name][[0, 2]].numpy():
            if upload_format == "float16":
                sent.append(own.astype(np.float16).astype(float))
            else:
                step = np.abs(own).max() / 127
                sent.append(np.rint(own / step) * step)
        wanted = np.mean(sent, axis=0)
        exact = system.force(trained["a"])[name][[0, 2]].numpy().mean(0)
        assert np.abs(wanted - exact).max() > 1e-7
        np.testing.assert_allclose(mean[name][0].numpy(), wanted, rtol=0, atol=1e-15)
