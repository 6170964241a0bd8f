"""A run that is cut short anywhere and resumed is the run that was never cut short."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import scenarios
import sim
from learning import register
from tests.kit.folders import Each, cut, held
from tests.kit.inner.learning import NextContact, Synchronous, load_samples_anew
from tests.kit.inner.sim import CHECKPOINT, JOURNAL, RUN_LOG, checksum, read_manifest
from tests.kit.small import SATELLITES, SLOTS, merged, slots
from tests.kit.small_nmoe import IN_ORBIT, nmoe, options
from tests.runs import SCENARIOS

ROOT = Path(__file__).resolve().parents[3]
FULL = Path("/dev/full")
TIMING = {"train": False}
# A norm over all gradients is summed in the order of the tensors, computed or loaded alike.
CLIPPED = options(extractor_rounds=5, gate="local", expert_rounds=1)
CLIPPED |= {"steps_per_round": 5, "batch_size": 16, "step_size": 2.0}
LARGE = {"kind": "mixtral", "hidden": 512, "expert_hidden": 1024, "layers": 8}
ALONE = {"clusters": [{"name": "A", "devices": 5}]}
OVERLAPPING = {
    "orbit.use.planes": 2,
    "orbit.use.satellites_per_plane": 6,
    "ground.stations_used": 4,
    "stop.rounds": 3,
    "learning.train": True,
    "learning.options.clients": 4,
}
CUT = {name: SCENARIOS[name] for name in ("slots-enhanced", "aligned", "nmoe")}
CUT["clipped"] = lambda: nmoe(ground=ALONE, learning=CLIPPED)
CUT["satellites"] = lambda: scenarios.from_dict(SATELLITES)
CUT["experts in orbit"] = lambda: scenarios.from_dict(IN_ORBIT)
CUT["validated"] = lambda: slots(learning={"data": {"validation": 0.2}})
CUT["stand-in"] = lambda: slots(learning={"method": "aligned", "sized_as": LARGE})
# Contacts that open before others and close behind them.
CUT["overlapping"] = lambda: scenarios.load("flystack", OVERLAPPING)


@pytest.mark.wide
@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_twice_and_resumed_is_the_same_run(name, runs, tmp_path):
    """Its tables and weights, byte by byte; and nothing is trained twice, if all is saved."""
    scenario = CUT[name]()
    whole = runs.made(name, lambda folder: sim.run(scenario, folder))
    said = read_manifest(whole)
    trained = []
    for share in (1 / 12, 1 / 4):
        event = int(share * said["events"])
        cut(scenario, tmp_path, event, resume=True, checkpoint_every_s=0.0)
        before = read_manifest(tmp_path)
        assert before["status"] == "interrupted" and (tmp_path / "events.parquet").exists()
        trained.append(before["trainings"])
    after = sim.run(scenario, tmp_path, resume=True).manifest
    assert after["trace_sha256"] == said["trace_sha256"]
    assert sum(trained) > 0 and trained[0] < said["trainings"]
    assert sum(trained) + after["trainings"] == said["trainings"]
    assert held(tmp_path) == held(whole)


def test_a_replay_that_differs_names_what_else_does(tmp_path):
    """Nothing but that is blamed; and what was saved stays as it is."""
    place = cut(slots(), tmp_path / "run", 12)
    file = place / CHECKPOINT / JOURNAL
    state = json.loads(file.read_text())
    known = state["saved_with"]
    others = {**known, "numpy": "1.0", "PAST": "1"}
    for before, why in (
        (known, "so this is a defect of leomix; nothing that was saved is lost: keep"),
        (others, f"12: numpy 1.0 -> {known['numpy']}, PAST 1 -> none since"),
        ({}, "12: it was saved by another version of leomix; run it anew in another folder"),
    ):
        saved = {**state, "digest": "0" * 32, "saved_with": before}
        file.write_text(json.dumps(saved | {"checksum": checksum(saved)}))
        written = file.read_bytes()
        with pytest.raises(sim.SimulationError, match=re.escape(why)) as failed:
            sim.run(slots(), place, resume=True)
        assert ("defect" in str(failed.value)) is (before is known)
        assert file.read_bytes() == written


class Snapshots:
    """Copies of a run folder behind each event and before each step that changes what is in it."""

    def __init__(self, place, to, patch):
        self.place = place
        self.to = to
        self.events = []
        self.steps = []
        for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "rmdir"), (os, "unlink")):
            patch.setattr(owner, name, self.around(getattr(owner, name)))

    def around(self, act):
        def acting(*given, **named):
            if CHECKPOINT in map(str, given) or self.place in Path(str(given[0])).parents:
                self.take(self.steps, "step")
            return act(*given, **named)

        return acting

    def take(self, taken, what):
        taken.append(self.to / f"{what}{len(taken) + 1}")
        shutil.copytree(self.place, taken[-1], True)


ALL = pytest.param(True, True, marks=pytest.mark.slow(reason="a resume for every snapshot"))


@pytest.mark.parametrize(("train", "all_of_them"), [(True, False), (False, False), ALL])
def test_what_is_killed_anywhere_and_resumed_is_the_same_run(train, all_of_them, tmp_path):
    """A kill leaves the folder as it lies there behind an event, or amid writing."""
    scenario = slots(learning={"train": train})
    place = tmp_path / "run"
    (tmp_path / "copies").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        shots = Snapshots(place, tmp_path / "copies", patch)
        behind = lambda number: shots.take(shots.events, "event")  # noqa: E731
        sim.run(scenario, place, observers=[Each(behind)], checkpoint_every_s=0.0)
    whole = read_manifest(place)
    assert len(shots.events) == whole["events"] and len(shots.steps) > (100 if train else 8)
    chosen = [*shots.events[4 :: 5 if train else 20], *shots.steps[-12::3]]  # the end is written
    for copy in [*shots.events, *shots.steps] if all_of_them else chosen:
        resumed = sim.run(scenario, copy, resume=True).manifest
        assert resumed["trace_sha256"] == whole["trace_sha256"], copy
        assert resumed["trainings"] <= whole["trainings"]
        assert held(copy) == held(place), copy
        shutil.rmtree(copy)


def test_values_are_dropped_that_nobody_can_ask_for_again(tmp_path):
    """Saved behind every event, in the last third of a run as few are kept as in the first."""
    values = tmp_path / CHECKPOINT / "values"
    kept = []

    def count(number):
        kept.append(len(list(values.iterdir())) if values.exists() else 0)

    scenario = slots(learning={"method": "emsfl-enhanced"}, stop={"cycles": 9})
    sim.run(scenario, tmp_path, observers=[Each(count)], checkpoint_every_s=0.0)
    third = len(kept) // 3
    assert max(kept[-third:]) <= max(kept[:third]) + 1
    assert 3 <= max(kept) < 20


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_leaves_what_was_saved_before(runs, tmp_path):
    folder = tmp_path / CHECKPOINT

    def fill(number):
        if number == 30:
            (folder / f".{JOURNAL}.part").symlink_to(FULL)

    with pytest.raises(sim.SimulationError, match=str(folder)):
        sim.run(slots(), tmp_path, observers=[Each(fill)], checkpoint_every_s=0.0)
    assert read_manifest(tmp_path)["status"] == "failed"
    sim.run(slots(), tmp_path, resume=True)
    assert held(tmp_path) == held(runs["slots"])


def test_what_lies_in_a_folder_decides_whether_a_run_may_go_there(runs, tmp_path):
    finished = runs.copy("slots-timing", tmp_path)
    before = read_manifest(finished)
    own = tmp_path / "own"
    again = sim.run(slots(learning=TIMING), finished, resume=True)
    assert again.manifest == before
    assert again.metrics.equals(runs.result("slots-timing").metrics)
    own.mkdir()
    (own / "mine.txt").write_text("precious")
    for place, resume, said in (
        (finished, True, r"another scenario \(.*learning.step_size .* -> 0.2.*\); name another"),
        (cut(slots(), tmp_path / "cut", 12), True, r"another scenario \(learning.step_size "),
        (finished, False, "not empty"),
        (own, False, "not empty"),
        (own, True, "no run"),
        (own / "mine.txt", False, "is a file"),
    ):
        with pytest.raises(sim.InputError, match=said):
            sim.run(slots(learning={"step_size": 0.2}), place, resume=resume)


@pytest.mark.parametrize("resume", [False, True])
def test_what_a_killed_process_left_is_swept_and_nothing_else(resume, tmp_path):
    half = [".events.parquet.part", ".spilled/events.0.arrow"]
    if resume:
        half += ["model/.model.json.part", f"{CHECKPOINT}/values/.a.part"]
        (tmp_path / ".mine").write_text("kept")
    for name in half:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / RUN_LOG).write_text("all that there was\n")

    def again(number):
        if number == 5:
            with pytest.raises(sim.InputError, match="another process is running in it"):
                sim.run(slots(learning=TIMING), tmp_path, resume=True)

    result = sim.run(slots(learning=TIMING), tmp_path, resume=resume, observers=[Each(again)])
    assert result.manifest["status"] == "complete"
    assert (tmp_path / RUN_LOG).read_text().startswith("all that there was\n")
    hidden = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob(".*")}
    assert hidden == ({".mine"} if resume else set())


@pytest.mark.process
def test_no_other_process_runs_in_the_folder_meanwhile(tmp_path):
    place = tmp_path / "run"
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(merged(SLOTS, {"learning": TIMING})))
    line = [sys.executable, "-m", "leomix", "run", "s.yaml", "-o", place, "--quiet"]
    ended = []

    def meanwhile(number):
        if number == 5:
            # A file is locked, as on all machines of a network file system, and no folder.
            folder = os.open(place, os.O_RDONLY)
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(folder)
            how = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
            for more in ([], ["--resume"]):
                done = subprocess.run([*line, *more], capture_output=True, text=True, **how)
                ended.append((done.returncode, done.stderr))

    result = sim.run(tmp_path / "s.yaml", place, observers=[Each(meanwhile)])
    assert result.manifest["status"] == "complete" and not list(place.glob(".*"))
    for (status, said), words in zip(ended, ("is not empty", "another process is"), strict=True):
        assert (status, said.count("\n"), words in said) == (2, 1, True), said


class Failing(Synchronous):
    """Fails as long as a file of that name is there, in a contact of the second cluster."""

    def cluster(self, me):
        for number in range(2):
            yield NextContact(fresh=True)
            if me.index and Path(f"broken-{number}").exists():
                raise ArithmeticError("on purpose")


def test_a_failed_run_fails_again_and_says_so(leomix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    register("failing")(Failing)
    said = merged(SLOTS, {"learning": {"method": "failing", **TIMING}})
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(said))
    line = ["run", "s.yaml", "-o", "run", "--quiet", "--resume"]
    (tmp_path / "broken-0").touch()
    line_of = Failing.cluster.__code__.co_firstlineno + 4
    told = "leomix: the run failed: B at 600.000 s: ArithmeticError: on purpose"
    told += f" (test_resume.py:{line_of})"
    again = "; it failed so before, and --resume does not mend that"
    for more in ("", again, again):
        done = leomix(*line)
        assert (done.status, done.err) == (1, f"{told}{more}\n")
    (tmp_path / "broken-0").rename("broken-1")  # the same error, and another failure
    for is_new in (True, False):
        done = leomix(*line)
        assert (done.status, done.err.endswith(f"{again}\n")) == (1, not is_new), done.err
    (tmp_path / "broken-1").unlink()
    assert leomix(*line).status == 0


# -- what makes two runs the same one


def test_a_run_is_known_by_what_its_files_hold_and_not_by_where_they_are(tmp_path):
    file, run = tmp_path / "data.jsonl", tmp_path / "run"
    model = {"kind": "mixtral", "experts": 4, "hidden": 16, "expert_hidden": 8, "vocabulary": 300}
    lines = [json.dumps({"text": f"word{n % 7} word{n % 3}", "label": n % 2}) for n in range(240)]

    def run_of(path, **how):
        data = {"kind": "jsonl", "path": str(path), "tokens": 8}
        learning = {**TIMING, "lora": {}, "model": model, "data": data}
        return sim.run(slots(learning=learning), run, **how).manifest

    file.write_text("\n".join(lines))
    first = run_of(file)
    moved = file.rename(tmp_path / "elsewhere.jsonl")
    assert run_of(moved, resume=True) == first
    moved.write_text("\n".join(lines[::-1]))
    with pytest.raises(sim.InputError, match="another scenario"):
        run_of(moved, resume=True)


READS = """
import numpy as np
from pathlib import Path
from torch import nn
import torch

