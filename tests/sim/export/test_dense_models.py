"""`export --to dense`, and examples of real models: dense Llamas into merged ones, and back."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import scenarios
import sim
from learning.data.samples import InputSpec
from tests.kit import tiny_checkpoints as tiny
from tests.kit.small import slots

TOKENS = 9
SPEC = InputSpec("next_token", (TOKENS,), 1, 61)
WORDS = 40
EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "real_models"


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


# -- examples/real_models


@pytest.fixture
def example(here, monkeypatch, capsys):
    """Run an example as one types it; what it prints."""

    def run(name, *line):
        monkeypatch.setattr(sys, "argv", [name, *map(str, line)])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("file", ["texts.jsonl", "asked.jsonl"])
def test_a_variant_differs_in_its_last_networks_and_is_read_as_it_was_written(example, file):
    quick = ("--steps", 12, "--step-size", 0.02, "--tokens", TOKENS)
    told = example("specialise", "0", file, "new", "--layers", 2, *quick).split()
    assert float(told[1]) - float(told[3]) > 0.1
    assert told[-4:] == ["40", "texts", "held", "out"]
    assert changed(weights("0"), weights("new")) == networks([2, 3])
    assert_is_ours("new")
    AutoModelForCausalLM.from_pretrained("0").to(torch.bfloat16).save_pretrained("0")
    example("specialise", "0", file, "sixteen", *quick)
    assert {tensor.dtype for tensor in weights("sixteen").values()} == {torch.bfloat16}
    assert changed(weights("0"), weights("sixteen")) == networks(range(4))


def test_experts_and_adapters_of_a_run_answer(leomix, example, tmp_path):
    run = run_of(tmp_path, "r", tmp_path)
    for to in ("dense", "peft"):
        assert leomix("export", run, "--to", to, "-o", to).status == 0
    folders = ("0", "dense/expert-0", "peft/adapter-hugging-face")
    line = ("w3 w4 w5", *folders, "--tokens", 5, "--tokenizer", "0")
    rows = [row.split() for row in example("answer", *line).splitlines()]
    assert [row[0] for row in rows] == ["question", *folders]
    tokenizer = AutoTokenizer.from_pretrained("0")
    ids = tokenizer("w3 w4 w5\n", return_tensors="pt").input_ids
    for folder, *words in rows[1:3]:
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        made = model.generate(ids, max_new_tokens=5, do_sample=False)[0, ids.shape[1] :]
        assert words == tokenizer.decode(made, skip_special_tokens=True).split()


# -- export --to dense


def run_of(place, name, source, file="texts.jsonl", *, backbone=False, **model):
    """A run of two experts on the texts; ``model`` has more keys of it."""
    data = {"kind": "jsonl", "path": str(source / file), "tokens": TOKENS}
    learns = "next_token" if file == "texts.jsonl" else "label"
    learning = {
        "trains_backbone": backbone,
        "step_size": 0.1,
        "pretraining": {"gate_steps": 2},
        "model": {
            "kind": "merged-llama",
            "checkpoints": [str(source / "0"), str(source / "1")],
            **model,
        },
        "data": {**data, "trial_samples": 4, "objective": learns},
    }
    unsaid = {"experts": 4, "hidden": 64, "expert_hidden": 64}  # what checkpoints fix
    learning["model"] = unsaid | learning["model"]
    sim.run(slots(stop={"cycles": 2}, learning=learning), out=place / name)
    return place / name


@pytest.mark.parametrize("layers", [2, None])
def test_experts_of_a_run_become_dense_models_that_start_another(leomix, source, tmp_path, layers):
    model = {} if layers is None else {"moe_layers": layers}
    run = run_of(tmp_path, "r", source, **model)
    done = leomix("export", run, "--to", "dense", "-o", tmp_path / "d")
    assert (done.status, done.err) == (0, ""), done
    places = [tmp_path / "d" / f"expert-{expert}" for expert in range(2)]
    assert done.out.split() == list(map(str, places))
    end = load_file(run / "model" / "model.safetensors")
    config = tiny.ModelConfig(
        "merged-llama",
        experts=2,
        top_k=1,
        moe_layers=layers,
        checkpoints=tuple(map(str, places)),
    )
    read = tiny.checkpoint_weights(config, tiny.skeleton(config, SPEC))
    assert end.keys() - read.keys() == {f"gate.{layer}.weight" for layer in range(layers or 4)}
    assert changed(read, {name: end[name] for name in read}) == set()
    for expert, place in enumerate(places):
        assert_is_ours(place)
        before = weights(source / str(expert))
        assert changed(before, weights(place)) >= networks(range(4)[-(layers or 4) :])
    own = changed(weights(places[0]), weights(places[1]))
    assert own == networks(range(4)[-(layers or 4) :])


def test_a_backbone_that_was_trained_is_in_each_and_no_head_of_classes(leomix, source, tmp_path):
    run = run_of(tmp_path, "r", source, "labelled.jsonl", backbone=True)
    done = leomix("export", run, "--to", "dense", "-o", tmp_path / "d")
    assert done.err == (
        "the run's head for its classes (score.weight) is left out: these are language models\n"
    )
    end = load_file(run / "model" / "model.safetensors")
    for expert in range(2):
        place = tmp_path / "d" / f"expert-{expert}"
        moved = changed(weights(source / "0"), weights(place))
        assert {"model.norm.weight", "model.layers.0.self_attn.q_proj.weight"} <= moved
        assert "lm_head.weight" not in moved
        backbone = {name: end[name] for name in end if name.startswith("model.")}
        assert changed(backbone, {name: weights(place)[name] for name in backbone}) == set()
        assert_is_ours(place)


@pytest.mark.parametrize("to", ["dense", "peft"])
def test_of_a_model_without_experts_the_weights_are_named(leomix, tmp_path, to):
    run = tmp_path / "run"
    keys = {"stop.cycles": 1, "learning.method": "fedavg", "learning.model": {"kind": "vector-mlp"}}
    sim.run(scenarios.load("paper-slots", keys), run)
    done = leomix("export", run, "--to", to, "-o", tmp_path / "d")
    assert (done.status, done.err.count("\n")) == (2, 1)
    weights = run / "model" / "model.safetensors"
    assert weights.is_file()
    assert done.err == (
        f"leomix: --to {to}: a run of kind vector-mlp has no experts; take all of its weights from "
        f"{weights}\n"
    )


def test_tensors_that_are_not_what_config_says_are_refused_before_a_run(leomix, here):
    """By their headers, in a shipped scenario too, which nothing is tried of."""
    tiny.llamas(here / "six", 1, num_hidden_layers=6)
    tiny.write_tokenizer(here / "six" / "0", WORDS)
    for name in ("mmlu", "cmexam", "medmcqa"):
        shutil.copytree(here / "six" / "0", here / "variants" / name)
        shutil.copy(here / "texts.jsonl", here / f"{name}.jsonl")
    assert leomix("validate", "paper-exp1-real").status == 0
    matrix = "model.layers.3.mlp.up_proj.weight"
    file = here / "variants" / "cmexam" / "model.safetensors"
    kept = load_file(file)
    for tensor, words in (
        (kept[matrix][:, :31], "has the shape (40, 31), but the model (40, 32)"),
        (kept[matrix].to(torch.int8), "is kept as I8, quantised"),
    ):
        save_file({**kept, matrix: tensor.contiguous()}, file)
        done = leomix("validate", "paper-exp1-real")
        assert done.status == 2 and done.err.count("\n") == 1, done
        assert f"cmexam: {matrix} {words}" in done.err
