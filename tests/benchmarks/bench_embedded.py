"""What runs share of the blocks below the experts: CPU seconds to run them on texts, or to read it.

`python tests/benchmarks/bench_embedded.py --weights FOLDER FOLDER FOLDER --data FILE FILE FILE`
prints rows of `paper-exp1-real`, `--encoder FOLDER --tasks FILE FILE FILE FILE` of
`paper-exp2-real`: as the first run does it, the next one with that seed, and that with the next
seed, each in a process of its own; then with all tests of the files in place of some that each seed
draws. `met` are the texts that the seed before has drawn, too. All texts are run, none is trained.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from real_weights import with_weights

import scenarios

DRAWN = "some tests, drawn"
TESTS: dict[str, dict[str, Any]] = {DRAWN: {}, "all tests": {"learning.data.test_samples": None}}
RUNS = {"first run": 1, "same seed again": 1, "next seed": 2}
ROW = "{:<18} {:<18} {:>8} {:>8} {:>8} {:>9} {:>9}"


def main() -> None:
    """Print a row for each run."""
    asked = with_weights().parse_args()
    print(ROW.format("", "", "texts", "met", "batches", "read", "CPU, s"))
    if asked.weights:
        print_rows("paper-exp1-real", asked.weights, asked.data)
    if asked.encoder:
        print_rows("paper-exp2-real", asked.encoder, asked.tasks)


def print_rows(name: str, weights: Sequence[str], data: Sequence[str]) -> None:
    """Print the rows of an experiment."""
    clusters = scenarios.load(name).ground.clusters
    files = {one.name: str(Path(f).resolve()) for one, f in zip(clusters, data, strict=True)}
    given = {
        "learning.model.checkpoints": [str(Path(folder).resolve()) for folder in weights],
        "learning.data.paths": files,
    }
    for tests, keys in TESTS.items():
        with TemporaryDirectory() as cache:
            os.environ["LEOMIX_CACHE"] = cache
            before: set[bytes] = set()
            for run, seed in RUNS.items():
                one = {**given, **keys, "seed": seed}
                with ProcessPoolExecutor(1, get_context("spawn")) as apart:
                    found = apart.submit(embedded, name, one).result()
                rows, batches, read, seconds = found
                met = len(before & rows)
                print(ROW.format(tests, run, len(rows), met, batches, read, f"{seconds:.1f}"))
                before = rows


def embedded(name: str, keys: Mapping[str, Any]) -> tuple[set[bytes], int, int, float]:
    """Return the texts of a run, batches, those that were read, and CPU seconds for all of them."""
    from sim.execution.run_cache import RunCache
    from tests.kit.network import build
    from tests.kit.training import Residency, embedding

    learner = build(scenarios.load(name, keys)).learner
    shared = RunCache.shared()
    assert shared is not None
    shared.serve(learner)
    assert learner.batches is not None
    task = learner.task.keeping(learner.batches)
    model = task.shapes(Residency(held=task.all_experts))
    backbone = {task.names.path(name): tensor for name, tensor in task.backbone.items()}
    sets = {c: shards.samples.x for c, shards in task.shards.items()}
    for kind, of in (("trial", task.trial), ("tests", task.test)):
        sets |= {f"{kind} of {cluster}": samples.x for cluster, samples in of.items()}
    began = process_time()
    for of, x in sets.items():
        embedding.embedded(task, model, backbone, of, x)
    seconds = process_time() - began
    shared.close()
    rows = {row.numpy().tobytes() for x in sets.values() for row in x}
    figures = shared.figures()
    read = figures["embedded_read"]
    return rows, read + figures["embedded_kept"], read, seconds


if __name__ == "__main__":
    main()
