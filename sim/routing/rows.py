"""Rows of plain fields: a list of objects, or an array that is quick where code is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

TYPES = {"int": np.int64, "float": np.float64}


def array_of(kind: type, count: int, columns: Mapping[str, Any]) -> np.ndarray:
    """Return so many rows with the fields of a dataclass; those without a column are 0."""
    names = [(field.name, TYPES[str(field.type)]) for field in fields(kind)]
    rows = np.zeros(count, np.dtype(names, align=True))
    for name, values in columns.items():
        rows[name] = values
    return rows


def objects_of(kind: type, rows: np.ndarray) -> list[Any]:
    """Return an object of a dataclass for each row of an array."""
    return [kind(*row) for row in rows.tolist()]
