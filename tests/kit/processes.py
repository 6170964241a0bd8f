"""Waiting for what other processes do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any


def wait_until(happened: Callable[[], Any], what: str, patience_s: float = 60.0) -> None:
    until = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def forget(folder: Path, but: Collection[str] = ()) -> None:
    """Let what was imported from below a folder be imported anew, but for some modules."""
    for name in set(sys.modules).difference(but):
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{folder}/"):
            del sys.modules[name]
