"""Local training: all devices at once against one after another.

The two ways of training run different code: experts on every row, batched over devices, against
experts on the rows that chose them, alone. In double precision they must agree to rounding.
"""

from dataclasses import replace
from functools import cache
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learning import Learner, LocalLoss
from tests.kit.inner import learning as kit
from tests.kit.inner.learning import rows_of_round
from tests.kit.plain_loop import minibatches, split_mix
from tests.kit.rounds import committed, downloaded, moved, one_by_one, spoilt, trained

SIZES = {"hidden": 12, "expert_hidden": 10, "layers": 2}
MODEL = kit.ModelConfig(experts=3, top_k=2, lora=kit.Lora(rank=2), **SIZES)
CONFIG = kit.LearningConfig(
    3, ("a", "b"), (4, 2), MODEL, pretraining=kit.Pretraining(20, 20, 20),
    step_size=0.2, gate_step_size_ratio=0.3, steps_per_round=3, batch_size=8,
)  # fmt: skip


def test_what_one_device_ends_with_depends_on_no_call_and_no_other_device():
    """Bit by bit, but for the rounding of a device beside one that has lost its numbers."""
    learner = Learner(CONFIG)
    server = learner.start()
    state = trained(downloaded(learner, server))
    how = {"experts": (0, 1)}

    def after(rounds, state=state):
        return learner.force(trained(state, rounds, **how).own)

    in_parts = learner.force(trained(trained(state, 1, **how), 2, 1, **how).own)
    assert moved(after(3), in_parts) == set()
    longest, mixed, one = (after(rounds) for rounds in (4, (4, 1, 0, 2), (0, 1, 0, 0)))
    for device, alike in enumerate((longest, one, learner.force(state.own))):
        assert moved(mixed, alike, device) == set()
    for name, tensor in after(1, spoilt(state, 2)).items():
        torch.testing.assert_close(tensor[[0, 1, 3]], after(1)[name][[0, 1, 3]])
        assert tensor[2].isnan().any()
    # a masked gate makes the other experts unnecessary
    whole, part = (
        learner.force(
            trained(downloaded(learner, server, experts=e), experts=(1,), mask="-inf").own
        )
        for e in (None, (1,))
    )
    assert moved(part, whole) == set()


def test_what_a_device_draws_depends_on_nobody_else(task):
    """The generator against the words that Java's gives for this seed, and in plain integers."""
    words = list(islice(split_mix(1234567), 3))
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    shards = task.shards["a"]
    shape = (CONFIG.steps_per_round, CONFIG.batch_size)
    together = rows_of_round(task, "a", [3, 0, 2, 1], [7, 0, None, 7])
    for device, number, rows in zip((3, 0, 2, 1), (7, 0, None, 7), together, strict=True):
        if number is not None:
            drawn = minibatches(CONFIG.seed, "a", device, number, shards.sizes[device], shape)
            assert (rows - shards.starts[device] == drawn).all()


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


@cache
def begun(kind, batched):
    """Devices that have just downloaded, and those that have trained and differ in what they hold.

    What the latter have offered, and which of them have downloaded since, differs too.
    """
    learner = Learner(replace(EXACT, **KINDS[kind]))
    if not batched:
        one_by_one(learner)
    server = learner.start()
    fresh = downloaded(learner, server)
    state = committed(trained(fresh, UNEVEN, range(6), experts=(0, 2)), 1, who=SOME)
    state = downloaded(learner, server, state, who=(True, True, False, False, True, True))
    return fresh, trained(state, UNEVEN, range(6), experts=(0, 1))


def assert_alike(kind, which, *how, **part):
    """Train such devices both ways; what they end with, and began with."""
    states = [begun(kind, batched)[which] for batched in (True, False)]
    together, single = (s.learner.force(trained(s, *how, **part).whole) for s in states)
    assert set(together) == set(single)
    for name, tensor in together.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(tensor, single[name], atol=1e-12, rtol=1e-10, msg=name)
    return together, states[0].learner.force(states[0].whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", [None, "-inf", "zero"])
@pytest.mark.quick(3)
def test_all_at_once_is_one_by_one(kind, mask):
    how = UNEVEN, range(6)
    after, fresh = assert_alike(kind, 0, *how, experts=(0, 2), gate=False, mask=mask)
    assert [bool(moved(fresh, after, device)) for device in range(6)] == [n > 0 for n in UNEVEN]
    assert ("stem.weight" in after) == (kind == "images, backbone")
    assert_alike(kind, 1, *how, experts=(1,), mask=mask)
    term = LocalLoss(kit.proximal, mu=0.5)
    near, drifted = assert_alike(kind, 1, *how, experts=(1,), mask=mask, term=term)
    assert moved(drifted, near)


ROUNDS = st.tuples(*[st.integers(0, 2)] * 6).filter(any)
REACH = st.lists(
    st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=6, max_size=6
)


@given(st.data(), ROUNDS, st.sets(st.integers(0, 2), min_size=1), st.booleans(), st.booleans())
def test_any_rounds_experts_gate_and_reach(data, rounds, experts, gate, drifted):
    """The gate is masked to the experts, or to those in a device's reach, or not at all."""
    mask = data.draw(st.sampled_from([None, "-inf"]))
    how = {"experts": experts, "gate": gate, "mask": mask}
    if mask and len(experts) == 3 and data.draw(st.booleans()):
        how["reach"] = data.draw(REACH)
    after, before = assert_alike("lora", int(drifted), rounds, range(6), **how)
    for device, row in enumerate(how.get("reach", ())):
        lost = tuple(f"expert.{expert}." for expert in range(3) if not row[expert])
        assert not [name for name in moved(before, after, device) if name.startswith(lost)]
