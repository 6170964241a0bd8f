"""Rotary embeddings, read from the config.json of local checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from learning.text_shape import Rope

NEEDED = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "yarn": ("factor",),
}
"""Rotary embeddings whose frequencies do not depend on the length of a text; what each needs."""


def rope_of(folder: Path, said: Mapping[str, Any]) -> Rope:
    """Return rotary parameters as files of either age give them: one object, or theta and scaling.

    Raises :class:`ValueError` for kinds that are not read, and for numbers that are missing or
    none.
    """
    key = "rope_parameters" if said.get("rope_parameters") is not None else "rope_scaling"
    given = {} if said.get(key) is None else said[key]
    where = f"{folder / 'config.json'}: {key}"
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} is {given!r:.60}; must be an object with rope_type")
    theta = said.get("rope_theta", 1e6 if said["model_type"] == "mixtral" else 1e4)
    found = {"rope_type": given.get("type", "default"), "rope_theta": theta, **given}
    found.pop("type", None)
    kind = found["rope_type"]
    if not isinstance(kind, str) or kind not in NEEDED:
        raise ValueError(f"{folder}: rope_type is {kind!r}; only {', '.join(NEEDED)} are read")
    for name in NEEDED[kind]:
        if found.get(name) is None:
            raise ValueError(f"{where} lacks {name}, which rope_type {kind!r} needs; add it")
    for name in sorted(found.keys() - {"rope_type"}):
        value, counts = found[name], name in ("rope_theta", *NEEDED[kind])
        if not is_positive(value) if counts else not isinstance(value, bool | int | float | None):
            place = where if name in given else f"{folder / 'config.json'}"
            wanted = "a number above 0" if counts else "a number"
            raise ValueError(f"{place}: {name} is {value!r:.60}; must be {wanted}")
    return tuple(sorted(found.items()))


def is_positive(value: object) -> bool:
    """Whether a JSON value is a finite number above 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]
