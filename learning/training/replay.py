"""Gradients of small models, computed anew by the calls of torch that a first one has made.

A step of a small model costs more in Python than in torch: modules, views and shapes are the same
at every step, and in all trainings of one form. A :class:`Recording` has memory of its own for all
that a gradient is computed from, and for all that is computed on the way. The calls are made again
in that memory: views are there already, what depends on frozen tensors alone is computed once in a
training, and what no gradient depends on is not computed. What is read no more leaves its memory to
what follows. The bits are those of the model itself, which is tried once in every recording.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from learning.models.stacked import Grouped, Tensors

Shared = Mapping[str, Tensor | Grouped]
"""Tensors that devices share, by name."""
Batch = tuple[Tensor, ...]
Gradient = Callable[[Batch], Tensors]
"""The gradients of the loss of a minibatch, by name."""


class NotReplayableError(Exception):
    """What was computed may differ in more than its tensors the next time."""


# Calls of torch, as they are made.


class _Call(NamedTuple):
    """A call, the tensors that it was given, and those that it has returned."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    given: list[Tensor]
    found: list[Tensor]

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", ""))

    @property
    def writes(self) -> bool:
        """Whether it changes what it was given first."""
        return self.name == "__setitem__" or (self.name[-1:] == "_" and self.name[:2] != "__")

    @property
    def reads(self) -> set[int]:
        """The memory that its result depends on."""
        if self.name in _OF_SHAPES:
            return set()
        return set(map(_memory, self.given))

    @property
    def changes(self) -> set[int]:
        """The memory that it writes to."""
        return set(map(_memory, self.given[:1] if self.writes else self.found))

    @property
    def is_view(self) -> bool:
        """Whether it only looks at memory in another way."""
        return not self.writes and self.changes <= set(map(_memory, self.given))


_OF_SHAPES = frozenset(
    name for of in ("full", "zeros", "ones", "empty") for name in (f"{of}_like", f"new_{of}")
)
"""Calls that ask a tensor for its shape and format alone."""
_PROPERTIES = frozenset({"__get__", "__len__", "dim", "size", "stride", "numel", "is_contiguous"})
"""Calls whose result is no tensor, and the same for all tensors of one shape and format."""


class _Calls(TorchFunctionMode):
    """Notes the calls of torch that are made while it is entered, and keeps their tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[_Call] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = dict(kwargs or {})
        result = func(*args, **keywords)
        call = _Call(func, args, keywords, _tensors([args, keywords]), _tensors([result]))
        if call.found or call.writes:
            self.noted.append(call)
        elif call.given and call.name not in _PROPERTIES:
            raise NotReplayableError(call.name)
        return result


def _tensors(value: Any) -> list[Tensor]:
    """Return the tensors in nested lists, tuples and values of dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return []
    return [tensor for part in value for tensor in _tensors(part)]


def _memory(tensor: Tensor) -> int:
    """Return where the memory of a tensor is, which views of it share."""
    return tensor.untyped_storage().data_ptr()


# The same calls again.


_INTO: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    **{
        name: (getattr(torch, name), ("out",))
        for name in (
            "add", "addmm", "baddbmm", "bmm", "cat", "div", "exp", "gather", "log_softmax",
            "matmul", "mul", "scatter", "softmax", "stack", "sub", "sum", "topk",
        )
    },
    "gelu": (functional.gelu, ("out",)),
    "gelu_backward": (torch.ops.aten.gelu_backward.grad_input, ("grad_input",)),
    "threshold_backward": (torch.ops.aten.threshold_backward.grad_input, ("grad_input",)),
    "native_layer_norm": (torch.ops.aten.native_layer_norm.out, ("out0", "out1", "out2")),
}  # fmt: skip
"""Functions that write what the call of a name returns into given tensors, by keywords."""
_COPIES = frozenset({"reshape", "contiguous", "clone", "flatten"})
"""Calls that return the numbers of their tensor one after another."""


def _again(call: _Call) -> Callable[[], Any]:
    """Return a function that makes a call again, with what it has returned as memory."""
    if call.writes:
        return partial(call.function, *call.arguments, **call.keywords)
    if call.name in _INTO:
        function, names = _INTO[call.name]
        several = len(call.found) > len(names)  # in one argument
        found = {"out": tuple(call.found)} if several else dict(zip(names, call.found, strict=True))
        return partial(function, *call.arguments, **call.keywords, **found)
    if call.name in _COPIES and call.found[0].is_contiguous():
        (source,) = call.given
        return partial(call.found[0].view(source.shape).copy_, source)

    return partial(_and_copy, partial(call.function, *call.arguments, **call.keywords), call.found)


