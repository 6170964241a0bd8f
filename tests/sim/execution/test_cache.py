"""Results that runs share: the same traces, files and weights, and nothing trained twice."""

import os
import random
import resource
import subprocess
import sys
import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import orbit
import sim
from learning import LearningConfig
from learning.data import DATASETS
from tests.kit.folders import held, limited
from tests.kit.learning import Data, digits, environment, files, why_not_cacheable
from tests.kit.network import Plans, RunCache, WindowQuery, finding
from tests.kit.records import (
    Cache,
    Namespace,
    cache_folder,
    read_manifest,
    shared_cache,
    size_bytes,
    window_cache,
)
from tests.kit.small import orbit as orbit_scenario
from tests.kit.small import slots
from tests.kit.small_nmoe import nmoe, options
from tests.runs import SCENARIOS

RUNS = {
    "slots-enhanced": SCENARIOS["slots-enhanced"],
    "nmoe-inference": lambda: nmoe(learning=options(inference_samples=4)),
    "validated": lambda: slots(learning={"data": {"validation": 0.2}}),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LEOMIX_CACHE", str(folder))
    return folder


def kept(cache):
    return sorted((cache / "results").rglob("*.*"))


def cached(scenario, *out):
    """The manifest of a run with the cache."""
    return sim.run(scenario, *out, cache=True).manifest


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.quick(2)
def test_runs_are_the_same_with_without_and_with_half_a_cache(name, runs, cache, tmp_path):
    scenario = RUNS[name]()
    whole = runs.made(name, lambda folder: sim.run(scenario, folder))
    plain = read_manifest(whole)
    assert (plain["trainings_reused"], plain["cache"]) == (0, None)

    def again(place):
        manifest = cached(scenario, tmp_path / place)
        assert held(tmp_path / place) == held(whole)
        assert manifest["trainings"] + manifest["trainings_reused"] == plain["trainings"]
        return manifest

    assert again("first")["trainings_reused"] == 0
    second = again("second")
    assert second["trainings"] == second["cache"]["tensors_read"] == 0
    tensors = [path for path in kept(cache) if path.suffix == ".tensors"]
    for path in set(kept(cache)).difference(tensors):
        path.unlink()
    third = again("tensors alone")
    assert third["trainings"] == 0 < third["cache"]["tensors_read"]
    numbers = sorted(set(kept(cache)).difference(tensors))
    for kind in (tensors, numbers):
        for path in random.Random(name).sample(kind, len(kind) // 2):
            path.unlink()
    assert again("half")["trainings_reused"] > 0


@pytest.mark.wide
def test_what_is_shared_is_what_is_the_same(cache):
    """Another power trains nothing where the rounds are the same; a seed or a step shares none."""
    first = cached(slots())["trainings"]
    for change in ({"seed": 4}, {"learning": {"step_size": 0.05}}):
        assert cached(slots(**change))["trainings_reused"] == 0
    longer = cached(slots(stop={"cycles": 4}))
    assert longer["trainings_reused"] == first and longer["trainings"] > 0
    short = {"stop": {"days": 0.5}}
    quiet = cached(orbit_scenario(**short))
    louder = orbit_scenario(link={"uplink": {"tx_power_dbm": 26.0}}, **short)
    second = cached(louder)
    assert second["timing_sha256"] != quiet["timing_sha256"]
    assert second["trainings"] == 0
    assert second["trainings_reused"] == quiet["trainings"] > 0
    assert sim.run(louder).manifest["trace_sha256"] == second["trace_sha256"]


def test_broken_files_are_removed_and_cost_only_themselves(cache):
    plain = cached(slots())
    whole = {path: path.read_bytes() for path in kept(cache)}
    for number, (path, data) in enumerate(whole.items()):
        half = data[: len(data) // 2]
        rest = data[len(data) // 2 :]
        path.write_bytes((half, half + bytes([rest[0] ^ 1]) + rest[1:], b"")[number % 3])
    again = cached(slots())
    for key in ("trace_sha256", "trainings", "warnings"):
        assert again[key] == plain[key]
    assert {path: path.read_bytes() for path in kept(cache)} == whole


# -- what must not be shared


def test_a_data_file_that_changed_is_other_data(cache, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "data.npz"
    scenario = slots(learning={"data": {"kind": "npz", "path": str(path), "trial_samples": 8}})
    digests = []
    for _ in range(2):
        x = rng.normal(size=(80, 6)).astype(np.float32)
        y = np.arange(80) % 3
        np.savez(path, x=x, y=y, domain=np.arange(80) % 2)
        first = cached(scenario)
        second = cached(scenario)
        assert (first["trainings_reused"], second["trainings"]) == (0, 0)
        digests.append(first["trace_sha256"])
    assert sim.run(scenario).manifest["trace_sha256"] == digests[1] != digests[0]


def test_what_may_change_unseen_is_not_shared(cache, tmp_path, monkeypatch):
    config = LearningConfig(1, ("a",), (1,))
    before = environment(config)
    trainings = cached(slots())["trainings"]
    # As if this program had begun before a file of the package was edited.
    name, size, changed_ns = files.SOURCE[0]
    with limited(source_at_the_start=((name, size, changed_ns - 1), *files.SOURCE[1:])):
        assert environment(config) != before
        edited = cached(slots())
    monkeypatch.setitem(DATASETS._added, "own-digits", digits)
    own = [cached(slots(learning={"data": {"kind": "own-digits"}})) for _ in range(2)]
    said = ("has changed", *["not part of leomix"] * 2)
    for manifest, words in zip((edited, *own), said, strict=True):
        assert words in manifest["cache"]["why_not"]
        assert (manifest["trainings"], manifest["trainings_reused"]) == (trainings, 0)
    timed = cached(slots(learning={"train": False}))
    assert "nothing is trained" in timed["cache"]["why_not"]
    hub = LearningConfig(1, ("a",), (1,), data=Data("hf", path="hub:owner/name"))
    assert "no local file" in why_not_cacheable(hub)
    stamps = set()
    for number, text in enumerate(("x = 1\n", "x = 1\n", "x = 12\n")):
        (tmp_path / "maths.py").write_text(text)
        os.utime(tmp_path / "maths.py", ns=(0, number))
        stamps.add(files.source_fingerprints(tmp_path))
    assert len(stamps) == 3


CHILD = """
import sys
import sim
from tests.kit.small import slots
manifest = sim.run(slots(), cache=True).manifest
print(manifest["trace_sha256"], manifest["trainings"], "torch" in sys.modules)
"""


@pytest.mark.process
def test_two_processes_at_once_and_one_without_torch(cache, runs):
    plain = read_manifest(runs["slots"])
    command = [sys.executable, "-c", CHILD]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].split() for process in both]
    last = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert {line[0] for line in (*said, last)} == {plain["trace_sha256"]}
    assert last[1:] == ["0", "False"]
    assert len(list(cache.rglob("*.tensors"))) == plain["trainings"]
    assert not list(cache.rglob("*.part"))


# -- the folder


def test_where_the_cache_is(monkeypatch):
    for platform, variable, value, expected in (
        ("linux", "LEOMIX_CACHE", "~/mine", Path.home() / "mine"),
        ("linux", "XDG_CACHE_HOME", "", Path.home() / ".cache" / "leomix"),
        ("darwin", "XDG_CACHE_HOME", "", Path.home() / "Library" / "Caches" / "leomix"),
        ("win32", "LOCALAPPDATA", "/local", Path("/local/leomix")),
    ):
        with monkeypatch.context() as patch:
            patch.delenv("LEOMIX_CACHE", raising=False)
            patch.setattr("sys.platform", platform)
            patch.setenv(variable, value)
            assert cache_folder() == expected


@pytest.mark.parametrize("trouble", ["somebody's folder", "a full disk"])
def test_a_folder_that_cannot_be_used_costs_one_warning(trouble, runs, tmp_path, monkeypatch):
    (tmp_path / "thesis.tex").write_text("text")
    full = trouble == "a full disk"
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "c" if full else tmp_path))
    plain = read_manifest(runs["slots"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]) if full else before)
    try:
        manifest = cached(slots())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    for key in ("trace_sha256", "trainings"):
        assert manifest[key] == plain[key]
    (warning,) = (line for line in manifest["warnings"] if line not in plain["warnings"])
    assert "nothing more is kept" in warning and "LEOMIX_CACHE" in warning
    assert full or ("holds other things" in warning and os.listdir(tmp_path) == ["thesis.tex"])
    assert not list(tmp_path.rglob("*.part"))


