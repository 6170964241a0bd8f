"""Local training of all devices at once against one device at a time."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from learning.models import Residency
from tests.kit.learning import LearningConfig, LoraConfig, ModelConfig, stream
from tests.kit.training import (
    Samples,
    Shards,
    build_task,
    experts_held,
    fold,
    forward_with_routing,
    receive,
    start_model,
    train,
)

CONFIG = LearningConfig(
    3,
    ("a", "b"),
    (4, 2),
    ModelConfig(experts=3, top_k=2, hidden=16, expert_hidden=12, layers=2, lora=LoraConfig(rank=2)),
    step_size=0.2,
    gate_step_size_ratio=0.3,
    steps_per_round=3,
    batch_size=8,
)
ONCE = (1, 1, 1, 1)
ZERO = (0, 0, 0, 0)
ALL = (True,) * 4


@pytest.fixture(scope="module")
def state(task, server):
    """Devices with everything, whose factors of expert 1 have been trained for a round."""
    new = receive(task, server, None, cluster="a", who=ALL, experts=(0, 1, 2), generation=ZERO)
    return call(task, new, rounds=ONCE, experts=(1,), gate=True)


def call(task, state, *, rounds, first=ZERO, experts=(1,), gate=False, masked=False):
    return train(
        task,
        state,
        cluster="a",
        rounds=rounds,
        first_round=first,
        experts=experts,
        gate=gate,
        masked=masked,
    )


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


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
    factors = {
        path: p
        for path, p in model.named_parameters()
        if path[-2:] in (".a", ".b") and int(path.split(".")[3]) in experts
    }
    gates = {path: p for path, p in model.named_parameters() if gate and ".gate." in path}
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
    [((1,), False, False), ((0, 2), True, False), ((0, 1, 2), True, False), ((0, 2), False, True)],
)
def test_every_device_ends_where_it_would_by_itself(task, state, experts, gate, masked):
    rounds, first = (3, 1, 0, 2), (1, 4, 0, 7)
    after = call(task, state, rounds=rounds, first=first, experts=experts, gate=gate, masked=masked)
    held = experts if masked else (0, 1, 2)
    for device in range(4):
        expected = alone(task, state, device, rounds[device], first[device], experts, gate, held)
        for name, tensor in after.items():
            path = task.names.path(name.removeprefix("factor."))
            if path in expected and not name.startswith("base."):
                torch.testing.assert_close(tensor[device], expected[path], atol=1e-5, rtol=1e-4)
    moved = {task.names.path(name.removeprefix("factor.")) for name in changed(state, after)}
    assert moved == set(expected)


def test_three_rounds_are_one_and_then_two_bit_for_bit(task, state):
    whole = call(task, state, rounds=(3,) * 4, experts=(0, 1), gate=True)
    part = call(task, state, rounds=ONCE, experts=(0, 1), gate=True)
    part = call(task, part, rounds=(2,) * 4, first=ONCE, experts=(0, 1), gate=True)
    assert changed(whole, part) == set()


def test_how_long_others_train_changes_no_bit_of_a_device(task, state):
    longest = call(task, state, rounds=(4, 4, 4, 4), experts=(0, 1), gate=True)
    mixed = call(task, state, rounds=(4, 1, 0, 2), experts=(0, 1), gate=True)
    one = call(task, state, rounds=(0, 1, 0, 0), experts=(0, 1), gate=True)
    for name in state:
        assert torch.equal(mixed[name][0], longest[name][0])
        assert torch.equal(mixed[name][1], one[name][1])
        assert torch.equal(mixed[name][2], state[name][2])


def test_a_device_without_numbers_does_not_spoil_the_others(task, state):
    broken = {name: tensor.clone() for name, tensor in state.items()}
    for name in broken:
        broken[name][2] = torch.nan
    expected = call(task, state, rounds=ONCE, experts=(1,), gate=True)
    after = call(task, broken, rounds=ONCE, experts=(1,), gate=True)
    for name in state:
        torch.testing.assert_close(after[name][[0, 1, 3]], expected[name][[0, 1, 3]])
    assert after["factor.expert.1.0.up.b"][2].isnan().all()


def test_shared_and_separate_memory_give_the_same_bits(task, server):
    shared = receive(task, server, None, cluster="a", who=ALL, experts=(0, 1, 2), generation=ZERO)
    separate = {name: tensor.contiguous().clone() for name, tensor in shared.items()}
    first, second = (
        call(task, s, rounds=(2,) * 4, experts=(0, 1), gate=True) for s in (shared, separate)
    )
    assert changed(first, second) == set()


def test_only_the_factors_of_the_named_experts_move(task, state):
    after = call(task, state, rounds=ONCE, experts=(2,))
    assert changed(state, after) == {
        f"factor.expert.2.{layer}.{matrix}.{factor}"
        for layer in (0, 1)
        for matrix in ("up", "down")
        for factor in ("a", "b")
    }


def test_the_gate_can_be_trained_alone(task, state):
    after = call(task, state, rounds=ONCE, experts=(), gate=True)
    assert changed(state, after) == {"gate.0.weight", "gate.1.weight"}


def test_a_masked_gate_makes_the_other_experts_unnecessary(task, state):
    fewer = {
        name: tensor
        for name, tensor in state.items()
        if ".expert." not in name or ".expert.1." in name
    }
    assert experts_held(fewer) == (1,)
    with_all = call(task, state, rounds=(2,) * 4, experts=(1,), masked=True)
    without = call(task, fewer, rounds=(2,) * 4, experts=(1,), masked=True)
    assert all(torch.equal(with_all[name], without[name]) for name in fewer)
    assert changed(fewer, without) == {name for name in fewer if name.startswith("factor.")}


def test_batches_that_route_to_no_trained_expert_leave_them_unchanged():
    task = build_task(replace(CONFIG, model=replace(CONFIG.model, top_k=1, layers=1)))
    model = start_model(task)
    x, y, domain = task.shards["a"].of(0)
    _, (routing,) = forward_with_routing(task.model(model), x)
    elsewhere = routing.chosen[:, 0] != 1
    assert elsewhere.any()
    few = Samples(x[elsewhere], y[elsewhere], domain[elsewhere])
    four = Samples(*(torch.cat([part] * 4) for part in few))
    task = replace(task, shards={**task.shards, "a": Shards(four, (len(few.y),) * 4)})
    state = receive(task, model, None, cluster="a", who=ALL, experts=(0, 1, 2), generation=ZERO)
    assert changed(state, call(task, state, rounds=(2,) * 4, experts=(1,))) == set()


def test_the_gates_step_is_the_experts_step_times_its_ratio(task, state):
    one_step = replace(task, config=replace(CONFIG, steps_per_round=1))
    double = replace(task, config=replace(CONFIG, steps_per_round=1, gate_step_size_ratio=0.6))
    single_move, double_move = (
        call(t, state, rounds=ONCE, experts=(1,), gate=True)["gate.0.weight"]
        - state["gate.0.weight"]
        for t in (one_step, double)
    )
    assert single_move.abs().max() > 1e-4
    torch.testing.assert_close(double_move, 2 * single_move, atol=1e-6, rtol=1e-3)


def test_training_lowers_each_devices_loss_on_its_own_shard(task, state):
    after = call(task, state, rounds=(20,) * 4, experts=(0, 1, 2), gate=True)
    for device in range(4):
        shard = task.shards["a"].of(device)
        before_loss, after_loss = (
            functional.cross_entropy(_device_model(task, s, device)(shard.x), shard.y).item()
            for s in (state, after)
        )
        assert after_loss < 0.8 * before_loss


def _device_model(task, state, device):
    folded = fold(task, state, cluster="a", who=ALL, generation=ONCE, experts=(0, 1, 2), gate=True)
    server = {
        name.removeprefix("base."): tensor[device]
        for name, tensor in folded.items()
        if name.startswith("base.")
    }
    return task.model(server)


def test_training_returns_a_new_state_and_leaves_the_old_one(task, state):
    before = {name: tensor.clone() for name, tensor in state.items()}
    after = call(task, state, rounds=ONCE, experts=(1,), gate=True)
    assert changed(before, state) == set()
    assert not any(tensor.requires_grad for tensor in after.values())


def test_other_rounds_see_other_batches(task, state):
    first = call(task, state, rounds=ONCE, first=ZERO)
    second = call(task, state, rounds=ONCE, first=(9,) * 4)
    assert all("factor.expert.1." in name for name in changed(first, second))
    assert changed(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rounds": (1, 1)}, "rounds is .* needs 4 counts"),
        ({"rounds": (1, 1, 1, -1)}, "0 or more"),
        ({"rounds": ONCE, "first": (0, 0, 0)}, "first_round is"),
        ({"rounds": ONCE, "experts": ()}, "nothing to train"),
        ({"rounds": ONCE, "experts": (), "gate": True, "masked": True}, "at least one expert"),
        ({"rounds": ONCE, "experts": (3,)}, r"expert 3 is not held \(held: \(0, 1, 2\)\)"),
    ],
)
def test_requests_that_do_not_fit_are_refused_in_one_line(task, state, arguments, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call(task, state, **arguments)
    assert "\n" not in str(refusal.value)


def test_an_unmasked_gate_needs_every_expert(task, server):
    few = receive(task, server, None, cluster="a", who=ALL, experts=(0, 1), generation=ZERO)
    with pytest.raises(ValueError, match="expert 2 is not held"):
        call(task, few, rounds=ONCE, experts=(1,))
