"""Run folders: damaged, in trouble with the disk, too large for memory, and the log in them."""

import errno
import gc
import json
import logging
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import scenarios
import sim
from learning.data import load_samples
from statements import Code, Severity
from tests.kit import small
from tests.kit.folders import Each, cut, held, limited
from tests.kit.inner.learning import memory
from tests.kit.inner.sim import (
    ABOUT,
    CHECKPOINT,
    JOURNAL,
    RUN_LOGGER,
    build,
    checksum,
    json_digest,
    limits,
)
from tests.kit.small import slots

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
NO_ROOM = "No space left on device; free some space and try again\n"


# -- damaged


@pytest.fixture
def stopped(runs, tmp_path):
    """Folder of a trained run that was stopped in its middle."""
    return runs.copy("stopped", tmp_path)


SAVED = f"{CHECKPOINT}/{JOURNAL}"


ODD = {
    "a number for each answer": {"entries": 5},
    "no rows": {"entries": []},
    "a text for each answer": {"entries": "x"},
    "an event without end": {"event": 1e400},
    "values elsewhere": {"values": {"../../../mine": "00000000"}},
    "values without checksums": {"values": ["00"]},
    "another digest": {"digest": "0" * 64},
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_journal_is_refused_by_its_name(stopped, tmp_path, what):
    """One that says something else, and has the checksums of that."""
    path = stopped / SAVED
    said = json.loads(path.read_text())
    changes = dict(ODD[what])
    if "entries" in changes:
        odd = changes["entries"]
        changes["entries"] = {key: [when, odd] for key, (when, _) in said["entries"].items()}
    said |= changes
    about = {key: said[key] for key in ABOUT}
    said |= {"checksum": checksum(said), "checksum_of_these": json_digest(about)}
    path.write_text(json.dumps(said))
    (tmp_path / "mine.safetensors").write_text("mine")
    with pytest.raises((sim.InputError, sim.SimulationError), match=re.escape(str(path))) as found:
        sim.run(slots(), stopped, resume=True)
    assert any(cure in str(found.value) for cure in ("begins anew", "start anew", "run it anew"))
    assert (tmp_path / "mine.safetensors").read_text() == "mine"


FUNCTIONS = """
import numpy as np

def start(context): return {"w": np.zeros(30)}
def data(context): return np.ones(30)
def test_data(context): return np.ones(30)
def train(weights, data, context): return {"w": weights["w"] + 0.1 * data}, 4
def evaluate(weights, data, context): return {"accuracy": float(weights["w"][0])}
"""
CODE = {"code": "small_functions:train"}
FLOWN = small.SLOTS | {"learning": {"method": "sim.fly.functions:Functions", "options": CODE}}


@pytest.fixture(scope="module")
def saved(runs, tmp_path_factory):
    """Runs that were stopped in their middle, with values and with replies, and as whole ones."""
    place = tmp_path_factory.mktemp("saved")
    (place / "small_functions.py").write_text(FUNCTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        flown = scenarios.from_dict(FLOWN)
        sim.run(flown, place / "whole", cache=False)
        cut(flown, place / "replies", 20, cache=False)
        cut(slots(), place / "values", 20)
        whole = {"values": held(runs["slots"]), "replies": held(place / "whole")}
        yield {name: (place / name, whole[name]) for name in whole}


@given(draw=st.randoms(use_true_random=False))
def test_a_checkpoint_with_a_damaged_file_is_refused_by_its_name_or_goes_on_as_it_was(saved, draw):
    """A bit is flipped, the file cut short, or removed; a reply that is missing is made again."""
    name = draw.choice(sorted(saved))
    folder, whole = saved[name]
    place = shutil.copytree(folder, folder.with_name("damaged"))
    try:
        files = sorted(path for path in (place / CHECKPOINT).rglob("*") if path.is_file())
        kind = draw.choice(sorted({path.parent for path in files}))
        file = draw.choice([path for path in files if path.parent == kind])
        data = bytearray(file.read_bytes())
        how = draw.choice(["flipped", "cut", "removed"])
        if how == "flipped":
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data[: draw.randrange(len(data))] if how == "cut" else data)
        if how == "removed":
            file.unlink()
        scenario = scenarios.from_dict(FLOWN if name == "replies" else small.SLOTS)
        try:
            sim.run(scenario, place, resume=True, cache=False)
        except sim.InputError as error:
            assert str(file) in str(error) and "begins anew" in str(error)
        else:
            assert how == "removed" and file.parent.name != "values"
            assert held(place) == whole
    finally:
        shutil.rmtree(place)


def test_a_table_that_is_not_the_one_that_a_complete_run_wrote_is_refused(leomix, runs, tmp_path):
    """By whatever reads tables: one bit of a figure would change it in silence."""
    run = Path(shutil.copytree(runs["slots-timing"], tmp_path / "run"))
    lines = (["show", run], ["compare", run], ["report", run], ["export", run, "--to", "csv"])
    said = "is not the file that the run wrote; get the run folder again from its source"
    path = run / "contacts.parquet"
    whole = path.read_bytes()

    def refused():
        for line in lines:
            done = leomix(*line)
            assert (done.status, done.err.count("\n"), said in done.err) == (2, 1, True), done
            assert done.err.startswith(f"leomix: {path}: ")

    table = pq.read_table(path)
    number = table.column_names.index("set_s")
    figures = pc.add(table["set_s"], 1e-9)
    pq.write_table(table.set_column(number, table.schema.field(number), figures), path)
    refused()
    pq.write_table(table, path)  # the same rows, by another program
    refused()
    path.write_bytes(whole)
    for line in lines:
        assert leomix(*line).status == 0
    path.write_bytes(whole[:200])
    assert f"{path}: cannot be read (" in leomix("show", run).err
    path.unlink()
    assert f"{path}: is missing" in leomix("show", run).err


@pytest.fixture(scope="module")
def personal(tmp_path_factory):
    """The folder of a run with weights of the server, and of each device."""
    keys = {"method": "fedavg", "personal": ["moe.0.gate"]}
    return sim.run(slots(learning=keys), tmp_path_factory.mktemp("personal") / "run").folder


@given(draw=st.randoms(use_true_random=False))
def test_weights_that_a_complete_run_did_not_write_are_refused_by_their_name(personal, draw):
    """A bit is flipped, or the file cut short: by load, and where a run is resumed."""
    files = sorted((personal / "model").glob("*.safetensors"))
    assert [file.name for file in files] == ["model.safetensors", "personal.safetensors"]
    whole = sim.load(personal).manifest
    file = draw.choice(files)
    before = file.read_bytes()
    data = bytearray(before)
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    is_cut = draw.choice([False, True])
    file.write_bytes(before[: draw.randrange(len(data))] if is_cut else data)
    scenario = scenarios.from_dict(whole["scenario"])
    try:
        for read in (lambda: sim.load(personal), lambda: sim.run(scenario, personal, resume=True)):
            with pytest.raises(sim.InputError) as refused:
                read()
            said = str(refused.value)
            assert said.startswith(f"{file}: is not the file that the run wrote; ")
            assert "\n" not in said
    finally:
        file.write_bytes(before)
    assert sim.load(personal).manifest == whole


def test_tables_are_read_without_the_weights_and_these_are_missed_where_they_are_needed(
    runs, tmp_path
):
    run = Path(shutil.copytree(runs["slots"], tmp_path / "run"))
    shutil.rmtree(run / "model")
    result = sim.load(run)
    with pytest.raises(sim.InputError, match=r"model\.safetensors: is missing; to export"):
        result.model()


# -- trouble with the disk


@needs_full
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_full_disk_is_named_and_leaves_the_file_that_was_there(leomix, tmp_path, ending):
    out = tmp_path / f"c.{ending}"
    out.write_text("of another day")
    (tmp_path / f".{out.name}.part").symlink_to(FULL)
    outcome = leomix("contacts", "quickstart", "-o", out)
    assert (outcome.status, outcome.err) == (1, f"leomix: {out}: {NO_ROOM}")
    assert (list(tmp_path.iterdir()), out.read_text()) == ([out], "of another day")
    assert leomix("contacts", "quickstart", "-o", out / out.name).status == 2


# -- who holds what


def test_the_table_of_clients_says_what_each_device_holds_of_each_class(runs, tmp_path):
    data = {"kind": "digits", "split": {"kind": "dirichlet", "alpha": 0.2}, "trial_samples": 40}
    result = sim.run(slots(learning={"data": data, "method": "fedavg"}), tmp_path / "run")
    table = pd.read_parquet(tmp_path / "run" / "clients.parquet")
    assert table.equals(result.clients) and table.equals(sim.load(tmp_path / "run").clients)
    assert list(table.columns) == ["cluster", "device", "class", "samples"]
    config = build(slots(learning={"data": data})).learner.config
    found = {(str(row[0]), *row[1:3]): row[3] for row in table.itertuples(index=False)}
    shards = load_samples(config).shards
    assert found == {
        (cluster, device, label): n
        for cluster, parts in shards.items()
        for device, part in enumerate(parts)
        for label, n in zip(*np.unique(part.y, return_counts=True), strict=True)
    }
    assert table.samples.sum() == 1400 - 2 * 40
    weighed = result.updates.groupby(["cluster", "device"]).samples.first()
    assert weighed.equals(table.groupby(["cluster", "device"]).samples.sum())
    assert not (runs["slots-timing"] / "clients.parquet").exists()
    assert runs.result("slots-timing").clients.empty


# -- the log

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) \S.*")


