"""Lazy values: a graph of results that are named by their content and computed when needed.

The key of a value digests the operation, its version, the keys of its parents and its arguments.
Equal keys mean equal tensors, so a value can be fetched from a store instead of being computed,
and a run can be replayed without training anything.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count, islice
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np

from learning.values.handle import Apply, Handle
from learning.values.operation import Operation, flat_arguments
from learning.values.reuse import NUMBER, TENSORS, Cache, Reuse
from learning.values.store import FolderStore, Tensors, packed, unpacked


def _foreign(operation: Operation, parents: Iterable[Handle]) -> str:
    """Return the place of an operation outside leomix among these, empty if there is none."""
    here = (parent.foreign for parent in parents if parent.foreign)
    return operation.foreign or next(here, "")


class Batching(Protocol):
    """How trainings that do not depend on each other are computed as one, to the same tensors."""

    def joins(self, handle: Handle, needed: Handle) -> bool:
        """Whether a training may be computed with one that is needed now, or with others at all."""

    def compute(self, handles: Sequence[Handle]) -> list[Tensors]:
        """Return what was made of trainings that join; the parents of each are computed."""


class Values:
    """Makes handles, and computes them when they are forced.

    ``apply(operation, parents, arguments)`` computes a value, or a number out of values.
    ``context`` names everything that all operations depend on (model, data, seed, settings).
    With ``keep=False`` (timing-only runs) nothing can be forced, and a key is the number of a
    handle. ``store`` holds values of this run from before it was resumed, ``cache`` those of any
    run; ``reuse`` counts the trainings that they saved. Neither holds copies of large tensors that
    are the same objects as some of ``known``, which a run has from its files: those are kept by
    name. Trainings that were asked for and can be computed already are computed by ``batching``
    with one that is needed, if that is given. After ``trains_until_s``, a monotonic time, a
    training that is needed raises TimeoutError.
    """

    def __init__(self, apply: Apply, context: str, *, keep: bool = True) -> None:
        self._apply = apply
        self._context = hashlib.blake2b(context.encode(), digest_size=16)
        self.keep = keep
        self.store: FolderStore | None = None
        self.cache: Cache | None = None
        self.computed: Counter[str] = Counter()
        self.reuse = Reuse()
        self.known: Callable[[], Tensors] = dict
        self.batching: Batching | None = None
        self.trains_until_s = math.inf
        self._live: WeakValueDictionary[str, Handle] = WeakValueDictionary()
        self._untrained: WeakValueDictionary[str, Handle] = WeakValueDictionary()
        self._numbers = count()

    def make(self, operation: Operation, *parents: Handle, **arguments: Any) -> Handle:
        """Return the handle of ``operation`` applied to ``parents`` with ``arguments``."""
        foreign = _foreign(operation, parents)
        if not self.keep:
            return Handle(str(next(self._numbers)), operation, (), {}, foreign, self._apply)
        text = _ENCODER.encode(flat_arguments(arguments))
        key = self._key(operation, parents, text)
        handle = self._live.get(key)
        if handle is None:
            # A value that the store holds does not need its ancestors, which may be freed.
            needed = () if self._is_stored(key) else parents
            # Plain copies: a later change of an array must not change what was asked for.
            handle = Handle(key, operation, needed, json.loads(text), foreign, self._apply)
            self._live[key] = handle
            if operation.trains:
                self._untrained[key] = handle
        return handle

    def number(self, operation: Operation, *parents: Handle, **arguments: Any) -> Any:
        """Return the JSON value that ``operation`` takes out of ``parents``.

        Its key is made like that of a value: where the number is known from another run, nothing
        is forced.
        """
        given = _ENCODER.encode(flat_arguments(arguments))
        key = self._key(operation, parents, given)
        cache = None if _foreign(operation, parents) else self.cache
        text = None if cache is None else cache.read(NUMBER, key, bytes.decode)
        if text is not None:
            self.reuse.numbers += 1
            self.spare(*parents)
        else:
            tensors = [self.force(parent) for parent in parents]
            text = json.dumps(self._apply(operation, tensors, json.loads(given)))
            if cache is not None:
                cache.keep(NUMBER, key, len(text), text.encode)
        return json.loads(text)

    def force(self, handle: Handle) -> Tensors:
        """Compute ``handle`` and what it needs, without recursion, and return its tensors."""
        if not self.keep:
            raise RuntimeError("a timing-only run has no tensors")
        stack = [handle]
        asked = set[str]()
        while stack:
            top = stack[-1]
            if top.value is None and top.key not in asked:
                asked.add(top.key)
                self._recall(top)
            waiting = [p for p in top.parents if p.value is None] if top.value is None else []
            if waiting:
                # The first parent first: along a chain of models this goes back to the oldest one
                # before any of their updates is loaded.
                stack.extend(reversed(waiting))
                continue
            stack.pop()
            if top.value is None:
                self._compute(top)
        assert handle.value is not None  # for the type checker: every handle was computed above
        return handle.value

    def spare(self, *handles: Handle) -> None:
        """Count the trainings that ``handles`` depend on as spared: a result of theirs is known."""
        self.reuse.spare(handles, self._is_stored)

    def kept(self, handle: Handle) -> Tensors | None:
        """Return a value as it is kept, None for one that is not computed."""
        if handle.value is None or all(t.nbytes < LARGE_BYTES for t in handle.value.values()):
            return handle.value
        names = {id(tensor): name for name, tensor in self.known().items()}
        kept = {}
        for name, tensor in handle.value.items():
            of = names.get(id(tensor))
            if of is None or KNOWN in of + name:
                kept[name] = tensor
            else:
                kept[f"{KNOWN}{of}{KNOWN}{name}"] = tensor.new_empty(0)
        return kept

    def _found(self, kept: Tensors) -> Tensors:
        """Invert :meth:`kept`."""
        if not any(name.startswith(KNOWN) for name in kept):
            return kept
        known = self.known()
        found = {}
        for kept_as, tensor in kept.items():
            match kept_as.split(KNOWN):
                case ["", of, name]:
                    found[name] = known[of]
                case _:  # a name of its own
                    found[kept_as] = tensor
        return found

    def live(self) -> dict[str, Handle]:
        """Return the handles that are still referenced, by key, in a stable order."""
        return dict(sorted(self._live.items()))

    def _key(self, operation: Operation, parents: Iterable[Handle], arguments: str) -> str:
        """Key of an operation on parents, with its arguments in JSON."""
        for parent in parents:
            if not isinstance(parent, Handle):
                raise TypeError(
                    f"{operation.name} is asked for with a {type(parent).__name__}; make it a "
                    "value first, by self.learner.make(function, ...)"
                )
        keys = ", ".join([f'"{parent.key}"' for parent in parents])
        digest = self._context.copy()
        digest.update(f"{operation.key}, [{keys}], {arguments}]".encode())
        return digest.hexdigest()

    def _is_stored(self, key: str) -> bool:
        return self.store is not None and key in self.store

    def _recall(self, handle: Handle) -> None:
        """Fetch a value that this run or another one has computed before, if there is one."""
        if self.store is not None and handle.key in self.store:
            _set(handle, self._found(self.store.load(handle.key)))
        elif self.cache is not None and handle.operation.trains and not handle.foreign:
            found = self.cache.read(TENSORS, handle.key, unpacked)
            if found is not None:
                self._take(handle, self._found(found))

    def _take(self, handle: Handle, tensors: Tensors) -> None:
        """Give a handle what was computed for another run."""
        self.spare(handle)
        _set(handle, tensors)

    def _compute(self, handle: Handle) -> None:
        """Compute a handle whose parents are computed, with trainings that wait if it is one."""
        if handle.operation.trains and time.monotonic() > self.trains_until_s:
            raise TimeoutError(f"no time is left for {handle.operation.name!r}")
        batching = self.batching if handle.operation.trains else None
        if batching is not None and batching.joins(handle, handle):
            self._compute_joined(batching, handle)
            return
        parents = [p.value for p in handle.parents if p.value is not None]
        try:
            tensors = handle.apply(handle.operation, parents, handle.arguments)
        except (MemoryError, RuntimeError) as error:
            error.add_note(f"in {handle.operation.name!r}")
            raise
        self._made(handle, tensors)

    def _compute_joined(self, batching: Batching, needed: Handle) -> None:
        """Compute a training, and with it those that wait for no other."""
        # An error of another training is raised when that one is needed.
        with suppress(Exception):
            others = self._ready(islice(self._joining(batching, needed), MOST_TOGETHER))
            if others:
                self._compute_all(batching, [needed, *others])
                return
        self._compute_all(batching, [needed])

    def _compute_all(self, batching: Batching, handles: Sequence[Handle]) -> None:
        """Compute trainings together; an error names the first of them."""
        try:
            found = batching.compute(handles)
        except (MemoryError, RuntimeError) as error:
            error.add_note(f"in {handles[0].operation.name!r}")
            raise
        for handle, tensors in zip(handles, found, strict=True):
            self._made(handle, tensors)

    def _joining(self, batching: Batching, needed: Handle) -> Iterator[Handle]:
        """Yield the trainings that wait for no other, and may be computed with the ``needed``."""
        for handle in list(self._untrained.values()):
            waits = handle is not needed and handle.value is None
            if waits and not self._needs_training(handle) and batching.joins(handle, needed):
                yield handle

    def _ready(self, trainings: Iterable[Handle]) -> list[Handle]:
        """Return those that no other run has computed, with their parents computed."""
        missing = []
        for training in trainings:
            self._recall(training)
            for parent in training.parents:  # none any more if it was known
                self.force(parent)
            if training.value is None:
                missing.append(training)
        return missing

    def _needs_training(self, handle: Handle) -> bool:
        """Whether any training must be computed before this one."""
        left = list(handle.parents)
        seen = set[str]()
        while left:
            parent = left.pop()
            if parent.value is not None or parent.key in seen:
                continue
            if parent.operation.trains:
                return True
            seen.add(parent.key)
            left.extend(parent.parents)
        return False

    def _made(self, handle: Handle, tensors: Tensors) -> None:
        """Give a handle the tensors that were computed."""
        _set(handle, tensors)
        self._untrained.pop(handle.key, None)
        self.computed[handle.operation.name] += 1
        if handle.operation.trains:
            self.reuse.trained(handle)
            if self.cache and not handle.foreign and (kept := self.kept(handle)) is not None:
                size_bytes = sum(tensor.nbytes for tensor in kept.values())
                self.cache.keep(TENSORS, handle.key, size_bytes, partial(packed, kept))


MOST_TOGETHER = 1000
"""Trainings beside one that is needed that are looked at."""
KNOWN = "="
"""Before and behind the name of a tensor that is known, in the name of one that is the same."""
LARGE_BYTES = 1 << 20


def _set(handle: Handle, value: Tensors) -> None:
    # By name: sums over all tensors must not depend on whether these were computed or loaded.
    handle.value = dict(sorted(value.items()))
    handle.parents = ()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, range):
        return list(value)
    raise TypeError(f"an argument of an operation must be JSON, not {type(value).__name__}")


_ENCODER = json.JSONEncoder(sort_keys=True, default=_plain)
