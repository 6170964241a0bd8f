"""`leomix specialise` and `export --to dense`: dense Llamas into merged ones, and out of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import scenarios
import sim
from tests.kit import tiny_checkpoints as tiny
from tests.kit.learning import InputSpec
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


def test_a_tied_head_stays_tied_whatever_is_stored_for_it(leomix, here):
    tiny.llamas(here, 1, num_hidden_layers=4, tie_word_embeddings=True)
    tensors = weights("0")
    assert "lm_head.weight" not in tensors
    save_file(tensors | {"lm_head.weight": torch.ones(61, 32)}, "0/model.safetensors")
    made(leomix, "new")
    assert changed(tensors, weights("new")) == networks(range(4))
    assert_is_ours("new")


def test_the_same_seed_writes_the_same_bytes(leomix, here):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made(leomix, name, "--layers", 1, "--seed", seed)
    first, second, other = (
        {path.name: path.read_bytes() for path in Path(name).iterdir()} for name in "abc"
    )
    assert first == second
    assert changed(weights("a"), weights("c")) == networks([3])
    assert json.loads(other["SOURCE.json"])["seed"] == 2


def test_the_written_precision_is_the_checkpoints_and_so_is_what_is_tested(leomix, here):
    """In sixteen bits what is told is the loss of what was written, not of what was trained."""
    model = AutoModelForCausalLM.from_pretrained("0", local_files_only=True)
    model.to(torch.bfloat16).save_pretrained("0")
    Path("0", "SOURCE.json").write_text('{"licence": "of somebody"}')
    first = made(leomix, "new")
    assert {tensor.dtype for tensor in weights("new").values()} == {torch.bfloat16}
    assert json.loads(Path("new/SOURCE.json").read_text())["source"] == {"licence": "of somebody"}
    shutil.rmtree("0")
    shutil.move("new", "0")
    again = made(leomix, "again")
    assert again["before"] == first["after"]


def test_questions_are_learnt_by_their_right_option_too(leomix, here):
    told = made(leomix, "new", "--objective", "label", data="asked.jsonl")
    assert told["after"]["loss"] < told["before"]["loss"]
    done = leomix("specialise", "0", "--data", "texts.jsonl", "-o", "a{b}, c", "--steps", 1)
    assert done.out.endswith("""checkpoints=[0, "a{b}, c"]'\n""")
    said = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert list(said) == ["tuned", "loss", "right", "tested", "wrote", "next"]
    assert said["tuned"].startswith("0: 1 step of 8 texts out of 8, 4 layers at rank 4, in ")


REFUSED = [
    (["nowhere"], "nowhere: no such folder"),
    (["mixture"], "model_type is 'mixtral'; only llama or mistral is read"),
    (["quantised"], "the weights are quantised"),
    (["pickled"], "pickled: no weights"),
    (["bare"], "bare: has no tokenizer.json, without which no text is read"),
    (["knows-few"], "knows-few/tokenizer.json: cannot read every text (WordLevel error"),
    (["0", "--data", "none.jsonl"], "--data none.jsonl: no such file"),
    (["0", "--data", "empty.jsonl"], "empty.jsonl: holds no samples"),
    (["0", "--data", "two.jsonl"], "two.jsonl: holds 2 of the 3 texts that it takes to tune"),
    (["0", "--data", "labelled.jsonl", "--objective", "label"], "--objective label: label is "),
    (["0", "--objective", "both"], "--objective both: is no objective; give label or next_token"),
    (["0", "-o", "1"], "1: is not an empty folder"),
    (["0", "-o", "0"], "0: is not an empty folder"),
    (["0", "--layers", "5"], "--layers 5: 0 has 4 layers"),
    (["0", "--rank", "33"], "--rank 33: a matrix of 0 has rank 32 at most"),
    (["0", "--steps", "0"], "--steps"),
    (["0", "--step-size", "0"], "--step-size 0: must be a number above 0"),
    (["0", "--step-size", "1e30"], "--step-size 1e+30: 1e+30 makes weights that are not finite"),
]


@pytest.fixture(scope="module")
def wrong(source, tmp_path_factory):
    """Checkpoints that are none, in a copy of the others."""
    folder = tmp_path_factory.mktemp("wrong")
    shutil.copytree(source, folder, dirs_exist_ok=True)
    for name in ("mixture", "quantised", "pickled", "bare", "knows-few"):
        shutil.copytree(folder / "0", folder / name)
    for name, keys in (
        ("mixture", {"model_type": "mixtral"}),
        ("quantised", {"quantization_config": {"bits": 4}}),
    ):
        path = folder / name / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    (folder / "pickled" / "model.safetensors").unlink()
    (folder / "bare" / "tokenizer.json").unlink()
    path = folder / "knows-few" / "tokenizer.json"
    path.write_text(path.read_text().replace('"<unk>":', '"other":'))
    (folder / "empty.jsonl").touch()
    write_rows(folder / "two.jsonl", [{"text": "w1 w2"}] * 2)
    return folder


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_tuned_is_one_line(leomix, wrong, monkeypatch, line, words):
    monkeypatch.chdir(wrong)
    before = sorted(map(str, wrong.rglob("*")))
    given = [*line]
    given += [] if "--data" in line else ["--data", "texts.jsonl"]
    given += [] if "-o" in line else ["-o", "new"]
    done = leomix("specialise", *given)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done
    assert words in done.err
    assert sorted(map(str, wrong.rglob("*"))) == before


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


def test_what_is_not_merged_is_no_dense_model(leomix, runs, tmp_path):
    done = leomix("export", runs["slots"], "--to", "dense", "-o", tmp_path / "d")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "--to dense: a run of kind vector-moe is not made of dense checkpoints" in done.err
    assert not (tmp_path / "d").exists()
    assert "or use --to peft" in done.err
    assert leomix("export", runs["slots"], "--to", "peft", "-o", tmp_path / "p").status == 0


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
        f"{weights}, or use --to parquet for its tables\n"
    )
    assert leomix("export", run, "--to", "parquet", "-o", tmp_path / "t").status == 0


def test_weights_that_are_not_those_of_the_run_are_refused(leomix, source, tmp_path):
    run = run_of(tmp_path, "r", source)
    path = run / "model" / "model.safetensors"
    tensors = load_file(path)
    for name, words in (
        ("expert.1.3.up.weight", "no expert 1 with up in layer 3 is there"),
        ("model.norm.weight", "model.norm.weight has the shape"),
    ):
        odd = {n: t for n, t in tensors.items() if n != name or not n.startswith("expert")}
        if name in odd:
            odd[name] = torch.ones(3)
        save_file(odd, path)
        done = leomix("export", run, "--to", "dense", "-o", tmp_path / "d")
        assert (done.status, done.err.count("\n")) == (2, 1), done
        assert words in done.err
        assert not (tmp_path / "d").exists()


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
        for command in (("validate", "paper-exp1-real"), ("run", "paper-exp1-real", "-o", "run")):
            done = leomix(*command)
            assert done.status == 2 and done.err.count("\n") == 1, done
            assert f"cmexam: {matrix} {words}" in done.err
