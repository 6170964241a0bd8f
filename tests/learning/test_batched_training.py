"""All devices at once against one device after another, in double precision.

The two run different code: experts on every row, batched over devices, against experts on the
rows that chose them, alone. In double precision they must agree to rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.kit.learning import DataConfig, LearningConfig, LoraConfig, ModelConfig
from tests.kit.training import Task, build_task, fold, receive, start_model, train, use_one_thread

MODEL = ModelConfig(
    experts=3, top_k=2, hidden=12, expert_hidden=10, layers=2, lora=LoraConfig(rank=2)
)
CONFIG = LearningConfig(
    5, ("a", "b"), (6, 2), MODEL,
    step_size=0.2, gate_step_size_ratio=0.5, steps_per_round=2, batch_size=5, precision="float64",
)  # fmt: skip
FULL = replace(CONFIG, model=replace(MODEL, lora=LoraConfig(rank=None)))
DOWN_ONLY = replace(CONFIG, model=replace(MODEL, lora=LoraConfig(rank=2, targets=("down",))))
EVERYBODY = (True,) * 6
SOME = (True, False, True, True, False, True)
ZERO = (0,) * 6
UNEVEN = (2, 0, 1, 3, 1, 2)

State = Mapping[str, Tensor]


def downloaded(task: Task, state: State | None = None, who: tuple[bool, ...] = EVERYBODY) -> State:
    """Devices in ``who`` with a download of everything."""
    return receive(
        task, start_model(task), state,
        cluster="a", who=who, experts=task.all_experts, generation=ZERO,
    )  # fmt: skip


def apart(task: Task) -> State:
    """Devices of different rounds and different bases: two of them missed the last download.

    They have trained, some have folded what they trained into their bases, and all have got a
    gate of their own.
    """
    state = trained(task, downloaded(task), rounds=UNEVEN, experts=(0, 2), gate=True)
    state = fold(
        task, state,
        cluster="a", who=SOME, generation=(1,) * 6, experts=(0, 1, 2), gate=True,
    )  # fmt: skip
    state = downloaded(task, state, (True, True, False, False, True, True))
    return trained(task, state, rounds=UNEVEN, experts=(0, 1), gate=True)


def trained(
    task: Task,
    state: State,
    *,
    rounds: tuple[int, ...] = UNEVEN,
    experts: Collection[int] = (1,),
    gate: bool = False,
    masked: bool = False,
    mask: str = "-inf",
) -> State:
    first = tuple(range(len(rounds)))
    return train(
        task, state, cluster="a", rounds=rounds, first_round=first,
        experts=experts, gate=gate, masked=masked, mask=mask,
    )  # fmt: skip


def assert_alike(task: Task, state: State, **arguments: object) -> State:
    """Both ways of training end at the same numbers; return them."""
    together = trained(task, state, **arguments)
    single = trained(replace(task, batched=False), state, **arguments)
    assert set(together) == set(single)
    for name, tensor in together.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(tensor, single[name], atol=1e-13, rtol=1e-11, msg=name)
    return together


def moved(before: State, after: State, device: int) -> set[str]:
    return {name for name in after if not torch.equal(before[name][device], after[name][device])}


@pytest.fixture(scope="module", params=["lora", "one target", "full", "backbone", "full, backbone"])
def some_task(request: pytest.FixtureRequest) -> Task:
    use_one_thread()
    base = {"lora": CONFIG, "one target": DOWN_ONLY, "full": FULL}.get(request.param)
    whole = FULL if request.param.startswith("full") else CONFIG
    return build_task(base or replace(whole, trains_backbone=True))


@pytest.fixture(scope="module")
def drifted(some_task: Task) -> State:
    return apart(some_task)


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("masked", [None, "-inf", "zero"])
def test_all_at_once_is_one_by_one(some_task: Task, masked: str | None, gate: bool) -> None:
    arguments = {"gate": gate, "masked": masked is not None, "mask": masked or "-inf"}
    before = downloaded(some_task)
    after = assert_alike(some_task, before, experts=(0, 2), **arguments)
    assert not moved(before, after, 1)  # it had no round to train
    assert all(moved(before, after, device) for device in (0, 2, 3, 4, 5))


@pytest.mark.parametrize("masked", [None, "-inf", "zero"])
def test_devices_that_have_drifted_apart(
    some_task: Task, drifted: State, masked: str | None
) -> None:
    base = drifted["base.expert.0.0.down.weight"]
    assert len({row.numpy().tobytes() for row in base}) > 2
    arguments = {"masked": masked is not None, "mask": masked or "-inf"}
    assert_alike(some_task, drifted, experts=(1,), gate=True, **arguments)


@pytest.fixture(scope="module")
def image_task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Random images of two classes, brighter or darker, and random other pixels."""
    use_one_thread()
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("images") / "small.npz"
    labels = rng.integers(0, 3, 240)
    images = rng.integers(0, 120, (240, 8, 8, 3)) + 60 * labels[:, None, None, None] // 2
    np.savez(
        path,
        x_train=images[:200].astype(np.uint8), y_train=labels[:200],
        x_test=images[200:].astype(np.uint8), y_test=labels[200:],
    )  # fmt: skip
    data = DataConfig(kind="npz", path=str(path), trial_samples=10)
    model = replace(MODEL, kind="image-moe", layers=1)
    return build_task(replace(CONFIG, model=model, data=data))


@pytest.mark.parametrize("trains_backbone", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_images_whose_places_choose_their_experts(
    image_task: Task, masked: bool, trains_backbone: bool
) -> None:
    task = replace(image_task, config=replace(image_task.config, trains_backbone=trains_backbone))
    after = assert_alike(task, downloaded(task), experts=(0, 1), gate=True, masked=masked)
    assert ("stem.weight" in after) == trains_backbone


def test_hundreds_of_devices_each_with_its_own_data_and_drift() -> None:
    use_one_thread()
    count = 300
    one_step = replace(CONFIG, clusters=("a",), devices=(count,), steps_per_round=1)
    task = build_task(one_step)
    state = receive(
        task, start_model(task), None,
        cluster="a", who=(True,) * count, experts=(0, 1, 2), generation=(0,) * count,
    )  # fmt: skip
    shards = {task.shards["a"].of(device).x.numpy().tobytes() for device in range(count)}
    assert len(shards) == count
    drifts = assert_alike(task, state, rounds=(1,) * count, experts=(0, 1, 2), gate=True)
    for name in ("factor.expert.1.0.up.b", "gate.0.weight"):
        assert len({row.numpy().tobytes() for row in drifts[name]}) == count


@pytest.fixture(scope="module")
def starts() -> tuple[Task, tuple[State, State]]:
    """A task, with devices fresh from their download and devices that have drifted apart."""
    use_one_thread()
    task = build_task(CONFIG)
    return task, (downloaded(task), apart(task))


some_rounds = st.tuples(*[st.integers(0, 2)] * 6).filter(any)
some_experts = st.sets(st.integers(0, 2), min_size=1)


@settings(max_examples=10, deadline=None)
@given(some_rounds, some_experts, st.booleans(), st.booleans(), st.sampled_from([0, 1]))
def test_any_rounds_experts_and_gate(
    starts: tuple[Task, tuple[State, State]],
    rounds: tuple[int, ...],
    experts: set[int],
    gate: bool,
    masked: bool,
    start: int,
) -> None:
    task, states = starts
    assert_alike(task, states[start], rounds=rounds, experts=experts, gate=gate, masked=masked)
