"""A run of a model from checkpoints: all weights in its folder, trained ones in its own copies."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

import sim
from tests.kit import tiny_checkpoints as tiny
from tests.kit.folders import cut, held
from tests.kit.small import slots

SIZES = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 1, "vocab_size": 300}
FILE = "model.safetensors"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders of two Llama models of 7 MB each, and questions."""
    place = tmp_path_factory.mktemp("checkpoints")
    for model, folder in zip(tiny.llamas(place, 2, **SIZES), "01", strict=True):
        model.to(torch.bfloat16).save_pretrained(place / folder)
    asked = [
        {"question": f"what of {n % 5}?", "options": ["yes", "no", f"maybe {n}"], "answer": n % 3}
        | {"domain": "AB"[n % 2], "split": "train" if n < 24 else "test"}
        for n in range(36)
    ]
    (place / "ask.jsonl").write_text("\n".join(map(json.dumps, asked)))
    return place


def scenario(place):
    return slots(
        stop={"cycles": 2},
        learning={
            "precision": "bfloat16",
            "pretraining": {"gate_steps": 1, "expert_steps": 0, "backbone_steps": 0},
            "model": {"kind": "merged-llama", "checkpoints": [str(place / n) for n in "01"]}
            | {"experts": 4, "hidden": 64, "expert_hidden": 64},
            "data": {"kind": "jsonl", "path": str(place / "ask.jsonl"), "tokens": 12}
            | {"trial_samples": 4},
        },
    )


@pytest.fixture(scope="module")
def run(place):
    return sim.run(scenario(place), place / "run")


def test_a_folder_holds_the_whole_model_and_gives_it_without_the_checkpoints(run, place, tmp_path):
    stored = load_file(run.folder / "model" / FILE)
    shutil.copytree(run.folder, tmp_path / "run")
    model = sim.load(tmp_path / "run").model()
    assert model.keys() == stored.keys()
    assert all(torch.equal(model[name], stored[name]) for name in stored)
    begun = load_file(place / "0" / FILE)
    frozen = begun.keys() & stored.keys()
    assert {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"} <= frozen
    means = load_file(place / "1" / FILE)
    for name in frozen:  # kept as read, or the mean of the two models
        assert torch.equal(stored[name], begun[name]) or torch.allclose(
            stored[name], (begun[name] + means[name]) / 2, atol=1e-2
        )
    described = json.loads((run.folder / "model" / "model.json").read_text())["tensors"]
    assert described == {name: list(stored[name].shape) for name in sorted(stored)}


def test_a_cut_run_stores_no_frozen_weights_and_ends_as_if_never_cut(run, place, tmp_path):
    folder = cut(scenario(place), tmp_path / "cut", run.manifest["events"] * 2 // 3)
    saved = list((folder / "checkpoint" / "values").iterdir())
    assert saved and sum(path.stat().st_size for path in saved) < 1_000_000
    after = sim.run(scenario(place), folder, resume=True)
    assert after.manifest["trace_sha256"] == run.manifest["trace_sha256"]
    assert held(folder) == held(run.folder)


def test_no_resume_takes_a_changed_checkpoint(run, place, tmp_path):
    """The checkpoint is named, and nothing is trained."""
    folder = cut(scenario(place), tmp_path / "cut", run.manifest["events"] // 2)
    file = place / "0" / FILE
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    try:
        for changed in (folder, shutil.copytree(run.folder, tmp_path / "done")):
            with pytest.raises(sim.InputError, match="holds a run from before") as caught:
                sim.run(scenario(place), changed, resume=True)
            assert str(file.parent) in str(caught.value) and "\n" not in str(caught.value)
    finally:
        file.write_bytes(data)


def test_a_cache_keeps_what_was_trained_alone_and_gives_the_same_folder(
    run, place, tmp_path, monkeypatch
):
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))
    first, second = (
        sim.run(scenario(place), tmp_path / name, cache=True) for name in ("first", "second")
    )
    assert first.manifest["trainings"] > 0 == second.manifest["trainings"]
    assert held(first.folder) == held(second.folder) == held(run.folder)
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    entries = sum(1 for path in (tmp_path / "cache").rglob("*.tensors"))
    assert kept < (entries + 1) * 400_000 < (run.folder / "model" / FILE).stat().st_size
