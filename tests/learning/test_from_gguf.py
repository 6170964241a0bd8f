"""GGUF made into folders: as transformers reads it, and as leomix's own checkpoints."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tests.kit import fetching as kit
from tests.kit import tiny_checkpoints as tiny
from tests.kit.learning import ModelConfig
from tests.kit.training import checkpoint_weights

pytest.importorskip("gguf", reason="needs the extra leomix[gguf]")

ROPE = {"rope_type": "default", "rope_theta": 5e5}
SIZES = {"vocab_size": len(kit.TOKENS), "intermediate_size": 64, "num_key_value_heads": 2}


def llama(**keys):
    torch.manual_seed(0)
    given = {**tiny.SIZES, **SIZES, "rms_norm_eps": 1e-5, "rope_parameters": ROPE, **keys}
    return LlamaForCausalLM(LlamaConfig(**given)).eval()


def converted(tmp_path, model, precision="float32", tensors=None, **keys):
    file = tmp_path / "tiny.gguf"
    kit.write_gguf(file, model, kit.gguf_tensors(model) if tensors is None else tensors, **keys)
    folder = tmp_path / precision
    folder.mkdir()
    kit.convert(file, folder, precision)
    return folder


@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_a_llama_comes_back_as_it_was(tmp_path, tied):
    model = llama(tie_word_embeddings=tied)
    tensors = kit.gguf_tensors(model)
    if tied:
        del tensors["output.weight"]
    folder = converted(tmp_path, model, tensors=tensors)
    read = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    asked = torch.arange(20)[None]
    assert torch.equal(read(asked).logits, model(asked).logits)
    assert ("lm_head.weight" in load_file(folder / "model.safetensors")) != tied
    # transformers reads such a file by code of its own
    theirs = LlamaForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32)
    assert torch.equal(theirs(asked).logits, model(asked).logits)


def test_four_bits_become_the_numbers_that_they_stand_for(tmp_path):
    """Rows of 32 numbers that Q4_1 holds exactly: a minimum and 16 equal steps."""
    model = llama()
    steps = np.random.default_rng(0).integers(1, 15, (len(kit.TOKENS), 32))
    steps[:, :2] = 0, 15
    embedding = (steps * 0.25 - 2.0).astype(np.float32)
    tensors = {**kit.gguf_tensors(model), "token_embd.weight": embedding}
    folder = converted(tmp_path, model, "bfloat16", tensors, kind="Q4_1")
    found = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}
    assert torch.equal(found["model.embed_tokens.weight"].float(), torch.from_numpy(embedding))
    before = model.state_dict()["model.layers.1.self_attn.k_proj.weight"]
    error = (found["model.layers.1.self_attn.k_proj.weight"].float() - before).abs().max()
    assert 0 < error < (before.max() - before.min()) / 15  # half a step, and rounding


def test_the_folder_is_a_checkpoint_of_merged_models(tmp_path):
    model = llama()
    folder = converted(tmp_path, model, "bfloat16")
    config = json.loads((folder / "config.json").read_text())
    assert (config["rms_norm_eps"], config["dtype"]) == (1e-5, "bfloat16")
    assert "quantization_config" not in config
    named = ModelConfig(kind="merged-llama", experts=1, top_k=1, checkpoints=(str(folder),))
    found = checkpoint_weights(named, tiny.skeleton(named, tiny.CHOICES))
    expected = model.state_dict()["model.layers.1.mlp.down_proj.weight"].bfloat16()
    assert torch.equal(found["expert.0.1.down.weight"], expected)


def test_the_tokenizer_splits_digits_and_keeps_texts(tmp_path):
    folder = converted(tmp_path, llama())
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert raw.encode("ab a  12").tokens == ["ab", "Ġa", "ĠĠ", "1", "2"]
    assert raw.encode("<|im_start|>a").ids[0] == 1
    loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert (loaded.eos_token, loaded.bos_token) == ("<|im_end|>", "<|im_start|>")
    for text in ("Größe 中文 \t 3.5", "a  12 b\n\n"):
        assert loaded(text).input_ids == raw.encode(text).ids
        assert loaded.decode(raw.encode(text).ids) == text


def other(name, value):
    return lambda tensors: tensors.update({name: value})


@pytest.mark.parametrize(
    ("keys", "change", "text"),
    [
        ({"architecture": "qwen2"}, None, "general.architecture is 'qwen2'; only 'llama' is read"),
        ({"pre": "llama-bpe"}, None, "tokenizer.ggml.pre is 'llama-bpe'; only 'smollm' is read"),
        ({"scaling": "yarn"}, None, "llama.rope.scaling.type is 'yarn'; only 'none' is read"),
        ({}, other("rope_freqs.weight", np.ones(4, np.float32)), "holds rope_freqs.weight, which"),
        ({}, lambda held: held.pop("blk.1.ffn_up.weight"), "lacks model.layers.1.mlp.up_proj.we"),
    ],
)
def test_what_is_no_such_llama_is_refused(tmp_path, keys, change, text):
    model = llama()
    tensors = kit.gguf_tensors(model)
    if change is not None:
        change(tensors)
    with pytest.raises(ValueError, match=text) as error:
        converted(tmp_path, model, tensors=tensors, **keys)
    assert str(error.value).startswith(str(tmp_path / "tiny.gguf"))
    assert list((tmp_path / "float32").iterdir()) == []
