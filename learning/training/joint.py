"""Trainings of several clusters as one, to the same bits as each alone.

Steps of small models cost more in calls than in arithmetic. Trainings that do not depend on each
other, of one :class:`Form`, are therefore stacked, as the devices of a cluster are; what the
devices of one training share stays theirs (:class:`~learning.models.stacked.Grouped`). How many are
stacked at once depends on what was measured of the form in this process, and on the memory that
they take; results do not depend on it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from time import thread_time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from learning.hardware import free_bytes
from learning.models.stacked import Grouped, Tensors
from learning.requests.cluster import Ints
from learning.training import sgd
from learning.training.descent import Descent, descent_of
from learning.training.device_state import assembled_state
from learning.training.form import Form
from learning.training.guards import Guard, guarded
from learning.training.recipe import CONSTANT
from learning.training.replay import TIMES
from learning.training.state import State, flatten
from learning.training.task import Task
from learning.values.operation import Operation

MEMORY_SHARE = 0.25
"""Largest share of the free memory that trainings which are stacked may take."""


class Request(NamedTuple):
    """A training that is asked for: :func:`learning.training.local.train`, and what it gets."""

    operation: Operation
    task: Task
    tensors: Sequence[Tensors]
    arguments: dict[str, Any]


@dataclass(eq=False)
class _Training:
    """One training on its way: its tensors (K, ...), the rounds left, the number of the next."""

    request: Request
    own: State
    descent: Descent
    guard: Guard
    tensors: dict[str, Tensor]
    left: Ints
    next_round: Ints

    def result(self) -> dict[str, Tensor]:
        """Return what the operation returns, checked."""
        after = self.descent.after(sgd.Trained(self.tensors, {}))
        found = {**flatten(self.own), **flatten(after)}
        self.guard.check(found)
        return found

    @property
    def form(self) -> Form:
        """What it has in common with those that it may be stacked with."""
        return self.descent.form

    @property
    def rounds(self) -> int:
        """The most rounds that any device has left."""
        return int(self.left.max())


def is_stackable(task: Task) -> bool:
    """Whether trainings of a task may be stacked: a device's steps must not ask for the others'."""
    recipe = task.recipe
    is_plain = recipe.optimizer.is_plain and recipe.schedule == CONSTANT
    return (
        task.is_taped
        and is_plain
        and recipe.clip_norm is None
        and recipe.micro_batch is None
        and not task.others
    )


def train_all(requests: Sequence[Request]) -> list[dict[str, Tensor]]:
    """Return what each request's operation returns, in their order.

    Their tasks must be stackable, and no term be added to the loss.
    """
    if len(requests) == 1:
        return [_alone(requests[0])]
    trainings = [_training_of(request) for request in requests]
    by_form: dict[Form, list[int]] = {}
    for number, training in enumerate(trainings):
        by_form.setdefault(training.form, []).append(number)
    results: dict[int, dict[str, Tensor]] = {}
    for form, numbers in by_form.items():
        left = numbers
        while left:
            some = left[: _widths(requests[left[0]]).next(len(left), form)]
            left = left[len(some) :]
            stacked = [trainings[number] for number in some]
            if _is_as_alone(stacked):
                found = [training.result() for training in stacked]
            else:
                found = [_alone(training.request) for training in stacked]
            results |= zip(some, found, strict=True)
    return [results[number] for number in range(len(requests))]


def _alone(request: Request) -> dict[str, Tensor]:
    """Return what an operation returns by itself, and note how long it took."""
    with _widths(request).timed(1, [request]):
        return guarded(request.operation, request.task, request.tensors, request.arguments)


def _is_as_alone(some: list[_Training]) -> bool:
    """Train some of one form as one; return whether the first has the bits that it has alone.

    That is looked at the first time.
    """
    requests = [training.request for training in some]
    widths = _widths(requests[0])
    with widths.timed(len(some), requests):
        _train(some)
    form = some[0].form
    if len(some) > 1 and form not in widths.is_as_alone:
        expected = _alone(requests[0])
        found = some[0].result()
        widths.is_as_alone[form] = all(torch.equal(expected[n], t) for n, t in found.items())
    return len(some) == 1 or widths.is_as_alone[form]


def _training_of(request: Request) -> _Training:
    operation, task, tensors, arguments = request
    guard = Guard(operation, task, tensors, arguments)
    named = operation.grouped(arguments)
    local, part = named["local"], named["part"]
    own = State.of(tensors[0])
    models = tensors[1 : 1 + named["servers"]]
    descent = descent_of(
        task, assembled_state(task, own, models, named["versions"]), local, part, None
    )
    left, first = np.array(local.rounds), np.array(local.first_round)
    return _Training(request, own, descent, guard, dict(descent.begin), left, first)


# How many at once.


MANY = 1 << 30
"""More trainings than there ever are."""
MOST_DEVICES = 80
"""Most devices of trainings that are stacked: of more, a device's step takes longer again, as their
tensors leave the processor's caches (`vector-moe`: 1.3 times at 160, 1.4 times at 320)."""
TRIES = 3 * TIMES
"""How often a number of trainings is measured before it is judged: mostly with recordings."""
SLOWER = 1.1
"""A number of trainings is too many from this ratio of times on."""


