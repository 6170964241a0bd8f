"""Memory and time before a run: what is estimated, and what is refused."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scenarios
import sim
from tests.kit import small
from tests.kit.learning import memory
from tests.kit.network import InputError, build
from tests.kit.records import counts_of, end_of, limits

Leomix = Callable[..., Any]


def test_rows_are_counted_within_a_factor_of_two() -> None:
    walker = scenarios.load("walker", {"learning.train": False, "stop.days": 0.5})
    for timing in (small.orbit(learning={"train": False}), walker):
        counted = counts_of(build(timing)).rows
        tables = sim.run(timing).tables
        rows = len(tables["transfers"]) + len(tables["events"])
        assert rows / 2 < counted < rows * 2


def test_the_end_is_that_of_the_last_cycle_that_is_asked_for() -> None:
    built = build(small.slots(learning={"train": False}))
    # Cycles of two served slots and an idle one; the last ends with its second slot.
    assert end_of(built) == 2 * 1800 + 1200
    assert sim.run(built.scenario).manifest["simulated_s"] == 2 * 1800 + 1200


def test_what_cannot_fit_is_refused_with_the_figures(leomix: Leomix, tmp_path: Path) -> None:
    keys = ["learning.model.experts=1000", "learning.model.hidden=100000"]
    keys += ["learning.model.expert_hidden=100000", "stop.cycles=1"]
    sets = [part for key in keys for part in ("--set", key)]
    found = leomix("run", "paper-slots", *sets, "-o", tmp_path / "run", "--quiet")
    assert found.status == 2
    assert re.fullmatch(
        r"leomix: the run needs about [\d.]+ TB of memory and [\d.]+ [GM]B are free; .*: use .*\n",
        found.err,
    )
    assert not (tmp_path / "run").exists()
    assert leomix("validate", "paper-slots", *sets, "--set", "learning.train=false").status == 0


def test_a_plan_of_too_many_contacts_is_refused_at_once(leomix: Leomix) -> None:
    for name, key in (("paper-slots", "stop.cycles=1000000000"), ("walker", "stop.days=36525")):
        began = time.process_time()
        more = ["--set", "orbit.satellites=20000", "--set", "orbit.planes=100"]
        found = leomix("validate", name, "--set", key, *(more if name == "walker" else []))
        assert found.status == 2
        assert "of memory and" in found.err
        assert time.process_time() - began < 1


def test_the_least_of_all_limits_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "meminfo": "MemTotal: 9 kB\nMemAvailable: 4000 kB\n",
        "cgroup": "3:cpu:/x\n4:memory:/job/step\n0::/two\n",
        "fs/memory/job/step/memory.limit_in_bytes": "9223372036854771712\n",
        "fs/memory/job/step/memory.usage_in_bytes": "5\n",
        "fs/memory/job/step/memory.stat": "cache 1\n",
        "fs/memory/job/memory.limit_in_bytes": "3000000\n",
        "fs/memory/job/memory.usage_in_bytes": "1000000\n",
        "fs/memory/job/memory.stat": "inactive_file 1\ntotal_inactive_file 500000\n",
        "fs/two/memory.max": "max\n",
        "fs/two/memory.current": "7\n",
        "fs/two/memory.stat": "inactive_file 3\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "fs")
    assert memory.free_bytes("cpu") == 2_500_000
    built = build(small.slots(learning={"train": False}))
    (tmp_path / "fs/two/memory.max").write_text("1000003\n")
    assert memory.free_bytes("cpu") == 1_000_003 - 7 + 3
    (tmp_path / "fs/two/memory.max").write_text("5\n")
    assert memory.free_bytes("cpu") == 1
    with pytest.raises(InputError, match=r"are free; .* is the program"):
        limits.check(built)


def test_a_limit_of_the_process_counts() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, -1));"
        "from learning.memory import free_bytes; print(free_bytes('cpu'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 << 30 < int(done.stdout) < 3 << 30
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def test_the_check_takes_no_time() -> None:
    built = build(scenarios.load("walker", {"learning.train": False}))
    began = time.process_time()
    limits.check(built)
    assert time.process_time() - began < 0.05


def test_the_estimate_is_a_table_of_figures(leomix: Leomix) -> None:
    keys = ["--set", "learning.train=false", "--set", "stop.cycles=3"]
    plain = leomix("validate", "paper-slots", *keys).out
    found = leomix("validate", "paper-slots", *keys, "--estimate")
    assert found.status == 0
    assert found.out.startswith(plain)
    lines = found.out[len(plain) :].strip().splitlines()
    assert [re.split(r"  +", line.strip())[0] for line in lines] == [
        "memory",
        "the program",
        "the contact plan",
        "link curves",
        "rows of the traces",
        "time",
        "disk",
        "tried in",
    ]
    assert re.search(r"time +about [\d.]+ s +tried: 100.0% of it took", found.out)
