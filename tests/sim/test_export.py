"""`leomix export`: what other tools get is what the run has."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM
from transformers.utils import logging

import sim
from tests.kit.learning import InputSpec, ModelConfig
from tests.kit.records import COLUMNS, OPTIONAL
from tests.kit.small import slots
from tests.kit.training import MixtralMoE, Residency, VectorMoE, names_of

logging.disable_progress_bar()
SMALL = ModelConfig(experts=2, hidden=16, expert_hidden=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "r"
    sim.run(slots(), out=folder)
    return folder


def final_model(model: nn.Module, run: Path) -> nn.Module:
    names = names_of(model)
    tensors = load_file(run / "model" / "model.safetensors")
    model.load_state_dict({names.path(name): tensor for name, tensor in tensors.items()})
    return model.eval()


def test_start_model_and_adapter_make_the_final_model(leomix, run: Path, tmp_path: Path) -> None:
    outcome = leomix("export", run, "--to", "peft", "-o", tmp_path / "p")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.split() == [str(tmp_path / "p" / part) for part in ("adapter", "base")]
    spec = InputSpec("vector", (64,), 10)
    model = VectorMoE(SMALL, spec, Residency(held=(0, 1)))
    model.load_state_dict(load_file(tmp_path / "p" / "base" / "model.safetensors"))
    x = torch.rand(100, 64)
    with torch.no_grad():
        before = model(x)
        adapted = PeftModel.from_pretrained(model.eval(), str(tmp_path / "p" / "adapter"))
        expected = final_model(VectorMoE(SMALL, spec, Residency(held=(0, 1))), run)(x)
        torch.testing.assert_close(adapted(x), expected, rtol=0, atol=1e-5)
        assert (before - expected).abs().max() > 1e-3


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_tables_are_those_of_the_run(leomix, run: Path, tmp_path: Path, to: str) -> None:
    assert leomix("export", run, "--to", to, "-o", tmp_path / "t").status == 0
    read = pyarrow.csv.read_csv if to == "csv" else pq.read_table
    for name in COLUMNS.keys() - set(OPTIONAL):
        table, own = read(tmp_path / "t" / f"{name}.{to}"), pq.read_table(run / f"{name}.parquet")
        assert table.column_names == own.column_names
        assert table.num_rows == own.num_rows
    transfers = read(tmp_path / "t" / f"transfers.{to}")
    assert (
        transfers["end_s"].to_pylist()
        == pq.read_table(run / "transfers.parquet")["end_s"].to_pylist()
    )


def test_the_default_place_is_inside_the_run(leomix, run: Path) -> None:
    assert leomix("export", run, "--to", "csv").status == 0
    assert (run / "export" / "csv" / "events.csv").is_file()
    (run / "export" / "csv" / "events.csv").write_text("old")
    (run / "export" / "csv" / "notes.txt").write_text("mine")
    assert leomix("export", run, "--to", "csv").status == 0
    assert (run / "export" / "csv" / "events.csv").read_text().startswith('"time_s"')
    assert (run / "export" / "csv" / "notes.txt").read_text() == "mine"


def test_a_place_that_was_named_must_be_empty(leomix, run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    refused = leomix("export", run, "--to", "csv", "-o", tmp_path)
    assert refused.status == 2
    assert f"-o {tmp_path}: is not an empty folder; name another one" in refused.err


def test_a_format_that_is_not_there(leomix, run: Path) -> None:
    outcome = leomix("export", run, "--to", "onnx")
    assert outcome.status == 2
    formats = "csv, parquet, perfetto, czml, tensorboard, peft"
    assert outcome.err == f"leomix: --to onnx: no such format; there are {formats}\n"


def test_a_timing_only_run_has_no_experts_to_export(leomix, tmp_path: Path) -> None:
    sim.run(slots(learning={"train": False}), out=tmp_path / "r")
    outcome = leomix("export", tmp_path / "r", "--to", "peft")
    assert outcome.status == 2
    assert "has no weights (learning.train was false)" in outcome.err
    assert not (tmp_path / "r" / "export" / "peft").exists()


def copy_with_status(run: Path, to: Path, status: str) -> Path:
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("export"))
    manifest = json.loads((run / "manifest.json").read_text())
    (to / "manifest.json").write_text(json.dumps({**manifest, "status": status}))
    return to


def test_experts_of_an_interrupted_run_are_not_exported(leomix, run: Path, tmp_path: Path) -> None:
    halted = copy_with_status(run, tmp_path / "r", "interrupted")
    outcome = leomix("export", halted, "--to", "peft")
    assert outcome.status == 2
    assert "the run is interrupted; finish it first: leomix run" in outcome.err


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_what_a_halted_run_had_done_is_exported_and_said(
    leomix, run: Path, tmp_path: Path, status: str
) -> None:
    halted = copy_with_status(run, tmp_path / "r", status)
    outcome = leomix("export", halted, "--to", "csv")
    assert outcome.status == 0
    assert outcome.err == f"{halted}: the run is {status}: this is what it had done by 1.33 h\n"
    assert (halted / "export" / "csv" / "events.csv").is_file()


def test_a_run_that_has_not_ended_is_one_line(leomix, tmp_path: Path) -> None:
    (tmp_path / "r" / "checkpoint").mkdir(parents=True)
    outcome = leomix("export", tmp_path / "r", "--to", "csv")
    assert outcome.status == 2
    assert "the run in it has not ended; let it end, or go on with it: leomix run" in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_export_that_was_killed_stands_in_nobodys_way(leomix, run: Path, tmp_path: Path) -> None:
    (tmp_path / "e" / ".part").mkdir(parents=True)
    (tmp_path / "e" / ".part" / "contacts.csv").touch()
    assert leomix("export", run, "--to", "parquet", "-o", tmp_path / "e").status == 0
    assert {path.suffix for path in (tmp_path / "e").iterdir()} == {".parquet"}


def test_a_place_that_cannot_be_written_is_one_line(leomix, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = leomix("export", run, "--to", "csv", "-o", tmp_path / "file" / "x")
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "Not a directory" in outcome.err


@pytest.mark.parametrize(("to", "package"), [("perfetto", "perfetto"), ("tensorboard",) * 2])
def test_a_package_that_is_not_installed_is_named(
    leomix, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, package: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    outcome = leomix("export", run, "--to", to, "-o", tmp_path / "e")
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert f'pip install "leomix[{to}]"' in outcome.err
    assert not (tmp_path / "e").exists()


def test_a_folder_that_is_no_run(leomix, tmp_path: Path) -> None:
    outcome = leomix("export", tmp_path, "--to", "csv")
    assert outcome.status == 2
    assert "no run folder" in outcome.err


def write_questions(path: Path) -> None:
    words = {"A": ["sun", "sky", "air"], "B": ["sea", "ice", "mud"]}
    with path.open("w", encoding="utf-8") as file:
        for number in range(48):
            domain = "AB"[number % 2]
            asked = words[domain][number // 2 % 3]
            row = {
                "question": f"what about {asked}?",
                "options": ["yes", "no", f"maybe {asked}"],
                "answer": len(asked) * number % 3,
                "domain": domain,
                "split": "train" if number < 36 else "test",
            }
            file.write(json.dumps(row) + "\n")


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Multiple choice on a Mixtral checkpoint, through a whole run."""
    folder = tmp_path_factory.mktemp("text")
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=3,
        initializer_range=0.3,
    )
    MixtralForCausalLM(config).save_pretrained(folder / "mixtral")
    write_questions(folder / "ask.jsonl")
    learning = {
        "method": "emsfl",
        "step_size": 0.1,
        "pretraining": {"gate_steps": 2},
        "model": {
            "kind": "mixtral",
            "checkpoints": [str(folder / "mixtral")],
            "experts": 4,
            "hidden": 64,
            "expert_hidden": 64,
        },
        "data": {
            "kind": "jsonl",
            "path": str(folder / "ask.jsonl"),
            "tokens": 24,
            "trial_samples": 4,
        },
    }
    sim.run(slots(stop={"cycles": 2}, learning=learning), out=folder / "r")
    return folder / "r"


