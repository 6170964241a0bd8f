"""What a run takes of memory, told before it, against the peak that its manifest has."""

import json
import subprocess
import sys

import pytest

import scenarios
from sim.advice import memory as limits
from sim.execution.ready import build

UNTRAINED = {"backbone_steps": 0, "expert_steps": 0, "gate_steps": 0}
SHORT = {
    "stop.cycles": 1,
    "learning.pretraining": UNTRAINED,
    "learning.steps_per_round": 1,
    "learning.batch_size": 4,
}
SIZES = {"hidden": 512, "expert_hidden": 2048, "experts": 3}
TEXT = {
    "learning.model": {"kind": "mixtral", "layers": 2, "tokenizer": "words", **SIZES},
    "learning.lora": {"rank": 4},
    "learning.data": {"kind": "jsonl", "path": "texts.jsonl", "tokens": 64, "trial_samples": 4},
}
RUNS = {
    "timing": {"learning.train": False},
    "experts": SHORT | {"learning.model": SIZES | {"layers": 2}},
    "adam": {
        "stop.cycles": 1,
        "learning.steps_per_round": 1,
        "learning.method": "fedavg",
        "learning.model": {"kind": "vector-mlp", "hidden": 1024, "layers": 2},
        "learning.optimizer": {"kind": "adam"},
    },
    "text": SHORT | TEXT,
}


@pytest.mark.process
@pytest.mark.parametrize("name", RUNS)
def test_a_run_takes_what_was_estimated_within_a_factor_of_two(tmp_path, monkeypatch, name):
    """In a process each: what others have taken here would count as well."""
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"text": f"w{n} " * 40, "label": n % 2}) for n in range(60)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    estimate = limits.memory_bytes(build(scenarios.load("paper-slots", RUNS[name])))
    said = [w for k, value in RUNS[name].items() for w in ("--set", f"{k}={json.dumps(value)}")]
    line = [sys.executable, "-m", "sim", "run", "paper-slots", *said, "-o", "run", "--no-cache"]
    subprocess.run(line, check=True, capture_output=True)
    peak = json.loads((tmp_path / "run" / "manifest.json").read_text())["peak_memory_bytes"]
    assert peak / 2 < estimate < peak * 2
