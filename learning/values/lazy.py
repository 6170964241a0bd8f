"""Lazy values: a graph of results that are named by their content and computed when needed.

The key of a value digests the place of its function, the keys of its parents, the arguments, and a
context. Equal keys mean equal tensors, so a value can be fetched from a store instead of being
computed, and a run can be replayed without training anything.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from importlib import import_module
from itertools import count
from operator import attrgetter
from typing import Any, NoReturn, Protocol, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from learning.values.store import FolderStore, Tensors, packed, unpacked

T = TypeVar("T")


@dataclass(eq=False, repr=False, slots=True, weakref_slot=True)
class Handle:
    """A learning result that may not have been computed yet: of the function at a ``place``.

    One that ``trains`` takes gradient steps. ``foreign`` is a place outside leomix that it depends
    on, empty if there is none.
    """

    key: str
    place: str
    parents: tuple[Handle, ...]
    arguments: dict[str, Any]
    trains: bool
    foreign: str
    value: Tensors | None = None

    @property
    def name(self) -> str:
        """Name of the function that makes it."""
        return self.place.rpartition(":")[2]

    def __float__(self) -> NoReturn:
        raise TypeError(
            f"the result of {self.name!r} is not a number yet; "
            "take numbers out with `yield Measure(name, compute, default)`"
        )

    __bool__ = __float__

    def __repr__(self) -> str:
        return f"<{self.name} {self.key[:8]}{'' if self.value is None else ' ready'}>"


class Cache(Protocol):
    """Results of other runs by name: a key, and behind a dot what kind of result it is."""

    def read(self, name: str, unpack: Callable[[bytes], T]) -> T | None:
        """Return what is kept, unpacked; None where it is missing or broken."""

    def keep(self, name: str, size_bytes: int, pack: Callable[[], bytes]) -> None:
        """Keep what ``pack`` returns, about so many bytes, if that can be done."""


class Reuse:
    """Counts the trainings that a run has ``done``, and those that a cache has ``spared`` it.

    A number from the cache spares all trainings that it depends on, although none of their tensors
    is loaded. ``foreign`` are places outside leomix, whose results are not shared between runs.
    """

    def __init__(self) -> None:
        self.done = 0
        self.spared: set[str] = set()
        self.foreign: set[str] = set()
        self._seen: set[str] = set()

    def spare(self, handles: Iterable[Handle], is_stored: Callable[[str], bool]) -> None:
        """Count the trainings that ``handles`` depend on, but not those that the run had stored."""
        left = list(handles)
        while left:
            handle = left.pop()
            if handle.key in self._seen or handle.value is not None or is_stored(handle.key):
                continue
            self._seen.add(handle.key)
            if handle.trains:
                self.spared.add(handle.key)
            left.extend(handle.parents)

    def trained(self, handle: Handle) -> None:
        """Count a training that was done, even if it had been counted as spared."""
        self.done += 1
        self.spared.discard(handle.key)
        if handle.foreign:
            self.foreign.add(handle.foreign)


Apply = Callable[[str, list[Tensors], dict[str, Any]], Any]
"""Computes what the function at a place makes of the parents' tensors and its arguments."""


