"""Local training: against plain PyTorch, and all devices at once against one after another.

The two ways of training run different code: experts on every row, batched over devices, against
experts on the rows that chose them, alone. In double precision they must agree to rounding.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from learning.models import Residency
from tests.kit.devices import Devices, factors_of, moved
from tests.kit.learning import (
    DataConfig,
    LearningConfig,
    LoraConfig,
    ModelConfig,
    Pretraining,
    stream,
)
from tests.kit.training import (
    Samples,
    Shards,
    build_task,
    experts_held,
    forward_with_routing,
    start_model,
)

MODEL = ModelConfig(
    experts=3, top_k=2, hidden=12, expert_hidden=10, layers=2, lora=LoraConfig(rank=2)
)
CONFIG = LearningConfig(
    3, ("a", "b"), (4, 2), MODEL, pretraining=Pretraining(20, 20, 20),
    step_size=0.2, gate_step_size_ratio=0.3, steps_per_round=3, batch_size=8,
)  # fmt: skip
EVERY = (0, 1, 2)


@pytest.fixture(scope="module")
def devices(task):
    return Devices(task)


@pytest.fixture(scope="module")
def state(devices, server):
    """Devices with everything, whose factors of expert 1 have been trained for a round."""
    return devices.train(devices.receive(server), gate=True)


# -- against plain PyTorch


def alone(task, state, device, rounds, first, experts, gate, held):
    """Train one device by torch's own optimiser on a plain module that dispatches sparsely."""
    model = task.skeleton(Residency(held=held, tuned=held)).to_empty(device="cpu")
    tensors = dict(task.backbone)
    for name, tensor in state.items():
        stored = name.removeprefix("base.").removeprefix("factor.")
        if name.startswith("base.gate.") or (".expert." in name and int(stored[7]) not in held):
            continue
        tensors[task.names.path(stored)] = tensor[device].clone()
    model.load_state_dict(tensors)
    named = dict(model.named_parameters())
    factors = {
        path: p for path, p in named.items()
        if path[-2:] in (".a", ".b") and int(path.split(".")[3]) in experts
    }  # fmt: skip
    gates = {path: p for path, p in named.items() if gate and ".gate." in path}
    groups = [{"params": list(factors.values()), "lr": CONFIG.step_size}]
    if gate:
        slower = CONFIG.step_size * CONFIG.gate_step_size_ratio
        groups.append({"params": list(gates.values()), "lr": slower})
    optimiser = torch.optim.SGD(groups)
    shard = task.shards["a"].of(device)
    for number in range(first, first + rounds):
        rng = stream(CONFIG.seed, "batch", "a", device, number)
        for rows in rng.integers(0, len(shard.y), (CONFIG.steps_per_round, CONFIG.batch_size)):
            optimiser.zero_grad()
            functional.cross_entropy(model(shard.x[rows]), shard.y[rows]).backward()
            optimiser.step()
    return {path: p.detach() for path, p in {**factors, **gates}.items()}


@pytest.mark.parametrize(
    ("experts", "gate", "masked"),
    [((1,), False, False), ((0, 2), True, False), (EVERY, True, False), ((0, 2), False, True)],
)
def test_every_device_ends_where_plain_pytorch_does(task, devices, state, experts, gate, masked):
    before = {name: tensor.clone() for name, tensor in state.items()}
    rounds, first = (3, 1, 0, 2), (1, 4, 0, 7)
    after = devices.train(
        state, rounds, first=first, experts=experts, gate=gate, masked=masked
    )  # fmt: skip
    held = experts if masked else EVERY
    for device in range(4):
        expected = alone(task, state, device, rounds[device], first[device], experts, gate, held)
        for name, tensor in after.items():
            path = task.names.path(name.removeprefix("factor."))
            if path in expected and not name.startswith("base."):
                torch.testing.assert_close(tensor[device], expected[path], atol=1e-5, rtol=1e-4)
    gates = {"gate.0.weight", "gate.1.weight"} if gate else set()
    assert moved(state, after) == factors_of(experts, 2) | gates
    assert moved(before, state) == set()
    assert not any(tensor.requires_grad for tensor in after.values())


def test_the_gate_can_be_trained_alone(devices, state):
    after = devices.train(state, experts=(), gate=True)
    assert moved(state, after) == {"gate.0.weight", "gate.1.weight"}


# -- what a device's result depends on, bit by bit


def test_three_rounds_are_one_and_then_two_bit_for_bit(devices, state):
    how = {"experts": (0, 1), "gate": True}
    part = devices.train(devices.train(state, 1, **how), 2, first=1, **how)
    assert moved(devices.train(state, 3, **how), part) == set()


