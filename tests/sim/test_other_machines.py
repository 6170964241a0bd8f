"""The timing digest holds where the last bits of sines and products are other ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.records import on_grid, stamps_on_grid

RUN = """
import json, sys
import scenarios, sim
found = sim.run(scenarios.load("walker", {"learning.train": False, "stop.days": 1})).manifest
print(json.dumps([found["trace_sha256"], found["timing_sha256"], found["determinism"]]))
"""
OLDER = {
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX_Fast_Unaligned_Load,-FMA4",
}
"""What makes a newer x86-64 compute as an older one does."""


def run(environment: dict[str, str]) -> tuple[str, str, dict[str, list[str]]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        text=True,
    )
    trace, timing, determinism = json.loads(done.stdout)
    return trace, timing, determinism


def test_an_older_processor() -> None:
    here, there = run({}), run(OLDER)
    if "X86_V3" not in here[2]["instructions"]:
        pytest.skip("this processor has no instructions that could be switched off")
    assert here[1] == there[1]
    assert here[2]["instructions"] != there[2]["instructions"]


@given(st.floats(-1e15, 1e15), st.floats(-1, 1))
def test_numbers_stay_near_and_on_the_grid(value: float, share: float) -> None:
    once = float(on_grid(np.array([value]))[0])
    assert abs(once - value) <= max(2.0**-11, abs(value) * 2.0**-31)
    assert on_grid(np.array([once]))[0] == once
    if value:
        assert abs(once - value) * 2 <= max(2.0**-10, 2.0 ** (np.frexp(value)[1] - 31))


@given(st.integers(-(2**40), 2**40), st.floats(-1e-4, 1e-4))
def test_rounding_does_not_count(steps: int, off: float) -> None:
    value = steps / 1024
    if abs(value) < 2**20:
        assert on_grid(np.array([value + off]))[0] == value


def test_nothing_is_minus_zero() -> None:
    assert not np.signbit(on_grid(np.array([-0.0, -1e-9]))).any()


@given(st.integers(0, 2**60), st.integers(-499, 499))
def test_stamps_are_whole_milliseconds(milliseconds: int, off: int) -> None:
    whole = milliseconds // 1000 * 1000
    assert stamps_on_grid(np.array([whole + off]))[0] == whole // 1000
