"""Client-expert alignment: load, capacity, experts of one's own, and their use."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learning import Learner
from tests.kit import learning as kit
from tests.kit.learning import LearningConfig, Lora, ModelConfig, alignment
from tests.kit.rounds import downloaded, models_of, one_by_one, trained
from tests.kit.training import expert_of


def test_the_deficit_says_who_has_fallen_behind():
    # N = 6, 1, 0 with mean 7 / 3: behind by 4 / 3 and 7 / 3.
    assert alignment.deficit(np.array([6, 1, 0])).tolist() == pytest.approx([0.0, 4 / 7, 1.0])


@given(
    memory=st.lists(st.floats(0, 700), min_size=3, max_size=3),
    up=st.lists(st.just(0.0) | st.floats(0.1, 40), min_size=3, max_size=3),
    down=st.lists(st.just(0.0) | st.floats(0.1, 90), min_size=3, max_size=3),
    pace=st.floats(0.1, 30),
    rounds=st.integers(0, 3),
)
def test_capacity_is_within_memory_compute_and_link_together(memory, up, down, pace, rounds):
    """The most experts that fit the memory, and with all three legs the session's 600 s.

    k experts take 10 k s a round, 100 + 50 k of memory, 7 k down and 3 k up.
    """
    outlook = kit.Outlook(
        start_s=1000.0, end_s=1600.0, rounds=1, sessions=2,
        carried=lambda: (np.array(up), np.array(down)), memory_bytes=np.array(memory),
        round_s=lambda cost: np.full(3, pace * cost.flops),
    )  # fmt: skip
    needs = [
        alignment.Needs(kit.Cost(10.0 * k, 100.0 + 50.0 * k), 7.0 * k, 3.0 * k) for k in range(1, 9)
    ]
    found = alignment.capacity(outlook, needs, rounds)
    for own, up_, down_, most, why in zip(memory, up, down, found.experts, found.why, strict=True):
        legs = [
            600 * (7 * k / down_ + 3 * k / up_) + rounds * pace * 10 * k
            for k in range(1, 9)
            if up_ and down_ and own >= 100 + 50 * k
        ]
        assert most == sum(leg <= 600 * (1 + 1e-12) for leg in legs)
        assert (most == 0) == bool(why)


CONFIG = LearningConfig(
    1, ("a", "b"), (3, 2),
    ModelConfig(experts=4, top_k=2, hidden=12, expert_hidden=10, layers=2, lora=Lora(rank=2)),
    batch_size=8, steps_per_round=2, step_size=0.5, trains_backbone=True,
)  # fmt: skip
REACH = [[True, True, False, False], [False, True, False, True], [False, False, True, False]]


def moved(before, after, device):
    """Experts (None: what is shared) of a device's model that have changed at all."""
    return {expert_of(n) for n in after if not torch.equal(before[n][device], after[n][device])}


@pytest.mark.parametrize(("rank", "batched"), [(2, True), (None, False)])
def test_devices_together_do_what_each_does_alone_under_its_mask(rank, batched):
    learner = Learner(replace(CONFIG, model=replace(CONFIG.model, lora=Lora(rank=rank))))
    if not batched:
        one_by_one(learner)
    state = downloaded(learner, learner.start())
    before = models_of(state)
    together = models_of(trained(state, 2, mask="-inf", reach=REACH))
    for device, row in enumerate(REACH):
        mine = np.flatnonzero(row).tolist()
        assert moved(before, together, device) == {*mine, None}
        own = downloaded(learner, learner.start(), experts=mine)
        for name, tensor in models_of(trained(own, 2, experts=mine, mask="-inf")).items():
            torch.testing.assert_close(together[name][device], tensor[device], rtol=0, atol=1e-6)
    nobody = [REACH[0], [False] * 4, REACH[2]]  # who rests need not reach any
    after = models_of(trained(state, (2, 0, 2), mask="-inf", reach=nobody))
    assert moved(before, after, 1) == set()
    assert moved(before, after, 2) == {2, None}
    with pytest.raises(ValueError, match="device 1 trains with no expert in reach"):
        models_of(trained(state, 2, mask="-inf", reach=nobody))


def test_padding_is_served_by_nobody(tmp_path):
    """Experts serve the same texts whether these are padded or fill their rows."""
    texts = ["a", "bc", "the cat", "d", "e f", "gh", "a mat", "no", "i", "so", "we", "xyz"] * 4
    rows = [json.dumps({"text": text, "label": n % 2}) + "\n" for n, text in enumerate(texts)]
    (path := tmp_path / "texts.jsonl").write_text("".join(rows))
    sizes = {"experts": 4, "top_k": 1, "hidden": 16, "expert_hidden": 8, "vocabulary": 300}
    model = ModelConfig(kind="mixtral", **sizes)
    used = []
    for tokens in (9, 24):
        data = kit.Data(kind="jsonl", path=str(path), tokens=tokens, trial_samples=2)
        rest = kit.Pretraining(0, 0, 0)
        config = LearningConfig(3, ("a",), (2,), model, data=data, pretraining=rest)
        learner = Learner(config)
        state = downloaded(learner, learner.start()).whole
        usage = "learning.training.evaluation:usage"
        used.append(learner.number(usage, state, cluster="a", reach=[[True] * 4] * 2)["samples"])
    assert used[0] == used[1]
    held = learner.task.shards["a"].sizes  # else padding could not be told from the rest
    assert any(min(own) < count for own, count in zip(used[0], held, strict=True))
