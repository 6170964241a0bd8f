"""A run of an upcycled BERT: what its folder refers to, what is exported, and what is refused."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertModel

import sim
import sim.export
from sim.execution.ready import build
from tests.kit import tiny_checkpoints as tiny
from tests.kit.small import slots

FILE, WEIGHTS = "model.safetensors", "model/model.safetensors"
UNTRAINED = {"gate_steps": 2, "expert_steps": 0, "backbone_steps": 0}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A BERT with a tokenizer, and pairs of texts of two clusters."""
    place = tmp_path_factory.mktemp("upcycled")
    tiny.bert_with_pairs(place)
    return place


def scenario(place, **keys):
    model = {"kind": "merged-bert", "checkpoints": [str(place / "bert")], "top_k": 2}
    model |= {"experts_per_checkpoint": 4, "moe_layers": 2, **keys}
    unsaid = {"experts": 4, "hidden": 64, "expert_hidden": 64}  # what checkpoints fix
    data = {"kind": "jsonl", "path": str(place / "pairs.jsonl"), "tokens": 9, "trial_samples": 4}
    learning = {"model": model | unsaid, "data": data, "trains_backbone": True, "step_size": 0.1}
    return slots(stop={"cycles": 2}, learning=learning | {"pretraining": UNTRAINED})


@pytest.fixture(scope="module")
def run(place):
    """A run with factors."""
    return sim.run(scenario(place), place / "run")


@torch.no_grad()
def test_each_expert_is_exported_as_a_bert(place, run, leomix, tmp_path):
    done = leomix("export", run.folder, "--to", "dense", "-o", tmp_path / "d")
    assert done.status == 0 and "score.weight) is left out" in done.err
    whole = run.model()
    before = load_file(place / "bert" / FILE)
    for expert in range(4):
        folder = tmp_path / "d" / f"expert-{expert}"
        after = load_file(folder / FILE)
        assert after.keys() == before.keys()
        for name, tensor in after.items():
            layer, _, rest = name.removeprefix("encoder.layer.").partition(".")
            matrix = {"intermediate.dense": "up", "output.dense": "down"}.get(rest[:-7])
            if layer in "12" and matrix and name.endswith("weight"):
                wanted = whole[f"expert.{expert}.{int(layer) - 1}.{matrix}.weight"]
                assert torch.equal(tensor, wanted)
            elif layer == "0":
                assert torch.equal(tensor, before[name])
        states = BertModel.from_pretrained(folder, add_pooling_layer=False)(torch.ones(1, 3).long())
        assert states.last_hidden_state.isfinite().all()


def test_adapters_are_of_our_modules_and_start_another_run(place, run, tmp_path):
    sim.export.export(run.folder, "peft", tmp_path / "p")
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["adapter", "base"]
    whole = run.model()
    learner = build(scenario(place, adapter=str(tmp_path / "p" / "adapter"))).learner
    start = learner.force(learner.final(learner.start()))
    assert start.keys() == whole.keys()
    for name, tensor in start.items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=1e-5, msg=name)


def test_formats_of_decoders_are_refused_in_a_line(place, leomix):
    keys = [f"learning.model.checkpoints=[{place / 'bert'}]"]
    clusters = ("A-SST2", "B-QNLI", "C-Subject", "D-Origin")
    keys += [f"learning.data.paths.{name}={place / 'pairs.jsonl'}" for name in clusters]
    keys += ["learning.data.trial_samples=4"]
    for more, words in (
        ("learning.data.objective=next_token", "takes no next_token data; 'mixtral'"),
        ("learning.model.kind=merged-llama", "model_type is 'bert'; only llama or mistral"),
        ("learning.data.tokens=48", "learning.data.tokens: got 48; the model has seen no text"),
    ):
        given = [word for key in (*keys, more) for word in ("--set", key)]
        done = leomix("validate", "paper-exp2-real", *given)
        assert done.status == 2 and done.err.count("\n") == 1, done
        assert words in done.err