def _and_copy(call: Callable[[], Any], found: Sequence[Tensor]) -> None:
    """Make a call, and copy what it returns to where it was found the first time."""
    made = call()
    tensors = [made] if isinstance(made, Tensor) else _tensors(made)
    for into, tensor in zip(found, tensors, strict=True):
        into.copy_(tensor)


class _Program:
    """What is done ``once`` before gradients are computed, and at ``each`` of them.

    The ``results`` are computed from ``given`` tensors; those that are ``moving`` change between
    two gradients.
    """

    def __init__(
        self,
        calls: Sequence[_Call],
        given: Collection[Tensor],
        moving: Collection[Tensor],
        results: Collection[Tensor],
    ) -> None:
        known = set(map(_memory, given))
        for call in calls:
            if not set(map(_memory, call.given)) <= known:
                raise NotReplayableError(f"{call.name} of a tensor from elsewhere")
            known |= call.changes
        made = [call for call in calls if not call.is_view]
        moved = _closed(made, set(map(_memory, moving)))
        needed = set(map(_memory, results))
        kept = []
        for call in reversed(made):
            if call.changes & needed:
                needed |= call.reads
                kept.append(call)
        kept.reverse()
        once = [call for call in kept if not call.changes & moved]
        each = [call for call in kept if call.changes & moved]
        stays = set(map(_memory, [*given, *results, *_found_by(once)]))
        _share_memory(each, stays)
        self.once = list(map(_again, once))
        self.each = list(map(_again, each))
        memory = {_memory(t): t.untyped_storage().nbytes() for t in _found_by(kept)}
        self.bytes = sum(memory.values())


def _found_by(calls: Iterable[_Call]) -> Iterator[Tensor]:
    return (tensor for call in calls for tensor in call.found)


def _share_memory(calls: Sequence[_Call], stays: Collection[int]) -> None:
    """Let what calls return lie where nobody reads any more what others returned before.

    What is used at a time then fits into a core's own cache. Memory that ``stays`` is not moved.
    """
    used = [list(map(_memory, [*call.given, *call.found])) for call in calls]
    last = {memory: number for number, here in enumerate(used) for memory in here}
    place: dict[int, torch.UntypedStorage] = {}
    free: list[torch.UntypedStorage] = []
    for number, (call, here) in enumerate(zip(calls, used, strict=True)):
        for tensor in call.found:
            memory = _memory(tensor)
            if memory in stays or memory in place:
                continue
            held = tensor.untyped_storage()
            fitting = [
                other
                for other in free
                if other.device == held.device and other.nbytes() >= held.nbytes()
            ]
            place[memory] = min(reversed(fitting), key=torch.UntypedStorage.nbytes, default=held)
            free = [other for other in free if other is not place[memory]]
        free += [
            place[memory]
            for memory in dict.fromkeys(here)
            if memory in place and last[memory] == number
        ]
    for call, here in zip(calls, used, strict=True):
        for tensor, memory in zip([*call.given, *call.found], here, strict=True):
            if memory in place:
                held = place[memory]
                tensor.set_(held, tensor.storage_offset(), tensor.shape, tensor.stride())


def _closed(calls: Sequence[_Call], moved: set[int]) -> set[int]:
    """Return the memory that changes between two gradients if some of it is ``moved``."""
    before = -1
    while len(moved) > before:
        before = len(moved)
        for call in calls:
            if call.reads & moved:
                moved |= call.changes
    return moved


