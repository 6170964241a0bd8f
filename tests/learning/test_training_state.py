"""What devices hold between downloads, training and offers."""

from dataclasses import replace

import pytest
import torch
from torch.func import functional_call

from learning.models import Residency
from tests.kit.learning import LearningConfig, LoraConfig, ModelConfig, as_sent, stream
from tests.kit.training import experts_held, fold, offer, receive, receive_gate, select

ALL = (True, True, True)
SOME = (True, False, True)
ZERO = (0, 0, 0)


MODEL = ModelConfig(
    experts=3, top_k=2, hidden=12, expert_hidden=10, layers=2, lora=LoraConfig(rank=2)
)
CONFIG = LearningConfig(2, ("a", "b"), (3, 3), MODEL)


@pytest.fixture
def state(task, server):
    """Devices that hold everything and have trained: B and the gate have moved."""
    return trained(
        receive(task, server, None, cluster="a", who=ALL, experts=(0, 1, 2), generation=ZERO)
    )


def trained(state):
    moved = dict(state)
    for name, tensor in state.items():
        if name.endswith(".b") or name.startswith("gate."):
            noise = stream(0, name).standard_normal(tuple(tensor.shape))
            moved[name] = tensor + 0.1 * torch.tensor(noise, dtype=torch.float32)
    return moved


def logits(task, state, device):
    """Run one device's model, base and factors as they lie in its state."""
    experts = experts_held(state)
    model = task.skeleton(Residency(held=experts, tuned=experts))
    stored = {
        name.removeprefix("base.").removeprefix("factor."): tensor[device]
        for name, tensor in state.items()
        if not name.startswith("base.gate.")
    }
    tensors = {task.names.path(name): tensor for name, tensor in stored.items()}
    return functional_call(model, {**task.backbone, **tensors}, (task.test["a"].x,))


def test_a_first_download_is_the_servers_model_on_every_device(task, server):
    state = receive(task, server, None, cluster="a", who=ALL, experts=(0, 1, 2), generation=ZERO)
    expected = task.model(server)(task.test["a"].x)
    for device in range(3):
        torch.testing.assert_close(logits(task, state, device), expected)


def test_devices_of_one_version_share_its_memory(task, server):
    state = receive(task, server, None, cluster="a", who=ALL, experts=(1,), generation=ZERO)
    base = state["base.expert.1.0.up.weight"]
    assert base.shape[0] == 3
    assert base.data_ptr() == server["expert.1.0.up.weight"].data_ptr()


def test_only_the_asked_experts_are_held(task, server):
    state = receive(task, server, None, cluster="a", who=ALL, experts=(0, 2), generation=ZERO)
    assert experts_held(state) == (0, 2)
    assert {name.split(".")[2] for name in state if name.startswith("factor.")} == {"0", "2"}
    assert "base.gate.1.weight" in state
    assert "gate.1.weight" in state


def test_who_did_not_receive_keeps_what_it_has_and_has_nan_for_what_it_never_had(
    task, server, state
):
    newer = {name: tensor + 1.0 for name, tensor in server.items()}
    after = receive(
        task, newer, state, cluster="a", who=SOME, experts=(0, 1, 2), generation=(1, 1, 1)
    )
    for name in ("base.expert.0.1.down.weight", "base.gate.0.weight", "gate.0.weight"):
        stored = name.removeprefix("base.")
        assert torch.equal(after[name][1], state[name][1])
        unsent = state[name][0] - state[f"base.{stored}"][0]
        torch.testing.assert_close(after[name][0], newer[stored] + unsent)
    first = receive(task, server, None, cluster="a", who=SOME, experts=(1,), generation=ZERO)
    assert first["base.expert.1.0.up.weight"][1].isnan().all()
    assert not first["base.expert.1.0.up.weight"][[0, 2]].isnan().any()


