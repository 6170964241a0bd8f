"""GGUF files of Llama models, made into folders of Hugging Face that can be trained.

GGUF keeps most weights in a few bits. They are read as floating-point numbers, which are no nearer
to the published weights than those bits. Needs the optional package gguf.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.files import at_once, write_bytes
from learning.models.checkpoints import save_tensors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
"""What GGUF calls tensors outside the layers, and Hugging Face does."""
IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3
"""The type of a token that stands for no text, in ``tokenizer.ggml.token_type``."""


def convert(file: Path, folder: Path, precision: str) -> None:
    """Write config.json, model.safetensors and a tokenizer of a GGUF file into a folder.

    ``precision`` is a key of PRECISIONS. Raises :class:`ValueError` for a model that is no Llama,
    has scaled rotary embeddings, or another tokenizer than SmolLM's byte-level BPE, for keys that
    are missing, and for tensors that a Llama does not have.
    """
    from gguf import GGUFReader

    reader = GGUFReader(file)
    keys = _Keys({name: field.contents() for name, field in reader.fields.items()}, file)
    keys.check("general.architecture", "llama")
    keys.check("tokenizer.ggml.model", "gpt2")
    keys.check("tokenizer.ggml.pre", "smollm")
    keys.check("llama.rope.scaling.type", "none", needed=False)
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    config = llama_config(keys, precision, tied=tied)
    tensors = {
        name: torch.from_numpy(weights).to(PRECISIONS[precision]).contiguous()
        for name, weights in (_read(tensor, config, file) for tensor in reader.tensors)
    }
    _check_layers(tensors, config, file)
    _write_json(folder / "config.json", config)
    save_tensors(folder / "model.safetensors", tensors)
    with at_once(folder / "tokenizer.json") as part:
        byte_level_bpe(keys).save(str(part))
    _write_json(folder / "tokenizer_config.json", _special(keys))


class _Keys(dict[str, Any]):
    """The keys of a GGUF file; to ask for one that is missing is a ValueError."""

    def __init__(self, values: Mapping[str, Any], file: Path) -> None:
        super().__init__(values)
        self._file = file

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"{self._file}: lacks {key}; get the file again from its source")

    def check(self, key: str, right: str, *, needed: bool = True) -> None:
        """Raise ValueError for another value than the ``right`` one, and for none if needed."""
        if (needed or key in self) and self[key] != right:
            raise ValueError(f"{self._file}: {key} is {self[key]!r:.60}; only {right!r} is read")


def llama_config(keys: Mapping[str, Any], precision: str, *, tied: bool) -> dict[str, Any]:
    """Return the config.json of a Llama from the keys of its GGUF file."""
    heads = keys["llama.attention.head_count"]
    hidden = keys["llama.embedding_length"]
    # float32 there: the shortest decimal of the same number is what the model was made with.
    norm_eps = float(str(np.float32(keys["llama.attention.layer_norm_rms_epsilon"])))
    theta = float(keys.get("llama.rope.freq_base", 1e4))
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": keys["llama.feed_forward_length"],
        "num_hidden_layers": keys["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": keys.get("llama.attention.head_count_kv", heads),
        "head_dim": hidden // heads,
        "vocab_size": len(keys["tokenizer.ggml.tokens"]),
        "max_position_embeddings": keys["llama.context_length"],
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rms_norm_eps": norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "tie_word_embeddings": tied,
        "bos_token_id": keys["tokenizer.ggml.bos_token_id"],
        "eos_token_id": keys["tokenizer.ggml.eos_token_id"],
        "dtype": precision,
    }


def _read(tensor: Any, config: Mapping[str, Any], file: Path) -> tuple[str, NDArray[np.float32]]:
    """Return a tensor's name and its numbers, (out, in) or (out,), as Hugging Face has them."""
    from gguf import dequantize

    weights = np.array(dequantize(tensor.data, tensor.tensor_type), np.float32)
    match tensor.name.split("."):
        case ["blk", layer, part, "weight"] if part in IN_LAYER:
            if part in ("attn_q", "attn_k"):
                heads = "num_attention_heads" if part == "attn_q" else "num_key_value_heads"
                weights = halves(weights, config[heads])
            return f"model.layers.{int(layer)}.{IN_LAYER[part]}.weight", weights
        case _ if tensor.name in WHOLE:
            return WHOLE[tensor.name], weights
    raise ValueError(f"{file}: holds {tensor.name}, which no Llama has; it is not converted")


def halves(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Return rows (out, in) of queries or keys in the order of Hugging Face's rotary embedding.

    In GGUF, the two rows of a head that are rotated together are neighbours; there, they are half a
    head apart.
    """
    out, inner = weights.shape
    return weights.reshape(heads, out // heads // 2, 2, inner).swapaxes(1, 2).reshape(out, inner)


def _check_layers(tensors: Mapping[str, Tensor], config: Mapping[str, Any], file: Path) -> None:
    wanted = {name for gguf, name in WHOLE.items() if gguf != "output.weight"}
    layers = range(config["num_hidden_layers"])
    wanted |= {f"model.layers.{n}.{part}.weight" for n in layers for part in IN_LAYER.values()}
    if missing := sorted(wanted - tensors.keys()):
        raise ValueError(f"{file}: lacks {missing[0]}; get the file again from its source")


def byte_level_bpe(keys: Mapping[str, Any]) -> Tokenizer:
    """Return SmolLM's tokenizer: bytes, merged by pairs; each digit is a token of its own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = keys["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ", 1)) for pair in keys["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    kinds = zip(tokens, keys["tokenizer.ggml.token_type"], strict=True)
    control = [token for token, kind in kinds if kind == CONTROL]
    made.add_special_tokens([AddedToken(token, normalized=False) for token in control])
    return made


def _special(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return tokenizer_config.json: the tokens of a special meaning, and the form of a chat."""
    tokens = keys["tokenizer.ggml.tokens"]
    found: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        key = f"tokenizer.ggml.{theirs}_token_id"
        if key in keys:
            found[f"{ours}_token"] = tokens[keys[key]]
    if "tokenizer.chat_template" in keys:
        found["chat_template"] = keys["tokenizer.chat_template"]
    return found


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
