"""Client-expert alignment: fitness, load, capacity, experts of one's own, and their use."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.kit import learning as kit
from tests.kit import training
from tests.kit.devices import Devices, model_of_device
from tests.kit.learning import LearningConfig, Lora, ModelConfig, alignment
from tests.kit.training import Traits, evaluation, expert_of, forward_with_routing


def test_no_two_pairs_begin_alike():
    first = alignment.first_fitness(5, 4, seed=3)
    assert np.abs(first - 0.5).max() <= 1e-6
    assert len(set(first.ravel().tolist())) == 20


def test_the_deficit_says_who_has_fallen_behind():
    # N = 6, 1, 0 with mean 7 / 3: behind by 4 / 3 and 7 / 3.
    assert alignment.deficit(np.array([6, 1, 0])).tolist() == pytest.approx([0.0, 4 / 7, 1.0])


# -- capacity: k experts take 10 k s a round, 100 + 50 k of memory, 7 k down and 3 k up


def capacity(experts, rounds, **changes):
    plan = {
        "start_s": 1000.0, "end_s": 1600.0, "rounds": 1, "sessions": 2,
        "carried": lambda: (np.full(3, 1e9), np.full(3, np.inf)),
        "memory_bytes": np.full(3, np.inf), "round_s": lambda cost: np.full(3, cost.flops),
    }  # fmt: skip
    needs = [
        alignment.Needs(kit.Cost(10.0 * k, 100.0 + 50.0 * k), 7.0 * k, 3.0 * k)
        for k in range(1, experts + 1)
    ]
    return alignment.capacity(kit.Outlook(**{**plan, **changes}), needs, rounds)


@given(
    memory=st.lists(st.floats(0, 700), min_size=3, max_size=3),
    up=st.lists(st.just(0.0) | st.floats(0.1, 40), min_size=3, max_size=3),
    down=st.lists(st.just(0.0) | st.floats(0.1, 90), min_size=3, max_size=3),
    pace=st.floats(0.1, 30),
    rounds=st.integers(0, 3),
)
def test_capacity_is_within_memory_compute_and_link_together(memory, up, down, pace, rounds):
    """The most experts that fit the memory, and with all three legs the session's 600 s."""
    means = {"memory_bytes": np.array(memory), "carried": lambda: (np.array(up), np.array(down))}
    found = capacity(8, rounds, **means, round_s=lambda cost: np.full(3, pace * cost.flops))
    for own, up_, down_, most, why in zip(memory, up, down, found.experts, found.why, strict=True):
        legs = [
            600 * (7 * k / down_ + 3 * k / up_) + rounds * pace * 10 * k
            for k in range(1, 9)
            if up_ and down_ and own >= 100 + 50 * k
        ]
        assert most == sum(leg <= 600 * (1 + 1e-12) for leg in legs)
        assert (most == 0) == bool(why)


CONFIG = LearningConfig(
    1, ("A", "B"), (3, 2),
    ModelConfig(experts=4, top_k=2, hidden=12, expert_hidden=10, layers=2, lora=Lora(rank=2)),
    batch_size=8, steps_per_round=2, step_size=0.5, trains_backbone=True,
)  # fmt: skip
EVERY = (0, 1, 2, 3)
REACH = [[True, True, False, False], [False, True, False, True], [False, False, True, False]]


def mine_of(row):
    return tuple(expert for expert, here in enumerate(row) if here)


def held(task, server, experts=EVERY):
    return Devices(task, task.config.clusters[0]).receive(server, experts=experts)


def trained(task, server, reach=REACH, experts=EVERY, rounds=(2, 2, 2)):
    reach = {} if reach is None else {"reach": reach}
    how = {"experts": experts, "gate": True, "mask": "-inf", **reach}
    return Devices(task, "A").train(held(task, server, experts), rounds, **how)


def moved(task, before, after, device):
    """Experts (None: what is shared) of a device's model that have changed at all."""
    first, last = (model_of_device(task, state, device) for state in (before, after))
    return {expert_of(name) for name in first if not torch.equal(first[name], last[name])}


