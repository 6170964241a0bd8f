"""Where and when a run is done, and on which processor: the same traces."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from sim.trace.digest import on_grid, stamps_on_grid

# In this night summer time ends in Europe.
KEYS = {"learning.train": False, "stop.days": 1, "start": "2026-10-24T20:00:00Z"}
TRAINED = {"stop.cycles": 1, "learning.model.hidden": 256, "learning.batch_size": 128}
"""Matrices that libraries would split over threads."""
CODE = """
import sys
from sim.cli import status

scenario, place = sys.argv[1:]
for line in (["run", scenario, "-o", place, "--quiet", "--no-cache"],
             ["show", place, "--json"], ["contacts", scenario]):
    if code := status(line):
        sys.exit(code)
"""
HOME = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
NO_UTF_8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
FAR_EAST = {"TZ": "Pacific/Chatham", "PYTHONHASHSEED": "4321", **NO_UTF_8}
OLDER = {
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX_Fast_Unaligned_Load,-FMA4",
}
"""What makes a newer x86-64 compute as an older one does."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def outcome(folder, environment, start, name="walker", keys=KEYS):
    """What a run and a look at its contacts print, without how long it took; the manifest."""
    scenario = folder / "scenario.yaml"
    place = folder / "run"
    scenario.write_text(json.dumps(scenarios.load(name, keys).model_dump(mode="json")))
    line = [sys.executable, "-W", "ignore", "-c", CODE, str(scenario), str(place)]
    here = {**os.environ, **HOME, **environment}
    done = subprocess.run(
        line, cwd=start, env=here, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    said = (done.stdout + done.stderr).splitlines()
    shown = [line for line in said if "wall" not in line]
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    return "\n".join(shown).replace(str(place), "RUN"), manifest


@pytest.fixture(scope="module")
def at_home(tmp_path_factory):
    return outcome(tmp_path_factory.mktemp("home"), {}, tmp_path_factory.mktemp("start"))


@pytest.mark.process
def test_a_run_in_another_zone_and_encoding_is_the_same_run(at_home, tmp_path):
    elsewhere = tmp_path / "a folder" / "ünder"
    elsewhere.mkdir(parents=True)
    shown, manifest = outcome(tmp_path, FAR_EAST, elsewhere)
    assert "Munich" in shown
    wall = r"(?<=complete; )\S+ \w+"
    assert re.sub(wall, "", shown) == re.sub(wall, "", at_home[0])
    for key in ("identity", "trace_sha256", "timing_sha256"):
        assert manifest[key] == at_home[1][key]


@pytest.mark.process
def test_on_an_older_processor_timing_is_the_same(at_home, tmp_path):
    """Where the last bits of sines and products are other ones."""
    here = at_home[1]
    there = outcome(tmp_path, OLDER, tmp_path)[1]
    if "X86_V3" not in here["determinism"]["instructions"]:
        pytest.skip("this processor has no instructions that could be switched off")
    assert here["timing_sha256"] == there["timing_sha256"]
    assert here["determinism"]["instructions"] != there["determinism"]["instructions"]


@pytest.mark.process
def test_a_trained_run_is_the_same_on_one_and_on_two_threads(tmp_path):
    found = []
    for number in ("1", "2"):
        folder = tmp_path / number
        folder.mkdir()
        environment = dict.fromkeys(THREADS, number)
        manifest = outcome(folder, environment, folder, "paper-slots", TRAINED)[1]
        weights = (folder / "run" / "model" / "model.safetensors").read_bytes()
        found.append((manifest["trace_sha256"], weights))
    assert found[0] == found[1]


@given(st.floats(-1e15, 1e15), st.integers(-(2**30), 2**30), st.floats(-1e-4, 1e-4))
def test_numbers_stay_near_and_on_the_grid_and_rounding_does_not_count(value, steps, off):
    once = float(on_grid(np.array([value]))[0])
    assert abs(once - value) <= max(2.0**-11, abs(value) * 2.0**-31)
    assert on_grid(np.array([once]))[0] == once
    assert not value or abs(once - value) * 2 <= max(2.0**-10, 2.0 ** (np.frexp(value)[1] - 31))
    assert abs(steps) == 2**30 or on_grid(np.array([steps / 1024 + off]))[0] == steps / 1024
    assert not np.signbit(on_grid(np.array([-0.0, -1e-9]))).any()
    stamp, jitter = abs(steps) * 12_345_000, int(off * 4_990_000)  # to the millisecond
    assert stamps_on_grid(np.array([stamp + jitter]))[0] == stamp // 1000
