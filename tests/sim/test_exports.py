"""``leomix export``: what other tools get is what the run has."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from transformers import AutoModelForCausalLM

import sim
from learning import ModelConfig
from tests.kit.learning import InputSpec
from tests.kit.records import COLUMNS, OPTIONAL
from tests.kit.small import slots
from tests.kit.tiny_checkpoints import mixtral
from tests.kit.training import MixtralMoE, Residency, VectorMoE, names_of
from tests.runs import Runs

SMALL = ModelConfig(experts=2, hidden=16, expert_hidden=16)


# -- places and refusals


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_tables_are_those_of_the_run_even_without_rows(
    leomix, runs: Runs, tmp_path: Path, to: str
) -> None:
    run = runs.copy("slots", tmp_path)
    empty = pq.read_table(run / "assignments.parquet").slice(0, 0)
    pq.write_table(empty, run / "assignments.parquet")
    assert leomix("export", run, "--to", to, "-o", tmp_path / "t").status == 0
    read = pyarrow.csv.read_csv if to == "csv" else pq.read_table
    for name in COLUMNS.keys() - set(OPTIONAL):
        table, own = read(tmp_path / "t" / f"{name}.{to}"), pq.read_table(run / f"{name}.parquet")
        assert table.column_names == own.column_names
        assert table.num_rows == own.num_rows
        assert to == "csv" or table.equals(own)
    end_s = read(tmp_path / "t" / f"transfers.{to}")["end_s"].to_pylist()
    assert end_s == pq.read_table(run / "transfers.parquet")["end_s"].to_pylist()


def test_the_default_place_is_inside_the_run_and_a_killed_export_is_in_nobodys_way(
    leomix, runs: Runs, tmp_path: Path
) -> None:
    run = runs.copy("slots-timing", tmp_path)
    place = run / "export" / "csv"
    (place / ".part").mkdir(parents=True)
    (place / ".part" / "contacts.csv").touch()
    assert leomix("export", run, "--to", "csv").status == 0
    (place / "events.csv").write_text("old")
    (place / "notes.txt").write_text("mine")
    assert leomix("export", run, "--to", "csv").status == 0
    assert (place / "events.csv").read_text().startswith('"time_s"')
    assert (place / "notes.txt").read_text() == "mine"
    assert {path.suffix for path in place.iterdir()} == {".csv", ".txt"}


def with_status(runs: Runs, place: Path, status: str) -> Path:
    run = runs.copy("slots", place)
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "status": status}))
    return run


def test_what_cannot_be_exported_is_one_line(leomix, runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "r" / "checkpoint").mkdir(parents=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    halted = with_status(runs, tmp_path / "h", "interrupted")
    slots_, timing, place = runs["slots"], runs["slots-timing"], tmp_path / "p"
    formats = "csv, parquet, perfetto, czml, tensorboard, peft"
    for run, to, out, words in (
        (slots_, "onnx", place, f"--to onnx: no such format; there are {formats}"),
        (tmp_path, "csv", place, "no run folder"),
        (tmp_path / "r", "csv", place, "the run in it has not ended; let it end"),
        (slots_, "csv", tmp_path / "full", "is not an empty folder; name another one"),
        (slots_, "csv", tmp_path / "full" / "notes.txt" / "x", "Not a directory"),
        (timing, "peft", place, "has no weights (learning.train was false)"),
        (halted, "peft", place, "the run is interrupted; finish it first: leomix run"),
        (slots_, "czml", place, "has no satellites to draw (orbit.source is slots)"),
    ):
        outcome = leomix("export", run, "--to", to, "-o", out)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), outcome
        assert words in outcome.err
        assert not place.exists()


def test_what_a_halted_run_had_done_is_exported_and_said(
    leomix, runs: Runs, tmp_path: Path
) -> None:
    for status in ("failed", "interrupted"):
        halted = with_status(runs, tmp_path / status, status)
        outcome = leomix("export", halted, "--to", "csv")
        assert outcome.status == 0
        assert outcome.err == f"{halted}: the run is {status}: this is what it had done by 1.33 h\n"
        assert (halted / "export" / "csv" / "events.csv").is_file()


@pytest.mark.parametrize("package", ["perfetto", "tensorboard"])
def test_a_package_that_is_not_installed_is_named(
    leomix, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    outcome = leomix("export", runs["slots"], "--to", package, "-o", tmp_path / "e")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert f'pip install "leomix[{package}]"' in outcome.err
    assert not (tmp_path / "e").exists()


# -- tables: no text becomes a formula, and numbers stay what they are

NAMES = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", 'plain "quoted", =not', "<script>"]
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture
def odd(runs: Runs, tmp_path: Path) -> Path:
    """A run whose clusters are called by all those names; a scenario would not let them."""
    folder = runs.copy("slots-timing", tmp_path)
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        names = [NAMES[row % len(NAMES)] for row in range(table.num_rows)]
        place = table.column_names.index("cluster")
        pq.write_table(table.set_column(place, "cluster", pa.array(names, pa.string())), path)
    return folder


def cells(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    return head, rows


def test_text_that_a_spreadsheet_would_run_is_quoted(leomix, odd: Path, tmp_path: Path) -> None:
    assert leomix("export", odd, "--to", "csv", "-o", tmp_path / "c").status == 0
    seen = set()
    for name in ("contacts", "transfers", "events", "assignments"):
        head, rows = cells(tmp_path / "c" / f"{name}.csv")
        own = pq.read_table(odd / f"{name}.parquet")
        assert head == own.column_names
        assert len(rows) == own.num_rows
        for place, column in enumerate(own.column_names):
            if not pa.types.is_string(own.schema.field(column).type):
                continue
            for text, row in zip(own[column].to_pylist(), rows, strict=True):
                seen.add(row[place])
                if text is not None and text.startswith(DANGEROUS):
                    assert row[place] == f"'{text}"
                else:
                    assert row[place] == (text or "")
    assert not any(text.startswith(DANGEROUS) for text in seen)
    assert {f"'{NAMES[0]}", f"'{NAMES[2]}", NAMES[4], NAMES[5]} <= seen
    # Parquet keeps names as they are.
    assert leomix("export", odd, "--to", "parquet", "-o", tmp_path / "p").status == 0
    exported = pq.read_table(tmp_path / "p" / "contacts.parquet")
    assert exported.equals(pq.read_table(odd / "contacts.parquet"))


def test_rows_of_a_sweep_are_a_table_too(leomix, tmp_path: Path) -> None:
    sweep = tmp_path / "s"
    sweep.mkdir()
    (sweep / "sweep.json").write_text(json.dumps({"keys": ["orbit.raan_deg"], "points": []}))
    columns = {
        "orbit.raan_deg": [-30, 0, None],
        "hours": [-1.5, 1e-9, 3.0],
        "error": ["=1+1", None, "-p: wrong"],
        "status": ["complete", "complete", "failed"],
    }
    pq.write_table(pa.table(columns), sweep / "sweep.parquet")
    outcome = leomix("export", sweep, "--to", "csv")
    assert outcome.status == 0
    assert outcome.err == f"{sweep}: 1 of 3 points are not complete\n"
    head, rows = cells(sweep / "export" / "csv" / "sweep.csv")
    assert head == [*columns]
    assert rows == [
        ["-30", "-1.5", "'=1+1", "complete"],
        ["0", "1e-9", "", "complete"],
        ["", "3", "'-p: wrong", "failed"],
    ]
    refused = leomix("export", sweep, "--to", "perfetto")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "is a sweep, which --to csv or parquet writes; for --to perfetto name" in refused.err


# -- TensorBoard: curves, read back by its own reader


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def test_curves_are_those_of_the_metrics_and_the_summary_is_shown(
    leomix, runs: Runs, tmp_path: Path
) -> None:
    result = runs.result("slots")
    outcome = leomix("export", runs["slots"], "--to", "tensorboard", "-o", tmp_path / "t")
    assert (outcome.status, outcome.err) == (0, "")
    events = read(tmp_path / "t")
    start = result.contacts.rise_utc[0].timestamp() - result.contacts.rise_s[0]
    whole = result.metrics.cluster.isna()
    curves = {"global": result.metrics[whole]}
    for name, rows in result.metrics[~whole].groupby("cluster"):
        curves[f"cluster {name}"] = rows
    assert len(curves) == 3
    for whose, rows in curves.items():
        for figure in ("accuracy", "loss"):
            by_cycle = events.Scalars(f"{figure}/{whose}")
            by_second = events.Scalars(f"{figure}_by_second/{whose}")
            expected = rows[figure].to_numpy(np.float32).tolist()
            assert [point.value for point in by_cycle] == expected
            assert [point.value for point in by_second] == expected
            assert [point.step for point in by_cycle] == rows.cycle.tolist()
            assert [point.step for point in by_second] == rows.time_s.astype(int).tolist()
            wall = [point.wall_time for point in by_cycle]
            np.testing.assert_allclose(wall, start + rows.time_s, rtol=0, atol=1e-5)
    assert len(events.Tags()["scalars"]) == 3 * 2 * 2
    [summary] = events.Tensors("summary")
    lines = summary.tensor_proto.string_val[0].decode().splitlines()
    shown = leomix("show", runs["slots"]).out.splitlines()
    assert [line[4:] for line in lines[1:]] == shown
    # Indented lines are a block of code in Markdown: nothing in them is markup.
    assert all(line.startswith("    ") for line in lines)


def test_a_run_without_learning_has_a_summary_only(leomix, runs: Runs, tmp_path: Path) -> None:
    run = runs["slots-timing"]
    outcome = leomix("export", run, "--to", "tensorboard", "-o", tmp_path / "t")
    assert outcome.status == 0
    assert outcome.err == f"{run}: has no accuracy (learning.train was false)\n"
    tags = read(tmp_path / "t").Tags()
    assert (tags["scalars"], tags["tensors"]) == ([], ["summary"])


# -- PEFT: start model and adapter make the final model


def final_model(model: nn.Module, run: Path) -> nn.Module:
    names = names_of(model)
    tensors = load_file(run / "model" / "model.safetensors")
    model.load_state_dict({names.path(name): tensor for name, tensor in tensors.items()})
    return model.eval()


def test_start_model_and_adapter_make_the_final_model(leomix, runs: Runs, tmp_path: Path) -> None:
    outcome = leomix("export", runs["slots"], "--to", "peft", "-o", tmp_path / "p")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.split() == [str(tmp_path / "p" / part) for part in ("adapter", "base")]
    spec = InputSpec("vector", (64,), 10)
    model = VectorMoE(SMALL, spec, Residency(held=(0, 1)))
    model.load_state_dict(load_file(tmp_path / "p" / "base" / "model.safetensors"))
    x = torch.rand(100, 64)
    with torch.no_grad():
        before = model(x)
        adapted = PeftModel.from_pretrained(model.eval(), str(tmp_path / "p" / "adapter"))
        expected = final_model(VectorMoE(SMALL, spec, Residency(held=(0, 1))), runs["slots"])(x)
        torch.testing.assert_close(adapted(x), expected, rtol=0, atol=1e-5)
        assert (before - expected).abs().max() > 1e-3


def write_questions(path: Path) -> None:
    asked = [("sun", "A"), ("sky", "A"), ("air", "A"), ("sea", "B"), ("ice", "B"), ("mud", "B")]
    with path.open("w", encoding="utf-8") as file:
        for number, (what, domain) in enumerate(8 * asked):
            row = {
                "question": f"what about {what}?",
                "options": ["yes", "no", f"maybe {what}"],
                "answer": number % 3,
                "domain": domain,
                "split": "train" if number < 36 else "test",
            }
            file.write(json.dumps(row) + "\n")


def test_a_text_run_becomes_an_adapter_of_hugging_faces_own_model(leomix, tmp_path: Path) -> None:
    """Multiple choice on a Mixtral checkpoint, through a whole run."""
    mixtral(tmp_path / "mixtral", num_local_experts=3, vocab_size=300)
    write_questions(tmp_path / "ask.jsonl")
    path, text_run = str(tmp_path / "ask.jsonl"), tmp_path / "r"
    unsaid = {"experts": 4, "hidden": 64, "expert_hidden": 64}  # what a checkpoint fixes
    learning = {
        "step_size": 0.1,
        "pretraining": {"gate_steps": 2},
        "model": {"kind": "mixtral", "checkpoints": [str(tmp_path / "mixtral")], **unsaid},
        "data": {"kind": "jsonl", "path": path, "tokens": 24, "trial_samples": 4},
    }
    sim.run(slots(stop={"cycles": 2}, learning=learning), out=text_run)
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
    # Weights that the method leaves frozen are those of the checkpoint.
    start = load_file(tmp_path / "mixtral" / "model.safetensors")
    end = load_file(text_run / "model" / "model.safetensors")
    frozen = [name for name in end if not name.startswith(("expert.", "gate."))]
    assert len(frozen) == 3 + 6 * 2
    assert all(torch.equal(end[name], start[name]) for name in frozen)


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
