"""Trainings that are stacked give the bits of each alone: any number, any clusters, other seeds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from learning import Data, LearningConfig, ModelConfig
from tests.kit.learning import Learner, Lora, Pretraining, Stacking, aggregate
from tests.kit.training import LocalRounds, TrainedPart, Weighing, joint, replay

CONFIG = LearningConfig(
    seed=1,
    clusters=("a", "b", "c", "d"),
    devices=(3, 3, 3, 3),
    model=ModelConfig(kind="vector-moe", experts=4, hidden=32, expert_hidden=24, lora=Lora(rank=3)),
    data=Data(kind="digits"),
    steps_per_round=2,
    batch_size=5,
    pretraining=Pretraining(2, 2, 2),
)
"""Four clusters of three devices, an expert for each."""

EVERYBODY = np.ones(3, bool)
FORMS = {
    "one expert": (CONFIG, {"mask": "-inf"}),
    "one expert with frozen A": (
        replace(CONFIG, model=replace(CONFIG.model, lora=Lora(rank=3, aggregate="ffa"))),
        {"mask": "-inf"},
    ),
    "all experts and the gate": (CONFIG, {"gate": True}),
    "a gate of two": (
        replace(CONFIG, model=replace(CONFIG.model, layers=2, top_k=2)), {"mask": "zero"},
    ),
    "without factors": (
        replace(CONFIG, model=replace(CONFIG.model, lora=Lora(rank=None))), {"gate": True},
    ),
    "with the backbone": (
        replace(CONFIG, trains_backbone=True, model=replace(CONFIG.model, lora=Lora(rank=None))),
        {"gate": True},
    ),
    "a plain model": (
        replace(CONFIG, trains_backbone=True, model=ModelConfig(kind="vector-mlp", hidden=20)),
        {"gate": True},
    ),
}  # fmt: skip


def trainings(config, how):
    """Handles of a training in each cluster, of bases that differ, with one to three rounds."""
    learner = Learner(config)
    server = learner.start()
    found = []
    for number, cluster in enumerate(config.clusters):
        experts = range(learner.config.model.experts)
        mine = list(experts) if how.get("gate") else [number]
        part = TrainedPart(mine, **{"gate": False, **how})
        state = learner.load(server, None, cluster, EVERYBODY, experts, np.zeros(3, int))
        first = learner.train(state, LocalRounds(cluster, [1, 1, 1], [0, 0, 0]), part)
        rounds = LocalRounds(cluster, [1 + number % 3, 1, 1], [1, 1, 1])
        found.append(learner.train(first, rounds, part))
        offered = learner.offer(first, mine, gate=how.get("gate", False))
        weighing = Weighing(cluster, EVERYBODY)
        server = aggregate(learner, server, offered, mine, weighing, gate=how.get("gate", False))
    return learner, found


def forced(config, how):
    """The tensors of each training, computed alone."""
    learner, found = trainings(config, how)
    learner.values.batching = None
    return [learner.values.force(state.own) for state in found]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.quick(3)
def test_trainings_of_several_clusters_and_seeds_are_those_of_each_alone(form, monkeypatch):
    config, how = FORMS[form]
    configs = [replace(config, seed=seed) for seed in (1, 2)]
    monkeypatch.setattr(replay, "_KNOWN", {})
    monkeypatch.setattr(replay, "TIMES", 1000)  # by the model itself
    alone = [tensors for each in configs for tensors in forced(each, how)]
    widest = []

    def train(begin, *rest):
        widest.append(len(next(iter(begin.values()))) // 3)
        return plain(begin, *rest)

    plain = joint.sgd.train
    monkeypatch.setattr(joint.sgd, "train", train)
    monkeypatch.setattr(replay, "_KNOWN", {})
    monkeypatch.setattr(replay, "TIMES", 0)
    for width in (2, 5, 8):
        monkeypatch.setattr(joint, "_WIDTHS", {})
        monkeypatch.setattr(
            joint.Widths, "next", lambda _own, waiting, _, most=width: min(waiting, most)
        )
        made = [trainings(each, how) for each in configs]
        handles = [state.own for _, found in made for state in found]
        for learner, found in made:
            learner.values.batching = None
            for parent in (parent for state in found for parent in state.own.parents):
                learner.values.force(parent)
        widest.clear()
        found = Stacking().compute(handles)
        for expected, tensors in zip(alone, found, strict=True):
            assert all(torch.equal(expected[name], tensors[name]) for name in expected)
        # A gate that knows where it masks is one of its cluster: the two seeds are left.
        assert max(widest) == (2 if form == "a gate of two" else width)
        assert all(all(widths.is_as_alone.values()) for widths in joint._WIDTHS.values())
    assert all(recording.bytes for recording in replay._KNOWN.values())


def test_a_run_trains_together_what_waits(monkeypatch):
    learner, found = trainings(CONFIG, {"mask": "-inf"})
    counts = []
    compute = Stacking.compute
    monkeypatch.setattr(
        Stacking,
        "compute",
        lambda own, some, **how: counts.append(len(some)) or compute(own, some, **how),
    )
    last = [state.own for state in found]
    expected = forced(CONFIG, {"mask": "-inf"})
    for handle, tensors in zip(last, expected, strict=True):
        made = learner.values.force(handle)
        assert all(torch.equal(tensors[name], made[name]) for name in tensors)
    assert sum(counts) == 8
    assert max(counts) > 1


def test_an_error_of_a_training_that_waits_is_raised_when_it_is_needed():
    learner, found = trainings(CONFIG, {"mask": "-inf"})
    broken = found[1].own
    broken.arguments["experts"] = [9]
    expected = forced(CONFIG, {"mask": "-inf"})
    for handle, tensors in zip(
        [found[0].own, found[2].own], [expected[0], expected[2]], strict=True
    ):
        made = learner.values.force(handle)
        assert all(torch.equal(tensors[name], made[name]) for name in tensors)
    with pytest.raises(ValueError, match="expert 9 is not held"):
        learner.values.force(broken)
