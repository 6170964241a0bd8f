"""Where a run or a sweep goes whose folder was not named."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path


def free_folder(base: Path) -> Path:
    """Return ``base``, or the first of ``base.2``, ``base.3``... that is not there yet."""
    numbered = (base.with_name(f"{base.name}.{number}") for number in count(2))
    return next(place for place in chain([base], numbered) if not place.exists())