def test_trained_factors_outlive_a_download_and_new_experts_start_fresh(task, server, state):
    fewer = receive(task, server, state, cluster="a", who=ALL, experts=(1,), generation=(7, 7, 7))
    assert experts_held(fewer) == (1,)
    assert torch.equal(fewer["factor.expert.1.0.up.b"], state["factor.expert.1.0.up.b"])
    assert torch.equal(fewer["factor.expert.1.0.up.a"], state["factor.expert.1.0.up.a"])
    more = receive(task, server, fewer, cluster="a", who=ALL, experts=(1, 2), generation=(7, 7, 7))
    assert torch.equal(more["factor.expert.1.0.up.b"], state["factor.expert.1.0.up.b"])
    assert more["factor.expert.2.0.up.b"].count_nonzero() == 0
    assert not torch.equal(more["factor.expert.2.0.up.a"], state["factor.expert.2.0.up.a"])


def test_factors_start_alike_within_a_generation_of_a_cluster_and_differ_otherwise(task, server):
    def first_factor(cluster, generation, expert=0):
        state = receive(
            task, server, None, cluster=cluster, who=ALL, experts=(0, 1), generation=generation
        )
        return state[f"factor.expert.{expert}.0.up.a"]

    mixed = first_factor("a", (0, 0, 5))
    assert torch.equal(mixed[0], mixed[1])
    assert not torch.equal(mixed[0], mixed[2])
    assert torch.equal(mixed[2], first_factor("a", (5, 5, 5))[0])
    assert not torch.equal(mixed[0], first_factor("b", ZERO)[0])
    assert not torch.equal(mixed[0], first_factor("a", ZERO, expert=1)[0])


def test_folding_leaves_the_function_and_empties_the_factors(task, state):
    folded = fold(
        task, state, cluster="a", who=ALL, generation=(1, 1, 1), experts=(0, 1, 2), gate=True
    )
    for device in range(3):
        before, after = logits(task, state, device), logits(task, folded, device)
        torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    offered = offer(task, folded, experts=(0, 1, 2), gate=True)
    assert all(t.count_nonzero() == 0 for n, t in offered.items() if not n.endswith(".a"))
    assert not torch.equal(folded["factor.expert.0.0.up.a"], state["factor.expert.0.0.up.a"])


def test_what_is_not_folded_stays_to_be_offered(task, state):
    folded = fold(task, state, cluster="a", who=ALL, generation=(1, 1, 1), experts=(1,), gate=False)
    before = offer(task, state, experts=(0,), gate=True)
    after = offer(task, folded, experts=(0,), gate=True)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(
        tensor.count_nonzero() == 0
        for name, tensor in offer(task, folded, experts=(1,), gate=False).items()
        if name.endswith(".b")
    )


def test_folding_some_devices_leaves_the_others_bit_for_bit(task, state):
    folded = fold(
        task, state, cluster="a", who=SOME, generation=(1, 1, 1), experts=(0, 1, 2), gate=True
    )
    assert all(torch.equal(folded[name][1], state[name][1]) for name in state)
    assert not torch.equal(
        folded["base.expert.0.0.up.weight"][0], state["base.expert.0.0.up.weight"][0]
    )


def test_a_fold_then_further_training_offers_the_further_change_only(task, state):
    folded = fold(
        task, state, cluster="a", who=ALL, generation=(1, 1, 1), experts=(0, 1, 2), gate=True
    )
    further = trained(folded)
    delta = offer(task, further, experts=(0,), gate=True)["delta.gate.0.weight"]
    torch.testing.assert_close(delta, further["gate.0.weight"] - state["gate.0.weight"])


def test_receiving_the_gate_touches_nothing_else(task, server, state):
    after = receive_gate(task, server, state, who=SOME)
    assert torch.equal(after["gate.1.weight"][2], server["gate.1.weight"])
    assert torch.equal(after["base.gate.1.weight"][2], server["gate.1.weight"])
    assert torch.equal(after["gate.1.weight"][1], state["gate.1.weight"][1])
    others = [name for name in state if "gate" not in name]
    assert all(after[name] is state[name] for name in others)


