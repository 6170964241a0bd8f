"""How much training a run was spared, because another run had done it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learning.values import Handle


class Reuse:
    """Counts trainings of a run: those done, and those that would have been without a cache.

    A number that is known spares all trainings that it rests on, though none of their tensors is
    ever loaded. ``foreign`` are places of operations whose results are not shared between runs,
    ``numbers`` how many numbers were known.
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
        """Count the trainings that ``handles`` rest on; what the run itself had stored is none."""
        left = list(handles)
        while left:
            handle = left.pop()
            if handle.key in self._seen or handle.value is not None or is_stored(handle.key):
                continue
            self._seen.add(handle.key)
            if handle.operation.trains:
                self._spared.add(handle.key)
            left.extend(handle.parents)

    def trained(self, handle: Handle) -> None:
        """Count a training that was done, perhaps after all."""
        self.done += 1
        self._spared.discard(handle.key)
        if handle.foreign:
            self.foreign.add(handle.foreign)
