"""Code of one's own that ends the process: leomix says whose it was, as of any error."""

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


PLACES = ("import", "constructor", "forward", "data", "metric", "method")
CASES = [("run", here) for here in (*PLACES, "nowhere")]
CASES += [(command, here) for command in ("sweep", "validate") for here in ("import", "forward")]


@pytest.mark.parametrize(("command", "here"), CASES)
def test_an_end_of_the_process_is_an_error_as_any_other(
    leomix, tmp_path, monkeypatch, command, here
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ending.py").write_text(MODULE.format(here=here))
    keys = [word for key, value in KEYS.items() for word in ("--set", f"{key}={value}")]
    place = [] if command == "validate" else ["-o", "out"]
    point = ["-p", "seed=1"] if command == "sweep" else []
    told = leomix(command, "plain-fedavg", *keys, *point, *place)
    if here == "nowhere":
        assert told.status == 0
    else:
        assert told.status in (1, 2)
        assert "SystemExit: 3" in told.err