@dataclass(eq=False)
class Widths:
    """How many trainings of a size are stacked, from what each number of them took.

    ``seconds`` are those of a device's step by the number that was stacked, the least of so many
    ``times``. More are tried until some number was slower than a smaller one. ``is_as_alone`` says
    of which forms the bits are those of a training alone on this machine: others are not stacked.
    ``room`` is how many of a form fitted into the share of memory when the first of them came.
    """

    most: int = MANY
    seconds: dict[int, float] = field(default_factory=dict)
    times: Counter[int] = field(default_factory=Counter)
    is_as_alone: dict[Form, bool] = field(default_factory=dict)
    room: dict[Form, int] = field(default_factory=dict)

    def next(self, waiting: int, form: Form) -> int:
        """Return how many of those of one form that wait are stacked next."""
        if not self.is_as_alone.get(form, True):
            return 1
        if form not in self.room:  # to look takes as long as a step
            free = free_bytes("cpu")
            self.room[form] = MANY if free is None else int(free * MEMORY_SHARE / form.bytes)
        return max(1, min(waiting, self.most, self.room[form], MOST_DEVICES // form.devices))

    @contextmanager
    def timed(self, width: int, requests: Sequence[Request]) -> Iterator[None]:
        """Note how long a device's step takes in the trainings that are done meanwhile."""
        rounds = sum(sum(request.arguments["rounds"]) for request in requests)
        begun = thread_time()
        yield
        seconds = (thread_time() - begun) / (rounds * requests[0].task.recipe.steps_per_round)
        self.times[width] += 1
        self.seconds[width] = min(seconds, self.seconds.get(width, math.inf))
        known = [number for number, times in self.times.items() if times >= TRIES]
        best = min(known, key=lambda number: self.seconds[number], default=MANY)
        limit = SLOWER * self.seconds.get(best, math.inf)
        slower = [number for number in known if number > best and self.seconds[number] > limit]
        self.most = min(slower, default=MANY + 1) - 1


_WIDTHS: dict[Hashable, Widths] = {}


def _widths(request: Request) -> Widths:
    """Return what is known of trainings of this size: as many devices, and as large a part."""
    task, asked = request.task, request.arguments
    part = len(asked["experts"]), asked["gate"], asked["mask"]
    size = task.config.model, task.spec, task.recipe, len(asked["rounds"]), part
    return _WIDTHS.setdefault(size, Widths())


# Several as one.


def _train(some: Sequence[_Training]) -> None:
    """Train some of one form to their ends; those with fewer rounds leave the others earlier."""
    active = [training for training in some if training.rounds]
    while active:
        count = min(training.rounds for training in active)
        _train_rounds(active, count)
        active = [training for training in active if training.rounds]


def _train_rounds(active: Sequence[_Training], count: int) -> None:
    """Train each for ``count`` rounds, its devices for fewer if they have fewer left."""
    rounds = [np.minimum(training.left, count) for training in active]
    stacked = _stacked([training.tensors for training in active])
    trained = sgd.train(
        stacked,
        active[0].descent.problem if len(active) == 1 else _problem(active),
        active[0].form.recipe,
        np.concatenate(rounds),
        np.concatenate([training.next_round for training in active]),
    )
    devices = active[0].form.devices
    for number, (training, done) in enumerate(zip(active, rounds, strict=True)):
        rows = slice(number * devices, (number + 1) * devices)
        # Each has memory of its own: the others' rows are freed with their trainings.
        training.tensors = {name: t[rows].clone() for name, t in trained.tensors.items()}
        training.left = training.left - done
        training.next_round = training.next_round + done


def _problem(active: Sequence[_Training]) -> sgd.Problem:
    """Return what is minimised, for the devices of all."""
    first = active[0].descent
    counts = [training.form.devices for training in active]
    shared = {
        name: Grouped([training.descent.shared[name] for training in active], counts)
        for name in first.shared
    }
    # What is one tensor is computed as one.
    form = first.form, len(active), tuple(tensor.is_one for tensor in shared.values())
    kind = sgd.Kind(form, shared, first.loss)
    return sgd.Problem(
        _draw([training.descent.problem.draw for training in active], counts),
        kind.loss(shared),
        together=True,
        frozen=_stacked([training.descent.problem.frozen for training in active]),
        gates=first.problem.gates,
        devices=range(sum(counts)),
        taped=True,
        kind=kind,
    )


def _stacked(tensors: Sequence[Tensors]) -> dict[str, Tensor]:
    """Return tensors (K, ...) of several trainings one after another."""
    if len(tensors) == 1:
        return dict(tensors[0])
    return {name: torch.cat([own[name] for own in tensors]) for name in tensors[0]}


def _draw(draws: Sequence[sgd.Draw], counts: Sequence[int]) -> sgd.Draw:
    """Return a draw of minibatches of all trainings' devices, each as its own training draws it."""

    ends = [*accumulate(counts)]

    def draw(devices: Sequence[int], rounds: sgd.Rounds) -> Iterable[sgd.Batch]:
        del devices  # all of them
        streams = [
            own(range(count), [numbers[end - count : end] for numbers in rounds])
            for own, count, end in zip(draws, counts, ends, strict=True)
        ]
        for some in zip(*streams, strict=True):
            yield tuple(torch.cat(parts, 1) for parts in zip(*some, strict=True))

    return draw
