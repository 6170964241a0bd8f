"""Trained experts as PEFT adapters: PEFT itself puts them on the start model."""

import copy
import json
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM

from learning import ModelConfig
from learning.data.samples import InputSpec
from learning.models import Residency
from learning.models.interface import expert_of, is_gate, names_of
from learning.models.peft import adapted, factorise, write_adapter
from learning.models.small import VectorMoE
from learning.text.checkpoints import save_checkpoint
from learning.text.fused_adapters import write_fused_adapter
from tests.kit import tiny_checkpoints as tiny


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
        if is_gate(name) or name == backbone or (rank and bias and tensor.dim() == 1):
            tensor += torch.randn(tensor.shape)
    return final


def with_tensors(model, tensors):
    names = names_of(model)
    changed = copy.deepcopy(model)
    changed.load_state_dict({names.path(n): t.clone() for n, t in tensors.items()}, strict=True)
    return changed.eval()


@pytest.fixture
def vectors():
    torch.manual_seed(0)
    config = ModelConfig(experts=3, top_k=2, hidden=16, expert_hidden=24, layers=2)
    spec = InputSpec("vector", (10,), 4)
    return VectorMoE(config, spec, Residency(held=(0, 1, 2)))


@torch.no_grad()
def test_peft_makes_the_final_model_of_the_start(tmp_path, vectors, monkeypatch):
    """Adapters are read and written without PEFT, whose imports may be broken."""
    start = stored(vectors)
    final = trained(start, {0: 3, 2: 24}, bias=True, backbone="norms.1.bias")
    with monkeypatch.context() as patch:
        for name in ("peft", "transformers", "torchvision"):
            patch.setitem(sys.modules, name, None)
        write_adapter(tmp_path, vectors, start, final)
        made = start | adapted(tmp_path, names_of(vectors), start)
    x = torch.randn(50, 10)
    found = PeftModel.from_pretrained(with_tensors(vectors, start), str(tmp_path))
    before, expected = (with_tensors(vectors, tensors)(x) for tensors in (start, final))
    torch.testing.assert_close(found(x), expected, rtol=0, atol=1e-5)
    assert (before - expected).abs().max() > 0.1
    layers = [m for m in found.base_model.model.named_modules() if hasattr(m[1], "r")]
    ranks = {path.split(".")[3]: module.r["default"] for path, module in layers}
    assert ranks == {"0": 3, "2": 16}  # the rank of expert 2 is that of its matrices; none for 1
    for name, tensor in final.items():
        torch.testing.assert_close(made[name], tensor, rtol=0, atol=1e-6)


FACTORED = r"moe\.\d\.experts\.\d\.(up|down)"


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"lora_dropout": 0.3, "lora_bias": True}, torch.float32),
        ({"bias": "all", "modules_to_save": ["head"]}, torch.bfloat16),
    ],
)
def test_an_adapter_of_others_means_what_peft_makes_of_it(tmp_path, vectors, keys, kind):
    """The scale, biases and whole modules; factors of sixteen bits too."""
    start = stored(vectors)
    config = LoraConfig(r=4, lora_alpha=6, target_modules=FACTORED, **keys)
    theirs = get_peft_model(copy.deepcopy(vectors), config).eval()
    torch.manual_seed(3)
    for parameter in theirs.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter).mul(0.3).to(kind).float()
    theirs.save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    save_file({key: t.to(kind).contiguous() for key, t in load_file(file).items()}, file)
    made = start | adapted(tmp_path, names_of(vectors), start)
    wanted = stored(theirs.merge_and_unload())
    assert made.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(made[name], tensor, rtol=1e-5, atol=1e-5)
    assert sum(not torch.equal(made[name], start[name]) for name in start) >= 12


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("peft_type", "IA3"),
        ("target_parameters", ["mlp.experts.down_proj"]),
        ("init_lora_weights", "pissa"),
        ("a_key_of_tomorrow", 0.5),
        ("r", True),
        ("lora_alpha", None),
        ("alpha_pattern", {"down": 2}),
        ("use_dora", True),
    ],
)
def test_no_key_of_an_adapter_is_passed_over(tmp_path, vectors, key, value):
    start = stored(vectors)
    get_peft_model(
        copy.deepcopy(vectors), LoraConfig(r=4, target_modules=FACTORED)
    ).save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=rf"\b{key}\b"):
        adapted(tmp_path, names_of(vectors), start)


