"""Experts of one's own: gates kept to them, what they serve, and aggregation by their use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.kit.learning import (
    DataConfig,
    LearningConfig,
    LoraConfig,
    ModelConfig,
    Pretraining,
    Tensors,
)
from tests.kit.training import (
    DELTA,
    FACTOR,
    Task,
    aggregation,
    build_task,
    expert_of,
    forward_with_routing,
    model_of_device,
    offer,
    receive,
    start_model,
    train,
    usage,
)

CONFIG = LearningConfig(
    1,
    ("A", "B"),
    (3, 2),
    ModelConfig(experts=4, top_k=2, hidden=12, expert_hidden=10, layers=2, lora=LoraConfig(rank=2)),
    batch_size=8,
    steps_per_round=2,
    step_size=0.5,
    trains_backbone=True,
)
EVERY = (0, 1, 2, 3)
REACH = [[True, True, False, False], [False, True, False, True], [False, False, True, False]]


def held(task: Task, server: Tensors, experts: tuple[int, ...] = EVERY) -> Tensors:
    arguments: dict[str, Any] = {"cluster": "A", "who": [True] * 3, "generation": [0] * 3}
    return receive(task, server, None, experts=experts, **arguments)


def trained(task: Task, server: Tensors, reach: list[list[bool]], **changes: Any) -> Tensors:
    arguments: dict[str, Any] = {
        "cluster": "A",
        "rounds": [2, 2, 2],
        "first_round": [0, 0, 0],
        "experts": EVERY,
        "gate": True,
        "masked": True,
        "reach": reach,
    }
    return train(task, held(task, server), **{**arguments, **changes})


def moved(task: Task, before: Tensors, after: Tensors, device: int) -> set[int | None]:
    """Experts (None: what is shared) of a device's model that have changed at all."""
    first, last = (model_of_device(task, state, device) for state in (before, after))
    return {expert_of(name) for name in first if not torch.equal(first[name], last[name])}


@pytest.mark.parametrize("rank", [2, None])
@pytest.mark.parametrize("batched", [True, False])
def test_only_what_is_in_reach_moves(
    task: Task, server: Tensors, rank: int | None, batched: bool
) -> None:
    lora = replace(CONFIG.model.lora, rank=rank)
    config = replace(CONFIG, model=replace(CONFIG.model, lora=lora))
    task = replace(task, config=config, batched=batched)
    before, after = held(task, server), trained(task, server, REACH)
    for device, row in enumerate(REACH):
        mine = {expert for expert, here in enumerate(row) if here}
        assert moved(task, before, after, device) == mine | {None}


@pytest.mark.parametrize("batched", [True, False])
def test_devices_together_do_what_each_does_alone_under_its_mask(
    task: Task, server: Tensors, batched: bool
) -> None:
    """Against the mask of EMS-FL, which is one for the whole cluster."""
    task = replace(task, batched=batched)
    together = trained(task, server, REACH)
    for device, row in enumerate(REACH):
        mine = tuple(expert for expert, here in enumerate(row) if here)
        alone = train(
            task,
            held(task, server, mine),
            cluster="A",
            rounds=[2, 2, 2],
            first_round=[0, 0, 0],
            experts=mine,
            gate=True,
            masked=True,
        )
        found = model_of_device(task, together, device)
        for name, tensor in model_of_device(task, alone, device).items():
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)


def test_what_a_device_does_not_reach_is_no_matter_to_it(task: Task, server: Tensors) -> None:
    other = {
        name: tensor + 7.0 if expert_of(name) in (2, 3) else tensor
        for name, tensor in server.items()
    }
    first, second = trained(task, server, REACH), trained(task, other, REACH)
    one, two = (model_of_device(task, state, 0) for state in (first, second))
    for name in one:
        if expert_of(name) not in (2, 3):
            assert torch.equal(one[name], two[name])


def test_who_trains_reaches_an_expert_and_who_rests_need_not(task: Task, server: Tensors) -> None:
    nobody = [REACH[0], [False] * 4, REACH[2]]
    after = trained(task, server, nobody, rounds=[2, 0, 2])
    assert moved(task, held(task, server), after, 1) == set()
    assert moved(task, held(task, server), after, 2) == {2, None}
    with pytest.raises(ValueError, match="device 1 trains with no expert in reach"):
        trained(task, server, nobody)