def lines(run):
    found = (run / "run.log").read_text(encoding="utf-8").splitlines()
    assert all(LINE.fullmatch(line) for line in found)
    return found


def test_a_run_says_what_it_did_and_goes_on_with_its_log(runs, stopped):
    result = runs.result("slots")
    said = lines(runs["slots"])
    first = lines(stopped)
    assert "method emsfl, seed 3" in said[0]
    measured = result.metrics[result.metrics.scope == "global"]
    logged = [line for line in said if "evaluated" in line]
    assert len(logged) == len(measured)
    assert logged[-1].endswith(f"accuracy {measured.accuracy.iloc[-1]:.4f}")
    assert result.manifest["trace_sha256"] in said[-1]
    assert " WARNING interrupted: asked for at" in first[-1]
    sim.run(slots(), stopped, resume=True)
    both = lines(stopped)
    assert both[: len(first)] == first
    assert any("up to event 20" in line for line in both[len(first) :])
    assert not RUN_LOGGER.handlers[1:]


def test_a_failed_run_says_why_and_wrong_input_leaves_no_folder(tmp_path):
    def fail(number):
        if number == 10:
            raise sim.SimulationError("a reason\nin two lines")

    with pytest.raises(sim.SimulationError):
        sim.run(slots(), tmp_path / "failed", observers=[Each(fail)])
    assert lines(tmp_path / "failed")[-1].endswith("ERROR failed: a reason in two lines")
    with pytest.raises(sim.InputError):
        sim.run(slots(learning={"data": {"kind": "npz", "path": "none.npz"}}), tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("what", ["a folder", "full"])
def test_a_log_that_cannot_be_written_is_none_and_all_is_heard(
    what, tmp_path, capsys, caplog, monkeypatch
):
    def full(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log, numbers = tmp_path / "run.log", []
    log.mkdir() if what == "a folder" else monkeypatch.setattr(logging.FileHandler, "flush", full)
    caplog.set_level(logging.NOTSET, "leomix.run")  # an environment that nobody closed has another
    run = sim.run(slots(), tmp_path, observers=[Each(numbers.append)])
    assert numbers == [*range(1, run.manifest["events"] + 1)]
    assert capsys.readouterr().err == ""
    assert any("evaluated" in message for message in caplog.messages)


# -- memory, before a run


def test_what_cannot_fit_is_refused_with_the_figures(leomix, tmp_path):
    model = "{kind: vector-moe, experts: 1000, hidden: 100000, expert_hidden: 100000}"
    sets = ["--set", f"learning.model={model}", "--set", "stop.cycles=1"]
    found = leomix("run", "paper-slots", *sets, "-o", tmp_path / "run", "--quiet")
    said = r"leomix: the run needs about \S+ TB of memory .* and \S+ [GM]B are free; .*\); use .* "
    said += r"or set learning\.train: false\n"
    assert (found.status, bool(re.fullmatch(said, found.err))) == (2, True), found
    assert not (tmp_path / "run").exists()
    checked = leomix("validate", "paper-slots", *sets)
    assert (checked.status, bool(re.fullmatch(said, checked.err))) == (2, True), checked
    assert "contacts" in checked.out
    assert leomix("validate", "paper-slots", *sets, "--set", "learning.train=false").status == 0
    # A plan of too many contacts is refused at once.
    began = time.process_time()
    found = leomix("validate", "paper-slots", "--set", "stop.cycles=1000000000")
    assert (found.status, "of memory and" in found.err) == (2, True)
    assert time.process_time() - began < 1


def test_the_least_of_all_limits_counts(tmp_path):
    job = "fs/memory/job/memory"
    files = {
        "meminfo": "MemTotal: 9 kB\nMemAvailable: 4000 kB\n",
        "cgroup": "3:cpu:/x\n4:memory:/job/step\n0::/two\n",
        "fs/memory/job/step/memory.limit_in_bytes": "9223372036854771712\n",
        "fs/memory/job/step/memory.usage_in_bytes": "5\n",
        "fs/memory/job/step/memory.stat": "cache 1\n",
        f"{job}.limit_in_bytes": "3000000\n",
        f"{job}.usage_in_bytes": "1000000\n",
        f"{job}.stat": "inactive_file 1\ntotal_inactive_file 500000\n",
        "fs/two/memory.max": "max\n",
        "fs/two/memory.current": "7\n",
        "fs/two/memory.stat": "inactive_file 3\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    few = build(slots(learning={"train": False}))
    places = {"meminfo": "meminfo", "cgroup": "cgroup", "cgroups": "fs"}
    with limited(**{name: tmp_path / path for name, path in places.items()}):
        assert memory.free_bytes("cpu") == 2_500_000
        for limit, free in (("1000003", 1_000_003 - 7 + 3), ("5", 1)):
            (tmp_path / "fs/two/memory.max").write_text(f"{limit}\n")
            assert memory.free_bytes("cpu") == free
        with pytest.raises(sim.InputError, match=r"are free; .* is the program"):
            limits.doubts(few)
        # It may fit where the estimate is too high by its factor: that is doubted alone.
        (tmp_path / "fs/two/memory.max").write_text("100000000\n")
        (tmp_path / "meminfo").write_text("MemAvailable: 90000 kB\n")
        (tmp_path / f"{job}.limit_in_bytes").write_text("300000000\n")
        (doubt,) = limits.doubts(few)
        assert (doubt.code, doubt.severity) == (Code.NO_MEMORY, Severity.DOUBT)


@pytest.mark.parametrize(
    ("device", "line"),
    [
        ("cpu", "of the disk at /.* of it is its model and a checkpoint .*; use -o on a"),
        pytest.param(
            "cuda",
            "of the memory of cuda and .* free; .* is copies of the model .*: use a",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
        ),
    ],
)
def test_a_run_that_fits_into_memory_is_refused_for_its_gpu_or_disk(tmp_path, device, line):
    """The model is named, and never made."""
    (tmp_path / "meminfo").write_text("MemAvailable: 99999999999999 kB\n")
    sizes = {"hidden": 65536, "expert_hidden": 100_000, "layers": 100}
    built = build(slots(learning={"model": sizes, "device": device}))
    refused = pytest.raises(sim.InputError, match=f"^the run needs about .* TB {line}")
    with limited(meminfo=tmp_path / "meminfo", cgroup=tmp_path / "none"), refused:
        limits.doubts(built, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_weights_of_checkpoints_take_room_on_the_disk_unless_none_are_kept():
    keys = {"learning.data": {"kind": "digits"}, "stop.cycles": 2}
    last, none = (
        limits.need_on_disk(build(scenarios.load("paper-exp1", keys | more))).bytes
        for more in ({}, {"learning.keep": "none"})
    )
    assert last - none == 2 * 19_304_943_616
    assert 0 < none < 4e9  # factors of the server and of devices, and gates


@pytest.mark.parametrize("ask", [lambda: torch.empty(1 << 55), lambda: bytearray(1 << 60)])
def test_what_a_failed_allocation_leaves_can_be_resumed(runs, tmp_path, ask):
    with pytest.raises(sim.SimulationError, match=r"^there is not enough memory at .*--resume"):
        sim.run(slots(), tmp_path / "run", observers=[Each(lambda n: n < 20 or ask())])
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "failed" and manifest["error"].startswith("there is not enough")
    again = sim.run(slots(), tmp_path / "run", resume=True)
    assert again.manifest["trace_sha256"] == runs.result("slots").manifest["trace_sha256"]


@pytest.fixture(params=[700, 0, 500_000])
def threshold(request):
    before = gc.get_threshold()
    gc.set_threshold(request.param, 11, 12)
    yield request.param
    gc.set_threshold(*before)


def test_a_run_looks_for_garbage_seldom_and_then_as_before(threshold):
    class Watch(sim.Observer):
        def event(self, number, time_s):
            seen.add(gc.get_threshold())

    seen = set()
    sim.run(slots(learning={"train": False}), observers=[Watch()])
    assert seen == {(max(threshold, 100_000) if threshold else 0, 11, 12)}
    assert gc.get_threshold() == (threshold, 11, 12)
