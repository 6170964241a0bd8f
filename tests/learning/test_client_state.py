"""What devices hold between downloads, training and offers, and what arrives of an offer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.func import functional_call

from learning.models import Residency
from tests.kit import learning as kit
from tests.kit.devices import Devices, experts_held, factors_of, moved, stored_of
from tests.kit.training import Frozen, Guard, held_state, not_finite, sync

SOME = (True, False, True)
LORA = kit.Lora(rank=2)
SIZES = {"hidden": 12, "expert_hidden": 10, "layers": 2}
MODEL = kit.ModelConfig(experts=3, top_k=2, lora=LORA, **SIZES)
SHORT = kit.Pretraining(20, 20, 20)
CONFIG = kit.LearningConfig(2, ("a", "b"), (3, 3), MODEL, pretraining=SHORT)


@pytest.fixture(scope="module")
def devices(task):
    return Devices(task)


@pytest.fixture(scope="module")
def state(devices, server):
    return trained(devices.receive(server))


def trained(state):
    after = dict(state)
    for name, tensor in state.items():
        if name.endswith("+b") or name.startswith("gate."):
            noise = kit.stream(0, name).standard_normal(tuple(tensor.shape))
            after[name] = tensor + 0.1 * torch.tensor(noise, dtype=torch.float32)
    return after


def logits(task, state, device):
    experts = experts_held(state)
    model = task.skeleton(Residency(held=experts, tuned=experts))
    tensors = dict(task.backbone)
    for name, tensor in state.items():
        if not name.startswith(".base.gate."):
            stored = stored_of(name)
            tensors[task.names.path(stored)] = tensor[device]
    return functional_call(model, tensors, (task.test["a"].x,))


def zero(tensors, but="+a"):
    return all(t.count_nonzero() == 0 for n, t in tensors.items() if not n.endswith(but))


def test_who_did_not_receive_keeps_what_it_has_or_has_nan_of_it(devices, server, state):
    newer = {name: tensor + 1.0 for name, tensor in server.items()}
    after = devices.receive(newer, state, who=SOME)
    for name in (".base.expert.0.1.down.weight", "gate.0.weight"):
        stored = name.removeprefix(".base.")
        assert torch.equal(after[name][1], state[name][1])
        unsent = state[name][0] - state[f".base.{stored}"][0]
        torch.testing.assert_close(after[name][0], newer[stored] + unsent)
    first = devices.receive(server, who=SOME, experts=(1,))[".base.expert.1.0.up.weight"]
    assert first.isnan().flatten(1).any(1).tolist() == [False, True, False]
    after = devices.receive_gate(server, state, SOME)
    assert torch.equal(after["gate.1.weight"][2], server["gate.1.weight"])
    assert torch.equal(after["gate.1.weight"][1], state["gate.1.weight"][1])
    assert all("gate" in name for name in moved(state, after))


def test_trained_factors_outlive_a_download_and_new_experts_start_fresh(devices, server, state):
    fewer = devices.receive(server, state, experts=(1,), generation=7)
    more = devices.receive(server, fewer, experts=(1, 2), generation=7)
    assert (experts_held(fewer), experts_held(more)) == ((1,), (1, 2))
    for kept in (fewer, more):
        assert all(torch.equal(kept[name], state[name]) for name in factors_of((1,), 2))
    assert more["expert.2.0.up.weight+b"].count_nonzero() == 0
    assert not torch.equal(more["expert.2.0.up.weight+a"], state["expert.2.0.up.weight+a"])


@pytest.mark.parametrize(("rank", "name"), [(2, "gate.0.weight"), (None, "expert.0.0.up.weight")])
def test_what_has_no_factors_keeps_its_change_until_it_is_folded(task, server, rank, name):
    model = replace(MODEL, lora=kit.Lora(rank=rank))
    own = Devices(replace(task, config=replace(CONFIG, model=model)))
    fresh = own.receive(server)
    state = {**fresh, name: fresh[name] + 0.25}
    newer = {stored: tensor + 1.0 for stored, tensor in server.items()}
    after = own.receive(newer, state, who=SOME)
    torch.testing.assert_close(after[name][0], server[name] + 1.25)
    torch.testing.assert_close(after[name][1], server[name] + 0.25)
    change = own.offer(after, (0,))[f".changes.{name}"]
    torch.testing.assert_close(change, torch.full_like(change, 0.25))
    folded = own.fold(state)
    assert zero(own.offer(folded, (0,))) and torch.equal(folded[name], state[name])
    assert torch.equal(own.receive(newer, folded)[name], newer[name].expand(fresh[name].shape))
    broken = {**state, name: state[name].clone()}
    broken[name][1, 0, 0] = torch.inf  # it begins at the download again
    again = own.receive(server, broken)[name]
    assert torch.equal(again[1], server[name]) and not torch.equal(again[0], server[name])


def test_folding_leaves_the_function_and_offers_what_comes_after(task, devices, state):
    folded = devices.fold(state)
    for device in range(3):
        before, after = (logits(task, some, device) for some in (state, folded))
        torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    assert zero(devices.offer(folded, (0, 1, 2)))
    assert not torch.equal(folded["expert.0.0.up.weight+a"], state["expert.0.0.up.weight+a"])
    further = trained(folded)
    delta = devices.offer(further, (0,))[".changes.gate.0.weight"]
    torch.testing.assert_close(delta, further["gate.0.weight"] - state["gate.0.weight"])
    # what and who is not folded stays
    one = devices.fold(state, experts=(1,), gate=False)
    assert moved(*(devices.offer(some, (0,)) for some in (state, one))) == set()
    assert zero(devices.offer(one, (1,), gate=False))
    some = devices.fold(state, who=SOME)
    assert moved(some, state, 1) == set()
    assert {".base.expert.0.0.up.weight", "expert.0.0.up.weight+b"} <= moved(some, state, 0)


def test_offers_since_a_download_stand_side_by_side_in_as_few_ranks_as_there_are(task, server):
    """The ranks that a device has not used are free, and go once all that used them have loaded."""
    how = {"versions": held_state.of_one_model(task, devices=3), "cluster": "a"}
    how |= {"experts": (0,), "adapter_epoch": [0, 0, 0]}
    own = sync.load(task, server, **{**how, "versions": ()}, who=[True] * 3)
    ranks = []
    for who in ((True, False, False), (False, True, False), (True, True, False)):
        for name in own:
            if name.endswith("+b") and not name.startswith("."):
                own[name] = torch.randn(own[name].shape)
        whole = sync.assembled(task, own, server, versions=how["versions"])
        own = sync.commit(task, own, server, who=who, gate=False, **how)
        after = sync.assembled(task, own, server, versions=how["versions"])
        for device in range(3):
            found, expected = (logits(task, state, device) for state in (after, whole))
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        ranks.append(own[".added.expert.0.0.up.weight+b"].shape[-1])
    assert ranks == [2, 2, 4]
    for who, left in (((True, False, False), 4), ((False, True, False), None)):
        own = sync.load(task, server, own, server, who=who, **how)
        found = own.get(".added.expert.0.0.up.weight+b")
        assert left == (None if found is None else found.shape[-1])


def test_who_takes_the_gate_forgets_of_the_optimiser_what_is_shared_alone(devices, server, state):
    gate, factor = (f".optimizer.velocity.{n}" for n in ("gate.0.weight", "expert.0.0.up.weight+b"))
    memory = {gate: state["gate.0.weight"], factor: state["expert.0.0.up.weight+b"]}
    with_backbone = Devices(replace(devices.task, config=replace(CONFIG, trains_backbone=True)))
    after = with_backbone.receive_gate(server, state | memory, SOME)
    assert after[gate].flatten(1).any(1).tolist() == [False, True, False]
    assert torch.equal(after[factor], memory[factor])


def test_an_offer_holds_what_was_asked_for(devices, server, state):
    assert set(devices.offer(state, (1,), gate=False)) == factors_of((1,), 2)
    assert set(devices.offer(state, ())) == {".changes.gate.0.weight", ".changes.gate.1.weight"}
    with pytest.raises(ValueError, match=r"expert 2 is not held; held: \(1,\)"):
        devices.offer(devices.receive(server, experts=(1,)), (1, 2))


def test_states_are_selected_by_rows_of_the_clusters_devices(devices, server, state):
    other = {name: tensor * 2 for name, tensor in state.items()}
    chosen = sync.select(devices.task, other, state, who=SOME)
    assert moved(chosen, state, 1) | moved(chosen, other, 0) | moved(chosen, other, 2) == set()
    fewer = {name: tensor for name, tensor in state.items() if "expert.2." not in name}
    with pytest.raises(ValueError, match=r"differ in '\.base\.expert\.2"):
        sync.select(devices.task, state, fewer, who=SOME)
    with pytest.raises(ValueError, match="3 devices"):
        devices.receive(server, state, who=(True,) * 4, generation=(0,) * 4)
    with pytest.raises(ValueError, match="3 devices"):
        sync.select(devices.task, state, state, who=(True,) * 4)


SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))


@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(-1e4, 1e4, width=32)))
def test_bits_that_are_left_are_numpys_half_or_127_steps_of_each_devices_range(values):
    half, eight = (kit.as_sent(torch.from_numpy(values), f).numpy() for f in ("float16", "int8"))
    np.testing.assert_array_equal(half, values.astype(np.float16).astype(np.float32))
    step = np.abs(values).max(axis=(1, 2), keepdims=True) / 127
    assert (np.abs(eight - values) <= 0.5 * step * (1 + 1e-5) + 1e-30).all()
    assert len(np.unique(np.rint(eight[0] / max(step[0, 0, 0], 1e-30)))) <= 255


def test_offers_are_rounded_as_sent_native_ones_not_and_broken_ones_stay(task, devices, state):
    values = torch.tensor([[1.0, torch.nan], [2.0, 3.0]])
    exact = devices.offer(state, (0,))
    assert kit.as_sent(values, "native") is values
    for upload_format in ("float16", "int8"):
        assert not_finite(None, {"x": kit.as_sent(values, upload_format)}) == [0]
        rough = Devices(replace(task, config=replace(CONFIG, upload_format=upload_format)))
        for name, tensor in rough.offer(state, (0,)).items():
            assert torch.equal(tensor, kit.as_sent(exact[name], upload_format))
            assert name.endswith("+a") or not torch.equal(tensor, exact[name])


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=200), st.floats(1e-6, 1e6))
def test_shares_of_counts_sum_to_one_in_spite_of_rounding(counts, factor):
    shares = [count / sum(counts) for count in counts]
    kit.check_shares(shares, "all")
    scaled = [factor * share for share in shares]
    if abs(factor - 1.0) > 1e-8:
        refused("weight", kit.check_shares, scaled, "all")
    if factor <= 1.0:
        kit.check_shares(scaled, "some", whole=False)
    for wrong in (-1e-12, 1.1, float("nan")):
        whole = factor <= 1.0
        refused("a weight of all is", kit.check_shares, [0.0, wrong], "all", whole=whole)


def refused(message, check, *arguments, **how):
    with pytest.raises(kit.Violation, match=message):
        check(*arguments, **how)


def frozen_tensors():
    return {"a": torch.arange(6.0).reshape(2, 3), "b": torch.full((2,), torch.nan)}


def test_only_what_may_change_does_and_nothing_in_place():
    tensors = frozen_tensors()
    before = Guard(tensors, [], lambda name: False, "it")
    moving = Guard(tensors, [], lambda name: name == "a", "it")
    other = {**tensors, "a": tensors["a"] + 1.0}
    moving.check(other)
    before.check({**tensors, "b": tensors["b"].clone()})
    for name, after in (("a", other), ("b", {"a": tensors["a"]})):
        message = f"it changed '{name}', which it must not"
        refused(message, before.check, after)
    tensors["a"][0, 0] += 1.0
    refused("changed 'a' in place", moving.check, dict(tensors))
    tensors = frozen_tensors()
    frozen = Frozen(tensors)
    changed = "'a' of it is not what it was"
    for thoroughly in (False, True):
        frozen.check(tensors, "it", thoroughly=thoroughly)
        frozen.check(
            {name: tensor.clone() for name, tensor in tensors.items()}, "it", thoroughly=thoroughly
        )
    tensors["a"].data[1, 2] += 1e-3  # torch does not count this
    refused(changed, frozen.check, tensors, "it", thoroughly=True)
    refused(changed, frozen.check, {**tensors, "a": tensors["a"].clone()}, "it", thoroughly=False)
    refused("'b' of it has come or gone", frozen.check, {"a": tensors["a"]}, "it")
