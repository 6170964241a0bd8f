"""Peak memory of runs against what `leomix validate` says of them.

`python tests/benchmarks/bench_peak.py` runs small scenarios that need no files, each in a process
of its own, and prints the estimate and the peak of the process, in MB, and their ratio. With
`--weights FOLDER FOLDER FOLDER --data FILE FILE FILE` it runs `paper-exp1-real` besides, in twenty
settings that are cut short: three Llama checkpoints of one shape, and files of questions. With
`--encoder FOLDER --tasks FILE FILE FILE FILE` it runs `paper-exp2-real` in seven. Words behind
`--only` pick settings by their names.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import scenarios
from sim.advice import memory as limits
from sim.execution.ready import build
from tests.benchmarks.stopwatch import leomix

CUT = {
    "stop.cycles": 1,
    "learning.steps_per_round": 1,
    "learning.data.train_samples": 16,
    "learning.data.test_samples": 12,
    "learning.data.trial_samples": 4,
    "learning.pretraining.gate_steps": 0,
}
F32 = {"learning.precision": "float32"}
ALL = {"learning.model.moe_layers": None}
WHOLE = {"learning.lora.rank": None, "learning.model.moe_layers": 2}
QUESTIONS = {"learning.data.objective": "label", "learning.data.tokens": 48}
AGAIN = {"learning.checkpoint_activations": True}
SYNCHRONOUS = {"learning.method": "synchronous"}
FEDAVG = {"learning.method": "fedavg"}

REAL = {
    "six layers": F32,
    "six layers, two cycles": F32 | {"stop.cycles": 2},
    "six layers, bfloat16": {},
    "all layers": F32 | ALL,
    "all layers, bfloat16": ALL,
    "all layers, rank 32": F32 | ALL | {"learning.lora.rank": 32},
    "batch of 24": F32 | {"learning.batch_size": 24},
    "batch of 24 in pieces": F32 | {"learning.batch_size": 24, "learning.micro_batch": 4},
    "batch of 24, recomputed": F32 | AGAIN | {"learning.batch_size": 24},
    "128 tokens": F32 | {"learning.data.tokens": 128},
    "whole experts": F32 | WHOLE,
    "whole experts, SGD": F32 | WHOLE | {"learning.optimizer": {"kind": "sgd"}},
    "questions": F32 | QUESTIONS | {"learning.batch_size": 2},
    "questions, bfloat16": QUESTIONS | {"learning.batch_size": 2},
    "gates by the task": F32 | {"learning.pretraining": {"gate_steps": 1, "gate_loss": "task"}},
    "synchronous": F32 | SYNCHRONOUS,
    "synchronous, all layers": F32 | ALL | SYNCHRONOUS,
    "fedavg": F32 | FEDAVG,
    "fedavg, bfloat16": FEDAVG,
    "fedavg, one checkpoint": F32 | ALL | FEDAVG,
}
ENCODER = {
    "MiniLM": {},
    "MiniLM, all layers": ALL,
    "MiniLM, rank 4": {"learning.lora.rank": 4},
    "MiniLM, synchronous": SYNCHRONOUS,
    "MiniLM, three cycles": {"stop.cycles": 3},
    "synchronous, three cycles": SYNCHRONOUS | {"stop.cycles": 3},
    "MiniLM, one expert": {
        "learning.method": "fedavg-per-cluster",
        "learning.model.experts_per_checkpoint": 1,
        "learning.model.top_k": 1,
    },
}
SMALL = {
    "paper-slots": ("paper-slots", {"stop.cycles": 2}),
    "plain-fedavg": ("plain-fedavg", {"stop.days": 0.5}),
    "paper-exp1-small": ("paper-exp1-small", {"stop.cycles": 1}),
}
Setting = tuple[str, dict[str, Any]]


def main():
    """Print a row for each setting."""
    parser = ArgumentParser()
    for option, count in (("weights", 3), ("data", 3), ("encoder", 1), ("tasks", 4), ("only", "*")):
        parser.add_argument(f"--{option}", nargs=count, default=[])
    asked = parser.parse_args()
    settings = dict(SMALL)
    if asked.weights:
        settings |= of("paper-exp1-real", REAL, asked.weights, asked.data)
    if asked.encoder:
        settings |= of("paper-exp2-real", ENCODER, asked.encoder, asked.tasks)
    chosen = {n: own for n, own in settings.items() if not asked.only or n in asked.only}
    print_peaks(chosen)


def of(scenario, keys, weights, data):
    """Return the settings of a real experiment, cut short."""
    clusters = scenarios.load(scenario).ground.clusters
    files = {one.name: str(Path(f).resolve()) for one, f in zip(clusters, data, strict=True)}
    settings = {}
    for name, own in keys.items():
        folders = weights[:1] if "one checkpoint" in name else weights
        given = {
            "learning.model.checkpoints": [str(Path(folder).resolve()) for folder in folders],
            "learning.data.paths": files,
        }
        settings[name] = (scenario, CUT | given | own)
    return settings


def print_peaks(settings):
    """Print memory, in MB, and how long a run took."""
    print(f"{'setting':<26}{'estimate':>10}{'peak':>10}{'ratio':>8}{'wall, s':>9}")
    for name, (scenario, keys) in settings.items():
        estimate_mb, peak_mb, wall_s = measured(scenario, keys)
        ratio = estimate_mb / peak_mb
        row = f"{name:<26}{estimate_mb:>10.0f}{peak_mb:>10.0f}{ratio:>8.2f}{wall_s:>9.0f}"
        print(row, flush=True)


def measured(scenario, keys):
    """Return the estimate and the peak of a run, in MB, and how long it took."""
    estimate_mb = limits.memory_bytes(build(scenarios.load(scenario, keys))) / 1e6
    said = [word for key, value in keys.items() for word in ("--set", f"{key}={text(value)}")]
    with TemporaryDirectory() as place:
        words = ("run", scenario, *said, "-o", Path(place) / "run", "--quiet", "--no-cache")
        took = leomix(*words)
    return estimate_mb, took.peak_mb * 1024**2 / 1e6, took.wall_s


def text(value):
    """Return a value as it is typed behind `--set`."""
    written = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return written.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    main()