@pytest.mark.parametrize("top_k", [1, 2])
def test_what_experts_serve_counted_again_sample_by_sample(
    task: Task, server: Tensors, top_k: int
) -> None:
    config = replace(CONFIG, model=replace(CONFIG.model, top_k=top_k))
    task = replace(task, config=config)
    state = trained(task, server, REACH)
    found = usage(task, state, "A", REACH)
    for device, row in enumerate(REACH):
        mine = tuple(expert for expert, here in enumerate(row) if here)
        model = task.model(model_of_device(task, state, device), mine)
        samples = task.shards["A"].of(device)
        count, right, loss = np.zeros(4), np.zeros(4), np.zeros(4)
        for x, y in zip(samples.x, samples.y, strict=True):
            with torch.no_grad():
                logits, routings = forward_with_routing(model, x[None])
            for expert in range(4):
                if any(float(routing.weight[0, expert]) > 0 for routing in routings):
                    count[expert] += 1
                    right[expert] += float(logits[0].argmax() == y)
                    loss[expert] += float(functional.cross_entropy(logits[0], y))
        assert found["samples"][device] == count.tolist()
        used = np.maximum(count, 1)
        assert found["accuracy"][device] == pytest.approx((right / used).tolist())
        assert found["loss"][device] == pytest.approx((loss / used).tolist(), rel=1e-5)
        assert set(np.flatnonzero(count)) <= set(mine)
        # With both experts of Top-2 in reach every sample is served by both.
        if top_k == 2 and len(mine) == 2:
            assert {int(count[expert]) for expert in mine} == {len(samples.y)}


def test_padding_is_served_by_nobody(tmp_path: Path) -> None:
    """Counted again for each text by itself, cut down to its own tokens."""
    texts = ["a", "bc", "the cat", "d", "e f", "gh", "a mat", "no", "i", "so", "we", "xyz"] * 4
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(texts)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = ModelConfig(
        kind="mixtral", experts=4, top_k=1, hidden=16, expert_hidden=8, vocabulary=300
    )
    data = DataConfig(kind="jsonl", path=str(tmp_path / "texts.jsonl"), tokens=24, trial_samples=2)
    rest = Pretraining(backbone_steps=0, expert_steps=0, gate_steps=0)
    task = build_task(LearningConfig(3, ("A",), (2,), model=model, data=data, pretraining=rest))
    state = receive(
        task,
        start_model(task),
        None,
        experts=EVERY,
        cluster="A",
        who=[True] * 2,
        generation=[0] * 2,
    )
    found = usage(task, state, "A", [[True] * 4] * 2)
    idle = 0
    for device in range(2):
        model_ = task.model(model_of_device(task, state, device), EVERY)
        x = task.shards["A"].of(device).x
        count = np.zeros(4)
        for tokens in x:
            with torch.no_grad():
                _, routings = forward_with_routing(model_, tokens[None, tokens >= 0])
            used = torch.stack([routing.weight.reshape(-1, 4) > 0 for routing in routings])
            count += used.flatten(0, 1).any(0).numpy()
        assert found["samples"][device] == count.tolist()
        assert (x < 0).any(1).all()
        idle += int(4 * len(x) - count.sum())
    assert idle > 0  # else padding could not be told from the rest


def test_chosen_without_weight_is_not_used(task: Task, server: Tensors) -> None:
    """Top-2 of one expert in reach: the second that is chosen has weight 0."""
    found = usage(task, held(task, server), "A", [[False, False, True, False]] * 3)
    for device, row in enumerate(found["samples"]):
        assert row == [0, 0, len(task.shards["A"].of(device).y), 0]
    nothing = usage(task, held(task, server), "A", [[False] * 4] * 3)
    assert np.array(nothing["samples"]).sum() == 0


def offered(task: Task, server: Tensors) -> Tensors:
    return offer(task, trained(task, server, [[True] * 4] * 3), experts=EVERY, gate=True)


def change(task: Task, sent: Tensors, name: str, device: int) -> torch.Tensor:
    """What one device has changed of a tensor, from its factors or as it is."""
    matrix = FACTOR + name.removesuffix(".weight")
    if f"{matrix}.a" in sent:
        return 2.0 * sent[f"{matrix}.b"][device] @ sent[f"{matrix}.a"][device]
    return sent.get(DELTA + name, torch.zeros(3))[device]


def test_experts_move_by_their_use(task: Task, server: Tensors) -> None:
    """One user: a copy. Equal use: the mean. Nobody: as it was. Else: the weighted mean."""
    sent = offered(task, server)
    use = np.array([[5, 2, 0, 1], [0, 2, 0, 2], [0, 2, 0, 5]], float)
    weights = use / np.maximum(use.sum(axis=0), 1)
    merged = aggregation.merge_by_usage(task, server, sent, experts=EVERY, weights=weights.tolist())
    seen = set()
    for name, tensor in server.items():
        expert = expert_of(name)
        if expert is None or not name.endswith(".weight"):
            assert torch.equal(merged[name], tensor)
            continue
        seen.add(expert)
        changes = [change(task, sent, name, device) for device in range(3)]
        expected = {
            0: changes[0],
            1: torch.stack(changes).mean(0),
            2: torch.zeros_like(tensor),
            3: (changes[0] + 2 * changes[1] + 5 * changes[2]) / 8,
        }[expert]
        torch.testing.assert_close(merged[name] - tensor, expected, rtol=0, atol=1e-6)
        if expert == 2:
            assert torch.equal(merged[name], tensor)
    assert seen == {0, 1, 2, 3}
