"""Text of many rows as small numbers: a run has millions of rows and a few dozen texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from statements.arrays import Ints, Mask, stretches

NO_WORD = -1
"""The code of a row without text."""


@dataclass(frozen=True, eq=False)
class Coded:
    """Text of N rows: row i has ``words[codes[i]]``, or nothing where the code is -1."""

    codes: np.ndarray
    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)


class Vocabulary:
    """The texts of one column, numbered as they come."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._codes: dict[str | None, int] = {None: NO_WORD}

    def code(self, word: str | None) -> int:
        """Return the number of ``word``, a new one if it is new; -1 for None."""
        known = self._codes.get(word)
        if known is not None:
            return known
        if not isinstance(word, str):
            raise TypeError(f"{word!r} is no text")
        self._codes[str(word)] = len(self.words)
        self.words.append(str(word))
        return len(self.words) - 1

    def codes(self, values: Coded | Sequence[Any] | np.ndarray) -> np.ndarray:
        """Return the numbers of texts, one a row, as int32.

        Raises TypeError for what is no text, ValueError for codes that no word stands for.
        """
        if isinstance(values, Coded):
            return self._translated(np.asarray(values.codes), values.words)
        if not self._codes.keys() >= set(values):  # nearly never, behind the first rows
            for word in dict.fromkeys(values):
                self.code(word)
        return np.fromiter(map(self._codes.__getitem__, values), np.int32, len(values))

    def _translated(self, codes: np.ndarray, words: Sequence[str]) -> np.ndarray:
        if codes.size and not NO_WORD <= codes.min() <= codes.max() < len(words):
            worst = codes.min() if codes.min() < NO_WORD else codes.max()
            raise ValueError(f"code is {worst}; allowed is -1 to {len(words) - 1}, one a word")
        # The last place is that of -1.
        return np.array([*map(self.code, words), NO_WORD], np.int32).take(codes)


def coded_rows(words: Iterable[str | None], leg: Ints) -> Coded:
    """Return the text of each leg, or nothing, for its rows (N,): of row i that of ``leg[i]``."""
    vocabulary = Vocabulary()
    codes = np.array([vocabulary.code(word) for word in words])
    return Coded(codes[leg], vocabulary.words)


def optional_coded_rows(words: Iterable[str | None], leg: Ints) -> Coded | None:
    """Return the text of each leg that has one for each of its rows (N,); None if none has one."""
    coded = coded_rows(words, leg)
    return coded if coded.words else None


class DeviceRows(NamedTuple):
    """The ``record`` and ``device`` of each row, and which of all devices of the records have one.

    What the records say of all their devices, one behind the other, is that of the rows at
    ``some``.
    """

    record: Ints
    device: Ints
    some: Ints


def device_rows(masks: Sequence[Mask]) -> DeviceRows:
    """Return a row for each device in the mask (K,) of a record, in order."""
    who = concatenated(masks)
    counts = np.array([len(mask) for mask in masks])
    record, device = stretches(np.zeros_like(counts), counts)
    some = np.flatnonzero(who)
    return DeviceRows(record[some], device[some], some)


def concatenated(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Return the arrays (K,) of some records, one behind the other."""
    return np.concatenate(list(arrays))
