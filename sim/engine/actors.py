"""Actors: drive the generators of a method, and answer their requests on the simulated clock.

Meetings: where actors wait for each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import simpy

from learning.methods.base import Method, Protocol
from learning.own.raised import ANYTHING
from learning.requests import cluster as requests
from learning.requests import facts, peers
from learning.requests.cluster import Meet
from learning.requests.decide import Decide, Decision
from learning.requests.facts import Used
from learning.requests.request import Request
from sim.clock import Clock, Process
from sim.engine.client import Client
from sim.engine.clients import Clients
from sim.engine.learning_facts import LearningFacts
from sim.engine.progress import Progress
from sim.errors import SimulationError, asking_line
from sim.formatting import some


@dataclass(frozen=True)
class _Meeting:
    """What fills a meeting, and who is there with which value."""

    event: simpy.Event
    parties: int
    brought: dict[str, Any]


class Meetings:
    """Actors that wait for each other by key. A meeting that is complete can be held again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, _Meeting] = {}

    def join(self, actor: str, meet: Meet) -> Generator[simpy.Event, Any, dict[str, Any]]:
        """Wait until all parties are there; return what each brought, sorted by actor."""
        if meet.key not in self._open:
            event = self._clock.event()
            self._open[meet.key] = _Meeting(event, meet.parties, {})
        meeting = self._open[meet.key]
        event = meeting.event
        brought = meeting.brought
        brought[actor] = meet.value
        if len(brought) < meet.parties:
            yield event
        else:
            # Forgotten before the others go on, so that their values are not kept alive here.
            del self._open[meet.key]
            event.succeed()
        return dict(sorted(brought.items()))

    def waiting(self, excused: Collection[str] = ()) -> str:
        """Describe the meetings that never filled, the first by name; empty if there are none.

        Those that one of the ``excused`` has not come to are left out.
        """
        found = [
            f"{some(sorted(meeting.brought), 3)} at {key!r} with {len(meeting.brought)} of "
            f"{meeting.parties}"
            for key, meeting in sorted(self._open.items())
            if meeting.brought.keys() >= set(excused)
        ]
        return some(found, 1, "; ")


SERVER = "server"

AtOnce = (
    requests.Measure
    | requests.Assign
    | facts.Note
    | facts.Aggregated
    | Used
    | requests.Forecast
    | requests.EndRun
    | Decide
    | requests.Evaluate
)
"""Requests that take no simulated time and concern no device: of a cluster or of the server."""


