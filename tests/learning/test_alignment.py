"""Client-expert alignment: load, capacity, and what experts serve."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning import Learner, LearningConfig, ModelConfig
from learning.alignment import policy as alignment
from learning.requests import Cost, Outlook
from learning.settings import Data, Pretraining
from tests.kit.rounds import downloaded


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
    outlook = Outlook(
        start_s=1000.0, end_s=1600.0, rounds=1, sessions=2,
        carried=lambda: (np.array(up), np.array(down)), memory_bytes=np.array(memory),
        round_s=lambda cost: np.full(3, pace * cost.flops),
    )  # fmt: skip
    needs = [
        alignment.Needs(Cost(10.0 * k, 100.0 + 50.0 * k), 7.0 * k, 3.0 * k) for k in range(1, 9)
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


def test_padding_is_served_by_nobody(tmp_path):
    """Experts serve the same texts whether these are padded or fill their rows."""
    texts = ["a", "bc", "the cat", "d", "e f", "gh", "a mat", "no", "i", "so", "we", "xyz"] * 4
    rows = [json.dumps({"text": text, "label": n % 2}) + "\n" for n, text in enumerate(texts)]
    (path := tmp_path / "texts.jsonl").write_text("".join(rows))
    sizes = {"experts": 4, "top_k": 1, "hidden": 16, "expert_hidden": 8, "vocabulary": 300}
    model = ModelConfig(kind="mixtral", **sizes)
    used = []
    for tokens in (9, 24):
        data = Data(kind="jsonl", path=str(path), tokens=tokens, trial_samples=2)
        rest = Pretraining(0, 0, 0)
        config = LearningConfig(3, ("a",), (2,), model, data=data, pretraining=rest)
        learner = Learner(config)
        state = downloaded(learner, learner.start()).whole
        usage = "learning.training.evaluation:usage"
        used.append(learner.number(usage, state, cluster="a", reach=[[True] * 4] * 2)["samples"])
    assert used[0] == used[1]
    held = learner.task.shards["a"].sizes  # else padding could not be told from the rest
    assert any(min(own) < count for own, count in zip(used[0], held, strict=True))
