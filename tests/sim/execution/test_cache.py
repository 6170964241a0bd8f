"""Results that runs share: the same traces, files and weights, and nothing trained twice."""

import os
import random
import resource
import subprocess
import sys
import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import orbit
import sim
from learning import LearningConfig
from learning.data import DATASETS
from tests.kit.folders import held, limited
from tests.kit.inner.learning import digits, environment, files
from tests.kit.inner.sim import (
    Cache,
    Plans,
    RunCache,
    WindowQuery,
    finding,
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


def test_what_may_change_unseen_is_not_shared(cache, monkeypatch):
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


def test_what_was_used_longest_ago_goes_first_and_what_is_not_ours_stays(tmp_path):
    shared = Cache(tmp_path)
    folder = tmp_path / "results" / "c"
    for age in range(6):
        shared.keep(f"results/c/{age}.tensors", 5000, lambda: b"0" * 5000)
        os.utime(folder / f"{age}.tensors", (time.time() - age,) * 2)
    assert shared.read("results/c/5.tensors", bytes) is not None  # the oldest, used again
    for part, used_s in ((".old.part", 0), (".new.part", time.time())):  # never finished
        (folder / part).write_bytes(b"half")
        os.utime(folder / part, (used_s, used_s))
    (tmp_path / "thesis.tex").write_text("text")
    assert shared_cache.trim(tmp_path, 4 * 8192) == size_bytes(tmp_path) == 4 * 8192
    left = sorted(path.name for path in folder.iterdir())
    assert left == [".new.part", *(f"{age}.tensors" for age in (0, 1, 2, 5))]
    shared_cache.trim(tmp_path, 0)
    assert sorted(os.listdir(tmp_path)) == ["CACHEDIR.TAG", "results", "thesis.tex"]


def test_the_bound_is_kept_whatever_the_tally_says(cache):
    with limited(cache_bytes=100_000):
        for seed, tally in enumerate((None, "no number", "0", "0")):
            kept_bytes = cached(slots(seed=seed))["cache"]["kept_bytes"]
            assert kept_bytes > 0 < size_bytes(cache) <= 100_000
            file = cache / shared_cache.TALLY
            file.unlink() if tally is None else file.write_text(tally)


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
SHAPE = {"semi_major_axis_km": 6978.0, "eccentricity": 0.001, "inclination_deg": 60.0}
SHAPE |= {"raan_deg": 10.0, "argument_of_perigee_deg": 20.0, "mean_anomaly_deg": 30.0}
SHAPE["bstar"] = 1e-5
# So low, with so much drag, that SGP4 gives it up in days.
FALLING = {**SHAPE, "semi_major_axis_km": 6560.0, "eccentricity": 0.0, "bstar": 0.02}


def satellite(name="S", epoch=START, **shape):
    return orbit.keplerian_satellite(name, epoch, **{**SHAPE, **shape})


def questions():
    """Searches of which each differs from the first in one part."""
    one, other = satellite(), satellite("T", mean_anomaly_deg=90.0)
    sites = [orbit.Site("a", 50.0, 10.0), orbit.Site("b", -20.0, 100.0, 300.0, 5.0)]
    whole = WindowQuery([one, other], sites, START, START + DAY, 10.0)
    shapes = [{key: value * 1.0001} for key, value in SHAPE.items()]
    others = [satellite(**shape) for shape in (*shapes, {"name": "R"}, {"epoch": START - DAY})]
    satellites = [*([changed, other] for changed in others), [other, one], [one]]
    others = [orbit.Site("b", -20.0, 100.0, *at) for at in ((301.0, 5.0), (300.0,))]
    places = [sites[:1], *([sites[0], other] for other in others)]
    yield whole
    yield from (replace(whole, satellites=own) for own in satellites)
    yield from (replace(whole, sites=own) for own in places)
    yield replace(whole, start=START + timedelta(microseconds=1))
    yield replace(whole, end=START + 12 * DAY, satellites=[satellite("falling", **FALLING)])
    yield replace(whole, min_elevation_deg=10.5)


def test_windows_are_read_as_they_were_found_by_the_same_question_alone(tmp_path):
    def asked(question, worth_keeping_s=0.0):
        cache = window_cache.WindowCache(Cache(tmp_path))
        with limited(worth_keeping_s=worth_keeping_s):
            return *cache.find(question), cache.used

    told = []
    for number, question in enumerate(questions()):
        wanted = finding.find_windows(question)
        if not number:
            assert asked(question, worth_keeping_s=60.0)[2] == "found"  # and not worth it
        for used in ("found", "read"):
            *found, how = asked(question)
            assert (how, found[1]) == (used, wanted[1]), number
            for field in fields(orbit.ContactWindows):
                mine, theirs = (getattr(each[0], field.name) for each in (found, wanted))
                assert mine.dtype == theirs.dtype
                np.testing.assert_array_equal(mine, theirs)
        told += wanted[1]
    assert "falling" in " ".join(told)
    with limited(version=lambda name: "0"):
        assert asked(question)[2] == "found"


def test_runs_share_windows(cache, runs, monkeypatch):
    plain = read_manifest(runs["orbit-timing"])
    for used in ("found", "shared", "read"):
        if used == "read":
            monkeypatch.setattr(RunCache, "plans", Plans())
        with limited(worth_keeping_s=0.0):
            manifest = cached(orbit_scenario(learning={"train": False}))
        assert manifest["cache"]["contact_windows"] == used
        assert manifest["trace_sha256"] == plain["trace_sha256"]