def test_what_was_used_longest_ago_goes_first(tmp_path):
    shared = Cache(tmp_path)
    folder = tmp_path / "results" / "c"
    for age in range(6):
        shared.keep(f"results/c/{age}.tensors", 5000, lambda: b"0" * 5000)
        os.utime(folder / f"{age}.tensors", (time.time() - age,) * 2)
    assert shared.read("results/c/5.tensors", bytes) is not None  # the oldest, used again
    for part, used_s in ((".old.part", 0), (".new.part", time.time())):  # never finished
        (folder / part).write_bytes(b"half")
        os.utime(folder / part, (used_s, used_s))
    assert shared_cache.trim(tmp_path, 4 * 8192) == shared_cache.trim(tmp_path, 10**9) == 4 * 8192
    assert size_bytes(tmp_path) == 4 * 8192
    left = sorted(path.name for path in folder.iterdir())
    assert left == [".new.part", *(f"{age}.tensors" for age in (0, 1, 2, 5))]
    (folder / ".new.part").unlink()
    assert (shared_cache.trim(tmp_path, 0), folder.exists()) == (0, False)


def test_what_is_kept_is_counted_and_trimmed_and_files_beside_it_stay(tmp_path):
    root = tmp_path / "cache"
    Namespace(Cache(root), "results", "c").keep("k.number", 3, lambda: b"own")
    Namespace(Cache(root), "windows").keep("k.windows", 3, lambda: b"own")
    (root / "thesis.tex").write_text("text")
    assert size_bytes(root) == 2 * 4096
    shared_cache.trim(root, 0)
    assert sorted(os.listdir(root)) == ["CACHEDIR.TAG", "results", "thesis.tex"]
    with pytest.raises(ValueError, match="no folder of a cache"):
        Namespace(Cache(root), "mine")


