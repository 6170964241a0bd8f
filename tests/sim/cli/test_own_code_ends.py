"""Code of one's own that fails or ends the process: leomix says whose it was, as of any error."""

import json
import os
import subprocess
import sys

import pytest

MODULE = """
import sys

import numpy as np
import torch

import learning
from learning.data import Dataset, Domain, Encoding, InputSpec, SampleArrays

SPEC = InputSpec("vector", (64,), classes=10)
if {here!r} == "import":
    sys.exit(3)


def at(place):
    if place == {here!r}:
        raise SystemExit(3)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        at("constructor")
        self.line = torch.nn.Linear(64, 10)

    def forward(self, x):
        at("forward")
        return self.line(x)


def data(config):
    at("data")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 64)).astype("float32"), rng.integers(0, 10, 200)
    samples = SampleArrays(x, y, np.zeros(200, int))
    domains = [Domain(samples, samples) for _ in config.clusters]
    return Dataset(domains, lambda trial: Encoding(SPEC, lambda x: x))


def metric(logits, y):
    at("metric")
    return 0.5


@learning.register("ends")
class Ends(learning.FedAvg):
    def cluster(self, me):
        at("method")
        yield from super().cluster(me)
"""
KEYS = {
    "learning.model.kind": "ending:Net",
    "learning.data.kind": "ending:data",
    "learning.metrics": '["ending:metric"]',
    "learning.method": "ending:Ends",
    "stop.days": "0.5",
}


CASES = [("run", here) for here in ("import", "forward", "data", "metric", "method")]
CASES += [("sweep", "import"), ("validate", "constructor")]


@pytest.mark.parametrize(("command", "here"), CASES)
@pytest.mark.quick(4)
def test_an_end_of_the_process_is_an_error_as_any_other(
    leomix, tmp_path, monkeypatch, command, here
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ending.py").write_text(MODULE.format(here=here))
    keys = [word for key, value in KEYS.items() for word in ("--set", f"{key}={value}")]
    place = [] if command == "validate" else ["-o", "out"]
    point = ["-p", "seed=1"] if command == "sweep" else []
    told = leomix(command, "plain-fedavg", *keys, *point, *place)
    assert told.status in (1, 2)
    assert "SystemExit: 3" in told.err
    if command == "run":  # wrong input leaves nothing in the way of the next try
        assert (tmp_path / "out").exists() == (told.status == 1)


PRINTS = """
import os
import sys

import numpy as np
from torch import nn

print("imported")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(64, 10)

    def forward(self, x):
        print("called")
        sys.__stdout__.write("called past sys.stdout\\n")
        sys.__stdout__.flush()
        os.system("echo called in a shell")
        return self.line(x.flatten(1))


def start(context):
    return {"w": np.zeros(3)}


def train(weights, data, context):
    print("called")
    return weights, 1


def evaluate(weights, data, context):
    print("called")
    return {"accuracy": 0.5}
"""
MODEL = ("--set", "learning.model.kind=printing:Net")
TYPED = {
    "run": ("plain-fedavg", *MODEL, "--set", "stop.days=0.5", "-o", "out"),
    "validate": ("plain-fedavg", *MODEL),
    "sweep": ("plain-fedavg", *MODEL, "--set", "stop.days=0.5", "-p", "seed=1", "-o", "out"),
    "fly": ("printing.py", "-s", "plain-fedavg", "--set", "stop.days=0.5", "-o", "out"),
}


@pytest.fixture
def printing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "printing.py").write_text(PRINTS)
    yield
    sys.modules.pop("printing", None)


@pytest.mark.parametrize("command", TYPED)
@pytest.mark.quick(1)
def test_with_json_stdout_holds_one_value_whatever_code_prints(leomix, printing, command):
    done = leomix(command, *TYPED[command], "--json")
    assert done.status == 0 and json.loads(done.out)
    assert command == "sweep" or {"imported", "called"} <= set(done.err.splitlines())
    refused = leomix(
        "validate", "plain-fedavg", "--set", "learning.model.kind=printing:No", "--json"
    )
    assert "No" in json.loads(refused.out)["refused"]["text"]


@pytest.mark.process
def test_so_it_is_where_code_writes_to_the_stdout_of_the_process(tmp_path, printing):
    line = [sys.executable, "-m", "leomix", "validate", *TYPED["validate"], "--json"]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    assert json.loads(done.stdout)["refused"] is None, done.stderr
    said = {"called", "called past sys.stdout", "called in a shell"}
    assert said <= set(done.stderr.splitlines())


ENDS = """
import os

from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(64, 10)

    def forward(self, x):
        if not os.fork():
            os._exit(0)  # of a process of its own
        os._exit({status})
"""


@pytest.mark.process
@pytest.mark.parametrize("status", [0, 3])
def test_a_model_that_ends_the_process_at_once_is_said_and_no_success(tmp_path, status):
    (tmp_path / "silent.py").write_text(ENDS.format(status=status))
    model = ["--set", "learning.model.kind=silent:Net", "--set", "stop.days=0.5"]
    line = [sys.executable, "-m", "leomix", "run", "plain-fedavg", *model, "-o", "out", "--quiet"]
    path = os.pathsep.join([*filter(None, sys.path), str(tmp_path)])
    how = {"env": os.environ | {"PYTHONPATH": path}, "cwd": tmp_path}
    done = subprocess.run(line, capture_output=True, text=True, check=False, **how)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert f"silent.py:15 has called os._exit({status})" in done.stderr


def test_a_writer_that_ends_the_process_is_refused(leomix, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_writer.py").write_text("def write(run, place):\n    raise SystemExit(3)\n")
    told = leomix("export", runs["slots"], "--to", "own_writer:write", "-o", tmp_path / "out")
    assert told.status == 2 and "writer fails: SystemExit: 3 (own_writer.py:2)" in told.err
