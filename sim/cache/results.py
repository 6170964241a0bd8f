"""Learning results of all runs in one context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.values.store import packed, unpacked

if TYPE_CHECKING:
    from learning.values.lazy import Tensors
    from sim.cache.shelf import Shelf

FOLDER = "results"
TENSORS, NUMBER, MODEL = ".tensors", ".number", ".model"
LARGEST_BYTES = 2**30
"""Larger values are not kept: they would drive out all others."""


class Results:
    """The cache that :class:`learning.values.lazy.Values` asks, and final models beside it."""

    def __init__(self, shelf: Shelf, context: str) -> None:
        self._shelf = shelf
        self._folder = f"{FOLDER}/{context}"

    def tensors(self, key: str) -> Tensors | None:
        """Return the tensors of ``key``; None where they are not known."""
        name = self._name(key, TENSORS)
        data = self._shelf.read(name)
        try:
            return None if data is None else unpacked(data)
        except ValueError:
            self._shelf.remove(name)
            return None

    def keep_tensors(self, key: str, tensors: Tensors) -> None:
        """Keep the tensors of ``key``."""
        if self._shelf.trouble or _size(tensors) > LARGEST_BYTES:
            return
        self._shelf.write(self._name(key, TENSORS), packed(tensors))

    def number(self, key: str) -> str | None:
        """Return what was taken out of tensors, as JSON; None where it is not known."""
        data = self._shelf.read(self._name(key, NUMBER))
        return None if data is None else data.decode()

    def keep_number(self, key: str, text: str) -> None:
        """Keep what was taken out of tensors."""
        self._shelf.write(self._name(key, NUMBER), text.encode())

    def model(self, key: str) -> bytes | None:
        """Return the bytes of a model's file; None where they are not known."""
        return self._shelf.read(self._name(key, MODEL))

    def keep_model(self, key: str, data: bytes) -> None:
        """Keep the bytes of a model's file."""
        if len(data) <= LARGEST_BYTES:
            self._shelf.write(self._name(key, MODEL), data)

    def _name(self, key: str, suffix: str) -> str:
        return f"{self._folder}/{key}{suffix}"


def _size(tensors: Tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
