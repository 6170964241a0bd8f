"""Results of training and final models that runs share."""

from collections.abc import Callable
from typing import TypeVar

from sim.execution.shelf import Shelf

T = TypeVar("T")

RESULTS_FOLDER = "results"
MODEL = ".model"
LARGEST_BYTES = 2**30
"""Larger values are not kept: they would displace all others."""


class Results:
    """What :class:`learning.values.lazy.Values` asks for, and final models, by kind and key."""

    def __init__(self, shelf: Shelf, context: str) -> None:
        self._shelf = shelf
        self._folder = f"{RESULTS_FOLDER}/{context}"

    def read(self, kind: str, key: str, unpack: Callable[[bytes], T]) -> T | None:
        """Return what is kept; None where nothing is."""
        return self._shelf.read(f"{self._folder}/{key}{kind}", unpack)

    def keep(self, kind: str, key: str, size_bytes: int, pack: Callable[[], bytes]) -> None:
        """Keep the bytes that ``pack`` returns, unless they are too many."""
        if not self._shelf.trouble and size_bytes <= LARGEST_BYTES:
            self._shelf.write(f"{self._folder}/{key}{kind}", pack())