class Actors:
    """Drives what a method does for each cluster and at the server: one generator per actor.

    An actor yields a request, and goes on with the reply when that much simulated time has passed.
    What concerns a cluster alone its client answers, messages between devices the peers of the
    ``clients``, what takes no time ``measure``, ``decide`` and the ``learning_facts``.
    """

    def __init__(
        self,
        clock: Clock,
        method: Method,
        clients: Clients,
        *,
        progress: Progress,
        measure: Callable[[str, requests.Measure], Any],
        decide: Callable[[Decide], Decision],
        learning_facts: LearningFacts,
    ) -> None:
        self.meetings = Meetings(clock)
        self._clock = clock
        self._method = method
        self._clients = clients.by_name
        self._news = clients.news
        self._version = method.version
        self._peers = clients.peers
        self._progress = progress
        self._measure = measure
        self._decide = decide
        self._learning_facts = learning_facts
        self._tasks: Counter[str] = Counter()  # of each actor

    def start(self) -> None:
        """Start an actor for each cluster, and one for the server where the method has it."""
        for name, client in self._clients.items():
            protocol = self._of_method(name, partial(self._method.cluster, client.cluster))
            self._clock.start(name, self._drive(name, name, protocol))
        at_server = self._of_method(SERVER, self._method.server_protocol)
        if at_server is not None:
            self._clock.start(SERVER, self._by_server(at_server, waits=True))

    def _of_method(self, actor: str, make: Callable[[], Any]) -> Any:
        """Return a protocol that the method makes for an actor; its errors are the actor's."""
        try:
            return make()
        except ANYTHING as error:  # of a function that is no generator
            raise self._clock.failed(actor, error) from error

    def at_once(self, protocol: Protocol) -> None:
        """Drive a protocol of the server that takes no simulated time."""
        for _ in self._by_server(protocol):
            pass

    def _by_server(self, protocol: Protocol, *, waits: bool = False) -> Process:
        """Drive what the server does by itself; it takes no simulated time, unless it ``waits``."""
        reply = None
        _is_protocol("what the method does for no cluster", protocol)
        while True:
            try:
                request = self._next(protocol, reply)
            except StopIteration:
                return
            reply = None
            if isinstance(request, AtOnce):
                reply = self._answer_now(SERVER, None, request)
            elif waits and isinstance(request, peers.Wait):
                yield from wait(self._clock, request)
            else:
                known = [one.__name__ for one in get_args(AtOnce)] + ["Wait"] * waits
                raise SimulationError(
                    f"{type(request).__name__} takes time or concerns a device; what a method does "
                    f"for no cluster may ask only for {', '.join(known)}{asking_line(protocol)}"
                )

    def _next(self, protocol: Generator[Any, Any, Any], reply: Any) -> Any:
        """Let a protocol go on with a reply; return its next request, and tell of a new version."""
        try:
            return protocol.send(reply)
        finally:
            if self._method.version != self._version:
                self._version = self._method.version
                self._news.give()

    def _drive(
        self, name: str, actor: str, protocol: Generator[Any, Any, Any]
    ) -> Generator[simpy.Event, Any, Any]:
        """Ask on behalf of a protocol of a cluster until it ends; return what it returns."""
        client = self._clients.get(name)
        if client is None:
            raise SimulationError(f"All: no cluster is called {name!r}")
        _is_protocol("cluster" if actor == name else "a task of All or Start", protocol)
        reply: Any = None
        while True:
            try:
                request = self._next(protocol, reply)
            except StopIteration as end:
                return end.value
            if isinstance(request, AtOnce):
                reply = self._answer_now(actor, client, request)
            else:
                reply = yield from self._answer(actor, client, request, protocol)

    def _answer(
        self, actor: str, client: Client, request: Request, protocol: object
    ) -> Generator[simpy.Event, Any, Any]:
        """Answer what concerns a device, when the simulated time has passed that it takes."""
        match request:
            case requests.NextContact():
                return (yield from client.next_contact(actor, request, self._cycle))
            case requests.TrainUntilContact():
                return (yield from client.train_until_contact(actor, request, self._cycle))
            case requests.Train() | requests.Upload() | requests.Download():
                return (yield from client.chain([request]))[0]
            case requests.Chain(steps=steps):
                return (yield from client.chain(steps))
            case requests.Meet():
                return (yield from self.meetings.join(actor, request))
            case peers.Send():
                return (yield from self._peers.send(request))
            case peers.Compute():
                return (yield from self._peers.nodes.compute(request))
            case peers.All():
                return (yield from self._all(actor, client.cluster.name, request))
            case peers.Wait():
                return (yield from wait(self._clock, request))
        return self._answer_device(actor, client, request, protocol)

    def _answer_device(self, actor: str, client: Client, request: Request, protocol: object) -> Any:
        """Answer at once what takes no simulated time and concerns devices."""
        match request:
            case peers.Start(tasks=tasks):
                places = _places("Start", request, client.cluster.name)
                for place, task in zip(places, tasks, strict=True):
                    name = self._task_of(actor)
                    self._clock.start(name, self._drive(place, name, task))
                return None
            case peers.NextLink():
                return self._peers.next_link(request)
            case peers.Reach():
                return self._peers.reach(client.cluster, request)
            case peers.Infer():
                self._peers.nodes.check(request.at)
                return self._learning_facts.inferred(request)
            case peers.Answered():
                self._peers.nodes.check(request.at)
                return self._learning_facts.answered(request)
        raise SimulationError(f"{request!r} is not a request{asking_line(protocol)}")

    def _all(
        self, actor: str, cluster: str, request: peers.All
    ) -> Generator[simpy.Event, Any, list[Any]]:
        """Reply when all tasks are done, or at the deadline; who is not done by then runs on."""
        deadline_s = request.deadline_s
        if deadline_s is not None and not deadline_s >= 0.0:
            raise SimulationError(f"All: deadline_s is {deadline_s}; allowed is at least 0")
        places = _places("All", request, cluster)
        left = len(places)
        results: list[Any] = [None] * left
        if not left:
            return results
        over = self._clock.event()

        def child(number: int, name: str) -> Process:
            nonlocal left
            results[number] = yield from self._drive(places[number], name, request.tasks[number])
            left -= 1
            if not left and not over.triggered:
                over.succeed()

        def deadline(after_s: float) -> Process:
            yield self._clock.at(self._clock.now + after_s)
            if not over.triggered:
                over.succeed()

        for number in range(left):
            name = self._task_of(actor)
            self._clock.start(name, child(number, name))
        if deadline_s is not None:
            self._clock.start(f"{actor}'s deadline", deadline(deadline_s))
        yield over
        return list(results)

    def _task_of(self, actor: str) -> str:
        """Return the name of an actor's next task; no cluster is called so."""
        first = actor.partition(":")[0]  # names of tasks of tasks of tasks would grow without end
        self._tasks[first] += 1
        return f"{first}:{self._tasks[first]}"

    def _cycle(self) -> int:
        return self._progress.cycle

    def _answer_now(self, actor: str, client: Client | None, request: AtOnce) -> Any:
        """Answer what takes no simulated time; ``client`` is None for the server."""
        match request:
            case requests.Measure():
                return self._measure(actor, request)
            case Decide():
                return self._decide(request)
            case requests.Assign():
                self._learning_facts.assigned(request, self._progress.cycle)
            case requests.Forecast(cluster=name):
                return self._clients[name].forecast(request)
            case requests.EndRun(why=why):
                self._progress.end(why)
            case requests.Evaluate():
                self._progress.evaluate_soon()
            case facts.Note():
                self._learning_facts.noted(request, None if client is None else client.sessions)
            case Used():
                self._learning_facts.used(request)
            case facts.Aggregated():
                sessions = None if client is None else client.sessions
                self._learning_facts.aggregated(request, sessions)
                self._progress.aggregated()
        return None


def _places(kind: str, request: peers.All | peers.Start, cluster: str) -> Sequence[str]:
    """Return for which cluster each task of a request is: the asking one, unless it says so."""
    many = len(request.tasks)
    at = (cluster,) * many if request.at is None else request.at
    if len(at) != many:
        raise SimulationError(f"{kind}: at names {len(at)} clusters for {many} tasks")
    return at


def _is_protocol(what: str, protocol: object) -> None:
    """Raise SimulationError where something else than a generator is to be driven."""
    if not hasattr(protocol, "send"):
        raise SimulationError(
            f"{what} gives {protocol!r}, which is no generator; let it yield its requests"
        )


def wait(clock: Clock, request: peers.Wait) -> Generator[simpy.Event, Any, None]:
    """Let time pass, unless the time is past; the clock rejects NaN."""
    if not request.time_s <= clock.now:
        yield clock.at(request.time_s)
