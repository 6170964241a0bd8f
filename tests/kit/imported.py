"""Modules that a test has written and imported."""

import sys
from collections.abc import Collection
from pathlib import Path


def forget(folder: Path, but: Collection[str] = ()) -> None:
    """Let what was imported from below a folder be imported anew, but for some modules."""
    for name in set(sys.modules).difference(but):
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{folder}/"):
            del sys.modules[name]
