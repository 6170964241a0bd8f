"""``leomix export``: what other tools get is what the run has."""

import csv
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForCausalLM

import sim
from learning import ModelConfig
from learning.data.samples import InputSpec
from learning.models.interface import names_of
from learning.models.moe import Residency
from learning.text.mixtral import MixtralMoE
from sim.export import TensorBoard
from sim.trace.schema import COLUMNS, OPTIONAL
from tests.kit.folders import cut
from tests.kit.small import slots
from tests.kit.tiny_checkpoints import mixtral

ROOT = Path(__file__).resolve().parents[3]


def exported(leomix, run, to, place):
    """Export a run to a new folder; what was said about it."""
    outcome = leomix("export", run, "--to", to, "-o", place)
    assert outcome.status == 0
    return str(outcome.err)


NAMES = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", 'plain "quoted", =not', "<script>"]


def quoted(value):
    """What a cell should hold: no text becomes a formula."""
    return f"'{value}" if str(value).startswith(("=", "+", "-", "@", "\t", "\r")) else value or ""


def test_tables_are_those_of_the_run_and_no_text_becomes_a_formula(leomix, runs, tmp_path):
    """Of a run whose clusters have names that a scenario would not let them have."""
    run = runs.copy("slots-timing", tmp_path)
    for path in run.glob("*.parquet"):
        table = pq.read_table(path)
        names = [NAMES[row % len(NAMES)] for row in range(table.num_rows)]
        column = table.column_names.index("cluster")
        table = table.set_column(column, "cluster", pa.array(names, pa.string()))
        pq.write_table(table.slice(0, 0) if path.stem == "assignments" else table, path)
    place = run / "export"
    (place / "csv" / ".export.part").mkdir(parents=True)  # a killed export is in nobody's way
    (place / "csv" / "events.csv").write_text("of an earlier export")
    (place / "csv" / "notes.txt").write_text("mine")
    for to in ("csv", "parquet"):
        assert leomix("export", run, "--to", to).status == 0
    assert {path.suffix for path in (place / "csv").iterdir()} == {".csv", ".txt"}
    for name in COLUMNS.keys() - set(OPTIONAL):
        own = pq.read_table(run / f"{name}.parquet")
        assert pq.read_table(place / "parquet" / f"{name}.parquet").equals(own)
        head, *rows = cells(place / "csv" / f"{name}.csv")
        assert head == own.column_names
        assert len(rows) == own.num_rows
        for column, field in enumerate(own.schema):
            shown = [row[column] for row in rows]
            values = own[field.name].to_pylist()
            if pa.types.is_string(field.type):
                assert shown == [quoted(value) for value in values]
            elif pa.types.is_floating(field.type):
                assert [float(text) if text else None for text in shown] == values


