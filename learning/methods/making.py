"""A method is made of its class; what fails in one of the user's own is told with its line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from typing import Any, TypeVar

import numpy as np

from learning.hardware import is_out_of_memory
from learning.methods.base import (
    GlobalModelMethod,
    Method,
    MethodType,
    Protocol,
    World,
    a_pair,
)
from learning.own.imports import OURS
from learning.own.raised import ANYTHING, cause_of, place_of, written_at
from learning.requests.cluster import Measure, Work
from statements import Refused, statement_of

Made = TypeVar("Made", bound=Method)
OF_ALL = ("world", "learner", "options", "version", "registry")
OF_ONE_MODEL = ("experts", "weights")
"""What the constructors of Method, and of GlobalModelMethod, give a method."""
FIRST = "call super().__init__(world, options) first"


def made(kind: type[Made], name: str, world: World, options: Any) -> Made:
    """Return the method of a class, with its server state as it is before a run.

    Raises :class:`ValueError`, about ``learning.method``, for one of the user's own that cannot be
    made, or that its base class has not made.
    """
    if not _is_own(kind):
        return kind.for_options(options)(world, options)
    constructor = kind.__init__
    with own_part(kind, name, "cannot be made", constructor):
        try:
            signature(kind).bind(world, options)
        except TypeError as error:
            why = f"TypeError: {error}, {written_at(constructor)}".removesuffix(", ")
            takes = "let its __init__ take (self, world, options=None)"
            raise _refused(name, "cannot be made", why, takes) from None
        method: Any = kind.for_options(options)(world, options)
        if not isinstance(method, kind):
            raise TypeError(f"its class gives {type(method).__name__}")
        wanted = (*OF_ALL, *(OF_ONE_MODEL if isinstance(method, GlobalModelMethod) else ()))
        for attribute in wanted:
            if not hasattr(method, attribute):
                raise AttributeError(f"no attribute {attribute!r}", name=attribute, obj=method)
        return method


@contextmanager
def own_part(
    kind: MethodType, name: str, fails: str, part: object, *, refuses: bool = False
) -> Iterator[None]:
    """Refuse a method of the user's own in which a ``part``, a function, raises anything.

    What is said of a key of the scenario stays as it is, and so do errors of shipped methods. A
    part that ``refuses`` does so in its own words, by a ValueError.
    """
    try:
        yield
    except ANYTHING as error:
        if not _is_own(kind) or _is_known(error):
            raise
        if refuses and isinstance(error, ValueError):
            raise ValueError(f"learning.method: {error}") from None
        early = (
            isinstance(error, AttributeError)
            and isinstance(error.obj, Method)
            and error.name in (*OF_ALL, *OF_ONE_MODEL)
        )
        cause = cause_of(error, written_at(part))
        raise _refused(name, fails, cause, FIRST if early else "mend it there") from None


def _is_own(kind: Any) -> bool:
    return kind.__module__.partition(".")[0] not in OURS


def _is_known(error: BaseException) -> bool:
    """Whether an error says by itself what is wrong: with a key, with torch, with the memory."""
    if isinstance(error, ValueError):
        return isinstance(error, Refused) or statement_of(error).path[:1] == ("learning",)
    if isinstance(error, ModuleNotFoundError):
        return error.name == "torch"
    return is_out_of_memory(error)


def _refused(name: str, fails: str, cause: str, cure: str) -> ValueError:
    return ValueError(f"learning.method: {name!r} {fails} ({cause}); {cure}")


# What a method of one's own has in the place of a shipped one's is tried before the run.


HOOKS = ("turns", "local_loss", "server_step", "own_part")
"""What a method that is made of another one may have of its own, as they are tried."""
MOST_TRIED = 6
"""Turns are asked for with fewer rounds than this."""


def try_hooks(method: GlobalModelMethod) -> None:
    """Train a round on one device and take one step of the server, as a run will.

    Raises :class:`ValueError` that names the hook that fails, or returns other tensors than the
    model's. Hooks of shipped methods are known, and not tried.
    """
    hooks = (getattr(type(method), name) for name in HOOKS)
    if all(not _is_own(hook) for hook in hooks):
        return
    me = method.world.clusters[0]
    learner = method.learner
    name = "prepare"
    try:
        _answered(method.prepare())
        name = "turns"
        devices = method.devices(me)
        devices.load_initial(method.server, method.experts)
        first = np.arange(me.devices) == 0
        work = Work(first.astype(np.int64), first.astype(np.float64), np.zeros_like(first))
        [devices.turns(rounds * work.rounds) for rounds in range(MOST_TRIED)]
        name = "local_loss"
        devices.train(work, method.experts, gate=True)
        if devices.state is not None:
            learner.force(devices.state.whole)
        name = "server_step"
        devices.offer(method.experts, gate=True)
        before = learner.number("learning.training.state:shapes", method.weights)
        update = devices.update(devices.pending)
        moved, _ = a_pair(method.server_step([] if update is None else [(update, 1.0)]))
        after = learner.number("learning.training.state:shapes", moved)
        for tensor, shape in before.items():
            if after.get(tensor) != shape:
                found = f"has shape {after[tensor]}" if tensor in after else "is missing"
                raise ValueError(f"{tensor!r} of what it returns {found}; it must have {shape}")
        if type(method).own_part is not Method.own_part:
            name = "own_part"
            own = learner.number("learning.training.state:shapes", method.own_part(me))
            for tensor, shape in own.items():
                if tensor not in before or shape != [me.devices, *before[tensor]]:
                    raise ValueError(
                        f"{tensor!r} has shape {shape}; it must be a tensor of "
                        f"the server's model, for each of {me.devices} devices"
                    )
    except ANYTHING as error:  # a method of one's own may raise anything
        why = str(error)
        if not isinstance(error, ValueError):
            why = f"{type(error).__name__}: {error}, {place_of(error)}".removesuffix(", ")
        text = f"learning.method: {name} of {type(method).__name__} fails: {why}"
        raise ValueError(" ".join(text.split())) from None


def _answered(protocol: Protocol) -> None:
    """Drive a protocol before time begins to its end: it is answered what it wants measured."""
    reply = None
    with suppress(StopIteration):
        while True:
            request = protocol.send(reply)
            reply = request.compute() if isinstance(request, Measure) else None
