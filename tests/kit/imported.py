"""Modules that a test has written and imported."""

import sys
from collections.abc import Collection
from pathlib import Path


def forget(folder: Path, but: Collection[str] = ()) -> None:
    """Let what was imported from below a folder be imported anew, but for some modules."""
    for name, module in list(sys.modules.items()):
        if name not in but and str(getattr(module, "__file__", None) or "").startswith(
            f"{folder}/"
        ):
            del sys.modules[name]
