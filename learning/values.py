"""Learning results as lazy values: a result is named by what it is made of, and made when needed.

The key of a value digests the operation, its version, the keys of its parents and its arguments.
Equal keys mean equal tensors, so a value can be fetched from a store instead of being computed,
and a run can be replayed without training anything.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn, Protocol
from weakref import WeakValueDictionary

import numpy as np

Tensors = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """Tensor maths that a value is made by: ``place`` is ``module:function``.

    The function is called with the task, the parents' tensors and the arguments, and is imported
    when a value is first needed. A change of what it returns is a new ``version``.
    """

    place: str
    version: int = 1

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.place.rpartition(":")[2]

    def function(self) -> Callable[..., Tensors]:
        """Import the function."""
        module = import_module(self.place.partition(":")[0])
        found: Callable[..., Tensors] = getattr(module, self.name)
        return found


Apply = Callable[[Operation, list[Tensors], dict[str, Any]], Tensors]


class Handle:
    """A learning result that may not have been computed yet."""

    __slots__ = ("__weakref__", "arguments", "key", "operation", "parents", "value")

    def __init__(
        self, key: str, operation: Operation, parents: tuple[Handle, ...], arguments: dict[str, Any]
    ) -> None:
        self.key = key
        self.operation = operation
        self.parents = parents
        self.arguments = arguments
        self.value: Tensors | None = None

    def _no_number(self) -> NoReturn:
        raise TypeError(
            f"the result of {self.operation.name!r} is not a number yet; "
            "take numbers out with `yield Measure(name, compute, default)`"
        )

    def __bool__(self) -> bool:
        self._no_number()

    def __float__(self) -> float:
        self._no_number()

    def __repr__(self) -> str:
        return f"<{self.operation.name} {self.key[:8]}{'' if self.value is None else ' ready'}>"


class Store(Protocol):
    """Where values are kept by key."""

    def __contains__(self, key: str) -> bool: ...

    def load(self, key: str) -> Tensors:
        """Return the tensors of ``key``."""


class Values:
    """Makes handles, and computes them when they are forced.

    ``apply(operation, parents, arguments)`` computes a value. ``context`` names everything that all
    operations depend on (model, data, seed, settings); ``keep=False`` keeps only keys: nothing can
    be forced (timing-only runs).
    """

    def __init__(self, apply: Apply, context: str, keep: bool = True) -> None:
        self._apply = apply
        self.context = context
        self.keep = keep
        self.store: Store | None = None
        self.computed: Counter[str] = Counter()
        self._live: WeakValueDictionary[str, Handle] = WeakValueDictionary()

    def make(self, operation: Operation, *parents: Handle, **arguments: Any) -> Handle:
        """Return the handle of ``operation`` applied to ``parents`` with ``arguments``."""
        version = operation.version if self.keep else 0
        # Plain copies: an array that its owner changes later must not change what was asked for.
        arguments = json.loads(json.dumps(arguments, default=_plain))
        parts = [self.context, operation.place, version, [p.key for p in parents], arguments]
        text = json.dumps(parts, sort_keys=True)
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        handle = self._live.get(key)
        if handle is None:
            known = self.store is not None and key in self.store
            # A value that the store holds needs no ancestors: let them go at once.
            handle = Handle(key, operation, parents if self.keep and not known else (), arguments)
            self._live[key] = handle
        return handle

    def force(self, handle: Handle) -> Tensors:
        """Compute ``handle`` and what it needs, without recursion, and return its tensors."""
        if not self.keep:
            raise RuntimeError("a timing-only run has no tensors")
        stack = [handle]
        while stack:
            top = stack[-1]
            waiting = [p for p in top.parents if p.value is None] if top.value is None else []
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if top.value is None:
                self._compute(top)
        assert handle.value is not None  # for the type checker: every handle was computed above
        return handle.value

    def live(self) -> dict[str, Handle]:
        """Handles that somebody still holds, by key, in a stable order."""
        return dict(sorted(self._live.items()))

    def _compute(self, handle: Handle) -> None:
        if self.store is not None and handle.key in self.store:
            value = self.store.load(handle.key)
        else:
            parents = [p.value for p in handle.parents if p.value is not None]
            value = self._apply(handle.operation, parents, handle.arguments)
            self.computed[handle.operation.name] += 1
        # By name: what sums over all tensors must not hang on whether they were computed or loaded.
        handle.value = dict(sorted(value.items()))
        handle.parents = ()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"an argument of an operation must be JSON, not {type(value).__name__}")