def test_the_bound_is_kept_by_a_tally_that_may_be_missing_or_wrong(tmp_path, cache):
    shared = Cache(tmp_path)
    bound = 10 * 8192
    tally = tmp_path / shared_cache.TALLY
    for wrong in (None, "no number", "0"):
        for number in range(30):
            shared.keep(f"results/c/{number}.tensors", 8000, lambda: b"0" * 8000)
            if wrong is None:
                shared_cache.keep_within_bound(tmp_path, 8192, bound)
                assert size_bytes(tmp_path) <= int(tally.read_text()) <= bound
        tally.write_text(wrong or "")
        for _ in range(11):
            shared_cache.keep_within_bound(tmp_path, 8192, bound)
        assert size_bytes(tmp_path) <= bound
    with limited(cache_bytes=100_000):
        assert cached(slots())["cache"]["kept_bytes"] > 0 < size_bytes(cache) <= 100_000


@pytest.mark.parametrize("place", ["/dev/null", "/", ""])
def test_what_is_no_cache_is_told(leomix, tmp_path, monkeypatch, place):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.number").write_text("1")
    monkeypatch.setenv("LEOMIX_CACHE", place or str(tmp_path))
    done = leomix("doctor")
    assert (done.status, f"\n{place or tmp_path}: is no " in done.out) == (1, True)


# -- contact windows

START = datetime(2026, 8, 22, tzinfo=UTC)
DAY = timedelta(days=1)


def sought(**changes):
    satellites = orbit.walker_delta(600, 60, 3, 3, 1, START, 0.0, 0.0)
    sites = [orbit.Site("a", 50.0, 10.0), orbit.Site("b", -20.0, 100.0, 300.0, 5.0)]
    return replace(WindowQuery(satellites, sites, START, START + DAY, 10.0), **changes)


def asked_twice(root, question, worth_keeping_s=0.0):
    """How the same windows come, twice, that are found without a cache."""
    wanted = finding.find_windows(question)
    used = []
    for _ in range(2):
        cache = window_cache.WindowCache(Cache(root))
        with limited(worth_keeping_s=worth_keeping_s):
            found = cache.find(question)
        assert found[1] == wanted[1]
        for field in fields(orbit.ContactWindows):
            mine, theirs = (getattr(each[0], field.name) for each in (found, wanted))
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
        used.append(cache.used)
    return used


def test_windows_are_read_as_they_were_found(tmp_path, cache, runs, monkeypatch):
    """So are lines about a satellite so low, with so much drag, that SGP4 gives it up in days."""
    shape = {"semi_major_axis_km": 6560.0, "inclination_deg": 60.0, "bstar": 0.02}
    low = orbit.keplerian_satellite("falling", START, **shape)
    falling = sought(satellites=[low], end=START + 12 * DAY)
    assert "falling" in finding.find_windows(falling)[1][0]
    assert asked_twice(tmp_path, falling) == ["found", "read"]
    assert asked_twice(tmp_path / "slow", sought(), worth_keeping_s=60.0) == ["found", "found"]
    name = f"windows/{window_cache.key_of(sought())}.windows"
    Cache(tmp_path).keep(name, 27, lambda: b"well sealed, but no archive")
    assert asked_twice(tmp_path, sought()) == ["found", "read"]
    plain = read_manifest(runs["orbit-timing"])
    for used in ("found", "shared", "read"):
        if used == "read":
            monkeypatch.setattr(RunCache, "plans", Plans())
        with limited(worth_keeping_s=0.0):
            manifest = cached(orbit_scenario(learning={"train": False}))
        assert manifest["cache"]["contact_windows"] == used
        for key in ("trace_sha256", "identity"):
            assert manifest[key] == plain[key]


def test_every_part_of_the_question_counts():
    one = sought()
    (first, *others), (a, b) = one.satellites, one.sites
    plain = {name: getattr(first.model, name) for name in (*window_cache.ELEMENTS, "operationmode")}
    near = [{**plain, name: plain[name] + 1e-9} for name in window_cache.ELEMENTS]
    changed = [replace(first, model=SimpleNamespace(**model)) for model in near]
    changed += [replace(first, name="other"), replace(first, norad_id=7)]
    questions = [
        one,
        *(sought(satellites=[satellite, *others]) for satellite in changed),
        sought(satellites=[*others, first]),
        sought(sites=[a]),
        sought(sites=[a, replace(b, min_elevation_deg=None)]),
        sought(sites=[a, replace(b, altitude_m=301.0)]),
        sought(start=START + timedelta(microseconds=1)),
        sought(end=one.end + timedelta(seconds=1)),
        sought(min_elevation_deg=10.5),
    ]
    keys = [window_cache.key_of(question) for question in questions]
    assert len(set(keys)) == len(keys)
    assert window_cache.key_of(sought()) == keys[0]
    with limited(version=lambda name: "0"):
        assert window_cache.key_of(sought()) not in keys
