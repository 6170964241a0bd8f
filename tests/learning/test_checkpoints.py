"""Checkpoints: our Mixtral and merged Llamas against Hugging Face's, and what is read and not."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from transformers import AutoModelForSequenceClassification

from learning import LearningConfig, ModelConfig
from learning.architecture import kinds
from learning.architecture.costs import architecture
from learning.architecture.footprint import footprint
from learning.data.samples import InputSpec
from learning.models.interface import expert_of
from learning.text.checkpoints import save_checkpoint
from tests.kit import tiny_checkpoints as tiny
from tests.kit.choices import SPEC, likelihoods, questions
from tests.kit.learning_inputs import checkpoint_weights
from tests.kit.tiny_checkpoints import CHOICES, TEXT, TOKENS, merged_config, mixtral_config

GATE = {f"model.layers.{layer}.mlp.gate.weight": torch.zeros(3, 32) for layer in range(2)}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0}
LLAMA3 |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 4}
FILE, INDEX = "model.safetensors", "model.safetensors.index.json"


def close(found, expected, atol=1e-5):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def read(config, held=None):
    return checkpoint_weights(config, tiny.skeleton(config, CHOICES, held))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixtral")
    tiny.mixtral(folder)
    return folder


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llamas")
    return folder, tiny.llamas(folder)


def classifier(folder, **keys):
    load = AutoModelForSequenceClassification.from_pretrained
    return load(folder, pad_token_id=0, local_files_only=True, **keys).eval()


@torch.no_grad()
def test_classes_equal_hugging_faces_whatever_the_padding(tmp_path):
    tiny.mixtral(tmp_path, sliding_window=4)
    torch.manual_seed(1)
    theirs = classifier(tmp_path, num_labels=5)
    theirs.score.weight.data = torch.randn(5, 32)
    ours = tiny.loaded(mixtral_config(tmp_path), TEXT, **{"score.weight": theirs.score.weight})
    lengths = torch.tensor([3, TOKENS, 1, 5, TOKENS])[:, None]
    tokens = torch.randint(1, 61, (5, TOKENS), generator=torch.manual_seed(0))
    tokens = torch.where(torch.arange(TOKENS) < lengths, tokens, -1)
    wanted = theirs(input_ids=tokens.clamp_min(0), attention_mask=(tokens >= 0).long()).logits
    close(ours(tokens), wanted)
    assert wanted.std() > 0.5  # so that the tolerance means something
    left = ours(torch.cat([torch.full((5, 3), -1), tokens], 1))
    torch.testing.assert_close(left, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("expert", "keys"),
    [(0, {}), (1, {"tie_word_embeddings": True}), (2, {"rope_parameters": LLAMA3})],
)
@torch.no_grad()
def test_masked_to_one_expert_it_is_that_dense_model(tmp_path, expert, keys):
    models = tiny.llamas(tmp_path, **keys)
    x = questions()
    got = tiny.loaded(merged_config(tmp_path), SPEC, (expert,), **GATE)(x)
    close(got, likelihoods(models[expert], x))
    apart = (likelihoods(models[(expert + 1) % 3], x) - got).nan_to_num(0).abs()
    assert apart.max() > 0.1  # the dense models do differ
    if expert == 0:  # Top-1 over all: with equal logits the first is chosen, and counts in full
        close(tiny.loaded(merged_config(tmp_path), SPEC, **GATE)(x), got)
        # A dense block before the experts, run by itself, as its states are saved for training.
        dense_first = replace(merged_config(tmp_path), moe_layers=1)
        gate = dict([list(GATE.items())[1]])
        model = tiny.loaded(dense_first, SPEC, (expert,), **gate)
        close(model.after_embedding(*model.before_experts(x)), got)


@pytest.mark.parametrize(
    ("kind", "experts", "parameters"),
    [
        ("mixtral-8x7b", 8, 46_702_792_704),
        ("llama-3-8b-x3", 3, 8_030_261_248 + 2 * 5_637_144_576 + 3 * 4096 * 32),
    ],
)
def test_full_sizes_are_those_of_the_published_models(kind, experts, parameters):
    """Mixtral-8x7B's; Llama-3-8B's, with two more feed-forward networks, and gates."""
    config = ModelConfig(kind=kind, experts=experts)
    spec = InputSpec("choices", (4, 2, 384), 4, None)
    whole = list(tiny.skeleton(config, spec).parameters())
    assert sum(p.numel() for p in whole) == parameters
    task = LearningConfig(0, ("a",), (1,), config)
    sizes = architecture(task)
    counted = experts * sizes.expert_parameters + sizes.gate_parameters
    assert counted + sizes.backbone_parameters == parameters
    kept = footprint(kinds.resolved_task(task), cycles=60, versions=3, own_experts=True)
    assert (kept.parameters, kept.model) == (parameters, 2 * parameters)


def split_by_expert(folder):
    """One file an expert, one for the rest, and an index: as large checkpoints are sharded."""
    parts = {}
    for name, tensor in load_file(folder / FILE).items():
        expert = name.partition(".experts.")[2].partition(".")[0] or "rest"
        parts.setdefault(f"model-{expert}.safetensors", {})[name] = tensor
    for file, tensors in parts.items():
        save_file(tensors, folder / file, metadata={"format": "pt"})
    index = {name: file for file, tensors in parts.items() for name in tensors}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / FILE).unlink()


def test_sharded_and_fused_files_hold_the_same_and_only_what_is_held_is_opened(one, tmp_path):
    whole = read(mixtral_config(one))
    for name, change in (("fused", tiny.fuse), ("split", split_by_expert)):
        change(shutil.copytree(one, tmp_path / name))
        assert same(read(mixtral_config(tmp_path / name)), whole)
    held = {n: t for n, t in whole.items() if expert_of(n) in (None, 2)}
    for expert in (0, 1, 3):
        (tmp_path / "split" / f"model-{expert}.safetensors").unlink()
    config = mixtral_config(tmp_path / "split")
    assert same(read(config, held=(2,)), held)
    with pytest.raises(ValueError, match=r"model-0\.safetensors: is missing.*copy"):
        read(config, held=(0, 2))


@torch.no_grad()
def test_merged_dense_models_become_a_mixtral_that_is_read_by_us_and_by_hugging_face(
    dense, tmp_path
):
    config = merged_config(dense[0])
    gates = {f"gate.{layer}.weight": torch.randn(3, 32) for layer in range(2)}
    found = checkpoint_weights(config, tiny.skeleton(config, TEXT)) | gates
    save_checkpoint(tmp_path, config, found | {"score.weight": torch.randn(5, 32)})
    tokens = torch.arange(1, 19).reshape(2, 9)
    ours = tiny.loaded(mixtral_config(tmp_path, experts=3, top_k=1), TEXT)
    close(ours(tokens), classifier(tmp_path)(input_ids=tokens).logits)


OLD = {"rope_parameters": None, "rope_theta": 5e5}
GPTQ = {"quant_method": "gptq"}


def change_config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def test_sizes_and_rotary_embeddings_come_from_the_checkpoint(one, tmp_path):
    found = kinds.resolved(ModelConfig(kind="mixtral", checkpoints=(str(one),)))
    assert (found.experts, found.top_k, found.hidden, found.expert_hidden) == (4, 2, 32, 40)
    assert (found.layers, found.heads, found.kv_heads, found.vocabulary) == (2, 4, 2, 61)
    linear = {"rope_type": "linear", "rope_theta": 5e5, "factor": 2.0}
    tiny.llamas(tmp_path, 1, rope_parameters=linear)
    new = kinds.text_shape(merged_config(tmp_path, 1))
    scaling = {"type": "linear", "factor": 2.0}  # as older files say it
    change_config(**OLD, rope_scaling=scaling)(tmp_path / "0")
    assert kinds.text_shape(merged_config(tmp_path, 1)) == new


def change_tensor(tensor):
    return lambda folder: save_file({**load_file(folder / FILE), W1: tensor}, folder / FILE)


def rewrite(file, data):
    return lambda folder: (folder / file).write_bytes(data)


def rename(new, file=FILE):
    return lambda folder: (folder / file).rename(folder / new)


W1 = "model.layers.1.block_sparse_moe.experts.3.w1.weight"
LESS = LLAMA3 | {"factor": None}
NORM = {"model.norm.weight": torch.ones(32)}


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (rename("c.json", "config.json"), r"no checkpoint \(it has no config.json\)"),
        (rename("weights"), r"no weights \(it has no \*.safetensors\)"),
        (rename("w.gguf"), r"GGUF \(w.gguf\), which cannot be trained; .* by transformers"),
        (rename("pytorch_model.bin"), r"pickled weights \(pytorch_model.bin\), which are not"),
        (rewrite(FILE, b"\x10" + bytes(30)), r"model.safetensors: is broken"),
        (change_config(model_type="qwen2"), "model_type is 'qwen2'; only mixtral is read"),
        (change_config(hidden_act="gelu"), "hidden_act is 'gelu'; only 'silu' is read"),
        (change_config(num_experts_per_tok=5), r"top_k is 5; with 4 experts: 1 to 4"),
        (change_config(num_key_value_heads=3), "num_attention_heads is 4; must be a multiple"),
        (change_config(quantization_config=GPTQ), "the weights are quantised; u"),
        (change_config(vocab_size=40), "tokenizer knows 61 tokens, the model 40"),
        (change_config(rope_parameters=LESS), "lacks factor, which rope_type 'llama3' needs"),
        (change_tensor(torch.zeros(40, 32, dtype=torch.int8)), rf"{W1} is kept as I8, quant"),
        (change_tensor(torch.full((40, 32), torch.nan)), rf"{W1} holds numbers that are not"),
        (change_tensor(torch.zeros(40, 31)), rf"{W1} has the shape \(40, 31\), but"),
        (rewrite(FILE, save(NORM)), r"lacks model.embed_tokens.weight and 39 other tensors"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(one, tmp_path, break_it, text):
    folder = shutil.copytree(one, tmp_path / "broken")
    break_it(folder)
    with pytest.raises(ValueError, match=text) as error:
        read(kinds.resolved(mixtral_config(folder)))
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value) or text.startswith(("tokenizer", "top_k"))


def test_places_without_a_model_are_refused(tmp_path):
    """By all kinds, also by one whose shape needs no folder."""
    named = ("hub:owner/name",) * 3
    for kind in ("mixtral", "merged-llama", "merged-bert", "llama-3-8b-x3"):
        some = named[:1] if kind == "mixtral" else named
        with pytest.raises(ValueError, match="hf download owner/name --local-dir FOLDER"):
            kinds.text_shape(ModelConfig(kind, checkpoints=some))
    file = tmp_path / "w.gguf"
    file.write_bytes(b"GGUF")
    for place in (tmp_path, file):
        with pytest.raises(ValueError, match=rf"{place}: holds GGUF \(w.gguf\), which cannot be t"):
            kinds.text_shape(mixtral_config(place))
    with pytest.raises(ValueError, match="nowhere: no such folder; name a local folder"):
        read(mixtral_config(tmp_path / "nowhere"))


def test_code_in_the_folder_of_a_model_is_not_run(one, tmp_path, monkeypatch):
    folder = shutil.copytree(one, tmp_path / "coded")
    (folder / "modeling.py").write_text("open('ran', 'w').close()\nclass It: pass\n")
    named = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer"), "modeling.It")
    change_config(auto_map=named)(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": named}))
    monkeypatch.chdir(folder)
    config = mixtral_config(folder)
    assert read(config).keys() == read(mixtral_config(one)).keys() and kinds.text_shape(config)
    assert not (folder / "ran").exists()


def test_dense_models_that_do_not_fit_are_not_put_together(dense, tmp_path):
    places = (str(dense[0] / "0"), str(tmp_path / "0"))
    config = replace(merged_config(tmp_path, 2), checkpoints=places)
    tiny.llamas(tmp_path, 1, intermediate_size=44)
    with pytest.raises(ValueError, match=r"0: expert_hidden is 44, but 40.* in .*0; dense"):
        kinds.text_shape(config)
    # Llama 3.1 has Llama 3's shapes and other rotary embeddings
    tiny.llamas(tmp_path, num_attention_heads=32, rope_parameters=LLAMA3, hidden_size=64)
    config = replace(merged_config(tmp_path), kind="llama-3-8b-x3")
    with pytest.raises(ValueError, match=r"rope is .*llama3.*; use kind 'merged-llama'"):
        read(config)
    with pytest.raises(ValueError, match="'merged-llama' needs checkpoints"):
        kinds.text_shape(ModelConfig("merged-llama"))
    with pytest.raises(ValueError, match="got 3; the model has 2 layers"):
        kinds.text_shape(replace(merged_config(dense[0]), moe_layers=3))


def test_a_text_model_takes_texts():
    with pytest.raises(ValueError, match="takes text or choices"):
        tiny.skeleton(ModelConfig(kind="mixtral"), InputSpec("vector", (64,), 10))
