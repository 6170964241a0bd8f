"""Tiny random checkpoints on disk, written by Hugging Face itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)
from transformers.utils import logging

from learning import ModelConfig
from learning.data.samples import InputSpec
from learning.models.build import make_model
from learning.models.interface import names_of
from learning.models.moe import Residency
from learning.text.tokenizer import BYTES, train_bpe
from tests.kit.learning_inputs import checkpoint_weights

logging.disable_progress_bar()

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}
TOKENS = 9
CHOICES = InputSpec("choices", (3, 2, TOKENS), 3, 61)
TEXT = InputSpec("text", (TOKENS,), 5, 61)


def mixtral(folder: Path, seed: int = 0, **keys: Any) -> MixtralForCausalLM:
    torch.manual_seed(seed)
    given = {"num_local_experts": 4, "num_experts_per_tok": 2, **SIZES, **keys}
    model = MixtralForCausalLM(MixtralConfig(**given)).eval()
    model.save_pretrained(folder)
    write_bytes(folder, given["vocab_size"])
    return model


def llamas(folder: Path, count: int = 3, **keys: Any) -> list[LlamaForCausalLM]:
    """Dense models that share all but their feed-forward networks, in folders 0, 1, ..."""
    models: list[LlamaForCausalLM] = []
    for number in range(count):
        torch.manual_seed(number)
        model = LlamaForCausalLM(LlamaConfig(**{"rms_norm_eps": 1e-5, **SIZES, **keys})).eval()
        if models:
            of_first = models[0].state_dict()
            shared = {n: t for n, t in of_first.items() if ".mlp." not in n}
            model.load_state_dict(shared, strict=False)
        model.save_pretrained(folder / str(number))
        write_bytes(folder / str(number), model.config.vocab_size)
        models.append(model)
    return models


def bert(folder: Path, seed: int = 0, **keys: Any) -> BertModel:
    """A dense encoder, without a pooler, as MiniLM's is not used."""
    torch.manual_seed(seed)
    sizes = {name: size for name, size in SIZES.items() if name != "num_key_value_heads"}
    given = {"max_position_embeddings": 12, "initializer_range": 0.3, **sizes, **keys}
    model = BertModel(BertConfig(**given), add_pooling_layer=False).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "LayerNorm" in name:  # else zeros and ones
            parameter.data += 0.1 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    write_bytes(folder, model.config.vocab_size)
    return model


def fuse(folder: Path, experts: int = 4) -> None:
    """Write a Mixtral's matrices as newer versions of Hugging Face do: those of all experts in one.

    Those that come first in the model's equations come first in the file's matrix, too.
    """
    file = folder / "model.safetensors"
    tensors = load_file(file)
    rest = {n: t for n, t in tensors.items() if "block_sparse_moe" not in n}
    for layer in range(int(SIZES["num_hidden_layers"])):
        block, ours = (f"model.layers.{layer}.{name}" for name in ("block_sparse_moe", "mlp"))
        w1, w2, w3 = (
            torch.stack([tensors[f"{block}.experts.{e}.w{w}.weight"] for e in range(experts)])
            for w in (1, 2, 3)
        )
        rest[f"{ours}.experts.gate_up_proj"] = torch.cat([w1, w3], 1)
        rest[f"{ours}.experts.down_proj"] = w2
        rest[f"{ours}.gate.weight"] = tensors[f"{block}.gate.weight"]
    save_file(rest, file, metadata={"format": "pt"})


def write_bytes(folder: Path, vocabulary: int) -> None:
    """Write a tokenizer of all bytes, where a model of such a vocabulary knows them."""
    if vocabulary > BYTES:
        train_bpe([], BYTES + 1).save(str(folder / "tokenizer.json"))


def write_tokenizer(folder: Path, words: int = 40) -> None:
    """Write a tokenizer that knows so many words: w0, w1, ..."""
    known = {f"w{number}": number for number in range(words)} | {"<unk>": words}
    made = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(folder / "tokenizer.json"))


def mixtral_config(folder: Path, **keys: Any) -> ModelConfig:
    given: dict[str, Any] = {"experts": 4, "top_k": 2, "checkpoints": (str(folder),), **keys}
    return ModelConfig(kind="mixtral", **given)


def merged_config(folder: Path, count: int = 3) -> ModelConfig:
    places = tuple(str(folder / str(number)) for number in range(count))
    return ModelConfig(kind="merged-llama", experts=count, top_k=1, checkpoints=places)


def bert_config(folder: Path, experts: int = 3, **keys: Any) -> ModelConfig:
    places = (str(folder),)
    given = {"experts_per_checkpoint": experts, "checkpoints": places, "top_k": 2, **keys}
    return ModelConfig(kind="merged-bert", experts=experts, **given)


def skeleton(config: ModelConfig, spec: InputSpec, held: tuple[int, ...] | None = None) -> Any:
    with torch.device("meta"):
        everything = tuple(range(config.experts))
        here = Residency(held=everything if held is None else held)
        return make_model(config, spec, here)


def loaded(
    config: ModelConfig,
    spec: InputSpec,
    held: tuple[int, ...] | None = None,
    **others: Tensor,
) -> Any:
    """A model with a checkpoint's weights; ``others`` are tensors that the checkpoint lacks."""
    model = skeleton(config, spec, held)
    found = checkpoint_weights(config, model)
    names = names_of(model)
    tensors = {names.path(name): tensor for name, tensor in found.items()} | others
    model.load_state_dict(tensors, assign=True)
    return model


def bert_with_pairs(place: Path) -> None:
    """Write ``bert``, three layers and a tokenizer, and ``pairs.jsonl``, texts of two clusters."""
    bert(place / "bert", num_hidden_layers=3)
    write_tokenizer(place / "bert")
    rng = np.random.default_rng(5)
    rows = [
        {"text": f"w{one} w{two}", "text_pair": f"w{two}", "label": f"{'AB'[n % 2]}{n % 4 // 2}"}
        | {"domain": "AB"[n % 2], "split": "train" if n < 32 else "test"}
        for n, (one, two) in enumerate(rng.integers(40, size=(44, 2)))
    ]
    (place / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
