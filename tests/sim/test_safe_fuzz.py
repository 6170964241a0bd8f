"""Damaged files of every kind end well: the short form of `tests/soak/fuzz.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent.parent / "soak" / "fuzz.py"


@pytest.mark.slow
def test_damaged_files_are_accepted_or_refused_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZ), "--count", "300", "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" inputs, 0 wrong")
