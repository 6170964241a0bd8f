"""Vocabulary: the texts of a column, numbered as they come."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sim.facts.coded import NOTHING, Coded


class Vocabulary:
    """The texts of one column, numbered as they come."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._codes: dict[str | None, int] = {None: NOTHING}

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
        for word in dict.fromkeys(values):
            self.code(word)
        return np.fromiter(map(self._codes.__getitem__, values), np.int32, len(values))

    def _translated(self, codes: np.ndarray, words: Sequence[str]) -> np.ndarray:
        if codes.size and not NOTHING <= codes.min() <= codes.max() < len(words):
            worst = codes.min() if codes.min() < NOTHING else codes.max()
            raise ValueError(f"code is {worst}; allowed is -1 to {len(words) - 1}, one a word")
        # The last place is that of -1.
        return np.array([*map(self.code, words), NOTHING], np.int32).take(codes)