@pytest.mark.parametrize("rank", [2, None])
@pytest.mark.parametrize("batched", [True, False])
def test_devices_together_do_what_each_does_alone_under_its_mask(task, server, rank, batched):
    model = replace(CONFIG.model, lora=replace(CONFIG.model.lora, rank=rank))
    task = replace(task, config=replace(CONFIG, model=model), traits=Traits(batched=batched))
    before = held(task, server)
    together = trained(task, server)
    for device, row in enumerate(REACH):
        assert moved(task, before, together, device) == {*mine_of(row), None}
        alone = trained(task, server, reach=None, experts=mine_of(row))
        found = model_of_device(task, together, device)
        for name, tensor in model_of_device(task, alone, device).items():
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)
    nobody = [REACH[0], [False] * 4, REACH[2]]  # who rests need not reach any
    after = trained(task, server, nobody, rounds=(2, 0, 2))
    assert moved(task, before, after, 1) == set()
    assert moved(task, before, after, 2) == {2, None}
    with pytest.raises(ValueError, match="device 1 trains with no expert in reach"):
        trained(task, server, nobody)


@pytest.mark.parametrize("top_k", [1, 2])
def test_what_experts_serve_is_told_by_their_weights(task, server, top_k):
    task = replace(task, config=replace(CONFIG, model=replace(CONFIG.model, top_k=top_k)))
    state = trained(task, server)
    found = evaluation.usage(task, state, "A", REACH)
    for device, row in enumerate(REACH):
        model = task.model(model_of_device(task, state, device), mine_of(row))
        samples = task.shards["A"].of(device)
        with torch.no_grad():
            logits, routings = forward_with_routing(model, samples.x)
        used = torch.stack([routing.weight > 0 for routing in routings]).any(0).numpy()
        right = (logits.argmax(-1) == samples.y).numpy()
        count = used.sum(0)
        assert found["samples"][device] == count.tolist()
        mean = (used * right[:, None]).sum(0) / np.maximum(count, 1)
        assert found["accuracy"][device] == pytest.approx(mean.tolist(), rel=1e-5)
        assert set(np.flatnonzero(count)) <= set(mine_of(row))
    assert not np.any(evaluation.usage(task, state, "A", [[False] * 4] * 3)["samples"])


def test_padding_is_served_by_nobody(tmp_path):
    """Counted again for each text by itself, cut down to its own tokens."""
    texts = ["a", "bc", "the cat", "d", "e f", "gh", "a mat", "no", "i", "so", "we", "xyz"] * 4
    rows = [json.dumps({"text": text, "label": n % 2}) + "\n" for n, text in enumerate(texts)]
    (path := tmp_path / "texts.jsonl").write_text("".join(rows))
    sizes = {"experts": 4, "top_k": 1, "hidden": 16, "expert_hidden": 8, "vocabulary": 300}
    data = kit.Data(kind="jsonl", path=str(path), tokens=24, trial_samples=2)
    model = ModelConfig(kind="mixtral", **sizes)
    rest = kit.Pretraining(0, 0, 0)
    task = training.build_task(LearningConfig(3, ("A",), (2,), model, data=data, pretraining=rest))
    state = held(task, training.start_model(task))
    found = evaluation.usage(task, state, "A", [[True] * 4] * 2)
    idle = 0
    for device in range(2):
        own = task.model(model_of_device(task, state, device), EVERY)
        x = task.shards["A"].of(device).x
        count = np.zeros(4)
        for tokens in x:
            with torch.no_grad():
                _, routings = forward_with_routing(own, tokens[None, tokens >= 0])
            used = torch.stack([routing.weight.reshape(-1, 4) > 0 for routing in routings])
            count += used.flatten(0, 1).any(0).numpy()
        assert (x < 0).any(1).all()
        assert found["samples"][device] == count.tolist()
        idle += int(4 * len(x) - count.sum())
    assert idle > 0  # else padding could not be told from the rest