def test_selecting_takes_rows(task, state):
    other = {name: tensor * 2 for name, tensor in state.items()}
    chosen = select(SOME, other, state)
    for name in state:
        assert torch.equal(chosen[name][1], state[name][1])
        assert torch.equal(chosen[name][[0, 2]], other[name][[0, 2]])


def test_selecting_between_states_of_different_experts_is_refused(task, state):
    fewer = {name: tensor for name, tensor in state.items() if "expert.2." not in name}
    with pytest.raises(ValueError, match=r"differ in 'base\.expert\.2"):
        select(SOME, state, fewer)


def test_an_offer_holds_the_factors_of_its_experts_and_the_gate_only_if_asked(task, state):
    names = set(offer(task, state, experts=(1,), gate=False))
    assert names == {
        f"factor.expert.1.{layer}.{matrix}.{factor}"
        for layer in (0, 1)
        for matrix in ("up", "down")
        for factor in ("a", "b")
    }
    assert set(offer(task, state, experts=(), gate=True)) == {
        "delta.gate.0.weight",
        "delta.gate.1.weight",
    }


def test_offering_an_expert_that_is_not_held_is_refused(task, server):
    state = receive(task, server, None, cluster="a", who=ALL, experts=(1,), generation=ZERO)
    with pytest.raises(ValueError, match=r"expert 2 is not held; held: \(1,\)"):
        offer(task, state, experts=(1, 2), gate=False)


@pytest.mark.parametrize("who", [(True,), (True, True), (True,) * 4])
def test_a_mask_of_another_length_than_the_cluster_is_refused(task, server, state, who):
    generation = (0,) * len(who)
    for call in (
        lambda: receive(
            task, server, state, cluster="a", who=who, experts=(0,), generation=generation
        ),
        lambda: fold(
            task, state, cluster="a", who=who, generation=generation, experts=(0, 1, 2), gate=True
        ),
        lambda: receive_gate(task, server, state, who=who),
        lambda: select(who, state, state),
    ):
        with pytest.raises(ValueError, match="3 devices"):
            call()


def test_what_is_shared_keeps_what_was_trained_and_not_sent_until_it_is_folded(task, server, state):
    """A gate that goes on training while its last offer is on its way, as in FedBuff."""
    both = {"cluster": "a", "who": ALL, "generation": ZERO}
    newer = {name: tensor + 1.0 for name, tensor in server.items()}
    before = offer(task, state, experts=(), gate=True)
    kept = receive(task, newer, state, experts=(0, 1, 2), **both)
    for name, change in offer(task, kept, experts=(), gate=True).items():
        assert change.abs().max() > 0.05
        torch.testing.assert_close(change, before[name], atol=1e-6, rtol=1e-5)
    folded = fold(task, state, experts=(), gate=True, **both)
    plain = receive(task, newer, folded, experts=(0, 1, 2), **both)
    assert torch.equal(plain["gate.0.weight"], newer["gate.0.weight"].expand(3, -1, -1))


def test_a_gate_that_is_broken_anywhere_begins_at_the_download(task, server, state):
    state["gate.0.weight"][1, 0, 0] = torch.inf
    after = receive(task, server, state, cluster="a", who=ALL, generation=ZERO, experts=(0, 1, 2))
    assert torch.equal(after["gate.0.weight"][1], server["gate.0.weight"])
    assert not torch.equal(after["gate.0.weight"][0], server["gate.0.weight"])


@pytest.mark.parametrize("upload_format", ["float16", "int8"])
def test_what_is_offered_is_rounded_as_it_is_sent(task, state, upload_format):
    exact = offer(task, state, experts=(0,), gate=True)
    rough = replace(task, config=replace(CONFIG, upload_format=upload_format))
    for name, tensor in offer(rough, state, experts=(0,), gate=True).items():
        assert torch.equal(tensor, as_sent(exact[name], upload_format))
        assert name.endswith(".a") or not torch.equal(tensor, exact[name])
