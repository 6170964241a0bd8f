"""Trained experts as PEFT adapters: PEFT itself puts them on the start model."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM

import sim
from learning.models import Residency
from tests.kit import small, training
from tests.kit import tiny_checkpoints as tiny
from tests.kit.learning import InputSpec, ModelConfig
from tests.kit.results import export
from tests.kit.training import expert_of, names_of, read_adapter, write_adapter


def stored(model):
    names = names_of(model)
    return {names.stored(path): p.detach().clone() for path, p in model.named_parameters()}


def trained(start, ranks, bias=False, backbone=""):
    torch.manual_seed(7)
    final = {name: tensor.clone() for name, tensor in start.items()}
    for name, tensor in final.items():
        rank = ranks.get(expert_of(name), 0)
        if rank and tensor.dim() == 2:
            tensor += 0.1 * torch.randn(len(tensor), rank) @ torch.randn(rank, tensor.shape[1])
        if training.is_gate(name) or name == backbone or (rank and bias and tensor.dim() == 1):
            tensor += torch.randn(tensor.shape)
    return final


def with_tensors(model, tensors):
    names = names_of(model)
    changed = copy.deepcopy(model)
    changed.load_state_dict({names.path(n): t.clone() for n, t in tensors.items()}, strict=True)
    return changed.eval()


@torch.no_grad()
def assert_peft_makes(folder, model, start, final, x):
    adapted = PeftModel.from_pretrained(with_tensors(model, start), str(folder))
    expected = with_tensors(model, final)(x)
    torch.testing.assert_close(adapted(x), expected, rtol=0, atol=1e-5)
    assert (with_tensors(model, start)(x) - expected).abs().max() > 0.1
    return adapted


@pytest.fixture
def vectors():
    torch.manual_seed(0)
    config = ModelConfig(experts=3, top_k=2, hidden=16, expert_hidden=24, layers=2)
    spec = InputSpec("vector", (10,), 4)
    return training.VectorMoE(config, spec, Residency(held=(0, 1, 2)))


@pytest.mark.parametrize(("bias", "backbone"), [(False, ""), (True, "norms.1.bias")])
def test_peft_makes_the_final_model_of_the_start(tmp_path, vectors, bias, backbone):
    start = stored(vectors)
    final = trained(start, {0: 3, 2: 24}, bias, backbone)
    write_adapter(tmp_path, vectors, start, final)
    adapted = assert_peft_makes(tmp_path, vectors, start, final, torch.randn(50, 10))
    layers = [m for m in adapted.base_model.model.named_modules() if hasattr(m[1], "r")]
    ranks = {path.split(".")[3]: module.r["default"] for path, module in layers}
    assert ranks == {"0": 3, "2": 16}  # the rank of expert 2 is that of its matrices; none for 1
    change = read_adapter(tmp_path, names_of(vectors))
    for name, tensor in final.items():
        made = change.replaced.get(name, start[name] + change.added.get(name, torch.tensor(0.0)))
        torch.testing.assert_close(made, tensor, rtol=0, atol=1e-6)


def test_our_mixtral_takes_an_adapter_and_hugging_faces_the_fused_one(tmp_path):
    tiny.mixtral(tmp_path / "start")
    config = tiny.mixtral_config(tmp_path / "start")
    ours = tiny.loaded(config, tiny.CHOICES)
    start = stored(ours)
    final = trained(start, {1: 2, 3: 3})
    write_adapter(tmp_path / "adapter", ours, start, final)
    tokens = torch.arange(27).reshape(1, 3, 1, 9)
    x = torch.cat([tokens, torch.ones_like(tokens)], 2)
    assert_peft_makes(tmp_path / "adapter", ours, start, final, x)
    final = trained(start, {0: 1, 2: 4}, backbone="model.norm.weight")
    training.save_checkpoint(tmp_path / "final", config, final)
    training.write_fused_adapter(tmp_path / "fused", start, final)
    load = AutoModelForCausalLM.from_pretrained
    base, expected = (load(tmp_path / name, local_files_only=True) for name in ("start", "final"))
    tokens = torch.arange(18).reshape(2, 9)
    with torch.no_grad():
        before = base(tokens).logits
        wanted = expected(tokens).logits
        adapted = PeftModel.from_pretrained(base, str(tmp_path / "fused")).eval()
        torch.testing.assert_close(adapted(tokens).logits, wanted, rtol=0, atol=1e-5)
    assert (before - wanted).abs().max() > 1.0


SIDE = st.integers(2, 40)


@given(SIDE, SIDE, st.integers(1, 12), st.floats(1e-3, 10), st.integers(1, 5))
def test_rounding_of_several_merges_does_not_count_as_rank(rows, columns, rank, size, merges):
    rng = np.random.default_rng(rows * 41 + columns)
    start = torch.from_numpy(rng.standard_normal((rows, columns))).float()
    b = rng.standard_normal((rows, rank))
    a = rng.standard_normal((rank, columns))
    step = torch.from_numpy(size * b @ a / merges).float()
    final = start
    for _ in range(merges):
        final = final + step
    found = training.factorise(start, final)
    assert found.rank <= min(rank, rows, columns)
    torch.testing.assert_close(start + found.b @ found.a, final, rtol=1e-4, atol=1e-5)


def test_what_peft_has_no_place_for_and_what_is_no_adapter_is_refused(tmp_path, vectors):
    start = stored(vectors)
    with pytest.raises(ValueError, match="no linear map of an expert has changed"):
        write_adapter(tmp_path, vectors, start, trained(start, {}))
    write_adapter(tmp_path, vectors, start, trained(start, {0: 1}))
    file = tmp_path / "adapter_model.safetensors"
    factors = {k: (1 << 18, 1) if "lora_B" in k else (1, 1 << 18) for k in load_file(file)}
    save_file({k: torch.zeros(shape) for k, shape in factors.items()}, file)
    with pytest.raises(ValueError, match=r"of shape \(262144, 262144\), which this model does"):
        read_adapter(tmp_path, names_of(vectors), {n: tuple(t.shape) for n, t in start.items()})
    file.write_text("{}")
    with pytest.raises(ValueError, match="no PEFT adapter that can be read"):
        read_adapter(tmp_path, names_of(vectors))
    for expert in vectors.moe[0].experts:  # a trained vector that is in no linear map
        odd = nn.ModuleDict({"map": nn.Linear(16, 16)})
        odd.register_parameter("scale", nn.Parameter(torch.ones(16)))
        vectors.moe[0].experts[expert] = odd
    start = stored(vectors)
    with pytest.raises(ValueError, match=r"'moe.0.experts.1' has trained tensors of its own"):
        write_adapter(tmp_path, vectors, start, trained(start, {1: 2}, bias=True))


@pytest.mark.parametrize("rank", [2, None])
def test_a_run_goes_on_from_the_experts_of_another(tmp_path, rank, leomix):
    how = {"method": "emsfl", "lora": {"rank": rank}, "step_size": 0.3, "steps_per_round": 5}
    first = sim.run(small.slots(stop={"cycles": 6}, learning=how), tmp_path / "first")
    export(tmp_path / "first", "peft", tmp_path / "peft")
    [adapter] = [p.parent for p in (tmp_path / "peft").rglob("adapter_config.json")]
    second = small.slots(stop={"cycles": 1}, learning={**how, "model": {"adapter": str(adapter)}})
    end = first.summary["accuracy_final"]
    assert end > first.summary["accuracy_start"] + 0.02
    assert sim.run(second).summary["accuracy_start"] == pytest.approx(end, abs=1e-3)
    for path in (adapter, tmp_path):  # of another model, and no adapter at all
        key = f"learning.model.adapter={path}"
        out = tmp_path / "x" / path.name
        refused = leomix("run", "paper-slots", "--quiet", "-o", out, "--set", key)
        assert (refused.status, refused.err.count("\n")) == (2, 1) and "adapter" in refused.err
