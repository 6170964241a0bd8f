"""Trained experts as a PEFT adapter of Hugging Face's own Mixtral, whose experts are fused.

``experts.gate_up_proj`` (E, 2 inner, hidden) and ``experts.down_proj`` (E, hidden, inner) are
adapted by PEFT's ``target_parameters``: ``lora_A`` (E r, in) has one expert's rows together,
``lora_B`` (out, r E) has the experts side by side within each rank.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from learning.adapters import Tensors, write_peft
from learning.factorising import factorise
from learning.models.names import expert_of, is_gate

# PEFT nests its wrappers of two parameters of one module: the first one lies inside.
WRAPPERS = {"gate_up": "mlp.experts.base_layer", "down": "mlp.experts"}
PARAMETERS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


def write_fused_adapter(
    folder: Path, start: Tensors, final: Tensors, rank: int | None = None
) -> None:
    """Write what was trained as an adapter of ``AutoModelForCausalLM`` (or a classifier's).

    All experts and layers have the largest rank that one of them needs, as PEFT asks for.
    """
    experts = 1 + max(e for name in final if (e := expert_of(name)) is not None)
    layers = sum(is_gate(name) for name in final)
    found = {
        (layer, matrix): [
            factorise(_fused(start, e, layer, matrix), _fused(final, e, layer, matrix), rank)
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
        tensors[f"{path}.lora_A.weight"] = torch.cat([_padded(f.a, width) for f in of_experts])
        side_by_side = torch.stack([_padded(f.b.T, width).T for f in of_experts], -1)
        tensors[f"{path}.lora_B.weight"] = side_by_side.flatten(1)
        left_out[path] = max(factors.left_out for factors in of_experts)
    whole = _replaced(start, final)
    keys = {
        "r": width,
        "lora_alpha": width,
        "target_modules": [],
        "target_parameters": PARAMETERS,
        "modules_to_save": sorted({path.rpartition(".")[0] for path in whole}),
    }
    write_peft(folder, tensors | whole, keys, left_out)


def _fused(tensors: Tensors, expert: int, layer: int, matrix: str) -> Tensor:
    parts = ("gate", "up") if matrix == "gate_up" else ("down",)
    return torch.cat([tensors[f"expert.{expert}.{layer}.{part}.weight"] for part in parts])


def _padded(factor: Tensor, rank: int) -> Tensor:
    """Return ``factor`` (r, ...) with rows of zeros up to ``rank``."""
    more = factor.new_zeros(rank - len(factor), *factor.shape[1:])
    return torch.cat([factor, more])


def _replaced(start: Tensors, final: Tensors) -> dict[str, Tensor]:
    """Changed gates and backbone tensors, by Hugging Face's paths."""
    changed = [n for n in final if expert_of(n) is None and not torch.equal(final[n], start[n])]
    return {_path(name): final[name] for name in changed}


def _path(name: str) -> str:
    if not is_gate(name):
        return name
    return f"model.layers.{name.split('.')[1]}.mlp.gate.weight"
