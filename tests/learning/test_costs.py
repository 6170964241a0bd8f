"""Bytes and FLOPs of architectures, against the published sizes and against real modules."""

from __future__ import annotations

from typing import Any

import pytest

from learning import LearningConfig, ModelConfig
from tests.kit.learning import Architecture, DataConfig, LoraConfig, architecture, resolved


def sizes_of(**model: Any) -> Architecture:
    data = DataConfig(tokens=384)
    return architecture(LearningConfig(1, ("a",), (1,), resolved(ModelConfig(**model)), data))


def test_one_expert_of_llama_3_8b_at_rank_4_is_the_papers_upload() -> None:
    """EMS-FL V-A: 10 to 20 MB; 7,077,888 numbers of 16 bits."""
    sizes = sizes_of(kind="llama-3-8b-x3", lora=LoraConfig(rank=4))
    assert sizes.tuned_parameters == 7_077_888
    assert sizes.upload_bytes([0], gate=False) == pytest.approx(14.16e6, rel=1e-3)
    assert sizes.upload_bytes([0, 1, 2], gate=True) == pytest.approx(43.3e6, rel=2e-3)


def test_one_expert_of_llama_3_8b_is_11_gigabytes() -> None:
    sizes = sizes_of(kind="llama-3-8b-x3")
    assert sizes.expert_parameters == 3 * 4096 * 14336 * 32
    assert sizes.download_bytes([1], gate=False) == pytest.approx(11.27e9, rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "parameters"), [("llama-3-8b-x3", 19.30e9), ("mixtral-8x7b", 46.70e9)]
)
def test_whole_models_have_their_published_size(kind: str, parameters: float) -> None:
    sizes = sizes_of(kind=kind)
    whole = sizes.experts * sizes.expert_parameters + sizes.gate_parameters
    assert whole + sizes.backbone_parameters == pytest.approx(parameters, rel=1e-3)


def test_masked_devices_save_the_memory_of_the_experts_they_do_not_load() -> None:
    """EMS-FL Table I: 22.77 GB more for the baseline, two of three experts in 16 bits."""
    sizes = sizes_of(kind="llama-3-8b-x3")
    everything = sizes.round_cost([0, 1, 2], [0, 1, 2], gate=True, samples=1)
    own = sizes.round_cost([0], [0], gate=False, samples=1)
    assert everything.memory_bytes - own.memory_bytes == pytest.approx(22.77e9, rel=0.02)


def test_the_vector_model_has_as_many_weights_as_its_modules() -> None:
    from learning import Learner

    model = ModelConfig(experts=3, hidden=16, expert_hidden=24, layers=2, lora=LoraConfig(rank=3))
    learner = Learner(LearningConfig(1, ("a", "b"), (1, 1), model))
    tensors = learner.final_tensors(learner.start())
    sizes = learner.architecture

    def count(word: str) -> int:
        return sum(tensor.numel() for name, tensor in tensors.items() if word in name)

    assert count("expert.") == sizes.experts * sizes.expert_parameters
    assert count("gate.") == sizes.gate_parameters
    whole = sum(tensor.numel() for tensor in tensors.values())
    assert whole - count("expert.") - count("gate.") == sizes.backbone_parameters


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'gpt'.*mixtral-8x7b.*vector-moe"):
        sizes_of(kind="gpt")
