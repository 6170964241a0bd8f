"""Personal parts: what each device keeps and trains for itself, against loops in plain PyTorch."""

from itertools import chain

import pytest
import torch
from safetensors.torch import load_file

import scenarios
import sim
from learning.models import Residency
from tests.docs.pages import DOCS, steps
from tests.kit.inner.sim import InputError, build
from tests.kit.plain_loop import PlainLoop, compare
from tests.kit.small import SLOTS

ROUNDS = 2
HEAD = ["head.weight", "head.bias"]
BODY = ["layers.0.weight", "layers.0.bias"]


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The module ``personal`` that the page on methods writes out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    steps(DOCS / "write-a-method.md")


def scenario(method="fedavg", **keys):
    said = {
        "method": method, "precision": "float64", "step_size": 0.2, "steps_per_round": 2,
        "batch_size": 4, "rounds": {"per_contact": ROUNDS}, "personal": ["head"],
        "model": {"kind": "vector-mlp", "hidden": 12},
    }  # fmt: skip
    return scenarios.from_dict({**SLOTS, "stop": {"cycles": 3}, "learning": {**said, **keys}})


class Loop(PlainLoop):
    """Rounds of all clients, each of which keeps its own head."""

    def model(self, tensors):
        model = self.task.skeleton(Residency(())).to_empty(device="cpu").double()
        model.load_state_dict(tensors)
        return model

    def round(self):
        self.x = self.mean({c: self.train(self.x, c, ROUNDS) for c in self.clients})


