"""Reverse mode over a list of calls: gradients of models whose every step knows its own.

torch's autograd makes a node for each operation, and for each one that is written in Python it
crosses between both languages several times. For matrices of 64 columns that costs more than the
arithmetic. A model that is ``taped`` does all that depends on trained tensors by :func:`run`. Then
a :class:`Tape` knows the calls, and walks them backwards in the order in which autograd would: the
gradients are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor


class Context:
    """What a step keeps for its gradient, under the names of torch's own contexts."""

    saved_tensors: tuple[Any, ...] = ()

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep ``tensors`` as :attr:`saved_tensors`."""
        self.saved_tensors = tensors


class Step(torch.autograd.Function):
    """A function of tensors and settings that knows its gradient, for a tape and for autograd.

    ``plain`` is the same in operations of torch. Autograd gets those where there are some: they can
    be run under vmap.
    """

    plain: ClassVar[Callable[..., Any] | None] = None


class _Call(NamedTuple):
    step: type[Step]
    context: Context
    inputs: tuple[Any, ...]
    output: Tensor
    """Of several outputs the first: no other may depend on a leaf in a way that has a gradient."""


class Tape:
    """The calls of steps that depend on some leaves, as long as it is entered in this thread."""

    def __init__(self, leaves: Iterable[Tensor]) -> None:
        # Tensors are told apart by their identity: the leaves' owner and the calls keep them alive.
        self._known = set(map(id, leaves))
        self._calls: list[_Call] = []

    def call(self, step: type[Step], inputs: tuple[Any, ...]) -> Any:
        """Call a step, and note it if its output depends on a leaf."""
        context = Context(tuple([id(given) in self._known for given in inputs]))
        found = step.forward(context, *inputs)
        if any(context.needs_input_grad):
            output = found[0] if isinstance(found, tuple) else found
            self._calls.append(_Call(step, context, inputs, output))
            self._known.add(id(output))
        return found

    def gradients(self, value: Tensor, share: float) -> dict[int, Tensor]:
        """Return the gradients of ``share`` of ``value``, one number, by each leaf's identity."""
        found = {id(value): torch.full_like(value, share)}
        while self._calls:
            step, context, inputs, output = self._calls.pop()  # what it has kept is freed
            of_output = found.pop(id(output), None)
            if of_output is None:
                continue
            parts = step.backward(context, of_output)
            for given, is_needed, part in zip(inputs, context.needs_input_grad, parts, strict=True):
                if is_needed and part is not None:
                    before = found.get(id(given))
                    found[id(given)] = part if before is None else before + part
        return found


_entered: ContextVar[Tape | None] = ContextVar("tape", default=None)


def run(step: type[Step], *inputs: Any) -> Any:
    """Return a step's output of ``inputs``; the tape that is entered, if any, knows the call."""
    tape = _entered.get()
    if tape is not None:
        return tape.call(step, inputs)
    return (step.plain or step.apply)(*inputs)


def gradients_of(
    compute: Callable[[], Tensor], leaves: Mapping[str, Tensor], share: float = 1.0
) -> dict[str, Tensor]:
    """Return the gradient by each of ``leaves`` of a ``share`` of the number that is computed.

    It is zero where the number does not depend on a leaf. All that it depends on one by must be
    steps.
    """
    tape = Tape(leaves.values())
    token = _entered.set(tape)
    try:
        with torch.no_grad():
            found = tape.gradients(compute(), share)
    finally:
        _entered.reset(token)
    return {
        name: torch.zeros_like(leaf) if (own := found.get(id(leaf))) is None else own
        for name, leaf in leaves.items()
    }
