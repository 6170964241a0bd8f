"""Personal parts: what each device keeps and trains for itself, against loops in plain PyTorch."""

import pytest

import scenarios
from learning import method_names
from tests.kit.network import InputError, build
from tests.kit.plain_loop import PlainLoop, compare
from tests.kit.small import SLOTS

ROUNDS = 2
HEAD = ("head.weight", "head.bias")
BODY = ["layers.0.weight", "layers.0.bias"]


def scenario(method="fedavg", **learning):
    said = {
        "method": method, "precision": "float64", "step_size": 0.2, "steps_per_round": 2,
        "batch_size": 4, "rounds": {"per_contact": ROUNDS}, "personal": ["head"],
        "model": {"kind": "vector-mlp", "hidden": 12},
    }  # fmt: skip
    return scenarios.from_dict({**SLOTS, "stop": {"cycles": 3}, "learning": {**said, **learning}})


class Loop(PlainLoop):
    """Rounds of all clients, each of which keeps its own ``personal`` tensors."""

    def __init__(self, said, personal=HEAD):
        super().__init__(said)
        self.own = {c: {n: self.x[n] for n in personal} for c in self.clients}

    def round(self, rounds=ROUNDS, step=None, correct=lambda client: lambda name, w: 0.0):
        models = {}
        for c in self.clients:
            models[c] = self.train({**self.x, **self.own[c]}, c, rounds, correct(c))
            self.own[c] = {n: models[c][n] for n in self.own[c]}
        mean = self.mean(models)
        shared = [n for n in self.x if n not in self.own[self.clients[0]]]
        self.x = self.x | {n: mean[n] for n in shared} if step is None else step(self.x, mean)
        return models


def test_heads_stay_on_the_devices_and_the_rest_is_averaged(tmp_path):
    said = scenario()
    loop = Loop(said)
    for _ in range(3):
        loop.round()
    rounds = compare(tmp_path, said, loop.x)
    assert len(rounds) == 3


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
        InputError, match="matches 'moe[.]0[.]experts[.]0[.]down[.]bias', a tensor of"
    ):
        build(scenario(personal=["moe"], model=of_expert))


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