from learning.data import Dataset, Domain, Encoding, InputSpec, SampleArrays

HERE = Path(__file__).parent


class Net(nn.Linear):
    def __init__(self, spec):
        super().__init__(spec.shape[0], 2)
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(np.load(HERE / "file.npy")[:2]))


def samples(config):
    x = np.load(HERE / "file.npy")
    rows = np.arange(len(x))
    domains = [
        Domain(*(SampleArrays(part, part % 2, 0 * part) for part in (own[:80], own[80:])))
        for own in np.split(rows, len(config.clusters))
    ]
    return Dataset(domains, lambda _: Encoding(InputSpec("vector", (64,), 2), lambda r: x[r]))


def start(context): return {"w": np.zeros(64)}
def data(context): return np.load(HERE / "file.npy")
def test_data(context): return np.ones(30)
def train(weights, data, context): return {"w": weights["w"] + 0.1 * data[0]}, 4
def evaluate(weights, data, context): return {"accuracy": float(weights["w"][0] > 0)}
"""


def reading(use, module):
    learning_ = {
        "weights": {"method": "fedavg", "model": {"kind": f"{module}:Net"}},
        "data": {"method": "fedavg", "model": {"kind": "vector-mlp"}},
        "functions": {
            "method": "sim.fly.functions:Functions",
            "options": {"code": f"{module}:train"},
        },
    }[use]
    if use != "functions":
        learning_["data"] = {"kind": f"{module}:samples"}
    return {**SLOTS, "learning": learning_}


def write_file(folder, last):
    x = np.random.default_rng(4).normal(size=(200, 64)).astype("f4")
    x[1, -1] = last
    np.save(folder / "file.npy", x)
    load_samples_anew()


READERS = [("weights", "complete"), ("weights", "killed"), ("data", "interrupted")]
READERS += [("functions", "complete"), ("functions", "killed")]
"""Learners of leomix make weights and data alike; a method of its own learning makes its own."""


@pytest.mark.parametrize(("use", "ended"), READERS)
def test_a_run_goes_on_with_the_data_and_weights_that_custom_code_gave_it(
    tmp_path, monkeypatch, use, ended
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = f"reads_{use}_{ended}"
    (tmp_path / f"{module}.py").write_text(READS)
    said, place = scenarios.from_dict(reading(use, module)), tmp_path / "run"
    write_file(tmp_path, last=1.0)
    if ended == "complete":
        sim.run(said, place)
    else:
        cut(said, place, 20, checkpoint_every_s=0.0)
    if ended == "killed":
        (place / "manifest.json").unlink()
    write_file(tmp_path, last=2.0)
    with pytest.raises(sim.InputError, match=r"from before .* changed; name another folder, or"):
        sim.run(said, place, resume=True)
    write_file(tmp_path, last=1.0)
    assert sim.run(said, place, resume=True).manifest["status"] == "complete"


@pytest.mark.process
def test_points_whose_data_custom_code_now_makes_otherwise_are_run_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reads.py").write_text(READS)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(reading("data", "reads")))
    words = [sys.executable, "-m", "leomix", "sweep", "s.yaml", "-p", "seed=1,2", "-o", "out"]
    consent = {**os.environ, "LEOMIX_ALLOW_CODE": "1"}

    def digests():
        subprocess.run([*words, "--resume", "--quiet"], check=True, env=consent)
        folders = sorted((tmp_path / "out" / "points").iterdir())
        points = [folder for folder in folders if folder.suffix != ".aside"]
        return [json.loads((folder / "manifest.json").read_text()) for folder in points]

    write_file(tmp_path, last=1.0)
    first = digests()
    assert digests() == first
    write_file(tmp_path, last=2.0)
    for before, after in zip(first, digests(), strict=True):
        assert before["made_by_code"] != after["made_by_code"]
        assert before["trace_sha256"] != after["trace_sha256"]
