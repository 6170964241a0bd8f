"""Protocols over a ring of nodes: a broadcast, a reduction to one of them, an all-reduction.

A ring is a sequence of nodes of which each has a link with the next, and the last one with the
first, like the satellites of a plane. What is reduced on its way is a partial aggregate: a payload
as large as one model, whatever number of models is in it. Both ways round are used side by side:
nothing goes over more than half of the links.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from learning.requests.cluster import Meet
from learning.requests.payload import Payload
from learning.requests.peers import All, Arrival, Node, Send

Ring = Sequence[Node]
Protocol = Generator[Any, Any, Any]
At = Callable[[int], Protocol]
"""What is done at a place of the ring, counted from 0, before a payload there goes on."""


def nothing(_place: int) -> Protocol:
    """Let payloads go on at once."""
    yield from ()


class Gate:
    """Holds protocols up until another one opens it; its name is not that of any other gate."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting, self.is_open = 0, False

    def wait(self) -> Protocol:
        """Wait until it is open."""
        if not self.is_open:
            self.waiting += 1
            yield Meet(f"{self.name} {self.waiting}", 2)

    def open(self) -> Protocol:
        """Let all go on that wait, or will."""
        self.is_open = True
        for number in range(self.waiting):
            yield Meet(f"{self.name} {number + 1}", 2)


def distance(ring: Ring, one: int, other: int) -> int:
    """Return how many links lie between two places, the shorter way round."""
    return min((one - other) % len(ring), (other - one) % len(ring))


def carry(ring: Ring, begin: int, step: int, links: int, payload: Payload, at: At) -> Protocol:
    """Carry a payload from place ``begin`` over so many ``links``, by ``step`` 1 or -1.

    Returns when it was at each place where it has been, but for the first; fewer if a link fails.
    """
    been: dict[int, float] = {}
    yield from at(begin)
    for number in range(links):
        here, there = ((begin + step * k) % len(ring) for k in (number, number + 1))
        arrival: Arrival = yield Send(ring[here], ring[there], payload, wait=True)
        if not arrival.delivered:
            break
        been[there] = arrival.time_s
        yield from at(there)
    return been


def broadcast(ring: Ring, source: int, payload: Payload, at: At = nothing) -> Protocol:
    """Send a payload from one place to all others; return when each that it reached has it."""

    def others(place: int) -> Protocol:
        if place != source:
            yield from at(place)

    ways = _links(ring).items()
    forth, back = yield All(
        tuple(carry(ring, source, step, links, payload, others) for step, links in ways)
    )
    return forth | back


def reduce(
    ring: Ring, sink: int, payload: Payload, at: At = nothing, among: Sequence[int] | None = None
) -> Protocol:
    """Gather a partial aggregate of all places at one; return the places of which it is made.

    ``at`` waits at each place until that one has something to add, at the sink also where no
    payload comes to it. Where only those ``among`` the
    places have something, it comes from no farther than that.
    """
    wanted = {sink, *(range(len(ring)) if among is None else among)}
    tours = []
    for step, most in _links(ring).items():
        links = (step * (sink - place) % len(ring) for place in wanted)
        tours.append((sink, step, max(number for number in links if number <= most)))
    return (yield from _gather(ring, tours, payload, at))[sink]


def allreduce(ring: Ring, payload: Payload, at: At = nothing) -> Protocol:
    """Let every place have the aggregate of all; return by place of which places that is made.

    Partial aggregates go from every place half the way round, both ways, and each place that they
    come to adds what it has: ceil(S / 2) payloads over each link and way, of S links.
    """
    tours = [(k, step, links) for k in range(len(ring)) for step, links in _links(ring).items()]
    return (yield from _gather(ring, tours, payload, at))


def _links(ring: Ring) -> dict[int, int]:
    """Return over how many links a payload goes each way round, by the step 1 or -1."""
    return {1: len(ring) // 2, -1: (len(ring) - 1) // 2}


def _gather(
    ring: Ring, tours: Sequence[tuple[int, int, int]], payload: Payload, at: At
) -> Protocol:
    """Carry payloads to a sink each, by a step over so many links; return what each sink has."""
    begins = [(sink - step * links) % len(ring) for sink, step, links in tours]
    ways = yield All(
        tuple(
            carry(ring, begin, step, links, payload, at)
            for begin, (_, step, links) in zip(begins, tours, strict=True)
        )
    )
    added = {sink: {sink} for sink, _, _ in tours}
    for sink in added:
        yield from at(sink)  # also where no payload has come to it
    for begin, (sink, _, _), been in zip(begins, tours, ways, strict=True):
        if sink in been:  # else a link has failed on its way
            added[sink] |= {begin, *been}
    return added