def test_a_text_run_becomes_an_adapter_of_hugging_faces_own_model(
    leomix, text_run: Path, tmp_path: Path
) -> None:
    outcome = leomix("export", text_run, "--to", "peft", "-o", tmp_path / "p")
    assert (outcome.status, outcome.err) == (0, "")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "p" / "base", local_files_only=True)
    ours = ModelConfig(kind="mixtral", experts=3, top_k=2, checkpoints=(str(tmp_path / "p/base"),))
    spec = InputSpec("choices", (3, 2, 24), 3, 300)
    final = final_model(MixtralMoE(ours, spec, Residency(held=(0, 1, 2))), text_run)
    tokens = torch.arange(40).reshape(4, 10)
    with torch.no_grad():
        before = base(tokens).logits
        adapter = str(tmp_path / "p" / "adapter-hugging-face")
        adapted = PeftModel.from_pretrained(base, adapter).eval()
        hidden = final.model(input_ids=tokens, use_cache=False).last_hidden_state
        expected = final.lm_head(hidden)
        torch.testing.assert_close(adapted(tokens).logits, expected, rtol=0, atol=1e-5)
        assert (before - expected).abs().max() > 1e-3


def test_weights_that_a_method_leaves_frozen_are_those_of_the_checkpoint(text_run: Path) -> None:
    start = load_file(text_run.parent / "mixtral" / "model.safetensors")
    final = load_file(text_run / "model" / "model.safetensors")
    frozen = [name for name in final if not name.startswith(("expert.", "gate."))]
    assert len(frozen) == 3 + 6 * 2
    assert all(torch.equal(final[name], start[name]) for name in frozen)


def test_a_checkpoint_that_is_not_there_is_one_line(leomix, tmp_path: Path) -> None:
    write_questions(tmp_path / "ask.jsonl")
    outcome = leomix(
        *("run", "quickstart", "-o", tmp_path / "r", "--set", "learning.data.kind=jsonl"),
        *("--set", f"learning.data.path={tmp_path / 'ask.jsonl'}"),
        *("--set", "learning.model.kind=mixtral"),
        *("--set", f"learning.model.checkpoints=[{tmp_path / 'nowhere'}]"),
    )
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "nowhere: no such folder; name a local folder with config.json" in outcome.err
