"""Weights of checkpoints that nothing trained are in no run folder, checkpoint or cache."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import scenarios
import sim
from learning.training import references
from tests.kit import tiny_checkpoints as tiny
from tests.kit.folders import cut, held
from tests.kit.small import slots

SIZES = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 1, "vocab_size": 300}
FILE, WEIGHTS = "model.safetensors", "model/model.safetensors"
REFERENCES = "model/model.references.json"
NONE = 1 << 40
"""No model has so many bytes that nothing trained: all of it is written, as it always was."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders of two Llama models of 7 MB each, a small Mixtral, and questions."""
    place = tmp_path_factory.mktemp("referenced")
    for model, folder in zip(tiny.llamas(place, 2, **SIZES), "01", strict=True):
        model.to(torch.bfloat16).save_pretrained(place / folder)
    tiny.mixtral(place / "mixtral", vocab_size=300, num_local_experts=2)
    asked = [
        {"question": f"what of {n % 5}?", "options": ["yes", "no", f"maybe {n}"], "answer": n % 3}
        | {"domain": "AB"[n % 2], "split": "train" if n < 24 else "test"}
        for n in range(36)
    ]
    (place / "ask.jsonl").write_text("\n".join(map(json.dumps, asked)))
    return place


def scenario(place, precision="bfloat16", folders=("0", "1"), **model):
    checkpoints = [str(place / name) for name in folders]
    return slots(
        stop={"cycles": 2},
        learning={
            "precision": precision,
            "pretraining": {"gate_steps": 1, "expert_steps": 0, "backbone_steps": 0},
            "model": {"kind": "merged-llama", "checkpoints": checkpoints, **model}
            | {"experts": 4, "hidden": 64, "expert_hidden": 64},
            "data": {"kind": "jsonl", "path": str(place / "ask.jsonl"), "tokens": 12}
            | {"trial_samples": 4},
        },
    )


