"""Checkpoints on disk: what is read, what is not, what is written, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.kit.learning import ModelConfig, check_memory, resolved, text_shape
from tests.kit.tiny_checkpoints import (
    CHOICES,
    TEXT,
    llamas,
    loaded,
    merged_config,
    mixtral,
    mixtral_config,
    skeleton,
)
from tests.kit.training import checkpoint_weights, expert_of, save_checkpoint


def read(config: ModelConfig, held: tuple[int, ...] | None = None) -> dict[str, Tensor]:
    return checkpoint_weights(config, skeleton(config, CHOICES, held))


def split_by_expert(folder: Path) -> None:
    """One file an expert, one for the rest, and an index: as large checkpoints are sharded."""
    whole = load_file(folder / "model.safetensors")
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in whole.items():
        expert = name.partition(".experts.")[2].partition(".")[0] or "rest"
        parts.setdefault(f"model-{expert}.safetensors", {})[name] = tensor
    for file, tensors in parts.items():
        save_file(tensors, folder / file, metadata={"format": "pt"})
    index = {name: file for file, tensors in parts.items() for name in tensors}
    text = json.dumps({"metadata": {}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(text)
    (folder / "model.safetensors").unlink()


def fuse(folder: Path) -> None:
    """Rewrite a file with the names and shapes that transformers uses in memory."""
    tensors = load_file(folder / "model.safetensors")
    rest = {n: t for n, t in tensors.items() if "block_sparse_moe" not in n}
    for layer in range(2):
        block = f"model.layers.{layer}.block_sparse_moe"
        w1, w2, w3 = (
            torch.stack([tensors[f"{block}.experts.{e}.{w}.weight"] for e in range(4)])
            for w in ("w1", "w2", "w3")
        )
        ours = f"model.layers.{layer}.mlp"
        rest[f"{ours}.experts.gate_up_proj"] = torch.cat([w1, w3], 1)
        rest[f"{ours}.experts.down_proj"] = w2
        rest[f"{ours}.gate.weight"] = tensors[f"{block}.gate.weight"]
    save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_sharded_and_fused_files_hold_the_same_weights(tmp_path: Path) -> None:
    mixtral(tmp_path)
    plain = read(mixtral_config(tmp_path))
    fuse(tmp_path)
    assert same(read(mixtral_config(tmp_path)), plain)
    mixtral(tmp_path)
    split_by_expert(tmp_path)
    assert same(read(mixtral_config(tmp_path)), plain)


@pytest.mark.parametrize("damage", ["missing", "broken"])
def test_files_of_experts_that_are_not_held_are_never_opened(tmp_path: Path, damage: str) -> None:
    mixtral(tmp_path)
    whole = read(mixtral_config(tmp_path))
    split_by_expert(tmp_path)
    for expert in (0, 1, 3):
        file = tmp_path / f"model-{expert}.safetensors"
        file.unlink() if damage == "missing" else file.write_bytes(b"nothing of use")
    found = read(mixtral_config(tmp_path), held=(2,))
    assert same(found, {n: t for n, t in whole.items() if expert_of(n) in (None, 2)})
    with pytest.raises(ValueError, match=rf"model-0\.safetensors: is {damage}.*copy"):
        read(mixtral_config(tmp_path), held=(0, 2))


def test_dense_models_of_experts_that_are_not_held_are_never_opened(tmp_path: Path) -> None:
    llamas(tmp_path)
    whole = read(merged_config(tmp_path))
    (tmp_path / "2" / "model.safetensors").write_bytes(b"nothing of use")
    found = read(merged_config(tmp_path), held=(0, 1))
    assert same(found, {n: t for n, t in whole.items() if expert_of(n) != 2})


def test_dense_models_have_no_gate_and_the_first_gives_the_backbone(tmp_path: Path) -> None:
    models = llamas(tmp_path)
    with torch.no_grad():
        models[1].lm_head.weight.zero_()
    models[1].save_pretrained(tmp_path / "1")
    found = read(merged_config(tmp_path))
    assert not [name for name in found if name.startswith("gate.")]
    assert torch.equal(found["lm_head.weight"], models[0].lm_head.weight)
    for expert, model in enumerate(models):
        for matrix in ("gate", "up", "down"):
            dense = getattr(model.model.layers[1].mlp, f"{matrix}_proj").weight
            assert torch.equal(found[f"expert.{expert}.1.{matrix}.weight"], dense)


def test_save_and_load_changes_nothing_and_hugging_face_reads_it(tmp_path: Path) -> None:
    theirs = mixtral(tmp_path / "theirs", rope_parameters={"rope_type": "default", "rope_theta": 7})
    config = mixtral_config(tmp_path / "theirs")
    start = read(config)
    save_checkpoint(tmp_path / "ours", config, start)
    assert same(read(mixtral_config(tmp_path / "ours")), start)
    assert text_shape(mixtral_config(tmp_path / "ours")) == text_shape(config)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", local_files_only=True).eval()
    tokens = torch.arange(14).reshape(2, 7)
    with torch.no_grad():
        assert torch.equal(again(tokens).logits, theirs(tokens).logits)


def test_merged_dense_models_become_a_mixtral_that_hugging_face_runs(tmp_path: Path) -> None:
    llamas(tmp_path)
    config = merged_config(tmp_path)
    torch.manual_seed(0)
    gates = {f"gate.{layer}.weight": torch.randn(3, 32) for layer in range(2)}
    head = {"score.weight": torch.randn(5, 32)}
    found = checkpoint_weights(config, skeleton(config, TEXT)) | gates | head
    save_checkpoint(tmp_path / "merged", config, found)
    theirs = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "merged", pad_token_id=0, local_files_only=True
    ).eval()
    ours = loaded(mixtral_config(tmp_path / "merged", experts=3, top_k=1), TEXT)
    tokens = torch.arange(1, 19).reshape(2, 9)
    with torch.no_grad():
        expected = theirs(input_ids=tokens).logits
        torch.testing.assert_close(ours(tokens), expected, rtol=0, atol=1e-5)


def test_sizes_come_from_the_checkpoint(tmp_path: Path) -> None:
    mixtral(tmp_path)
    found = resolved(ModelConfig(kind="mixtral", checkpoints=(str(tmp_path),)))
    assert (found.experts, found.top_k, found.hidden, found.expert_hidden) == (4, 2, 32, 40)
    assert (found.layers, found.heads, found.kv_heads, found.vocabulary) == (2, 4, 2, 61)


def test_old_and_new_files_say_the_same_of_rotary_embeddings(tmp_path: Path) -> None:
    llamas(tmp_path, 1, rope_parameters={"rope_type": "linear", "rope_theta": 5e5, "factor": 2.0})
    new = text_shape(merged_config(tmp_path, 1))
    path = tmp_path / "0" / "config.json"
    said = json.loads(path.read_text())
    del said["rope_parameters"]
    said |= {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}}
    path.write_text(json.dumps(said))
    assert text_shape(merged_config(tmp_path, 1)) == new


def change_config(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def change_tensors(name: str, tensor: Tensor | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        found = load_file(path)
        del found[name]
        save_file(found if tensor is None else {**found, name: tensor}, path)

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


W1 = "model.layers.1.block_sparse_moe.experts.3.w1.weight"


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda f: (f / "config.json").unlink(), r"no checkpoint \(it has no config.json\)"),
        (lambda f: (f / "config.json").write_text("{"), "config.json: not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "should be a JSON object"),
        (lambda f: (f / "model.safetensors").unlink(), r"no weights \(it has no \*.safetensors\)"),
        (pickled, r"pickled weights \(pytorch_model.bin\), which are not read; save it"),
        (cut_off, r"model.safetensors: is broken"),
        (change_config(model_type="qwen2"), "model_type is 'qwen2'; only mixtral is read"),
        (change_config(hidden_act="gelu"), "hidden_act is 'gelu'; only 'silu' is read"),
        (
            change_config(rope_parameters={"rope_type": "dynamic", "factor": 2.0}),
            "rope_type is 'dynamic'; only default, linear, llama3, yarn are read",
        ),
        (change_config(hidden_size="32"), "hidden_size is '32'; must be a whole number"),
        (change_config(rope_parameters=[1]), r"rope_parameters is \[1\]; must be an object"),
        (
            change_config(rope_parameters={"rope_type": "llama3", "rope_theta": 1e4}),
            "rope_parameters lacks factor, which rope_type 'llama3' needs",
        ),
        (
            change_config(rope_parameters={"rope_type": "linear", "factor": "2"}),
            "rope_parameters: factor is '2'; must be a number above 0",
        ),
        (
            change_config(rope_parameters={"rope_type": "default", "mrope_section": [8, 8]}),
            r"rope_parameters: mrope_section is \[8, 8\]; must be a number",
        ),
        (change_config(rope_parameters={"rope_type": ["yarn"]}), r"rope_type is \['yarn'\]; only"),
        (
            change_config(rope_parameters=None, rope_theta="1e4"),
            "config.json: rope_theta is '1e4'; must be a number above 0",
        ),
        (change_config(rms_norm_eps="abc"), "rms_norm_eps is 'abc'; must be a number above 0"),
        (change_config(sliding_window="8"), "sliding_window is '8'; must be a whole number"),
        (change_config(tie_word_embeddings="no"), "tie_word_embeddings is 'no'; must be true or"),
        (change_config(num_key_value_heads=3), "num_attention_heads is 4; must be a multiple"),
        (
            change_config(quantization_config={"quant_method": "gptq"}),
            "config.json: quantization_config says that the weights are quantised; use",
        ),
        (change_tensors(W1, torch.zeros(40, 32).to(torch.int8)), rf"{W1} is kept as I8, quant"),
        (change_tensors(W1, torch.full((40, 32), torch.nan)), rf"{W1} holds numbers that are not"),
        (change_config(intermediate_size=41), r"\(40, 32\), but the model \(41, 32\)"),
        (change_config(vocab_size=40), "tokenizer knows 61 tokens, the model 40"),
        (change_tensors(W1, None), rf"lacks {W1}; save"),
        (change_tensors(W1, torch.zeros(40, 31)), rf"{W1} has the shape \(40, 31\), but"),
        (
            lambda f: save_file({"model.norm.weight": torch.ones(32)}, f / "model.safetensors"),
            r"lacks model.embed_tokens.weight and 39 other tensors",
        ),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": []}'),
            r"index.json: no index of safetensors files",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    tmp_path: Path, break_it: Callable[[Path], None], text: str
) -> None:
    mixtral(tmp_path)
    break_it(tmp_path)
    with pytest.raises(ValueError, match=text) as error:
        read(mixtral_config(tmp_path))
    assert ("\n" not in str(error.value) and str(tmp_path) in str(error.value)) or "token" in text


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        text_shape(mixtral_config(tmp_path / "nowhere"))


def test_dense_models_of_different_shapes_are_not_put_together(tmp_path: Path) -> None:
    llamas(tmp_path, 2)
    llamas(tmp_path / "other", 1, intermediate_size=44)
    (tmp_path / "other" / "0").rename(tmp_path / "2")
    with pytest.raises(ValueError, match=r"2: expert_hidden is 44, but 40 in .*0; dense models"):
        text_shape(merged_config(tmp_path))


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"vocab_size": 62}, "vocabulary is 62, but 61"),
        ({"num_attention_heads": 8, "head_dim": 8}, "heads is 8, but 4"),
        ({"num_key_value_heads": 4}, "kv_heads is 4, but 2"),
        ({"head_dim": 16}, "head_dim is 16, but 8"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 77.0}}, "rope is .*77.0"),
    ],
)
def test_dense_models_around_other_backbones_are_not_put_together(
    tmp_path: Path, keys: dict[str, Any], text: str
) -> None:
    llamas(tmp_path, 1)
    llamas(tmp_path / "other", 1, **keys)
    (tmp_path / "other" / "0").rename(tmp_path / "1")
    with pytest.raises(ValueError, match=rf"1: {text}.* in .*0; dense models must"):
        text_shape(merged_config(tmp_path, 2))


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (ModelConfig(kind="merged-llama"), "needs checkpoints"),
        (ModelConfig(kind="mixtral", checkpoints=("a", "b")), "reads one checkpoint, not 2"),
        (ModelConfig(kind="mixtral-8x7b", checkpoints=("a", "b")), "reads 1 checkpoint, not 2"),
        (ModelConfig(kind="llama-3-8b-x3", checkpoints=("a",)), "reads 3 checkpoints, not 1"),
        (ModelConfig(kind="mixtral", hidden=30, heads=4), "must be a whole, even number"),
        (ModelConfig(kind="mixtral", heads=4, kv_heads=3), "a multiple of kv_heads"),
        (ModelConfig(kind="vector-moe"), "no text model"),
    ],
)
def test_keys_that_do_not_go_together(config: ModelConfig, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        text_shape(config)


def test_a_checkpoint_that_computes_something_else_than_its_kind_is_refused(
    tmp_path: Path,
) -> None:
    """Llama 3.1 has Llama 3's shapes and other rotary embeddings."""
    rope = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    llamas(tmp_path, num_attention_heads=32, rope_parameters=rope, hidden_size=64)
    config = replace(merged_config(tmp_path), kind="llama-3-8b-x3")
    with pytest.raises(ValueError, match=r"rope is .*llama3.*; use kind 'merged-llama'"):
        checkpoint_weights(config, skeleton(config, CHOICES))


def test_a_model_that_does_not_fit_is_refused_with_both_figures() -> None:
    check_memory(1e6, "cpu")
    with pytest.raises(ValueError, match=r"needs 93132.3 GiB and the machine has \d+\.\d GiB free"):
        check_memory(1e14, "cpu")
