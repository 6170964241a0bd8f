"""Options that share their question, in evaluation, against Hugging Face and each by itself."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from tests.kit import tiny_checkpoints as tiny
from tests.kit.choices import OPTIONS, SPEC, T, likelihoods, questions
from tests.kit.inner.learning import SharedPrefix, forward_with_routing, gates_of
from tests.kit.inner.learning import grouped_by_prefix as grouped

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """The folder of a Llama, and Hugging Face's model of it."""
    folder = tmp_path_factory.mktemp("dense")
    tiny.llamas(folder, 1, num_hidden_layers=4)
    return folder, AutoModelForCausalLM.from_pretrained(folder / "0", local_files_only=True).eval()


@pytest.mark.parametrize("moe_layers", [None, 2])
@torch.no_grad()
def test_scores_are_hugging_faces_of_each_option_by_itself(dense, moe_layers):
    folder, model = dense
    config = replace(tiny.merged_config(folder, 1), moe_layers=moe_layers)
    gates = {f"model.layers.{n}.mlp.gate.weight": torch.zeros(1, 32) for n in range(4)}
    if moe_layers:
        gates = {name: gate for name, gate in gates.items() if int(name.split(".")[2]) >= 2}
    ours = tiny.loaded(config, SPEC, **gates)
    x = questions()
    assert len(grouped(x[:, :, 0])[1]) == 0
    found = ours(x)
    torch.testing.assert_close(found, likelihoods(model, x), **CLOSE)
    if moe_layers:
        torch.testing.assert_close(ours.after_embedding(*ours.before_experts(x)), found, **CLOSE)


def test_experts_get_the_same_tokens_as_where_each_option_is_run_by_itself(tmp_path):
    """Routing is per token: four experts Top-2 answer as they do with gradients, and watched."""
    tiny.mixtral(tmp_path, num_hidden_layers=3)
    model = tiny.loaded(tiny.mixtral_config(tmp_path), SPEC)
    x = questions(5, seed=1)
    apart = model(x)
    functional.cross_entropy(apart, torch.ones(5, dtype=torch.int64)).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(g.isfinite().all() for g in gradients)  # of missing options too
    with torch.no_grad():
        torch.testing.assert_close(model(x), apart.detach(), **CLOSE)
        watched, routings = forward_with_routing(model, x)
    assert routings[0].weight.shape[:2] == (5 * OPTIONS, T)
    assert torch.equal(watched, apart.detach())
    given = []
    [gate, *_] = gates_of(model)
    gate.register_forward_pre_hook(lambda _gate, inputs: given.append(inputs[0].shape))
    with torch.no_grad():  # as gates are trained on the origin of texts
        model(x)
    assert [shape[:2] for shape in given] == [(5 * OPTIONS, T)]


def test_what_is_padded_before_or_shares_too_little_is_run_apart(tmp_path):
    x = questions()
    x[4] = x[4].roll(2, -1)  # padding before its texts
    x[6, :, 0] = torch.randint(0, 61, (OPTIONS, T))  # questions that were cut differ in all
    x[6, :, 1, T // 2 :] = 1
    groups, apart = grouped(x[:, :, 0])
    assert sorted(torch.cat(groups).tolist()) == [0, 1, 2, 3, 5] and apart.tolist() == [4, 6]
    own = x[2, :, 0]  # of which a row holds the question once
    shared = int((own == own[0]).all(0).int().cumprod(0).sum())
    held = SharedPrefix.of(own[None]).tokens >= 0
    assert int(held.sum()) == int((own >= 0).sum()) - (OPTIONS - 1) * shared
    tiny.mixtral(tmp_path)
    model = tiny.loaded(tiny.mixtral_config(tmp_path), SPEC)
    with torch.no_grad():
        found = model(x)
    torch.testing.assert_close(found, model(x).detach(), **CLOSE)