def test_how_long_others_train_changes_no_bit_of_a_device(devices, state):
    longest, mixed, one = (
        devices.train(state, rounds, experts=(0, 1), gate=True)
        for rounds in ((4, 4, 4, 4), (4, 1, 0, 2), (0, 1, 0, 0))
    )
    for device, alike in enumerate((longest, one, state)):
        assert moved(mixed, alike, device) == set()


def test_a_device_without_numbers_does_not_spoil_the_others(devices, state):
    broken = {name: tensor.clone() for name, tensor in state.items()}
    for name in broken:
        broken[name][2] = torch.nan
    expected, after = (devices.train(some, gate=True) for some in (state, broken))
    for name in state:
        torch.testing.assert_close(after[name][[0, 1, 3]], expected[name][[0, 1, 3]])
    assert after["factor.expert.1.0.up.b"][2].isnan().all()


def test_shared_and_separate_memory_give_the_same_bits(devices, server):
    shared = devices.receive(server)
    separate = {name: tensor.contiguous().clone() for name, tensor in shared.items()}
    first, second = (
        devices.train(s, 2, experts=(0, 1), gate=True) for s in (shared, separate)
    )  # fmt: skip
    assert moved(first, second) == set()


def test_a_masked_gate_makes_the_other_experts_unnecessary(devices, state):
    fewer = {n: t for n, t in state.items() if ".expert." not in n or ".expert.1." in n}
    assert experts_held(fewer) == (1,)
    with_all, without = (devices.train(some, 2, masked=True) for some in (state, fewer))
    assert moved(without, with_all) == set()
    assert moved(fewer, without) == factors_of((1,), 2)


def test_batches_that_route_to_no_trained_expert_leave_them_unchanged():
    task = build_task(replace(CONFIG, model=replace(MODEL, top_k=1, layers=1)))
    model = start_model(task)
    x, y, domain = task.shards["a"].of(0)
    _, (routing,) = forward_with_routing(task.model(model), x)
    elsewhere = routing.chosen[:, 0] != 1
    assert elsewhere.any()
    few = Samples(x[elsewhere], y[elsewhere], domain[elsewhere])
    four = Samples(*(torch.cat([part] * 4) for part in few))
    one = Devices(replace(task, shards={**task.shards, "a": Shards(four, (len(few.y),) * 4)}))
    before = one.receive(model)
    assert moved(before, one.train(before, 2)) == set()


# -- masks, equation (43), and step sizes of what is shared


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
        if name.startswith("norms.")
    }
    gate = torch.zeros_like(server["gate.0.weight"])
    gate[1] = logit / gate.shape[1]
    same = Devices(replace(task, initial={**task.initial, **ones}))
    both = {name: gate for name in server if name.startswith("gate.")}
    before = same.receive({**server, **both}, experts=(1,))
    assert bool(moved(before, same.train(before, masked=True, mask=mask))) == moves


def test_the_gate_takes_smaller_steps_and_the_backbone_the_same_as_the_experts(task, server):
    """One step: the ratio multiplies the gate's change, and nobody else's."""
    changes = []
    for ratio in (0.25, 1.0):
        how = {"trains_backbone": True, "gate_step_size_ratio": ratio, "steps_per_round": 1}
        whole = Devices(replace(task, config=replace(CONFIG, **how)))
        before = whole.receive({**task.initial, **server})
        after = whole.train(before, experts=(0,), gate=True)
        changes.append({name: after[name] - before[name] for name in before})
    for name in ("head.weight", "head.bias", "embed.weight", "factor.expert.0.0.up.b"):
        assert changes[0][name].abs().max() > 0
        assert torch.equal(changes[0][name], changes[1][name])
    slow, fast = (change["gate.0.weight"] for change in changes)
    assert fast.abs().max() > 0
    torch.testing.assert_close(slow, 0.25 * fast, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rounds": (1, 1)}, "rounds is .* needs 4 counts"),
        ({"rounds": (1, 1, 1, -1)}, "0 or more"),
        ({"first": (0, 0, 0)}, "first_round is"),
        ({"experts": ()}, "nothing to train"),
        ({"experts": (), "gate": True, "masked": True}, "at least one expert"),
        ({"experts": (3,)}, r"expert 3 is not held \(held: \(0, 1, 2\)\)"),
        ({"held": (0, 1)}, "expert 2 is not held"),
    ],
)
def test_requests_that_do_not_fit_are_refused_in_one_line(devices, server, arguments, message):
    held = devices.receive(server, experts=arguments.pop("held", EVERY))
    with pytest.raises(ValueError, match=message) as refusal:
        devices.train(held, **arguments)
    assert "\n" not in str(refusal.value)


# -- all devices at once

