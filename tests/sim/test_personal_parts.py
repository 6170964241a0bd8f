"""Personal parts: what each device keeps and trains for itself, against loops in plain PyTorch."""

from itertools import chain

import pytest
import torch
from safetensors.torch import load_file

import scenarios
import sim
from learning import method_names
from learning.models import Residency
from tests.kit.network import InputError, build
from tests.kit.plain_loop import PlainLoop, compare
from tests.kit.small import SLOTS

ROUNDS = 2
BODY = ["layers.0.weight", "layers.0.bias"]


def scenario(method="fedavg", **learning):
    said = {
        "method": method, "precision": "float64", "step_size": 0.2, "steps_per_round": 2,
        "batch_size": 4, "rounds": {"per_contact": ROUNDS}, "personal": ["head"],
        "model": {"kind": "vector-mlp", "hidden": 12},
    }  # fmt: skip
    return scenarios.from_dict({**SLOTS, "stop": {"cycles": 3}, "learning": {**said, **learning}})


class Loop(PlainLoop):
    """Rounds of all clients, each of which keeps its own head."""

    def model(self, tensors):
        model = self.task.skeleton(Residency(())).to_empty(device="cpu").double()
        model.load_state_dict(tensors)
        return model

    def round(self):
        self.x = self.mean({c: self.train(self.x, c, ROUNDS) for c in self.clients})


def test_heads_stay_on_the_devices_and_the_rest_is_averaged(tmp_path):
    said = scenario()
    loop = Loop(said)
    for _ in range(3):
        loop.round()
    rounds = compare(tmp_path, said, loop.x)
    assert len(rounds) == 3
    found = load_file(tmp_path / "run" / "model" / "personal.safetensors")
    wanted = {f"{c}/{k}/{n}": t for (c, k), own in loop.own.items() for n, t in own.items()}
    assert found.keys() == wanted.keys()
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


def accuracy_of(loop, client):
    """Accuracy of a client's model on its own test samples, and how many these are."""
    samples = loop.task.client_test[client[0]].of(client[1])
    model = loop.model({**loop.x, **loop.own[client]})
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
    assert rows[rows.scope == "global"].accuracy.item() == pytest.approx(mean)
    assert result.summary["accuracy_final"] == pytest.approx(mean)
    assert result.summary["accuracy_worst_client"] == min(a for a, _ in wanted.values())


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


def test_what_is_personal_is_not_sent_and_trained_as_ever():
    """Bytes of both directions, FLOPs and memory; a timing-only run knows them too."""
    body = 64 * 12 + 12
    for train in (True, False):
        whole, own = (
            build(scenario(train=train, personal=names)).learner.architecture
            for names in ([], ["head"])
        )
        assert own.upload_bytes([], gate=True) == own.download_bytes([], gate=True) == 8 * body
        assert [one.name for one in own.upload_tensors([], gate=True)] == BODY
        costs = [one.round_cost([], [], gate=True, samples=8, copies=1) for one in (whole, own)]
        assert costs[0].flops == costs[1].flops
        # A method that keeps a copy of what it sends keeps none of the head.
        assert costs[0].memory_bytes - costs[1].memory_bytes == 8 * (12 * 10 + 10)


ALL = ["*.weight", "layers", "head.bias"]
REFUSED = (
    (
        ["heed"],
        "'heed' matches no parameter that is trained, and no buffer, of 'vector-mlp'; the nearest "
        "name is 'head'",
    ),
    (
        ALL,
        "'*.weight', 'layers', 'head.bias' matches all of 'vector-mlp', and nothing is left to "
        "send; name a part of it, or train without a server by learning.method: local",
    ),
)


def test_patterns_that_match_nothing_or_everything_are_refused():
    for personal, why in REFUSED:
        with pytest.raises(InputError) as told:
            build(scenario(personal=personal))
        assert str(told.value) == f"learning.personal: {why}"
    of_expert = {"kind": "vector-moe", "experts": 2, "hidden": 8, "expert_hidden": 8}
    with pytest.raises(
        InputError, match=r"matches 'moe[.]0[.]experts[.]0[.]down[.]bias', a tensor of"
    ):
        build(scenario(personal=["moe"], model=of_expert))
    with pytest.raises(InputError, match="gradient_cosine looks at gradients of one model"):
        build(scenario(metrics=["gradient_cosine"]))


TAKE = {
    "fedavg", "fedprox", "fedopt", "scaffold", "fedbuff", "fedasync", "fedavg-sat", "fedprox-sat",
    "fedisl", "autoflsat",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({*method_names()} - TAKE))
def test_other_methods_refuse_personal_parts_by_name(name):
    with pytest.raises(InputError) as told:
        build(scenario(name))
    assert str(told.value) == (
        f"learning.personal: method {name!r} takes no personal parts; remove it, or take another "
        "method, like fedavg"
    )


def test_a_client_without_test_samples_is_not_counted():
    said = scenario(data={"kind": "synthetic", "test_samples": 1})
    result = sim.run(said)
    rows = result.metrics[result.metrics.time_s == result.metrics.time_s.max()]
    clients = rows[rows.scope == "client"]
    assert len(clients) == 5
    tested = clients[clients.samples > 0]
    assert len(tested) == 2
    assert clients[clients.samples == 0].accuracy.isna().all()
    assert rows[rows.scope == "global"].accuracy.item() == tested.accuracy.mean()
    assert result.summary["accuracy_worst_client"] == tested.accuracy.min()


def test_times_are_those_of_a_run_that_trains_nothing():
    trained, timed = (sim.run(scenario(train=train)) for train in (True, False))
    assert trained.manifest["timing_sha256"] == timed.manifest["timing_sha256"]
    assert timed.summary["accuracy_worst_client"] is None