def test_fedrep_trains_the_head_and_then_the_body(page, tmp_path):
    said = scenario("personal:FedRep")
    loop = Loop(said)
    for _ in range(3):
        body = {}
        for c in loop.clients:
            loop.train(loop.x, c, ROUNDS // 2, moves=HEAD)
            body[c] = loop.train(loop.x, c, ROUNDS - ROUNDS // 2, moves=BODY)
        loop.x = loop.mean(body)
    compare(tmp_path, said, loop.x)
    found = load_file(tmp_path / "run" / "model" / "personal.safetensors")
    wanted = {f"{c}/{k}/{n}": t for (c, k), own in loop.own.items() for n, t in own.items()}
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


def test_clients_are_tested_after_two_rounds_of_their_own(page, tmp_path):
    """Of which nothing is left: the server's model is that of FedAvg."""
    said = scenario("personal:FineTuned", personal=[])
    loop = Loop(said)
    for _ in range(3):
        loop.round()
    result = sim.run(said, tmp_path / "run")
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    torch.testing.assert_close(found, loop.x, atol=1e-12, rtol=0)
    assert not (tmp_path / "run" / "model" / "personal.safetensors").exists()
    loop.done = dict.fromkeys(loop.clients, 0)
    rows = result.metrics[result.metrics.time_s == result.metrics.time_s.max()]
    clients = rows[rows.scope == "client"].set_index(["cluster", "device"])
    for client in loop.clients:
        tuned = loop.train(loop.x, client, 2)
        assert clients.accuracy[client] == pytest.approx(accuracy_of(loop, client, tuned)[0])


def accuracy_of(loop, client, own=None):
    """Accuracy of a client's model on its own test samples, and how many these are."""
    samples = loop.task.client_test[client[0]].of(client[1])
    model = loop.model({**loop.x, **(own or loop.own[client])})
    right = model(samples.x).argmax(1) == samples.y
    return right.double().mean().item(), len(right)


def test_each_client_is_tested_by_its_own_model_on_its_own_samples():
    split = {"over": "devices", "kind": "dirichlet", "alpha": 0.1}
    said = scenario(step_size=0.5, data={"split": split})
    loop = Loop(said)
    for _ in range(3):
        loop.round()
    result = sim.run(said)
    wanted = {c: accuracy_of(loop, c) for c in loop.clients}
    rows = result.metrics[result.metrics.time_s == result.metrics.time_s.max()]
    clients = rows[rows.scope == "client"].set_index(["cluster", "device"])
    assert {*clients.index} == wanted.keys()
    for client, (accuracy, samples) in wanted.items():
        assert clients.accuracy[client] == pytest.approx(accuracy)
        assert clients.samples[client] == samples
    mean = sum(a * n for a, n in wanted.values()) / sum(n for _, n in wanted.values())
    assert result.summary["accuracy_final"] == pytest.approx(mean)
    assert result.summary["accuracy_worst_client"] == min(a for a, _ in wanted.values())
    assert result.summary["loss_worst_client"] == clients.loss.max()


@pytest.mark.parametrize("over", ["devices", "clients"])
def test_test_samples_are_split_as_training_samples(over):
    """Of each label a client has the same share; all clients of a run may share one test set."""
    split = {"over": over, "kind": "dirichlet", "alpha": 0.3}
    task = build(scenario(data={"split": split})).learner.task
    of_cluster = [[(name, k) for k in range(len(task.shards[name].sizes))] for name in task.shards]
    groups = of_cluster if over == "devices" else [[*chain(*of_cluster)]]
    for group in groups:
        whole = task.test[group[0][0]]
        held, tested = (
            [sets[name].of(k) for name, k in group] for sets in (task.shards, task.client_test)
        )
        assert sorted(torch.cat([one.x for one in tested]).tolist()) == sorted(whole.x.tolist())
        for label in whole.y.unique():
            trains, tests = (
                torch.tensor([int((one.y == label).sum()) for one in of]) for of in (held, tested)
            )
            if trains.any():
                assert (tests - trains / trains.sum() * tests.sum()).abs().max() < 1


@pytest.mark.parametrize("train", [True, False])
def test_what_is_personal_is_not_sent_and_trained_as_ever(train):
    """Bytes of both directions, FLOPs and memory; a timing-only run knows them too."""
    body = 64 * 12 + 12
    whole, own = (
        build(scenario(train=train, personal=names)).learner.architecture
        for names in ([], ["head"])
    )
    assert own.upload_bytes([], gate=True) == own.download_bytes([], gate=True) == 8 * body
    costs = [one.round_cost([], [], gate=True, samples=8, copies=1) for one in (whole, own)]
    assert costs[0].flops == costs[1].flops
    # A method that keeps a copy of what it sends keeps none of the head.
    assert costs[0].memory_bytes - costs[1].memory_bytes == 8 * (12 * 10 + 10)


def test_a_client_without_test_samples_is_not_counted():
    result = sim.run(scenario(data={"kind": "synthetic", "test_samples": 1}))
    rows = result.metrics[result.metrics.time_s == result.metrics.time_s.max()]
    clients = rows[rows.scope == "client"]
    tested = clients[clients.samples > 0]
    assert (len(clients), len(tested)) == (5, 2)
    assert clients[clients.samples == 0].accuracy.isna().all()
    assert rows[rows.scope == "global"].accuracy.item() == tested.accuracy.mean()
    assert result.summary["accuracy_worst_client"] == tested.accuracy.min()


def test_overrides_are_no_run_folder():
    with pytest.raises(InputError, match=r"^out: is the run folder; .*run\(load\(scenario, {"):
        sim.run("paper-slots", {"stop.cycles": 1})


def test_a_guess_and_the_noise_of_personal_models_are_those_of_their_own_tests():
    """Each client has a model and a majority class of its own, and no sample is tested twice."""
    few_classes = {"kind": "dirichlet", "alpha": 0.1, "over": "clients"}
    said = scenario(data={"kind": "digits", "split": few_classes})
    task = Loop(said).task
    tests = [
        task.client_test[name].of(device).y
        for name in task.client_test
        for device in range(task.devices(name))
    ]
    count = sum(map(len, tests))
    result = sim.run(said)
    start, *_, end = result.evaluations
    assert {start.samples, end.samples} == {count}
    rows = result.metrics[(result.metrics.scope == "client") & (result.metrics.time_s == 0)]
    assert rows.samples.sum() == count
    majority = sum(int(torch.bincount(y).max()) for y in tests if len(y))
    assert result.summary["guess"]["share"] == pytest.approx(majority / count)
    variance = sum(p * (1 - p) / count for p in (start.accuracy, end.accuracy))
    assert result.learnt.chance == pytest.approx(1.96 * variance**0.5)


def test_a_guess_at_tests_of_one_model_is_one_class_for_all():
    """Clusters have the same test labels: one class is the most frequent of all."""
    said = scenario(personal=[])
    task = Loop(said).task
    [one, *others] = task.test.values()
    assert others and all(torch.equal(one.y, other.y) for other in others)
    result = sim.run(said)
    share = int(torch.bincount(one.y).max()) / len(one.y)
    assert result.summary["guess"]["share"] == pytest.approx(share)
