"""Text of many rows as small numbers: a run has millions of rows and a few dozen texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Ints

NOTHING = -1
"""The code of a row without text."""


@dataclass(frozen=True, eq=False)
class Coded:
    """Text of N rows: row i has ``words[codes[i]]``, or nothing where the code is -1."""

    codes: np.ndarray
    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)


def coded_rows(words: Iterable[str], leg: Ints) -> Coded:
    """Return the text of each leg for each of its rows (N,): of row i that of leg ``leg[i]``."""
    known: dict[str, int] = {}
    codes = np.array([known.setdefault(word, len(known)) for word in words])
    return Coded(codes[leg], list(known))


def optional_coded_rows(words: Sequence[str | None], leg: Ints) -> Coded | None:
    """Return the text of each leg that has one for each of its rows (N,); None if none has one."""
    known = list(dict.fromkeys(word for word in words if word is not None))
    if not known:
        return None
    codes = np.array([NOTHING if word is None else known.index(word) for word in words])
    return Coded(codes[leg], known)