UNEVEN = (2, 0, 1, 3, 1, 2)
SOME = (True, False, True, True, False, True)
EXACT = replace(
    CONFIG, devices=(6, 2), steps_per_round=2, batch_size=5, gate_step_size_ratio=0.5,
    precision="float64",
)  # fmt: skip
FULL = replace(EXACT, model=replace(MODEL, lora=LoraConfig(rank=None)))
KINDS = {
    "lora": EXACT,
    "one target": replace(EXACT, model=replace(MODEL, lora=LoraConfig(rank=2, targets=("down",)))),
    "full": FULL,
    "backbone": replace(EXACT, trains_backbone=True),
    "full, backbone": replace(FULL, trains_backbone=True),
}


def apart(devices):
    """Devices of different rounds and different bases: two of them missed the last download.

    They have trained, some have folded what they trained into their bases, and all have got a
    gate of their own.
    """
    server = start_model(devices.task)
    first = tuple(range(devices.count))
    state = devices.train(
        devices.receive(server), UNEVEN, first=first, experts=(0, 2), gate=True
    )  # fmt: skip
    state = devices.fold(state, who=SOME)
    state = devices.receive(server, state, who=(True, True, False, False, True, True))
    assert len({row.numpy().tobytes() for row in state["base.expert.0.0.down.weight"]}) > 2
    return devices.train(state, UNEVEN, first=first, experts=(0, 1), gate=True)


def assert_alike(devices, state, rounds=UNEVEN, **arguments):
    """Both ways of training end at the same numbers; return them."""
    first = tuple(range(devices.count))
    together, single = (
        Devices(replace(devices.task, batched=batched)).train(
            state, rounds, first=first, **arguments
        )
        for batched in (True, False)
    )
    assert set(together) == set(single)
    for name, tensor in together.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(tensor, single[name], atol=1e-13, rtol=1e-11, msg=name)
    return together


@cache
def made(kind):
    """Devices of one kind of training: fresh from their download, and drifted apart."""
    devices = Devices(build_task(KINDS[kind]))
    return devices, (devices.receive(start_model(devices.task)), apart(devices))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("masked", [None, "-inf", "zero"])
def test_all_at_once_is_one_by_one(kind, masked):
    devices, (fresh, drifted) = made(kind)
    arguments = {"masked": masked is not None, "mask": masked or "-inf"}
    after = assert_alike(devices, fresh, experts=(0, 2), **arguments)
    assert [bool(moved(fresh, after, device)) for device in range(6)] == [n > 0 for n in UNEVEN]
    assert_alike(devices, drifted, experts=(1,), gate=True, **arguments)


@given(
    st.tuples(*[st.integers(0, 2)] * 6).filter(any),
    st.sets(st.integers(0, 2), min_size=1),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1]),
)
def test_any_rounds_experts_and_gate(rounds, experts, gate, masked, start):
    devices, states = made("lora")
    assert_alike(devices, states[start], rounds, experts=experts, gate=gate, masked=masked)


@pytest.fixture(scope="module")
def image_task(tmp_path_factory):
    """Random images of three classes, the brighter the higher their number."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("images") / "small.npz"
    y = rng.integers(0, 3, 240)
    x = rng.integers(0, 120, (240, 8, 8, 3)) + 60 * y[:, None, None, None] // 2
    x = x.astype(np.uint8)
    np.savez(path, x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    data = DataConfig(kind="npz", path=str(path), trial_samples=10)
    return build_task(replace(EXACT, model=replace(MODEL, kind="image-moe", layers=1), data=data))


@pytest.mark.parametrize(("backbone", "masked"), [(False, True), (True, False)])
def test_images_whose_places_choose_their_experts(image_task, backbone, masked):
    config = replace(image_task.config, trains_backbone=backbone)
    devices = Devices(replace(image_task, config=config))
    state = devices.receive(start_model(devices.task))
    after = assert_alike(devices, state, experts=(0, 1), gate=True, masked=masked)
    assert ("stem.weight" in after) == backbone


def test_hundreds_of_devices_each_with_its_own_data_and_drift():
    count = 200
    how = {"clusters": ("a",), "devices": (count,), "steps_per_round": 1}
    devices = Devices(build_task(replace(EXACT, **how)))
    state = devices.receive(start_model(devices.task))
    shards = {devices.task.shards["a"].of(k).x.numpy().tobytes() for k in range(count)}
    assert len(shards) == count
    drifts = assert_alike(devices, state, 1, experts=EVERY, gate=True)
    assert len({row.numpy().tobytes() for row in drifts["gate.0.weight"]}) == count
    trained = torch.cat([t.flatten(1) for n, t in drifts.items() if n.endswith(".b")], 1)
    assert len({row.numpy().tobytes() for row in trained}) == count