class Values:
    """Makes handles, and computes them when they are forced.

    ``apply(place, parents, arguments)`` computes a value, or a number out of values. ``context``
    names everything that all of them depend on (source, model, data, seed, settings). Functions at
    the places in ``trains`` take gradient steps: their results are counted, and kept for other
    runs, as they take far longer to compute than to read. With ``keep=False`` (timing-only runs)
    nothing can be forced, and a key is the number of a handle. ``store`` holds values of this run
    from before it was resumed, ``cache`` those of any run; ``reuse`` counts the trainings that they
    saved. Neither holds copies of large tensors that are the same objects as some of ``known``,
    which a run has from its files: those are kept by name. After ``trains_until_s``, a monotonic
    time, a training that is needed raises TimeoutError.
    """

    def __init__(
        self,
        apply: Apply,
        context: str,
        *,
        keep: bool = True,
        trains: Collection[str] = (),
    ) -> None:
        self._apply = apply
        self._trains = trains
        self._context = hashlib.blake2b(context.encode(), digest_size=16)
        self.keep = keep
        self.store: FolderStore | None = None
        self.cache: Cache | None = None
        self.reuse = Reuse()
        self.known: Callable[[], Tensors] = dict
        self.trains_until_s = math.inf
        self._live: WeakValueDictionary[str, Handle] = WeakValueDictionary()
        self._numbers = count()

    def make(
        self,
        place: str,
        parents: tuple[Handle, ...],
        arguments: Mapping[str, Any],
        calls: str = "",
    ) -> Handle:
        """Return the handle of what the function at ``place`` makes of parents and arguments.

        ``calls`` is the place of a function that these name, and that it calls.
        """
        trains = place in self._trains
        foreign = _foreign(place, calls, parents)
        if not self.keep:
            return Handle(str(next(self._numbers)), place, (), {}, trains, foreign)
        text = text_of(arguments)
        key = self._key(place, parents, text)
        handle = self._live.get(key)
        if handle is None:
            # A value that the store holds does not need its ancestors, which may be freed.
            needed = () if self._is_stored(key) else parents
            # Plain copies: a later change of an array must not change what was asked for.
            handle = Handle(key, place, needed, json.loads(text), trains, foreign)
            self._live[key] = handle
        return handle

    def number(
        self,
        place: str,
        parents: tuple[Handle, ...],
        arguments: Mapping[str, Any],
        calls: str = "",
    ) -> Any:
        """Return the JSON value that the function at ``place`` takes out of parents.

        Its key is made like that of a value: where the number is known from another run, nothing
        is forced.
        """
        given = text_of(arguments)
        key = self._key(place, parents, given)
        cache = None if _foreign(place, calls, parents) else self.cache
        text = None if cache is None else cache.read(f"{key}.number", bytes.decode)
        if text is not None:
            self.spare(*parents)
        else:
            tensors = [self.force(parent) for parent in parents]
            text = json.dumps(self._apply(place, tensors, json.loads(given)))
            if cache is not None:
                cache.keep(f"{key}.number", len(text), text.encode)
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
        for name, tensor in kept.items():
            match name.split(KNOWN):
                case ["", of, own]:
                    found[own] = known[of]
                case _:  # a name of its own
                    found[name] = tensor
        return found

    def live(self) -> dict[str, Handle]:
        """Return the handles that are still referenced, by key, in a stable order."""
        return dict(sorted(self._live.items()))

    def _key(self, place: str, parents: Iterable[Handle], arguments: str) -> str:
        """Key of a function's result for parents, with its arguments in JSON."""
        for parent in parents:
            if not isinstance(parent, Handle):
                raise TypeError(
                    f"{place} is asked for with a {type(parent).__name__}; make it a "
                    "value first, by self.learner.make(function, ...)"
                )
        keys = ", ".join([f'"{parent.key}"' for parent in parents])
        digest = self._context.copy()
        digest.update(f'["{place}", [{keys}], {arguments}]'.encode())
        return digest.hexdigest()

    def _is_stored(self, key: str) -> bool:
        return self.store is not None and key in self.store

    def _recall(self, handle: Handle) -> None:
        """Fetch a value that this run or another one has computed before, if there is one."""
        if self.store is not None and handle.key in self.store:
            _set(handle, self._found(self.store.load(handle.key)))
        elif self.cache is not None and handle.trains and not handle.foreign:
            found = self.cache.read(f"{handle.key}.tensors", unpacked)
            if found is not None:
                self.spare(handle)
                _set(handle, self._found(found))

    def _compute(self, handle: Handle) -> None:
        """Compute a handle whose parents are computed."""
        if handle.trains and time.monotonic() > self.trains_until_s:
            raise TimeoutError(f"no time is left for {handle.name!r}")
        parents = [p.value for p in handle.parents if p.value is not None]
        try:
            tensors = self._apply(handle.place, parents, handle.arguments)
        except (MemoryError, RuntimeError) as error:
            error.add_note(f"in {handle.name!r}")
            raise
        _set(handle, tensors)
        if handle.trains:
            self.reuse.trained(handle)
            if self.cache and not handle.foreign and (kept := self.kept(handle)) is not None:
                size_bytes = sum(tensor.nbytes for tensor in kept.values())
                self.cache.keep(f"{handle.key}.tensors", size_bytes, partial(packed, kept))


KNOWN = "="
"""Before and behind the name of a tensor that is known, in the name of one that is the same."""
LARGE_BYTES = 1 << 20


def _set(handle: Handle, value: Tensors) -> None:
    # By name: sums over all tensors must not depend on whether these were computed or loaded.
    handle.value = dict(sorted(value.items()))
    handle.parents = ()


def _foreign(place: str, calls: str, parents: Iterable[Handle]) -> str:
    """Return a place outside leomix among these and those of parents, empty if there is none."""
    here = (one for one in (place, calls) if one and not one.startswith(OURS))
    return next(here, "") or next((p.foreign for p in parents if p.foreign), "")


OURS = "learning."
"""Prefix of leomix's own places, whose source files are part of every key."""
KIND = "="
"""Key of the place of a dataclass, beside its fields."""


def place_of(function: str | Callable[..., Any]) -> str:
    """Return where a function or class of a module is found again, as it is if that is given.

    Raises TypeError for any other: a run that is resumed could not find it.
    """
    if isinstance(function, str):
        return function
    name = getattr(function, "__qualname__", "<unknown>")
    if "<" in name:
        raise TypeError(f"{function!r} is no function of a module; define it there, with a name")
    return f"{function.__module__}:{name}"


def found_at(place: str) -> Callable[..., Any]:
    """Import the function or class at a place."""
    module, _, name = place.partition(":")
    found: Callable[..., Any] = attrgetter(name)(import_module(module))
    return found


def text_of(arguments: Mapping[str, Any]) -> str:
    """Return arguments as JSON: the same for the same ones, and a copy of arrays."""
    return _ENCODER.encode(arguments)


def arguments_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as a function takes them, of those that :func:`text_of` has made plain."""
    return {
        name: found_at(value[KIND])(**{k: v for k, v in value.items() if k != KIND})
        if isinstance(value, dict) and KIND in value
        else value
        for name, value in given.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, range):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {
            KIND: place_of(type(value)),
            **{f.name: getattr(value, f.name) for f in fields(value)},
        }
    raise TypeError(f"an argument of an operation must be JSON, not {type(value).__name__}")


_ENCODER = json.JSONEncoder(sort_keys=True, default=_plain)
