"""Trained experts as PEFT adapters: low-rank changes of the start model's matrices.

An expert that several devices have tuned and several rounds have merged differs from its start by
a matrix of higher rank than any device's factors. It is cut by a singular value decomposition,
W' - W = U S V' ~ (U S^1/2) (S^1/2 V') = B A, where the rest is no more than rounding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from learning.models.names import Names, names_of

PREFIX = "base_model.model."
WEIGHTS, CONFIG, ABOUT = "adapter_model.safetensors", "adapter_config.json", "leomix.json"


@dataclass(frozen=True)
class Factors:
    """``b`` (out, r) times ``a`` (r, in) is a change but for ``left_out``, a share of its norm."""

    a: Tensor
    b: Tensor
    left_out: float

    @property
    def rank(self) -> int:
        """The number of columns of ``b``."""
        return len(self.a)


class Change(NamedTuple):
    """What makes the trained model of the start: added to some tensors, in place of others."""

    added: dict[str, Tensor]
    replaced: dict[str, Tensor]


def factorise(start: Tensor, final: Tensor, rank: int | None = None) -> Factors:
    """Return the factors of ``final - start`` (out, in), of ``rank`` or of its numerical rank.

    Numerical rank counts singular values above those of rounding: entries off by e |w| make a
    matrix of spectral norm at most about e rms(w) (sqrt(out) + sqrt(in)).
    """
    eps = torch.finfo(final.dtype).eps
    change = final.double() - start.double()
    u, s, v = torch.linalg.svd(change, full_matrices=False)
    rounding = eps * final.double().square().mean().sqrt() * sum(n**0.5 for n in change.shape)
    kept = max(1, min(len(s), int((s > rounding).sum()) if rank is None else rank))
    root = s[:kept].sqrt()
    left_out = float(s[kept:].norm() / s.norm()) if s.any() else 0.0
    dtype = torch.float64 if final.dtype == torch.float64 else torch.float32
    return Factors((root[:, None] * v[:kept]).to(dtype), (u[:, :kept] * root).to(dtype), left_out)


def write_adapter(
    folder: Path,
    model: nn.Module,
    start: Mapping[str, Tensor],
    final: Mapping[str, Tensor],
    rank: int | None = None,
) -> None:
    """Write what was trained as a PEFT adapter of ``model`` (shapes are enough) to ``folder``.

    ``start`` and ``final`` are all tensors by stored name. Experts' linear maps get factors;
    every other module that has changed (gates, say) is stored whole, as ``modules_to_save``.
    :func:`peft.PeftModel.from_pretrained` puts it on a model with the start's tensors. Raises
    :class:`ValueError` where no expert has changed.
    """
    names = names_of(model)
    changed = {name for name in final if not torch.equal(final[name], start[name])}
    biased = {
        path for path in _linear_maps(model, names) if names.stored(f"{path}.bias") in changed
    }
    weighed = {p for p in _linear_maps(model, names) if names.stored(f"{p}.weight") in changed}
    targets, whole = sorted(biased | weighed), _owners(changed, biased | weighed, names)
    if not targets:
        raise ValueError("no linear map of an expert has changed since the start; nothing to adapt")
    tensors: dict[str, Tensor] = {}
    factors: dict[str, Factors] = {}
    for path in targets:
        weight = names.stored(f"{path}.weight")
        factors[path] = factorise(start[weight], final[weight], rank)
        tensors[f"{path}.lora_A.weight"] = factors[path].a
        tensors[f"{path}.lora_B.weight"] = factors[path].b
        if biased and (bias := names.stored(f"{path}.bias")) in final:
            tensors[f"{path}.lora_B.bias"] = final[bias] - start[bias]
    for path in whole:
        for name, _ in model.get_submodule(path).named_parameters():
            tensors[f"{path}.{name}"] = final[names.stored(f"{path}.{name}")]
    rank = max(found.rank for found in factors.values())
    others = {path: found.rank for path, found in factors.items() if found.rank != rank}
    keys = {
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": targets,
        "modules_to_save": whole,
        "lora_bias": bool(biased),
    }
    write_peft(folder, tensors, keys, {path: found.left_out for path, found in factors.items()})


def read_adapter(folder: Path, names: Names) -> Change:
    """Return what an adapter adds to, and puts in place of, tensors by stored name.

    Raises :class:`ValueError` for a folder that holds no adapter, or a broken one.
    """
    try:
        tensors = load_file(folder / WEIGHTS)
        said = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        ranks, alphas = said["rank_pattern"], said["alpha_pattern"]
        plain = said["lora_alpha"], said["r"]
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{folder}: no PEFT adapter that can be read ({error})") from None
    change = Change({}, {})
    for key, tensor in tensors.items():
        path = key.removeprefix(PREFIX)
        module, _, part = path.partition(".lora_")
        scale = alphas.get(module, plain[0]) / ranks.get(module, plain[1])
        if part == "B.weight":
            factor = tensors[f"{PREFIX}{module}.lora_A.weight"]
            change.added[names.stored(f"{module}.weight")] = scale * (tensor @ factor)
        elif part == "B.bias":
            change.added[names.stored(f"{module}.bias")] = scale * tensor
        elif not part:
            change.replaced[names.stored(path)] = tensor
    return change


def write_peft(
    folder: Path,
    tensors: Mapping[str, Tensor],
    keys: Mapping[str, Any],
    left_out: Mapping[str, float],
) -> None:
    """Write an adapter folder: PEFT's two files, and a JSON that says what was left out."""
    from peft import LoraConfig

    folder.mkdir(parents=True, exist_ok=True)
    LoraConfig(inference_mode=True, **keys).save_pretrained(str(folder))
    stored = {f"{PREFIX}{path}": t.contiguous() for path, t in tensors.items()}
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    about = {
        "what": "the change from the start model in ../base to the model at the end of the run",
        "left_out_max": max(left_out.values()),
        "left_out": left_out,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")


def _linear_maps(model: nn.Module, names: Names) -> list[str]:
    """Paths of the linear maps inside experts."""
    experts = tuple(f"{layer}.experts." for layer in names.layers)
    return [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and path.startswith(experts)
    ]


def _owners(changed: set[str], targets: set[str], names: Names) -> list[str]:
    """Modules that hold changed tensors beside the targets."""
    owners = {names.path(name).rpartition(".")[0] for name in changed} - targets
    for owner in sorted(owners):
        if not owner or any(path.startswith(f"{owner}.") for path in targets):
            raise ValueError(
                f"module {owner or 'the model'!r} has trained tensors of its own around an "
                "expert's linear maps; PEFT has no place for them: put them into a module"
            )
    return sorted(owners)
