"""Runs that share results: the same traces, files and weights, and nothing trained twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenarios
import sim
from learning.data import DATASETS
from sim.cache import contents
from tests.kit.small import orbit, slots
from tests.kit.small_nmoe import nmoe, options

RUNS = {
    **{
        name: slots(learning={"method": name})
        for name in ("synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned")
    },
    "nmoe": nmoe(learning=options(inference_samples=4)),
    "nmoe-fedsc": nmoe(learning=options(extractor="fedsc")),
    "nmoe-central": nmoe(learning=options(gate="central")),
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("LEOMIX_CACHE", str(folder))
    return folder


def files(run: Path) -> dict[str, bytes]:
    """What is compared byte by byte: all tables and the model."""
    found = [
        path for path in run.rglob("*") if path.suffix in (".parquet", ".safetensors", ".json")
    ]
    return {str(p.relative_to(run)): p.read_bytes() for p in found if p.name != "manifest.json"}


def kept(cache: Path) -> list[Path]:
    return sorted((cache / "results").rglob("*.*"))


@pytest.mark.parametrize("name", RUNS)
def test_with_without_and_with_half_a_cache(name: str, cache: Path, tmp_path: Path) -> None:
    plain = sim.run(RUNS[name], tmp_path / "plain").manifest
    assert plain["trainings"] > 0
    assert (plain["trainings_reused"], plain["cache"]) == (0, None)
    assert not cache.exists()
    wanted = files(tmp_path / "plain")
    assert len(wanted) >= 8

    def again(place: str) -> dict[str, Any]:
        manifest = sim.run(RUNS[name], tmp_path / place, cache=True).manifest
        assert manifest["trace_sha256"] == plain["trace_sha256"]
        assert files(tmp_path / place) == wanted
        assert manifest["trainings"] + manifest["trainings_reused"] == plain["trainings"]
        return manifest

    assert again("first")["trainings_reused"] == 0
    second = again("second")
    assert second["trainings"] == second["cache"]["tensors_read"] == 0
    for path in random.Random(name).sample(kept(cache), len(kept(cache)) // 2):
        path.unlink()
    assert again("half")["trainings_reused"] > 0
    for path in kept(cache):
        if path.suffix != ".tensors":
            path.unlink()
    third = again("tensors alone")
    assert third["trainings"] == 0
    assert third["cache"]["tensors_read"] > 0


def test_another_power_trains_nothing_where_the_rounds_are_the_same(cache: Path) -> None:
    first = sim.run(orbit(), cache=True).manifest
    louder = orbit(link={"uplink": {"tx_power_dbm": 26.0}})
    second = sim.run(louder, cache=True)
    assert second.manifest["timing_sha256"] != first["timing_sha256"]
    assert second.summary["trainings"] == 0
    assert second.summary["trainings_reused"] == first["trainings"] > 0
    assert sim.run(louder).manifest["trace_sha256"] == second.manifest["trace_sha256"]


def test_a_seed_or_a_step_of_its_own_shares_nothing(cache: Path) -> None:
    first = sim.run(slots(), cache=True).manifest["trainings"]
    for change in ({"seed": 4}, {"learning": {"step_size": 0.05}}):
        assert sim.run(slots(**change), cache=True).manifest["trainings_reused"] == 0
    longer = sim.run(slots(stop={"cycles": 4}), cache=True).manifest
    assert longer["trainings_reused"] == first
    assert longer["trainings"] > 0


def test_broken_files_are_removed_and_cost_only_themselves(cache: Path) -> None:
    plain = sim.run(slots(), cache=True).manifest
    whole = {path: path.read_bytes() for path in kept(cache)}
    for number, (path, data) in enumerate(whole.items()):
        half, middle = data[: len(data) // 2], len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.write_bytes((half, flipped, b"")[number % 3])
    again = sim.run(slots(), cache=True).manifest
    assert again["trace_sha256"] == plain["trace_sha256"]
    assert again["trainings"] == plain["trainings"]
    assert again["warnings"] == plain["warnings"]
    assert {p: p.read_bytes() for p in kept(cache)} == whole


def test_a_data_file_that_changed_is_other_data(cache: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def write(name: str) -> None:
        x, y = rng.normal(size=(80, 6)).astype(np.float32), np.arange(80) % 3
        np.savez(tmp_path / name, x=x, y=y, domain=np.arange(80) % 2)

    def run(cached: bool) -> dict[str, Any]:
        data = {"kind": "npz", "path": str(tmp_path / "data.npz"), "trial_samples": 8}
        return sim.run(slots(learning={"data": data}), cache=cached).manifest

    write("data.npz")
    first = run(True)
    assert run(True)["trainings"] == 0
    write("data.npz")
    other = run(True)
    assert other["trainings_reused"] == 0
    assert other["trace_sha256"] == run(False)["trace_sha256"] != first["trace_sha256"]


def test_an_edited_program_shares_nothing_with_what_it_was(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import learning.sharing
    from tests.kit.learning import SOURCE, LearningConfig, source_stamps

    assert source_stamps(Path(learning.sharing.__file__).parent) == SOURCE
    config = LearningConfig(1, ("a",), (1,))
    before = learning.sharing.circumstances(config)
    sim.run(slots(), cache=True)
    # As if this program had begun before a file of the package was edited.
    name, size, changed_ns = SOURCE[0]
    monkeypatch.setattr(learning.sharing, "SOURCE", ((name, size, changed_ns - 1), *SOURCE[1:]))
    assert learning.sharing.circumstances(config) != before
    manifest = sim.run(slots(), cache=True).manifest
    assert "has changed" in manifest["cache"]["why_not"]
    assert manifest["trainings"] > 0
    assert manifest["trainings_reused"] == 0


def test_a_source_file_that_is_touched_or_edited_has_another_stamp(tmp_path: Path) -> None:
    from tests.kit.learning import source_stamps

    (tmp_path / "inner").mkdir()
    file = tmp_path / "inner" / "maths.py"
    file.write_text("x = 1\n")
    first = source_stamps(tmp_path)
    assert [stamp[0] for stamp in first] == [os.path.join("inner", "maths.py")]
    os.utime(file, ns=(0, 1))
    touched = source_stamps(tmp_path)
    file.write_text("x = 12\n")
    assert len({first, touched, source_stamps(tmp_path)}) == 3


def test_data_of_somebody_else_are_not_shared(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.kit.learning import digits

    monkeypatch.setitem(DATASETS._added, "own-digits", digits)
    for _ in range(2):
        manifest = sim.run(slots(learning={"data": {"kind": "own-digits"}}), cache=True).manifest
        assert "'own-digits' is not part of leomix" in manifest["cache"]["why_not"]
        assert manifest["trainings"] > 0
    assert not kept(cache)


def test_a_data_set_that_is_no_local_file_is_not_shared() -> None:
    from tests.kit.learning import DataConfig, LearningConfig, why_not

    config = LearningConfig(1, ("a",), (1,), data=DataConfig("hf", path="hub:owner/name"))
    assert "no local file" in why_not(config)


def test_a_timing_only_run_keeps_no_results_and_needs_no_torch(cache: Path) -> None:
    timed = slots(learning={"train": False})
    plain, cached = sim.run(timed).manifest, sim.run(timed, cache=True).manifest
    assert cached["trace_sha256"] == plain["trace_sha256"]
    assert cached["cache"]["why_not"] == "nothing is trained"
    assert (cached["trainings"], cached["trainings_reused"]) == (0, 0)
    assert not cache.exists()


CHILD = """
import sys; sys.path.insert(0, {tests!r})
import sim
from small import slots
manifest = sim.run(slots(), cache=True).manifest
print(manifest["trace_sha256"], manifest["trainings"], "torch" in sys.modules)
"""


def test_two_processes_at_once_and_one_without_torch(cache: Path) -> None:
    command = [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parent))]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].split() for process in both]
    last = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    plain = sim.run(slots()).manifest
    assert {line[0] for line in (*said, last)} == {plain["trace_sha256"]}
    assert last[1:] == ["0", "False"]
    trainings = contents(cache)["kinds"]["trainings"]["entries"]
    assert trainings == plain["trainings"]
    assert not list(cache.rglob("*.part"))


@pytest.mark.parametrize("left", ["all of it", "nothing", "half"])
def test_a_run_is_resumed_whatever_has_become_of_the_cache(
    left: str, cache: Path, tmp_path: Path
) -> None:
    scenario = slots(learning={"method": "emsfl-enhanced"})
    whole = sim.run(scenario, tmp_path / "whole").manifest

    def stop(number: int) -> None:
        if number == whole["events"] // 2:
            raise sim.Interrupted("asked for")

    sim.run(slots(learning={"method": "emsfl-enhanced"}, stop={"cycles": 2}), cache=True)
    with pytest.raises(sim.Interrupted):
        sim.run(scenario, tmp_path / "cut", each_event=stop, cache=True)
    before = json.loads((tmp_path / "cut" / "manifest.json").read_text())
    assert before["trainings_reused"] > 0
    for number, path in enumerate(kept(cache)):
        if left == "nothing" or (left == "half" and number % 2):
            path.unlink()
    resumed = sim.run(scenario, tmp_path / "cut", resume=True, cache=left != "nothing").manifest
    assert resumed["trace_sha256"] == whole["trace_sha256"]
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    if left == "all of it":
        done = before["trainings"] + resumed["trainings"]
        assert done < whole["trainings"]


def test_times_are_heard_behind_every_event() -> None:
    heard: list[float] = []
    numbers: list[int] = []
    result = sim.run(slots(), each_time=heard.append, each_event=numbers.append)
    assert len(heard) == len(numbers) == result.manifest["events"]
    assert heard == sorted(heard)
    assert heard[-1] == result.manifest["simulated_s"]


def test_a_shipped_scenario_is_known_by_its_second_run(leomix, cache: Path, tmp_path: Path) -> None:
    few = ["--set", "stop.cycles=2", "--set", "learning.batch_size=4", "--quiet"]
    first = leomix("run", "paper-slots", "-o", tmp_path / "a", *few)
    second = leomix("run", "paper-slots", "-o", tmp_path / "b", *few)
    assert first.status == second.status == 0
    assert "known from other runs" in second.out
    assert "known from other runs" not in first.out
    third = leomix("run", "paper-slots", "-o", tmp_path / "c", *few, "--no-cache")
    assert "known from other runs" not in third.out
    assert scenarios.load("paper-slots").learning.train