@pytest.mark.parametrize(
    "made",
    [
        lambda tensors: {},
        lambda tensors: {key: t for key, t in tensors.items() if "lora_A" not in key},
        lambda tensors: tensors | {"base_model.model.moe.0.experts.0.up.lora_C": torch.ones(2)},
        lambda tensors: {key.replace("experts", "specialists"): t for key, t in tensors.items()},
        lambda tensors: {key: t.int() for key, t in tensors.items()},
        lambda tensors: {key: t / 0 for key, t in tensors.items()},
    ],
)
def test_no_tensor_of_an_adapter_is_passed_over(tmp_path, vectors, made):
    start = stored(vectors)
    write_adapter(tmp_path, vectors, start, trained(start, {0: 4}))
    file = tmp_path / "adapter_model.safetensors"
    save_file(made(load_file(file)), file)
    with pytest.raises(ValueError, match=r"save it anew|plain LoRA|of the same model"):
        adapted(tmp_path, names_of(vectors), start)


def test_hugging_faces_mixtral_takes_the_fused_adapter(tmp_path):
    tiny.mixtral(tmp_path / "start")
    config = tiny.mixtral_config(tmp_path / "start")
    start = stored(tiny.loaded(config, tiny.CHOICES))
    final = trained(start, {0: 1, 2: 4}, backbone="model.norm.weight")
    save_checkpoint(tmp_path / "final", config, final)
    write_fused_adapter(tmp_path / "fused", start, final)
    load = AutoModelForCausalLM.from_pretrained
    base, expected = (load(tmp_path / name, local_files_only=True) for name in ("start", "final"))
    tokens = torch.arange(18).reshape(2, 9)
    with torch.no_grad():
        before, wanted = (model(tokens).logits for model in (base, expected))
        found = PeftModel.from_pretrained(base, str(tmp_path / "fused")).eval()
        torch.testing.assert_close(found(tokens).logits, wanted, rtol=0, atol=1e-5)
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
    found = factorise(start, final)
    assert found.rank <= min(rank, rows, columns)
    torch.testing.assert_close(start + found.b @ found.a, final, rtol=1e-4, atol=1e-5)


def test_what_peft_has_no_place_for_and_what_is_no_adapter_is_refused(tmp_path, vectors):
    start = stored(vectors)
    with pytest.raises(ValueError, match="no linear map of an expert has changed"):
        write_adapter(tmp_path, vectors, start, trained(start, {}))
    write_adapter(tmp_path, vectors, start, trained(start, {0: 1}))
    file = tmp_path / "adapter_model.safetensors"
    sides = {"lora_A.weight": (1, 1 << 18), "lora_B.weight": (1 << 18, 1)}
    factors = {key: torch.zeros(sides.get(key[-13:], (3, 16))) for key in load_file(file)}
    save_file(factors, file)
    with pytest.raises(ValueError, match=r"of shape \(262144, 262144\), which this model does"):
        adapted(tmp_path, names_of(vectors), start)
    file.write_text("{}")
    with pytest.raises(ValueError, match="no PEFT adapter that can be read"):
        adapted(tmp_path, names_of(vectors), start)
    file.rename(tmp_path / "adapter_model.bin")
    with pytest.raises(ValueError, match=r"adapter_model.bin: pickled .*safe_serialization=True"):
        adapted(tmp_path, names_of(vectors), start)
    for expert in vectors.moe[0].experts:  # a trained vector that is in no linear map
        odd = nn.ModuleDict({"map": nn.Linear(16, 16)})
        odd.register_parameter("scale", nn.Parameter(torch.ones(16)))
        vectors.moe[0].experts[expert] = odd
    start = stored(vectors)
    with pytest.raises(ValueError, match=r"'moe.0.experts.1' has trained tensors of its own"):
        write_adapter(tmp_path, vectors, start, trained(start, {1: 2}, bias=True))


def test_what_is_no_adapter_of_the_model_is_refused_before_a_run(tmp_path, vectors, leomix):
    start = stored(vectors)
    write_adapter(tmp_path / "other", vectors, start, trained(start, {0: 1}))
    for path, why in ((tmp_path / "other", "of the same model"), (tmp_path, "no PEFT adapter")):
        assert why in refusal(leomix, tmp_path, **{"model.adapter": path})


def refusal(leomix, place, **keys):
    """The one line that refuses a run with such keys of the learning."""
    sets = [word for key in keys for word in ("--set", f"learning.{key}={keys[key]}")]
    refused = leomix("run", "paper-slots", "--quiet", "-o", place / "x", *sets)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    return refused.err


def test_a_library_that_cannot_be_imported_is_named_in_one_line(tmp_path, leomix, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("learning.text.mixtral")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n' * 100)
    keys = {"model.kind": "mixtral", "data.kind": "jsonl", "data.path": path}
    said = refusal(leomix, tmp_path, **keys)
    assert "cannot be imported" in said and "transformers" in said
