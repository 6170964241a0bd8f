"""Several runs in one process that wait for each other where they need the same kind of work.

Each member runs in a greenlet of its own, one at a time, until it asks for work or has ended. When
all wait, what they ask for is done at once. A member that nobody else joins goes on as it would
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from greenlet import getcurrent, greenlet

Compute = Callable[[Sequence[Any]], list[Any]]
"""Returns a result for each request."""


class _Member(greenlet):
    """A run; it goes on with ``answer``, or with ``thrown`` raised, once it is ready."""

    def __init__(self, work: Callable[[], object], company: CooperativeRuns) -> None:
        super().__init__(work)
        self.company = company

    answer: list[Any] | None = None
    thrown: BaseException | None = None
    asked: tuple[Compute, Sequence[Any]] | None = None


class CooperativeRuns:
    """The members that have begun and not ended; it is false when there are none."""

    def __init__(self) -> None:
        self._members: list[_Member] = []

    def __len__(self) -> int:
        """Return how many have begun and not ended."""
        return len(self._members)

    def begin(self, work: Callable[[], object]) -> None:
        """Add a member that does ``work``, from the next :meth:`go_on` on."""
        self._members.append(_Member(work, self))

    def go_on(self) -> None:
        """Let each member go on until it asks or has ended; then do what all of them ask for."""
        for member in self._members:
            self._resume(member)
        self._members = [member for member in self._members if not member.dead]
        self._compute()

    def interrupt(self) -> None:
        """Have KeyboardInterrupt raised in every member, where it waits."""
        self._members = [member for member in self._members if not member.dead]
        for member in self._members:
            member.thrown = KeyboardInterrupt()

    def _resume(self, member: _Member) -> None:
        """Let a member begin or go on; whoever has not begun has nothing to break off."""
        error = member.thrown if member else None
        answer, member.answer = member.answer, None
        member.asked = member.thrown = None
        if error is not None:
            member.asked = member.throw(error)
        else:
            member.asked = member.switch(*([] if answer is None else [answer]))

    def _compute(self) -> None:
        """Do what the members ask for, and have the answers ready."""
        by_compute: dict[Compute, list[_Member]] = {}
        for member in self._members:
            if member.asked is not None:
                by_compute.setdefault(member.asked[0], []).append(member)
        for compute, members in by_compute.items():
            try:
                _answer(compute, members)
            except Exception:
                # Whose request it was shows when each is asked for alone.
                for member in members:
                    try:
                        _answer(compute, [member])
                    except Exception as error:
                        member.thrown = error


def _answer(compute: Compute, members: Sequence[_Member]) -> None:
    """Give the members what ``compute`` makes of their requests."""
    requests = [request for member in members for request in _requests(member)]
    found = iter(compute(requests))
    for member in members:
        member.answer = [next(found) for _ in _requests(member)]


def _requests(member: _Member) -> Sequence[Any]:
    return () if member.asked is None else member.asked[1]


def together(compute: Compute, requests: Sequence[Any]) -> list[Any]:
    """Return what ``compute`` makes of requests, with those of others if this is a member."""
    member = getcurrent()
    if not isinstance(member, _Member):
        return compute(requests)
    assert member.parent is not None  # the company's
    return cast("list[Any]", member.parent.switch((compute, requests)))


def at_once() -> int:
    """Return how many members the company has of which this is one, 1 outside of any."""
    member = getcurrent()
    return len(member.company) if isinstance(member, _Member) else 1
