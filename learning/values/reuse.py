"""Results that runs share: the protocol of a cache, and the trainings that one spares a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from learning.values.handle import Handle

TENSORS = ".tensors"
NUMBER = ".number"
"""Kinds of results that runs share: values, and numbers as JSON."""
T = TypeVar("T")


class Cache(Protocol):
    """Results of other runs by kind and key."""

    def read(self, kind: str, key: str, unpack: Callable[[bytes], T]) -> T | None:
        """Return what is kept, unpacked; None where it is missing or broken."""

    def keep(self, kind: str, key: str, size_bytes: int, pack: Callable[[], bytes]) -> None:
        """Keep what ``pack`` returns, about so many bytes, if that can be done."""


class Reuse:
    """Counts the trainings that a run has done, and those that a cache has spared it.

    A number from the cache spares all trainings that it depends on, although none of their tensors
    is loaded. ``foreign`` are places outside leomix, whose results are not shared between runs,
    ``numbers`` counts the numbers that came from the cache.
    """

    def __init__(self) -> None:
        self.done = 0
        self.numbers = 0
        self.foreign: set[str] = set()
        self._spared: set[str] = set()
        self._seen: set[str] = set()

    @property
    def spared(self) -> int:
        """Trainings that were not done because their results were known."""
        return len(self._spared)

    def spare(self, handles: Iterable[Handle], is_stored: Callable[[str], bool]) -> None:
        """Count the trainings that ``handles`` depend on, but not those that the run had stored."""
        left = list(handles)
        while left:
            handle = left.pop()
            if handle.key in self._seen or handle.value is not None or is_stored(handle.key):
                continue
            self._seen.add(handle.key)
            if handle.trains:
                self._spared.add(handle.key)
            left.extend(handle.parents)

    def spare_key(self, key: str) -> None:
        """Count one result that was known, by its key."""
        self._spared.add(key)

    def trained(self, handle: Handle) -> None:
        """Count a training that was done, even if it had been counted as spared."""
        self.done += 1
        self._spared.discard(handle.key)
        if handle.foreign:
            self.foreign.add(handle.foreign)
