"""Trained experts as PEFT adapters: PEFT itself puts them on the start model."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from tests.kit.learning import InputSpec, ModelConfig
from tests.kit.tiny_checkpoints import CHOICES, loaded, mixtral, mixtral_config
from tests.kit.training import (
    Residency,
    VectorMoE,
    expert_of,
    factorise,
    is_gate,
    names_of,
    read_adapter,
    save_checkpoint,
    write_adapter,
    write_fused_adapter,
)

Tensors = dict[str, Tensor]


def stored(model: nn.Module) -> Tensors:
    names = names_of(model)
    return {names.stored(path): p.detach().clone() for path, p in model.named_parameters()}


def trained(
    start: Tensors, ranks: dict[int, int], bias: bool = False, backbone: str = ""
) -> Tensors:
    """Experts changed by matrices of given ranks, gates by anything."""
    torch.manual_seed(7)
    final = {name: tensor.clone() for name, tensor in start.items()}
    for name, tensor in final.items():
        rank = ranks.get(-1 if expert_of(name) is None else int(expert_of(name) or 0), 0)
        if rank and tensor.dim() == 2:
            tensor += 0.1 * torch.randn(len(tensor), rank) @ torch.randn(rank, tensor.shape[1])
        if is_gate(name) or name == backbone or (rank and bias and tensor.dim() == 1):
            tensor += torch.randn(tensor.shape)
    return final


def with_tensors(model: nn.Module, tensors: Tensors) -> nn.Module:
    names = names_of(model)
    changed = copy.deepcopy(model)
    changed.load_state_dict({names.path(n): t.clone() for n, t in tensors.items()}, strict=True)
    return changed.eval()


@pytest.fixture
def vectors() -> nn.Module:
    torch.manual_seed(0)
    config = ModelConfig(experts=3, top_k=2, hidden=16, expert_hidden=24, layers=2)
    return VectorMoE(config, InputSpec("vector", (10,), 4), Residency(held=(0, 1, 2)))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("backbone", ["", "norms.1.bias"])
def test_peft_makes_the_final_model_of_the_start(
    tmp_path: Path, vectors: nn.Module, bias: bool, backbone: str
) -> None:
    start = stored(vectors)
    final = trained(start, {0: 3, 2: 24}, bias, backbone)
    write_adapter(tmp_path, vectors, start, final)
    x = torch.randn(50, 10)
    expected = with_tensors(vectors, final)(x)
    adapted = PeftModel.from_pretrained(with_tensors(vectors, start), str(tmp_path))
    with torch.no_grad():
        torch.testing.assert_close(adapted(x), expected, rtol=0, atol=1e-5)
        assert (with_tensors(vectors, start)(x) - expected).abs().max() > 0.1
    ranks = {
        path.split(".")[3]: module.r["default"]
        for path, module in adapted.base_model.model.named_modules()
        if hasattr(module, "r")
    }
    assert ranks == {"0": 3, "2": 16}  # the rank of expert 2 is that of its matrices; none for 1


def test_an_adapter_is_read_as_it_was_written(tmp_path: Path, vectors: nn.Module) -> None:
    start = stored(vectors)
    final = trained(start, {0: 2, 1: 5}, bias=True)
    write_adapter(tmp_path, vectors, start, final)
    change = read_adapter(tmp_path, names_of(vectors))
    assert {expert_of(name) for name in change.added} == {0, 1}
    assert sorted(change.replaced) == ["gate.0.weight", "gate.1.weight"]
    for name, tensor in final.items():
        made = change.replaced.get(name, start[name] + change.added.get(name, torch.tensor(0.0)))
        torch.testing.assert_close(made, tensor, rtol=0, atol=1e-6)


def test_a_smaller_rank_says_what_it_leaves_out(tmp_path: Path, vectors: nn.Module) -> None:
    start = stored(vectors)
    final = trained(start, {0: 6})
    write_adapter(tmp_path, vectors, start, final, rank=2)
    about = json.loads((tmp_path / "leomix.json").read_text())
    change = read_adapter(tmp_path, names_of(vectors))
    for layer in (0, 1):
        for matrix in ("up", "down"):
            name = f"expert.0.{layer}.{matrix}.weight"
            whole = final[name] - start[name]
            error = float((change.added[name] - whole).norm() / whole.norm())
            assert about["left_out"][f"moe.{layer}.experts.0.{matrix}"] == pytest.approx(error)
            assert torch.linalg.matrix_rank(change.added[name]) == 2


@settings(max_examples=30)
@given(
    rows=st.integers(2, 40),
    columns=st.integers(2, 40),
    rank=st.integers(1, 12),
    size=st.floats(1e-3, 10),
    merges=st.integers(1, 5),
)
def test_rounding_of_several_merges_does_not_count_as_rank(
    rows: int, columns: int, rank: int, size: float, merges: int
) -> None:
    rng = np.random.default_rng(rows * 41 + columns)
    start = torch.from_numpy(rng.standard_normal((rows, columns))).float()
    b, a = rng.standard_normal((rows, rank)), rng.standard_normal((rank, columns))
    step, final = torch.from_numpy(size * b @ a / merges).float(), start
    for _ in range(merges):
        final = final + step
    found = factorise(start, final)
    assert found.rank <= min(rank, rows, columns)
    torch.testing.assert_close(start + found.b @ found.a, final, rtol=1e-4, atol=1e-5)


def test_hugging_faces_own_mixtral_takes_the_fused_adapter(tmp_path: Path) -> None:
    mixtral(tmp_path / "start")
    config = mixtral_config(tmp_path / "start")
    start = stored(loaded(config, CHOICES))
    final = trained(start, {0: 1, 2: 4}, backbone="model.norm.weight")
    save_checkpoint(tmp_path / "final", config, final)
    write_fused_adapter(tmp_path / "adapter", start, final)
    expected = AutoModelForCausalLM.from_pretrained(tmp_path / "final", local_files_only=True)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "start", local_files_only=True)
    tokens = torch.arange(18).reshape(2, 9)
    with torch.no_grad():
        before = base(tokens).logits
        adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
        wanted = expected(tokens).logits
        torch.testing.assert_close(adapted(tokens).logits, wanted, rtol=0, atol=1e-5)
        assert (before - wanted).abs().max() > 1.0


def test_our_mixtral_takes_an_adapter_too(tmp_path: Path) -> None:
    mixtral(tmp_path / "start")
    ours = loaded(mixtral_config(tmp_path / "start"), CHOICES)
    start = stored(ours)
    final = trained(start, {1: 2, 3: 3})
    write_adapter(tmp_path / "adapter", ours, start, final)
    tokens = torch.arange(27).reshape(1, 3, 1, 9)
    x = torch.cat([tokens, torch.ones_like(tokens)], 2)
    adapted = PeftModel.from_pretrained(with_tensors(ours, start), str(tmp_path / "adapter"))
    with torch.no_grad():
        expected = with_tensors(ours, final)(x)
        torch.testing.assert_close(adapted(x), expected, rtol=0, atol=1e-5)


def test_without_a_trained_expert_there_is_nothing_to_adapt(
    tmp_path: Path, vectors: nn.Module
) -> None:
    start = stored(vectors)
    with pytest.raises(ValueError, match="no linear map of an expert has changed"):
        write_adapter(tmp_path, vectors, start, trained(start, {}))


class OddExpert(nn.Module):
    """An expert with a trained vector that is in no linear map."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.map = nn.Linear(hidden, hidden)
        self.scale = nn.Parameter(torch.ones(hidden))


def test_tensors_that_peft_has_no_place_for_are_named(tmp_path: Path, vectors: nn.Module) -> None:
    for expert in vectors.moe[0].experts:
        vectors.moe[0].experts[expert] = OddExpert(16, 24)
    start = stored(vectors)
    final = trained(start, {1: 2}, bias=True)
    with pytest.raises(ValueError, match=r"'moe.0.experts.1' has trained tensors of its own"):
        write_adapter(tmp_path, vectors, start, final)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_folder_that_is_no_adapter(tmp_path: Path, vectors: nn.Module, file: str) -> None:
    start = stored(vectors)
    write_adapter(tmp_path, vectors, start, trained(start, {0: 1}))
    (tmp_path / file).write_text("{}")
    with pytest.raises(ValueError, match="no PEFT adapter that can be read"):
        read_adapter(tmp_path, names_of(vectors))