def cells(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_what_cannot_be_exported_is_one_line(leomix, runs, tmp_path, monkeypatch):
    (tmp_path / "r" / "checkpoint").mkdir(parents=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    halted = runs.copy("slots", tmp_path)
    manifest = {**json.loads((halted / "manifest.json").read_text()), "status": "interrupted"}
    (halted / "manifest.json").write_text(json.dumps(manifest))
    bare = shutil.copytree(runs["slots"], tmp_path / "bare")
    shutil.rmtree(bare / "model")
    slots_ = runs["slots"]
    timing = runs["slots-timing"]
    place = tmp_path / "p"
    for run, to, out, words in (
        (tmp_path / "r", "csv", place, "has not ended"),
        (slots_, "csv", tmp_path / "full", "is not an empty folder"),
        (timing, "peft", place, "has no weights"),
        (bare, "peft", place, "model/model.safetensors: is missing; to export the weights, run it"),
        (halted, "peft", place, "the run is interrupted; finish it first"),
        (slots_, "czml", place, "has no satellites to draw"),
        (slots_, "tensorboard", place, '[tensorboard]"'),
    ):
        outcome = leomix("export", run, "--to", to, "-o", out)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), outcome
        assert words in outcome.err
        assert not place.exists()
    said = exported(leomix, halted, "csv", place)
    assert said == f"{halted}: the run is interrupted: this is what it had done by 1.33 h\n"


def test_an_export_is_not_written_through_a_link_to_elsewhere(leomix, runs, tmp_path):
    """Neither its folder, nor a file of an earlier one that it replaces."""
    run = runs.copy("slots-timing", tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "notes.txt").write_text("mine")
    (run / "export").symlink_to(outside)
    refused = leomix("export", run, "--to", "csv")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    (run / "export").unlink()
    (run / "export" / "csv").mkdir(parents=True)
    (run / "export" / "csv" / "events.csv").symlink_to(outside)
    (run / "export" / "csv" / "contacts.csv").symlink_to(outside / "notes.txt")
    assert leomix("export", run, "--to", "csv").status == 0
    assert not [path for path in (run / "export" / "csv").iterdir() if path.is_symlink()]
    assert [path.name for path in outside.iterdir()] == ["notes.txt"]
    assert (outside / "notes.txt").read_text() == "mine"


KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from sim.export.formats import export
source, number, place = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
count = itertools.count(1)
def kill(event, args):
    if event == "os.rename" and place in (Path(args[1]), Path(args[1]).parent):
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
export(source, "csv", place)
"""


def killed(code, *given):
    """Run code that ends by a kill."""
    line = [sys.executable, "-c", code, *map(str, given)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(line, env=env, check=False).returncode == -signal.SIGKILL


@pytest.mark.process
@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_an_export_that_is_killed_is_whole_or_not_there_and_is_repeated(
    leomix, runs, tmp_path, kind
):
    source = runs["slots-timing"]
    if kind == "sweep":
        source = tmp_path / "s"
        keys = ("--set", "learning.train=false", "--set", "stop.cycles=1")
        assert leomix("sweep", "paper-slots", *keys, "-p", "seed=1,2", "-o", source).status == 0
    exported(leomix, source, "csv", tmp_path / "whole")
    files = {path.name for path in (tmp_path / "whole").iterdir()}
    (tmp_path / "empty").mkdir()
    for name, number in (("new", 1), ("empty", min(4, len(files)))):  # of its last renames
        place = tmp_path / name
        killed(KILLED, source, number, place)
        assert place.exists() is (name == "empty")
        exported(leomix, source, "csv", place)
        assert {path.name for path in place.iterdir()} == files
    assert {path.name for path in tmp_path.iterdir()} - {"s"} == {"whole", "new", "empty"}
    (place / ".part").mkdir()  # of another program
    refused = leomix("export", source, "--to", "csv", "-o", place)
    assert (refused.status, "is not an empty folder" in refused.err) == (2, True)


def test_a_custom_writer_gets_the_run_and_an_empty_folder(leomix, runs, tmp_path, monkeypatch):
    (tmp_path / "bytes_by_payload.py").write_text(
        "def write(run, place):\n"
        "    rows = run.tables['transfers'].to_pandas().groupby('payload').delivered_bytes.sum()\n"
        "    (place / 'bytes.txt').write_text(f'{rows.to_json()} {run.manifest[\"seed\"]}')\n"
        "    return ['by payload']\n"
        "def fail(run, place):\n"
        "    run.tables['transfer']\n"
    )
    monkeypatch.chdir(tmp_path)
    run = runs.copy("slots-timing", tmp_path)
    outcome = leomix("export", run, "--to", "bytes_by_payload:write")
    assert (outcome.status, outcome.err) == (0, "by payload\n")
    place = run / "export" / "bytes_by_payload.write" / "bytes.txt"
    assert outcome.out == f"{place}\n"
    sent = sim.load(run).transfers.groupby("payload").delivered_bytes.sum()
    wrong = leomix("export", run, "--to", "bytes_by_payload:fail")
    assert (wrong.status, wrong.err.count("\n")) == (2, 1)
    assert "the writer fails: KeyError: 'transfer' (bytes_by_payload.py:6)" in wrong.err
    assert place.read_text() == f"{sent.to_json()} {sim.load(run).manifest['seed']}"


def test_rows_of_a_sweep_are_a_table_too(leomix, tmp_path):
    about = {"keys": ["orbit.raan_deg"], "points": [{"digest": name} for name in "abc"]}
    (tmp_path / "sweep.json").write_text(json.dumps(about))
    columns = {
        "digest": ["a", "b", "c"],
        "orbit.raan_deg": [-30, 0, None],
        "error": ["=1+1", None, "-p: wrong"],
        "status": ["complete", "complete", "failed"],
    }
    pq.write_table(pa.table(columns), tmp_path / "sweep.parquet")
    said = exported(leomix, tmp_path, "csv", tmp_path / "e")
    assert said == f"{tmp_path}: 2 of 3 points are complete\n"
    rows = [
        ["a", "-30", "'=1+1", "complete"],
        ["b", "0", "", "complete"],
        ["c", "", "'-p: wrong", "failed"],
    ]
    assert cells(tmp_path / "e" / "sweep.csv") == [[*columns], *rows]
    assert "is a sweep" in leomix("export", tmp_path, "--to", "tensorboard").err


# -- TensorBoard: curves, read back by its own reader


def read(folder):
    return EventAccumulator(str(folder)).Reload()


def test_curves_are_those_of_the_metrics_and_the_summary_is_shown(leomix, runs, tmp_path):
    result = runs.result("slots")
    assert exported(leomix, runs["slots"], "tensorboard", tmp_path / "t") == ""
    events = read(tmp_path / "t")
    start = result.contacts.rise_utc[0].timestamp() - result.contacts.rise_s[0]
    pooled = result.metrics.cluster.isna()
    curves = {"global": result.metrics[pooled]}
    curves |= {f"cluster {name}": r for name, r in result.metrics[~pooled].groupby("cluster")}
    for figure in ("accuracy", "loss"):
        for whose, rows in curves.items():
            for tag, steps in ((figure, rows.cycle), (f"{figure}_by_second", rows.time_s)):
                points = events.Scalars(f"{tag}/{whose}")
                assert [p.value for p in points] == rows[figure].to_numpy(np.float32).tolist()
                assert [p.step for p in points] == steps.astype(int).tolist()
                wall = [point.wall_time for point in points]
                np.testing.assert_allclose(wall, start + rows.time_s, rtol=0, atol=1e-5)
    [summary] = events.Tensors("summary")
    lines = summary.tensor_proto.string_val[0].decode().splitlines()
    # Indented lines are a block of code in Markdown: nothing in them is markup.
    *shown, _ = leomix("show", runs["slots"], "--all").out.splitlines()
    assert lines[1:] == [f"    {line}" for line in shown]
    untrained = exported(leomix, runs["slots-timing"], "tensorboard", tmp_path / "u")
    assert untrained.endswith("has no accuracy (learning.train was false)\n")


def test_curves_of_a_run_that_goes_on_are_those_of_its_export(leomix, runs, tmp_path):
    """Also of one that is interrupted and resumed, whose file is the same again."""
    scenario = slots()
    files = {}
    for name in ("whole", "cut"):
        board = TensorBoard(tmp_path / "boards" / name)
        place = tmp_path / name
        if name == "cut":
            cut(scenario, place, 30, observers=[board])
            [part] = (tmp_path / "boards" / name).iterdir()
            before = part.read_bytes()
            board = TensorBoard(tmp_path / "boards" / name)
        sim.run(scenario, place, resume=name == "cut", observers=[board])
        [files[name]] = (tmp_path / "boards" / name).iterdir()
    whole = files["whole"].read_bytes()
    assert files["cut"].read_bytes() == whole and whole.startswith(before)
    assert 100 < len(before) < len(whole)
    exported(leomix, runs["slots"], "tensorboard", tmp_path / "t")
    live, after = read(tmp_path / "boards" / "whole"), read(tmp_path / "t")
    for tag in after.Tags()["scalars"]:
        assert live.Scalars(tag) == after.Scalars(tag)


def test_a_board_that_cannot_be_written_costs_no_run(leomix, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    line = ["run", "paper-slots", "--set", "learning.train=false", "--set", "stop.cycles=1"]
    wrong = leomix(*line, "-o", tmp_path / "r", "--tensorboard", tmp_path / "file")
    assert wrong.status == 2 and "--tensorboard: " in wrong.err
    board = tmp_path / "boards" / "run" / "events.out.tfevents.leomix"
    board.mkdir(parents=True)
    done = leomix(*line, "-o", tmp_path / "run", "--tensorboard", tmp_path / "boards", "--quiet")
    assert done.status == 0 and "--tensorboard: " in done.err and "goes on without" in done.err
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    lacking = leomix(*line, "-o", tmp_path / "other", "--tensorboard", tmp_path / "b")
    assert lacking.status == 2 and '[tensorboard]"' in lacking.err
    assert not (tmp_path / "other").exists()


def test_an_example_logs_the_metrics_of_a_run_to_mlflow(runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", mlflow := MagicMock())
    monkeypatch.setattr(sys, "argv", ["mlflow_log.py", str(runs["slots"])])
    runpy.run_path(str(ROOT / "examples/mlflow_log.py"), run_name="__main__")
    logged = [(call.kwargs["step"], call.args[0]) for call in mlflow.log_metrics.call_args_list]
    metrics = runs.result("slots").metrics.query("scope == 'global'")
    assert logged == [
        (row.cycle, {"accuracy": row.accuracy, "loss": row.loss}) for row in metrics.itertuples()
    ]
    mlflow.log_params.assert_called_once_with({"method": "emsfl", "seed": 3})


# -- PEFT: start model and adapter make the final model


def test_a_text_run_becomes_an_adapter_of_hugging_faces_own_model(leomix, tmp_path):
    """Multiple choice on a Mixtral checkpoint, through a whole run."""
    mixtral(tmp_path / "mixtral", num_local_experts=3, vocab_size=300)
    asked = [
        {"question": f"what about {n % 6}?", "options": ["yes", "no", f"maybe {n % 6}"]}
        | {"answer": n % 3, "domain": "AB"[n % 2], "split": "train" if n < 36 else "test"}
        for n in range(48)
    ]
    path = tmp_path / "ask.jsonl"
    text_run = tmp_path / "r"
    path.write_text("\n".join(map(json.dumps, asked)))
    unsaid = {"experts": 4, "hidden": 64, "expert_hidden": 64}  # what a checkpoint fixes
    learning = {
        "step_size": 0.1,
        "pretraining": {"gate_steps": 2},
        "model": {"kind": "mixtral", "checkpoints": [str(tmp_path / "mixtral")], **unsaid},
        "data": {"kind": "jsonl", "path": str(path), "tokens": 24, "trial_samples": 4},
    }
    sim.run(slots(stop={"cycles": 2}, learning=learning), out=text_run)
    assert exported(leomix, text_run, "peft", tmp_path / "p") == ""
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "p" / "base", local_files_only=True)
    ours = ModelConfig(kind="mixtral", experts=3, top_k=2, checkpoints=(str(tmp_path / "p/base"),))
    spec = InputSpec("choices", (3, 2, 24), 3, 300)
    final = MixtralMoE(ours, spec, Residency(held=(0, 1, 2))).eval()
    trained = load_file(text_run / "model" / "model.safetensors")
    names = names_of(final)
    final.load_state_dict({names.path(name): tensor for name, tensor in trained.items()})
    tokens = torch.arange(40).reshape(4, 10)
    with torch.no_grad():
        before = base(tokens).logits
        adapter = str(tmp_path / "p" / "adapter-hugging-face")
        adapted = PeftModel.from_pretrained(base, adapter).eval()
        hidden = final.model(input_ids=tokens, use_cache=False).last_hidden_state
        expected = final.lm_head(hidden)
        torch.testing.assert_close(adapted(tokens).logits, expected, rtol=0, atol=1e-5)
        assert (before - expected).abs().max() > 1e-3


def test_profiles_obey_the_budget(leomix, runs, tmp_path):
    run = runs["orbit-timing"]
    exported(leomix, run, "profile", tmp_path / "profiles")
    contacts = pq.read_table(run / "contacts.parquet").to_pandas()
    pages = sorted((tmp_path / "profiles").glob("*-uplink.csv"))
    assert len(pages) == len(contacts)
    for path, contact in zip(pages, contacts.itertuples(), strict=True):
        seen = pd.read_csv(path)
        assert seen.time_s.iloc[-1] == pytest.approx(contact.duration_s, abs=1e-3)
        assert seen.delay_ms.to_numpy() == pytest.approx(seen.slant_range_km / 299.792458)
        assert seen.elevation_deg.max() == pytest.approx(contact.max_elevation_deg, abs=0.5)
        # EIRP and G/T are the same along a pass.
        level_db = (seen.c_over_n0_dbhz + seen.path_loss_db).to_numpy()
        assert level_db == pytest.approx(level_db[0], abs=1e-9)
