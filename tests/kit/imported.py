"""Modules that a test has written and imported."""

import sys
from pathlib import Path


def forget(folder: Path) -> None:
    """Let what was imported from below a folder be imported anew."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(f"{folder}/"):
            del sys.modules[name]