@contextmanager
def worth_a_reference(size_bytes):
    """Refer to weights where there are so many bytes of them at least."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(references, "LARGE_BYTES", size_bytes)
        yield


def whole(place, out, **keys):
    """The run whose folder holds all of its model."""
    with worth_a_reference(NONE):
        return sim.run(scenario(place, **keys), out)


@pytest.fixture(scope="module")
def both(place):
    """A run that refers to its checkpoints, and the same run with all in its folder."""
    return sim.run(scenario(place), place / "run"), whole(place, place / "whole")


def same(found, wanted):
    """Whether two models have the same tensors, bit for bit."""
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name].view(torch.uint8), tensor.view(torch.uint8)), name
    return True


def own(run, place):
    """A copy of a run and of its checkpoints, side by side as they were."""
    for name in ("0", "1", run.folder.name):
        shutil.copytree(run.folder.parent / name, place / name)
    return place / run.folder.name


def test_a_folder_holds_what_was_trained_and_gives_the_whole_model(both):
    run, all_of_it = both
    assert run.manifest["trace_sha256"] == all_of_it.manifest["trace_sha256"]
    wanted = load_file(all_of_it.folder / WEIGHTS)
    assert same(run.model(), wanted) and same(all_of_it.model(), wanted)
    kept = load_file(run.folder / WEIGHTS)
    factors = {name for name in kept if name.endswith(("+a", "+b"))}
    assert factors and kept.keys() - factors == {"gate.0.weight"}
    trained = sum(tensor.nbytes for tensor in kept.values())
    assert (run.folder / WEIGHTS).stat().st_size < trained + 5_000
    assert trained < sum(tensor.nbytes for tensor in wanted.values()) / 8
    assert not (all_of_it.folder / REFERENCES).exists()
    described = [(one.folder / "model" / "model.json").read_text() for one in both]
    assert described[0] == described[1]


@pytest.mark.parametrize(
    "keys",
    [
        {"precision": "float32", "kind": "mixtral", "folders": ["mixtral"]},
        {"kind": "mixtral", "folders": ["fused"]},
    ],
    ids=str,
)
@pytest.mark.quick(1)
def test_the_whole_model_is_that_of_other_formats_and_layouts(place, tmp_path, keys):
    """In single precision experts are trained as whole matrices; fused ones are parts of one."""
    if keys.get("folders") == ["fused"] and not (place / "fused").exists():
        shutil.copytree(place / "mixtral", place / "fused")
        tiny.fuse(place / "fused", experts=2)
    with worth_a_reference(1):
        run = sim.run(scenario(place, **keys), tmp_path / "run")
    wanted = load_file(whole(place, tmp_path / "whole", **keys).folder / WEIGHTS)
    named = json.loads((run.folder / REFERENCES).read_text())["tensors"]
    assert named.keys() | load_file(run.folder / WEIGHTS).keys() >= wanted.keys()
    assert "model.embed_tokens.weight" in named
    parts = [one["part"] for one in named.values() if "part" in one]
    assert bool(parts) is (keys.get("folders") == ["fused"])
    assert same(run.model(), wanted)


def beside(run, place):
    """A copy of a run with its checkpoints beside it, where it alone finds them."""
    folder = own(run, place)
    said = json.loads((folder / REFERENCES).read_text())
    for one in said["folders"]:
        one["path"] = str(place / "gone" / "x")
    (folder / REFERENCES).write_text(json.dumps(said))
    return folder


def test_checkpoints_that_moved_are_found_beside_the_run_or_as_they_are_named(both, tmp_path):
    run, _ = both
    wanted = run.model()
    (tmp_path / "a").mkdir()
    folder = beside(run, tmp_path / "a")
    assert same(sim.load(folder).model(), wanted)
    moved = (tmp_path / "a" / "0").rename(tmp_path / "elsewhere")
    with pytest.raises(sim.InputError, match=r"safetensors: is missing, .*; put it back: a link"):
        sim.load(folder).model()
    (tmp_path / "a" / "0").symlink_to(moved)
    assert same(sim.load(folder).model(), wanted)


def test_a_changed_checkpoint_is_refused_by_name(both, tmp_path):
    folder = beside(both[0], tmp_path)
    file = folder / ".." / "1" / FILE  # as the message has it
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    for change in (lambda: None, lambda: file.write_bytes(data[:-2])):
        change()
        with pytest.raises(sim.InputError) as caught:
            sim.load(folder).model()
        assert str(caught.value).startswith(f"{file}: has changed since the run")
        assert str(caught.value).endswith("; put back the file that the run was made with")
        assert "\n" not in str(caught.value)
    file.unlink()
    with pytest.raises(sim.InputError, match=f"{file}: is missing"):
        sim.load(folder).model()


def changed(**keys):
    return lambda said: said | keys


def at(kind, key, value):
    def change(said):
        entries = said[kind]
        first = entries[0] if isinstance(entries, list) else next(iter(entries.values()))
        first[key] = value
        return said

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed(format="leomix.references/9"), "its format is 'leomix.references/9'"),
        (changed(folders=[{"path": "a\0b"}]), "no folders of checkpoints"),
        (changed(tensors=[]), "is broken"),
        (at("files", "name", "../0/model.safetensors"), "no file of a checkpoint"),
        (at("tensors", "file", 7), "a tensor of no file"),
        (at("tensors", "tensor", "none"), "gives no none"),
        (at("tensors", "part", [[0, 1]]), "has the shape"),
    ],
)
def test_references_that_say_nothing_sound_are_refused_in_a_line(both, tmp_path, change, says):
    folder = tmp_path / "run"
    shutil.copytree(both[0].folder, folder)
    file = folder / REFERENCES
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(sim.InputError, match=says) as caught:
        sim.load(folder).model()
    assert "\n" not in str(caught.value)
    file.write_text("[" * 100_000)
    with pytest.raises(sim.InputError, match=r"references\.json"):
        sim.load(folder).model()


def test_a_cut_run_stores_no_frozen_weights_and_ends_as_if_never_cut(both, place, tmp_path):
    run, _ = both
    folder = cut(scenario(place), place / "cut", run.manifest["events"] * 2 // 3)
    saved = list((folder / "checkpoint" / "values").iterdir())
    assert saved and sum(path.stat().st_size for path in saved) < 1_000_000
    after = sim.run(scenario(place), folder, resume=True)
    assert after.manifest["trace_sha256"] == run.manifest["trace_sha256"]
    assert held(folder) == held(run.folder)


def test_an_extended_run_refers_to_its_checkpoints_from_its_own_folder(place, tmp_path):
    """It is computed in a folder below that."""
    shorter = scenario(place).model_dump(mode="json") | {"stop": {"cycles": 1}}
    sim.run(scenarios.from_dict(shorter), tmp_path / "run")
    folder = sim.run(scenario(place), tmp_path / "run", resume=True).folder
    said = json.loads((folder / REFERENCES).read_text())
    for known in said["folders"]:
        assert (folder / known["from_run"]).resolve() == Path(known["path"])
    assert sim.load(folder).model()


def test_no_resume_takes_a_changed_checkpoint(both, place, tmp_path):
    """It is named; and nothing is trained."""
    folder = cut(copied(place, tmp_path), tmp_path / "cut", both[0].manifest["events"] // 2)
    done = sim.run(scenario(tmp_path), tmp_path / "done").folder
    file = tmp_path / "0" / FILE
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    for run in (folder, done):
        with pytest.raises(sim.InputError) as caught:
            sim.run(scenario(tmp_path), run, resume=True)
        assert str(caught.value).startswith(f"{run}: holds a run from before {file.parent} changed")
        assert "\n" not in str(caught.value)


def test_a_cache_keeps_what_was_trained_and_gives_the_same_folder(
    both, place, tmp_path, monkeypatch
):
    run, all_of_it = both
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))
    first, second = (
        sim.run(scenario(place), place / name, cache=True) for name in ("first", "second")
    )
    assert first.manifest["trainings"] > 0 == second.manifest["trainings"]
    assert held(first.folder) == held(second.folder) == held(run.folder)
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    entries = sum(1 for path in (tmp_path / "cache").rglob("*.tensors"))
    assert kept < (entries + 1) * 400_000 < (all_of_it.folder / WEIGHTS).stat().st_size


def copied(place, there):
    """The scenario with files of its own, which a test may change."""
    for name in ("0", "1"):
        shutil.copytree(place / name, there / name)
    shutil.copy(place / "ask.jsonl", there)
    return scenario(there)
