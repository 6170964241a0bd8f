"""`leomix specialise` and `export --to dense`: dense Llamas into merged ones, and out of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import sim
from tests.kit import tiny_checkpoints as tiny
from tests.kit.learning import InputSpec, Learner
from tests.kit.small import slots

TOKENS = 9
SPEC = InputSpec("next_token", (TOKENS,), 1, 61)
QUICK = ("--steps", "12", "--step-size", "0.02", "--tokens", str(TOKENS))
WORDS = 40


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two Llamas of four layers with a tokenizer, and texts in which words follow each other."""
    folder = tmp_path_factory.mktemp("dense")
    tiny.llamas(folder, 2, num_hidden_layers=4, initializer_range=0.1)
    for number in "01":
        tiny.write_tokenizer(folder / number, WORDS)
    rng = np.random.default_rng(3)
    firsts = rng.integers(WORDS, size=200)
    texts = [" ".join(f"w{(first + n) % WORDS}" for n in range(TOKENS)) for first in firsts]
    write_rows(folder / "texts.jsonl", [{"text": text} for text in texts])
    asked = [
        {"question": text, "options": [f"w{n % WORDS}", f"w{(n + 7) % WORDS}"], "answer": n % 2}
        for n, text in enumerate(texts)
    ]
    write_rows(folder / "asked.jsonl", asked)
    write_rows(
        folder / "labelled.jsonl", [{"text": t, "label": n % 2} for n, t in enumerate(texts)]
    )
    return folder


@pytest.fixture
def here(source, tmp_path, monkeypatch):
    """A current folder with copies of these."""
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_rows(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))


def made(leomix, out, *options, data="texts.jsonl"):
    done = leomix("specialise", "0", "--data", data, "-o", out, *QUICK, *options, "--json")
    assert (done.status, done.err) == (0, ""), done
    return json.loads(done.out)


def weights(folder):
    return load_file(Path(folder, "model.safetensors"))


def assert_is_ours(folder):
    """Hugging Face's logits of a folder are those of our merged model of it alone."""
    theirs = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    config = tiny.ModelConfig("merged-llama", experts=1, top_k=1, checkpoints=(str(folder),))
    gates = {f"model.layers.{layer}.mlp.gate.weight": torch.zeros(1, 32) for layer in range(4)}
    ours = tiny.loaded(config, SPEC, **gates)
    tokens = torch.arange(4 * TOKENS).reshape(4, TOKENS)
    with torch.no_grad():
        hidden = ours.model(input_ids=tokens, use_cache=False).last_hidden_state
        found = torch.nn.functional.linear(hidden, ours._head)
        torch.testing.assert_close(found, theirs(tokens).logits, rtol=0, atol=1e-5)


def networks(layers):
    return {
        f"model.layers.{layer}.mlp.{matrix}_proj.weight"
        for layer in layers
        for matrix in ("gate", "up", "down")
    }


def changed(first, second):
    assert first.keys() == second.keys()
    return {name for name, tensor in first.items() if not torch.equal(tensor, second[name])}


@pytest.mark.parametrize("layers", [2, None])
def test_the_loss_falls_and_only_the_last_networks_change(leomix, here, layers):
    asked = () if layers is None else ("--layers", layers)
    told = made(leomix, "new/mine", *asked)
    assert told["after"]["loss"] < told["before"]["loss"] - 0.1
    assert told["after"]["accuracy"] > told["before"]["accuracy"]
    assert (told["test_samples"], told["trained_samples"]) == (40, 96)
    assert changed(weights("0"), weights("new/mine")) == networks(range(4)[-(layers or 4) :])
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        assert Path("0", name).read_bytes() == Path("new/mine", name).read_bytes()
    assert_is_ours("new/mine")
    keys = "learning.model.kind=merged-llama --set 'learning.model.checkpoints=[0, new/mine]'"
    assert told["next"] == f"--set {keys}" + (
        f" --set learning.model.moe_layers={layers}" * bool(layers)
    )
