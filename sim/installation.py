"""Where the packages of leomix lie, and whether their import names belong to something else.

It imports nothing of leomix. ``leomix.py`` loads it by its place, because another package of this
machine may have the name ``sim``.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("orbit", "channel", "learning", "scenarios", "sim")
HOME = Path(__file__).resolve().parents[1]
"""The folder that holds all packages, and ``leomix.py``."""


def foreign_packages(packages: Iterable[str] = PACKAGES) -> list[str]:
    """Describe packages of ours whose import name belongs to something else on this machine."""
    complaints = []
    for name in packages:
        spec = find_spec(name)
        place = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if place is None:
            complaints.append(f"import {name}: not found; install leomix anew")
        elif place.parent.parent != HOME:
            complaints.append(
                f"import {name}: comes from {place.parent}, not from leomix ({HOME / name}); "
                "rename that folder, or use another current folder or environment"
            )
    return complaints
