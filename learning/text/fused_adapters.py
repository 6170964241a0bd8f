"""Trained experts as a PEFT adapter of Hugging Face's own Mixtral, whose experts are fused."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from learning.models.interface import expert_of, is_gate
from learning.models.peft import factorise, write_peft
from learning.models.stacked import Tensors
from learning.settings import ModelConfig
from learning.text.checkpoints import save_checkpoint

# PEFT nests its wrappers of two parameters of one module: the first one is inside.
WRAPPERS = {"gate_up": "mlp.experts.base_layer", "down": "mlp.experts"}
PARAMETERS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


def write_fused(folder: Path, config: ModelConfig, start: Tensors, final: Tensors) -> None:
    """Write ``base``, which Hugging Face loads, and an ``adapter-hugging-face`` of it."""
    save_checkpoint(folder / "base", config, start)
    write_fused_adapter(folder / "adapter-hugging-face", start, final)


def write_fused_adapter(folder: Path, start: Tensors, final: Tensors) -> None:
    """Write what was trained as an adapter of ``AutoModelForCausalLM`` (or a classifier's).

    All experts and layers have the largest rank that one of them needs, as PEFT asks for.
    """
    experts = 1 + max(e for name in final if (e := expert_of(name)) is not None)
    layers = sum(is_gate(name) for name in final)
    found = {
        (layer, matrix): [
            factorise(_fused(start, e, layer, matrix), _fused(final, e, layer, matrix))
            for e in range(experts)
        ]
        for layer in range(layers)
        for matrix in WRAPPERS
    }
    width = max(factors.rank for of_experts in found.values() for factors in of_experts)
    tensors: dict[str, Tensor] = {}
    left_out = {}
    for (layer, matrix), of_experts in found.items():
        path = f"model.layers.{layer}.{WRAPPERS[matrix]}"
        padded = [
            (pad(f.a, (0, 0, 0, width - f.rank)), pad(f.b, (0, width - f.rank))) for f in of_experts
        ]
        tensors[f"{path}.lora_A.weight"] = torch.cat([a for a, _ in padded])
        side_by_side = torch.stack([b for _, b in padded], -1)
        tensors[f"{path}.lora_B.weight"] = side_by_side.flatten(1)
        left_out[path] = max(factors.left_out for factors in of_experts)
    changed = [n for n in final if expert_of(n) is None and not torch.equal(final[n], start[n])]
    whole = {  # gates and tensors of the backbone
        f"model.layers.{name.split('.')[1]}.mlp.gate.weight" if is_gate(name) else name: final[name]
        for name in changed
    }
    keys = {
        "r": width,
        "lora_alpha": width,
        "target_modules": [],
        "target_parameters": PARAMETERS,
        "modules_to_save": sorted({path.rpartition(".")[0] for path in whole}),
    }
    write_peft(folder, tensors | whole, keys, left_out)


def _fused(tensors: Tensors, expert: int, layer: int, matrix: str) -> Tensor:
    parts = matrix.split("_")
    return torch.cat([tensors[f"expert.{expert}.{layer}.{part}.weight"] for part in parts])
