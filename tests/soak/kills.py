"""Kill -9 at random moments of runs and sweeps; resumed, each is what it would have been.

    python tests/soak/kills.py --count 100 --seed 8         # the long form: a quarter of an hour

Half of the kills come at any moment, half while the end is written; moments are counted in seconds
of computing, so that a busy machine does not move them. A life is killed once or twice and then
goes on to its end. It must have the same trace, the same rows and the same files as one that nobody
disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import load_file

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.kit.small import ORBIT, SLOTS, merged
from tests.kit.sweeps import MACHINE_COLUMNS

EAGER = Path(__file__).with_name("eager.py")
TIMING = merged(ORBIT, {"learning": {"train": False}, "stop": {"days": 6}})
TRAINED = merged(SLOTS, {"stop": {"cycles": 20}})
TICK_S = 0.01
"""How finely the system counts what a process computes."""
MOST_S = 600.0
"""How long anything may take."""
POINTS = ("-p", "stop.days=1:4:1", "-j", "2")
KINDS = ("timing-only run", "trained run", "sweep")


@dataclass(frozen=True)
class Kind:
    """A command, and what it leaves when nobody disturbs it."""

    name: str
    command: tuple[str, ...]
    files: frozenset[str]
    result: tuple[Any, ...]
    begins_s: float
    """Computed until the first file is there."""
    writes_s: float
    """Computed until the first table is there."""
    ends_s: float


def main() -> int:
    """Kill and resume; print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leomix-kills-") as work:
        kills = campaign(Path(work), asked.count, asked.seed)
    for name, number in kills.items():
        print(f"kills: {name}: {number} killed, {number} resumed to the identical result")
    return 0


def campaign(
    work: Path,
    count: int,
    seed: int,
    names: Sequence[str] = KINDS,
    a_life: Sequence[int] = (1, 1, 2),
) -> Counter[str]:
    """Kill ``count`` times, one of ``a_life`` each life; AssertionError for one that differs."""
    chance = random.Random(seed)
    kinds = [undisturbed(work, name) for name in names]
    kills: Counter[str] = Counter()
    life = 0
    while (left := count - kills.total()) > 0:
        kind = kinds[life % len(kinds)]
        place, most = work / f"life{life}", min(left, chance.choice(a_life))
        kills[kind.name] += live(kind, place, chance, most)
        shutil.rmtree(place)
        life += 1
    return kills


def undisturbed(work: Path, name: str) -> Kind:
    """Do something once from beginning to end."""
    scenario, place = work / f"{name}.yaml", work / name / "out"
    scenario.write_text(yaml.safe_dump(TRAINED if name == "trained run" else TIMING))
    verb, *rest = ("sweep", *POINTS) if name == "sweep" else ("run",)
    command = (verb, str(scenario), *rest)
    process = start(command, place)
    begins_s = computed_until(process, place.exists)
    writes_s = computed_until(process, partial(writes_tables, place))
    ends_s = computed_until(process, lambda: False)
    assert process.wait() == 0, said(place)
    return Kind(name, command, files(place), result(place), begins_s, writes_s, ends_s)


def live(kind: Kind, work: Path, chance: random.Random, kills: int) -> int:
    """Kill one life so many times, resume it and compare; return how many kills met it alive."""
    place = work / "out"
    met = sum(killed(kind, place, chance) for _ in range(kills))
    end = start(kind.command, place)
    status = end.wait(timeout=MOST_S)
    assert status == 0, f"{kind.name}: exit {status} when resumed: {said(place)}"
    assert result(place) == kind.result, f"{kind.name}: another result in {place}"
    differ = files(place) ^ kind.files
    assert not differ, f"{kind.name}: files that only one of the two has: {sorted(differ)}"
    return met


def killed(kind: Kind, place: Path, chance: random.Random) -> bool:
    """Start or go on, and kill; tell whether it was still alive."""
    process = start(kind.command, place)
    if chance.random() < 0.5:
        until_s = chance.uniform(kind.begins_s, kind.ends_s)
    else:
        computed_s = computed_until(process, partial(writes_tables, place))
        until_s = computed_s + chance.uniform(0.0, kind.ends_s - kind.writes_s)
    computed_until(process, lambda: False, until_s)
    time.sleep(chance.uniform(0.0, TICK_S))
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def start(command: tuple[str, ...], place: Path) -> subprocess.Popen[bytes]:
    """Start or go on with a command that writes to ``place``, with a cache of its own beside it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    resume = ("--resume",) if place.exists() and any(place.iterdir()) else ()
    line = [sys.executable, str(EAGER), *command, "-o", str(place), "--quiet", *resume]
    own = {"LEOMIX_CACHE": str(place.parent / "cache"), "PYTHONFAULTHANDLER": "1"}
    with (place.parent / "said.txt").open("wb") as out:
        return subprocess.Popen(line, stdout=out, stderr=out, env={**os.environ, **own})


def said(place: Path) -> str:
    """What the last command for ``place`` printed."""
    return (place.parent / "said.txt").read_text(errors="replace")[-2000:]


def computed_until(
    process: subprocess.Popen[bytes], happened: Callable[[], bool], most_s: float = inf
) -> float:
    """Wait until something has happened, or so much is computed, or the process has ended.

    Return how many seconds it and its workers have computed by then.
    """
    computed_s, has_workers, until = 0.0, "sweep" in process.args, time.monotonic() + MOST_S
    while process.poll() is None and computed_s < most_s and not happened():
        assert time.monotonic() < until, "a process that hangs"
        time.sleep(TICK_S)
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            family = [parent, *(parent.children() if has_workers else ())]
            computed_s = max(computed_s, sum(sum(one.cpu_times()) for one in family))
    return computed_s


def writes_tables(place: Path) -> bool:
    """Whether a run has begun to write its tables, or a sweep has all points but the last."""
    if (place / "sweep.json").exists():
        return len(list(place.glob("points/*/manifest.json"))) >= 3
    return any(place.glob("*.parquet"))


def result(place: Path) -> tuple[Any, ...]:
    """What must not differ: a sweep's rows, or a run's trace and weights; all must be readable."""
    for path in place.rglob("*.parquet"):
        pq.ParquetFile(path).read()
    for path in place.rglob("*.safetensors"):
        load_file(path)
    if (place / "sweep.json").exists():
        rows = pq.ParquetFile(place / "sweep.parquet").read()
        return tuple(map(str, rows.drop_columns(list(MACHINE_COLUMNS)).to_pylist()))
    manifest = json.loads((place / "manifest.json").read_text())
    weights = place / "model" / "model.safetensors"
    bits = weights.read_bytes() if weights.exists() else b""
    return manifest["status"], manifest["trace_sha256"], manifest["timing_sha256"], bits


def files(place: Path) -> frozenset[str]:
    """Names of all files below a folder."""
    return frozenset(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file())


if __name__ == "__main__":
    sys.exit(main())