class Recording:
    """A gradient in memory of its own, for all trainings of one form.

    ``gradient(shared, own, leaves)`` returns how a gradient by the ``leaves`` is computed, and
    computes nothing itself. Leaves may change in place between two gradients; the others are
    frozen in a training.
    """

    def __init__(
        self,
        gradient: Callable[[Shared, Tensors, Tensors], Gradient],
        shared: Shared,
        own: Tensors,
        leaves: Tensors,
    ) -> None:
        self._shared = {name: _copy(tensor) for name, tensor in shared.items()}
        self._own = {name: tensor.clone() for name, tensor in own.items()}
        self.leaves = {name: tensor.clone() for name, tensor in leaves.items()}
        self._plain = gradient(self._shared, self._own, self.leaves)
        self._batch: Batch = ()
        self._program: _Program | None = None
        self._found: Tensors = {}
        self._is_tried = False
        self._is_given_up = False
        self.lock = Lock()

    def begin(self, shared: Shared, own: Tensors, leaves: Tensors) -> None:
        """Take the tensors of a training."""
        for name, into in self._shared.items():
            _fill(into, shared[name])
        for memory, given in ((self._own, own), (self.leaves, leaves)):
            for name, tensor in memory.items():
                tensor.copy_(given[name])
        if self._program is not None:
            with torch.no_grad():
                for call in self._program.once:
                    call()

    def __call__(self, batch: Batch) -> Tensors:
        """Return the gradients of the loss of a minibatch, which hold until the next call."""
        if self._is_given_up:
            return self._plain(batch)
        if self._program is None:
            return self._recorded(batch)
        for into, part in zip(self._batch, batch, strict=True):
            into.copy_(part)
        with torch.no_grad():
            for call in self._program.each:
                call()
        if not self._is_tried:
            self._is_tried = True
            expected = self._plain(batch)
            if not all(torch.equal(expected[name], t) for name, t in self._found.items()):
                self._give_up()
                return expected
        return self._found

    @property
    def bytes(self) -> int:
        """Memory of what is computed on the way, 0 before the first gradient."""
        return 0 if self._program is None else self._program.bytes

    def _recorded(self, batch: Batch) -> Tensors:
        self._batch = tuple(part.clone() for part in batch)
        shared = _tensors_of(self._shared.values())
        moving = [*self.leaves.values(), *self._batch]
        calls = _Calls()
        try:
            with calls:
                found = self._plain(self._batch)
            given = [*shared, *self._own.values(), *moving]
            self._program = _Program(calls.noted, given, moving, found.values())
        except NotReplayableError:
            self._give_up()
            return self._plain(batch)
        if self._program.bytes > LARGEST_BYTES:
            self._give_up()
        self._found = found
        return found

    def _give_up(self) -> None:
        self._is_given_up = True
        self._program = None
        self._found = {}
        self._batch = ()


def _copy(tensor: Tensor | Grouped) -> Tensor | Grouped:
    if isinstance(tensor, Tensor):
        return tensor.clone()
    return tensor.mapped(Tensor.clone)


def _fill(into: Tensor | Grouped, tensor: Tensor | Grouped) -> None:
    for memory, given in zip(_tensors_of([into]), _tensors_of([tensor]), strict=True):
        memory.copy_(given)


def _tensors_of(several: Iterable[Tensor | Grouped]) -> list[Tensor]:
    return [t for one in several for t in ([one] if isinstance(one, Tensor) else one.distinct)]


# Recordings of this process.


LARGEST_BYTES = 1 << 24
"""Memory of a gradient's results on the way from which on arithmetic takes most of the time."""
MOST_BYTES = 1 << 26
"""Memory of all recordings; those that were used last are kept."""
MOST = 256
"""Forms that are remembered."""

TIMES = 4
"""How often a form comes before it is recorded, which takes as long as is saved in so many
trainings of five steps."""

_KNOWN: dict[Hashable, Recording | int] = {}
"""Recordings by form, and of other forms how often they have come."""


@contextmanager
def recording_of(form: Hashable, make: Callable[[], Recording]) -> Iterator[Recording | None]:
    """Yield the recording of a form for one training; None where another thread has it.

    A form that has come a few times only is not recorded: it may not come again.
    """
    known = _KNOWN.pop(form, 0)
    if isinstance(known, int):
        recording = make() if known == TIMES else None
        _KNOWN[form] = known + 1 if recording is None else recording
    else:
        recording = _KNOWN[form] = known  # as the one that was used last
    if recording is None or not recording.lock.acquire(blocking=False):
        yield None
        return
    before = recording.bytes
    try:
        yield recording
    finally:
        recording.lock.release()
        if recording.bytes > before:
            _forget_oldest()


def _forget_oldest() -> None:
    made = (known for known in _KNOWN.values() if isinstance(known, Recording))
    total = sum(recording.bytes for recording in made)
    while total > MOST_BYTES or len(_KNOWN) > MOST:
        known = _KNOWN.pop(next(iter(_KNOWN)))
        total -= 0 if isinstance(known, int) else known.bytes
