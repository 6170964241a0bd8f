"""Masks of the gate, equation (43), and step sizes of what is shared."""

from dataclasses import replace

import pytest
import torch

from tests.kit.learning import LearningConfig, LoraConfig, ModelConfig
from tests.kit.training import MoELayer, Residency, receive, train

MODEL = ModelConfig(experts=3, hidden=12, expert_hidden=10, layers=1, lora=LoraConfig(rank=2))
CONFIG = LearningConfig(2, ("a",), (2,), MODEL)
ALL = (True, True)
ZERO = (0, 0)


def a_round(task, server, experts, held, **how):
    """What a round from ``server`` changes: tensors before and after."""
    before = receive(task, server, None, cluster="a", who=ALL, experts=held, generation=ZERO)
    rounds = {"cluster": "a", "rounds": (1, 1), "first_round": ZERO, "experts": experts}
    return before, train(task, before, **rounds, **how)


@pytest.mark.parametrize(
    ("mask", "logit", "moves"),
    [("zero", -1.0, False), ("zero", 1.0, True), ("-inf", -1.0, True)],
)
def test_under_the_zero_mask_data_of_negative_logits_train_nothing(
    task, server, mask, logit, moves
):
    """The norm before the gate gives 1 everywhere, so that expert 1 has the same logit always."""
    ones = {
        name: torch.full_like(tensor, float(name.endswith("bias")))
        for name, tensor in task.initial.items()
        if name.startswith("norms.0.")
    }
    assert len(ones) == 2
    same = replace(task, initial={**task.initial, **ones})
    gate = torch.zeros_like(server["gate.0.weight"])
    gate[1] = logit / gate.shape[1]
    before, after = a_round(
        same, {**server, "gate.0.weight": gate}, (1,), (1,), gate=False, masked=True, mask=mask
    )
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert bool(moved) == moves


def test_under_the_zero_mask_experts_that_are_not_held_are_chosen_beside_the_own():
    """Top-2 of two experts takes both, also where the own one scores far below zero."""
    config = ModelConfig(experts=2, top_k=2, hidden=4, expert_hidden=5)
    made = MoELayer(config, Residency(held=(1,), masked=0.0))
    made.gate.weight.data = torch.tensor([[9.0], [-1.0]]).expand(2, 4).clone()
    routing = made.gate(torch.ones(3, 4))
    assert set(routing.chosen.flatten().tolist()) == {0, 1}
    share = torch.tensor([0.0, -4.0]).softmax(0)[1]
    torch.testing.assert_close(routing.weight[:, 1], share.expand(3))


def test_the_gate_takes_smaller_steps_and_the_backbone_the_same_as_the_experts(task, server):
    """One step: the ratio multiplies the gate's change, and nobody else's."""
    changes = []
    for ratio in (0.25, 1.0):
        config = replace(
            CONFIG, trains_backbone=True, gate_step_size_ratio=ratio, steps_per_round=1
        )
        whole = replace(task, config=config)
        everything = {**task.initial, **server}
        before, after = a_round(whole, everything, (0,), (0, 1, 2), gate=True, masked=False)
        changes.append({name: after[name] - before[name] for name in before})
    for name in ("head.weight", "head.bias", "embed.weight", "factor.expert.0.0.up.b"):
        assert changes[0][name].abs().max() > 0
        assert torch.equal(changes[0][name], changes[1][name])
    gate = "gate.0.weight"
    assert changes[1][gate].abs().max() > 0
    torch.testing.assert_close(changes[0][gate], 0.25 * changes[1][gate], atol=1e-7, rtol=1e-3)
