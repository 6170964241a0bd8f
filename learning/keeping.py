"""What keeps learning results: a store of this run's own, a cache that all runs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from learning.values import Tensors


class Store(Protocol):
    """Where values of this run are kept by key."""

    def __contains__(self, key: str) -> bool: ...

    def load(self, key: str) -> Tensors:
        """Return the tensors of ``key``."""


class Cache(Protocol):
    """Results of other runs by key; what is not there, or broken, is None."""

    def tensors(self, key: str) -> Tensors | None:
        """Return the tensors of ``key``."""

    def keep_tensors(self, key: str, tensors: Tensors) -> None:
        """Keep the tensors of ``key``, if that can be done."""

    def number(self, key: str) -> str | None:
        """Return what was taken out of tensors, as JSON."""

    def keep_number(self, key: str, text: str) -> None:
        """Keep what was taken out of tensors, if that can be done."""
