"""Local training: all devices at once against one after another.

The two ways of training run different code: experts on every row, batched over devices, against
experts on the rows that chose them, alone. In double precision they must agree to rounding.
"""

from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.kit import learning as kit
from tests.kit.devices import Devices, moved
from tests.kit.minibatches import minibatches, split_mix
from tests.kit.training import Term, Traits, build_task, rows_of_round, start_model

SIZES = {"hidden": 12, "expert_hidden": 10, "layers": 2}
MODEL = kit.ModelConfig(experts=3, top_k=2, lora=kit.Lora(rank=2), **SIZES)
CONFIG = kit.LearningConfig(
    3, ("a", "b"), (4, 2), MODEL, pretraining=kit.Pretraining(20, 20, 20),
    step_size=0.2, gate_step_size_ratio=0.3, steps_per_round=3, batch_size=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def devices(task):
    return Devices(task)


@pytest.fixture(scope="module")
def state(devices, server):
    return devices.train(devices.receive(server), gate=True)


def test_what_one_device_ends_with_depends_on_no_call_and_no_other_device(devices, state):
    """Bit by bit, but for the rounding of a device beside one that has lost its numbers."""
    how = {"experts": (0, 1), "gate": True}
    part = devices.train(devices.train(state, 1, **how), 2, first=1, **how)
    assert moved(devices.train(state, 3, **how), part) == set()
    counts = (4, (4, 1, 0, 2), (0, 1, 0, 0))
    longest, mixed, one = (devices.train(state, rounds, **how) for rounds in counts)
    for device, alike in enumerate((longest, one, state)):
        assert moved(mixed, alike, device) == set()
    broken = {name: tensor.clone() for name, tensor in state.items()}
    for tensor in broken.values():
        tensor[2] = torch.nan
    expected, after = (devices.train(some, **how) for some in (state, broken))
    for name in state:
        torch.testing.assert_close(after[name][[0, 1, 3]], expected[name][[0, 1, 3]])
    assert after["expert.1.0.up.weight+b"][2].isnan().all()
    # a masked gate makes the other experts unnecessary
    fewer = {n: t for n, t in state.items() if "expert." not in n or "expert.1." in n}
    with_all, without = (devices.train(some, 2, mask="-inf") for some in (state, fewer))
    assert moved(without, with_all) == set()


def test_what_a_device_draws_depends_on_nobody_else_and_is_uniform(task):
    """The generator against the words that Java's gives for this seed, and in plain integers."""
    words = list(islice(split_mix(1234567), 3))
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    shards = task.shards["a"]
    shape = (CONFIG.steps_per_round, CONFIG.batch_size)
    together = rows_of_round(task, "a", [3, 0, 2, 1], [7, 0, None, 7])
    for device, number, rows in zip((3, 0, 2, 1), (7, 0, None, 7), together, strict=True):
        assert (rows == rows_of_round(task, "a", [device], [number])[0]).all()
        if number is not None:
            drawn = minibatches(CONFIG.seed, "a", device, number, shards.sizes[device], shape)
            assert (rows - shards.starts[device] == drawn).all()
    assert (together[2] == shards.starts[2]).all()
    rounds = 2000
    size = shards.sizes[1]
    drawn = rows_of_round(task, "a", [1] * rounds, range(rounds)) - shards.starts[1]
    counts = np.bincount(drawn.ravel(), minlength=size)
    spread = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert len(counts) == size and abs(spread - size + 1) < 5 * (2 * size) ** 0.5
    # from one draw to the next, round to round and device to device: as often alike as by chance
    other = rows_of_round(task, "a", [2] * rounds, range(rounds)) - shards.starts[2]
    most = max(size, shards.sizes[2])
    pairs = (drawn[:, 0], drawn[:, 1]), (drawn[1:], drawn[:-1]), (drawn, other)
    for (one, two), chances in zip(pairs, (size, size, most), strict=True):
        expected = one.size / chances
        assert abs((one == two).sum() - expected) < 5 * expected**0.5


def test_requests_that_do_not_fit_are_refused(devices, server):
    for arguments, message in (
        ({"rounds": (1, 1)}, "rounds is .* needs 4 counts"),
        ({"experts": ()}, "nothing to train"),
        ({"experts": (), "gate": True, "mask": "-inf"}, "at least one expert"),
        ({"experts": (3,)}, r"expert 3 is not held \(held: \(0, 1, 2\)\)"),
    ):
        with pytest.raises(ValueError, match=message):
            devices.train(devices.receive(server), **arguments)


UNEVEN = (2, 0, 1, 3, 1, 2)
SOME = (True, False, True, True, False, True)
EXACT = replace(
    CONFIG, devices=(6, 2), steps_per_round=2, batch_size=5, gate_step_size_ratio=0.5,
    precision="float64",
)  # fmt: skip
WITH = {"trains_backbone": True}
FULL = {"model": replace(MODEL, lora=kit.Lora(rank=None))}
DOWN = {"model": replace(MODEL, lora=kit.Lora(rank=2, targets=("down",)))}
IMAGES = {"model": replace(MODEL, kind="image-moe"), "data": kit.Data(kind="digit-images")}
FFA = {"model": replace(MODEL, lora=kit.Lora(rank=2, aggregate="ffa"))}
KINDS = {"lora": {}, "one target": DOWN, "ffa": FFA, "full": FULL, "images": IMAGES}
KINDS |= {"backbone": WITH, "full, backbone": FULL | WITH, "images, backbone": IMAGES | WITH}


def apart(devices):
    server = start_model(devices.task)
    how = {"first": tuple(range(devices.count)), "gate": True}
    state = devices.train(devices.receive(server), UNEVEN, experts=(0, 2), **how)
    state = devices.fold(state, who=SOME)
    state = devices.receive(server, state, who=(True, True, False, False, True, True))
    assert len({row.numpy().tobytes() for row in state[".base.expert.0.0.down.weight"]}) > 2
    return devices.train(state, UNEVEN, experts=(0, 1), **how)


def assert_alike(devices, state, rounds=UNEVEN, **arguments):
    both = (
        Devices(replace(devices.task, traits=Traits(batched=batched))) for batched in (True, False)
    )
    arguments["first"] = tuple(range(devices.count))
    together, single = (way.train(state, rounds, **arguments) for way in both)
    assert set(together) == set(single)
    for name, tensor in together.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(tensor, single[name], atol=1e-13, rtol=1e-11, msg=name)
    return together


@cache
def made(kind):
    devices = Devices(build_task(replace(EXACT, **KINDS[kind])))
    return devices, (devices.receive(start_model(devices.task)), apart(devices))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", [None, "-inf", "zero"])
@pytest.mark.quick(3)
def test_all_at_once_is_one_by_one(kind, mask):
    devices, (fresh, drifted) = made(kind)
    arguments = {"mask": mask}
    after = assert_alike(devices, fresh, experts=(0, 2), **arguments)
    assert [bool(moved(fresh, after, device)) for device in range(6)] == [n > 0 for n in UNEVEN]
    assert ("stem.weight" in after) == (kind == "images, backbone")
    assert_alike(devices, drifted, experts=(1,), gate=True, **arguments)
    term = Term("learning.methods.fedprox:proximal", {"mu": 0.5}, ())
    near = assert_alike(devices, drifted, experts=(1,), gate=True, term=term, **arguments)
    assert moved(drifted, near)


ROUNDS = st.tuples(*[st.integers(0, 2)] * 6).filter(any)
SOME_EXPERTS = st.sets(st.integers(0, 2), min_size=1)


@given(
    ROUNDS, SOME_EXPERTS, st.booleans(), st.sampled_from([None, "-inf"]), st.sampled_from([0, 1])
)
def test_any_rounds_experts_and_gate(rounds, experts, gate, mask, start):
    devices, states = made("lora")
    assert_alike(devices, states[start], rounds, experts=experts, gate=gate, mask=mask)
