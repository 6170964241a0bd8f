"""The interpreter: answers the requests of a method's generators on the simulated clock."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simpy

from learning.methods.base import Protocol
from learning.requests import cluster as requests
from learning.requests import facts, peers
from learning.requests.cluster import Cluster, Request, TrainUntilContact, Work
from sim.checks.invariants import Invariants
from sim.clock import Clock, Process
from sim.devices.battery import Battery
from sim.devices.compute import Compute
from sim.devices.devices import Devices
from sim.devices.energy import Spending, Use, added, energy_of
from sim.devices.faults import Presence
from sim.engine.coordination import (
    AtOnce,
    Forecaster,
    Meetings,
    Tasks,
    Waiting,
    by_server,
    wait,
)
from sim.engine.evaluation import Evaluator, Observer
from sim.engine.journal import Journal
from sim.engine.learning_rows import LearningRows
from sim.errors import InputError, Interrupted, SimulationError
from sim.network.chains import Reply, ServiceLink
from sim.network.event_rows import Rows, fault_row, record_faults
from sim.network.ledger import Books, Ledger, PayloadList, books_of
from sim.network.link_faults import LinkFaults
from sim.network.peers import Nodes, Peers
from sim.network.relay import Relay
from sim.network.routing import next_link
from sim.network.sessions import ClusterSessions, Synchronisation
from sim.network.sidelinks import SidelinkQueues
from sim.network.steps import Step, Training, everybody
from sim.trace.recorder import Trace

if TYPE_CHECKING:
    from sim.engine.setup import Build

SERVER = "server"
Switch = tuple[float, "Build"]
"""When a run changes to which other build."""


class Phase(NamedTuple):
    """A disconnected phase: what is asked of whom, since when, and how and when they compute."""

    cluster: Cluster
    request: TrainUntilContact
    from_s: float
    compute: Compute
    presence: Presence | None


class Simulation:
    """One run of a build, which at each of the ``switches`` changes to another build.

    The server's model is evaluated at the start, at every complete cycle, every
    ``learning.evaluate_every_hours`` if given, and at the end. ``journal`` answers what an
    interrupted run has measured already; ``observers`` follow the run.
    """

    def __init__(
        self,
        build: Build,
        journal: Journal,
        observers: Sequence[Observer] = (),
        switches: Sequence[Switch] = (),
    ) -> None:
        plan = build.plan
        self.build = build
        self.method = method = build.new_method()
        self.clock = Clock()
        self.trace = Trace()
        self.journal = journal
        self.cycle = self._rounds = self._switched = 0
        self._clusters = plan.clusters
        self._waited_for = len(plan.clusters)
        self._observers, self._switches = observers, switches
        self._ended_at_s: float | None = None
        self._spent: dict[str, tuple[Use, dict[str, Any]]] = {}
        self._rested: dict[str, tuple[tuple[Any, ...], Any, dict[str, Any]]] = {}
        # The plan of the last build holds all contacts of the run.
        last = switches[-1][1].plan if switches else plan
        self._rows = Rows(self.trace, plan.topology)
        self.log = self._rows.log
        self.invariants = Invariants(last, lambda: self.end_s, self.log)
        self.trace.watch = self.invariants.watch
        self.log.watch = self.invariants.look
        self.evaluator = Evaluator(plan, method, journal, self.trace, observers)
        self.payloads = PayloadList()
        self.spending = Spending()
        self._learning = LearningRows(
            self.trace, method, journal, plan.clusters, lambda: self.end_s
        )
        self._meetings, self._tasks = Meetings(self.clock), Tasks(self.clock)
        self._gaps: dict[str, dict[str, Phase]] = {c.name: {} for c in plan.clusters}
        self._sessions: dict[str, ClusterSessions] = {}
        self.devices: dict[str, Devices] = {}
        self._forecasts: dict[str, Forecaster] = {}
        self._links: dict[str, ServiceLink] = {}
        churn = {} if plan.faults is None else plan.faults.churn
        synchronisation, link = Synchronisation(plan.sync_delay_s), build.scenario.link
        for cluster, compute in zip(plan.clusters, build.compute, strict=True):
            name, planned = cluster.name, plan.sessions(cluster)
            faults = None if plan.faults is None else LinkFaults(plan.faults, cluster)
            battery = Battery(*build.supplies[name]) if name in build.supplies else None
            sessions = ClusterSessions(self.clock, cluster, planned, self.log, self._served)
            devices = Devices(cluster, compute, churn.get(name), battery)
            self._sessions[name], self.devices[name] = sessions, devices
            self._forecasts[name] = Forecaster(planned, devices)
            ledger = Ledger(cluster.devices, link.cut_transfers, plan.topology)
            books = self._rows, synchronisation, ledger, self.payloads
            closing = method.world.closing
            self._links[name] = ServiceLink(self.clock, sessions, devices, *books, closing, faults)
        self._nodes = Nodes(self.clock, self.devices, self._links)
        relay = Relay(self.clock, self._sessions, self._links, link.relay)
        between = build.sidelinks, plan.isls, self._links
        queues, nodes = SidelinkQueues(self.clock, self._rows, *between), self._nodes
        self._peers = Peers(
            self.clock, plan.clusters, nodes, self._rows, self.payloads, queues, relay
        )

    def run(self) -> None:
        """Run to the end.

        A switch comes before everything else at its time. Raises InputError where the run has ended
        by then, or has gone too far for the new build.
        """
        for observer in self._observers:
            observer.started(self.build.plan.start)
        try:
            self._at_once(self.method.prepare())
            self._evaluate()
        except (TypeError, LookupError, AttributeError, ArithmeticError) as error:
            # Of a method of one's own, or of a journal that holds something else than it asked.
            raise self.clock.failed("the start", error) from error
        self._record_plan()
        # Sessions that are open at the start open as the table of contacts has them, not by name.
        for sessions in sorted(self._sessions.values(), key=ClusterSessions.first_contact):
            sessions.run()
        for cluster in self._clusters:
            actor = self._drive(cluster.name, cluster.name, self.method.cluster(cluster))
            self.clock.start(cluster.name, actor)
        if (protocol := self.method.server_protocol()) is not None:
            answer = partial(self._answer_now, SERVER, None)
            self.clock.start(SERVER, by_server(self.clock, protocol, answer, waits=True))
        self._start_evaluations()
        for at_s, to in self._switches:
            self.clock.run(math.nextafter(at_s, -math.inf), self._event)
            if self.clock.stopped:
                raise InputError(f"--at {at_s:g} s: the run ends at {self.clock.now:g} s")
            self.clock.pass_to(at_s)
            try:
                self._switch(to)
            except InputError as error:
                raise InputError(f"--at {at_s:g} s: {error}") from None
        self.clock.run(self.build.plan.stop_s, self._event)
        self._finish()

    def _event(self, number: int) -> None:
        try:
            for observer in self._observers:
                observer.event(number, self.clock.now)
        except Interrupted:
            self.log.flush()  # a run that contradicts itself by now has failed
            raise

    def _switch(self, to: Build) -> None:
        """Switch to another build; what is under way ends by the rules under which it began."""
        self._keep_spent(to)
        self._switched += 1
        self.build, self.method.world = to, to.world
        learning = to.scenario.learning
        self.method.learner.set_step_sizes(learning.step_size, learning.gate_step_size_ratio)
        self.method.learner.corruption = to.corruption
        if self._ended_early():
            limit = to.scenario.stop.rounds
            by_rounds = limit is not None and self._rounds >= limit
            key, done = ("rounds", self._rounds) if by_rounds else ("cycles", self.cycle)
            raise InputError(f"stop.{key}: {done} {key} are complete by then; give more")
        churn = {} if to.plan.faults is None else to.plan.faults.churn
        for cluster, compute in zip(to.plan.clusters, to.compute, strict=True):
            name, planned = cluster.name, to.plan.sessions(cluster)
            devices = self.devices[name]
            self._sessions[name].replan(planned)
            faults = None if to.plan.faults is None else LinkFaults(to.plan.faults, cluster)
            devices.compute = compute
            devices.presence = churn.get(name)
            self._forecasts[name] = Forecaster(planned, devices)
            self._links[name].switch(to.scenario.link.cut_transfers, to.world.closing, faults)
        queues = self._peers.queues
        queues.links, queues.isls = to.sidelinks, to.plan.isls
        self._peers.relay.policy = to.scenario.link.relay
        self._record_plan()
        self._start_evaluations()

    def _record_plan(self) -> None:
        """Record what the plan says will happen, when it does."""
        self._until_switch("waits", self._rows.waits(self.build.plan, self.clock))
        if self.build.plan.faults is not None:
            self._until_switch(
                "faults", record_faults(self.build.plan.faults, self.clock, self.trace)
            )

    def _until_switch(self, name: str, process: Process) -> None:
        """Run a process that only waits for times and acts then, until the run switches builds."""
        switched = self._switched

        def until_then() -> Process:
            for event in process:
                yield event
                if self._switched != switched:
                    return

        self.clock.start(name, until_then())

    @property
    def end_s(self) -> float:
        """When the run ended (at the plan's end, unless it was stopped before), or where it is."""
        return self.clock.now if self._ended_at_s is None else self._ended_at_s

    def _start_evaluations(self) -> None:
        """Evaluate every so many seconds beside the cycles, if the scenario asks for it."""
        every_s = 3600 * (self.build.scenario.learning.evaluate_every_hours or math.inf)

        def evaluate() -> Process:
            for number in range(1, int(self.build.plan.stop_s / every_s) + 1):
                if number * every_s >= self.clock.now:  # else before the switch
                    yield self.clock.at(number * every_s)
                    self.clock.after_this_instant("evaluation", self._evaluate)

        if every_s < math.inf:
            self._until_switch("evaluation", evaluate())

    def _finish(self) -> None:
        self._ended_at_s = self.clock.now if self.clock.stopped else self.build.plan.stop_s
        for link in self._links.values():
            link.settle_all(self.end_s)
        self._peers.queues.settle_all(self.end_s)
        for phases in self._gaps.values():
            for phase in phases.values():
                self._train_in_gap(phase, self.end_s)
            phases.clear()
        try:
            self.evaluator.evaluate(self.end_s, self.cycle)
            self.spending.add(self.end_s, self.energy(), self.method.server_rounds)
            self._at_once(self.method.conclude())
            self.log.flush()
        except Exception as error:
            raise self.clock.failed("the end", error) from error
        # An actor for which the plan had no contact left may be missing at a barrier.
        gone = [name for name, sessions in self._sessions.items() if sessions.exhausted]
        stuck = self._meetings.waiting(excused=gone)
        if stuck and self.clock.exhausted:
            raise SimulationError(f"the run is over but these still wait: {stuck}")
        if waiting := self._meetings.waiting():
            detail = f"no contacts left: {waiting}"
            fault_row(self.trace, self.end_s, detail, cause=facts.Cause.NO_CONTACT_LEFT)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """Who still waits for others at a meeting; of a finished run, who did when it ended."""
        return self._meetings.left()

    def energy(self) -> list[dict[str, Any]]:
        """Time and energy that each cluster's devices have spent so far."""
        return [self._energy(cluster) for cluster in self._clusters]

    def _energy(self, cluster: Cluster) -> dict[str, Any]:
        """That of one cluster: as it was, if nothing goes on there nor has been done since."""
        name, devices, link = cluster.name, self.devices[cluster.name], self._links[cluster.name]
        peer_s = self._peers.queues.sending_s(name, self.end_s)
        done = devices.rounds, devices.ended_s, devices.open_s, link.sent_s
        rests = not (self._gaps[name] or link.busy or self._nodes.computing)
        before, before_s, row = self._rested.get(name, ((), 0.0, {}))
        if rests and row and peer_s == before_s and all(map(is_, before, done)):
            return row
        use, powers = self._use(cluster), (devices.compute.power_w, self.build.transmitter)
        first, spent = self._spent.get(name, (None, row))
        row = energy_of(cluster, use if first is None else use.since(first), *powers)
        row = row if first is None else added(spent, row)
        if rests:
            self._rested[name] = done, peer_s, row
        return row

    def _keep_spent(self, to: Build) -> None:
        """Settle what was spent so far where powers change now."""
        for cluster, compute in zip(self._clusters, to.compute, strict=True):
            now_w, then_w = self.devices[cluster.name].compute.power_w, compute.power_w
            powers = np.asarray(now_w, float), np.asarray(then_w, float)
            same = np.array_equal(*powers, equal_nan=True)
            if self.build.transmitter != to.transmitter or not same:
                self._spent[cluster.name] = self._use(cluster), self._energy(cluster)
        self._rested.clear()

    def _use(self, cluster: Cluster) -> Use:
        """What a cluster's devices have done by now, in a disconnected phase that goes on too."""
        use, devices = self._links[cluster.name].use(), self.devices[cluster.name]
        rounds = use.rounds
        computed_s = use.computed_s + self._nodes.computed_s(cluster.name, self.end_s)
        for phase in self._gaps[cluster.name].values():
            cost, wanted = phase.request.cost, everybody(phase.request.who, cluster.devices)
            with devices.as_before(phase.compute, phase.presence):
                most = phase.request.rounds
                gap = devices.gap(cost, wanted, phase.from_s, self.end_s, most)
            computed_s = gap.computed_s - devices.open_s + computed_s
            rounds = rounds + gap.rounds
        peer_s = self._peers.queues.sending_s(cluster.name, self.end_s)
        return Use(rounds, computed_s, use.sending_s, np.array(peer_s))

    @property
    def books(self) -> Books:
        """The bytes of all payloads: offered, delivered, carried and dropped."""
        ledgers = [link.ledger for link in self._links.values()]
        return books_of([*ledgers, self._peers.queues])

    def _ended_early(self) -> bool:
        stop = self.build.scenario.stop
        enough = stop.cycles is not None and self.cycle >= stop.cycles
        return enough or (stop.rounds is not None and self._rounds >= stop.rounds)

    def _served(self, times: int) -> None:
        """Count cycles, where a cluster has been served so many times; evaluate a complete one
        when all that happens now has happened.
        """
        self._waited_for -= times == self.cycle + 1
        if self._waited_for:
            return
        served = [sessions.number_served for sessions in self._sessions.values()]
        self.cycle = min(served)
        self._waited_for = served.count(self.cycle)
        self.clock.after_this_instant("evaluation", self._evaluate)

    def _evaluate(self) -> None:
        accuracy = self.evaluator.evaluate(self.clock.now, self.cycle)
        self.invariants.learnt(self.method.learner)
        if self.method.learner.trains:  # else there is no accuracy to set it against
            self.spending.add(self.clock.now, self.energy(), self.method.server_rounds)
        wanted = self.build.scenario.stop.accuracy
        reached = wanted is not None and accuracy >= wanted
        if reached or self._ended_early():
            self.clock.stop()

    def _at_once(self, protocol: Protocol) -> None:
        """Drive a protocol that takes no simulated time."""
        for _ in by_server(self.clock, protocol, partial(self._answer_now, SERVER, None)):
            pass

    def _drive(
        self, name: str, actor: str, protocol: Generator[Any, Any, Any]
    ) -> Generator[simpy.Event, Any, Any]:
        """Ask on behalf of a protocol of a cluster until it ends; return what it returns."""
        reply: Any = None
        if name not in self.devices:
            raise SimulationError(f"All: no cluster is called {name!r}")
        cluster = self.devices[name].cluster
        while True:
            try:
                request = protocol.send(reply)
            except StopIteration as end:
                return end.value
            reply = yield from self._answer(actor, cluster, request)

    def _answer(
        self, actor: str, cluster: Cluster, request: Request
    ) -> Generator[simpy.Event, Any, Any]:
        sessions = self._sessions[cluster.name]
        match request:
            case requests.NextContact(fresh=fresh):
                return (yield from sessions.next_contact(actor, fresh, lambda: self.cycle))
            case TrainUntilContact():
                return (yield from self._train_until_contact(actor, cluster, request))
            case requests.Train() | requests.Upload() | requests.Download():
                return (yield from self._chain(cluster, [request]))[0]
            case requests.Chain(steps=steps):
                return (yield from self._chain(cluster, steps))
            case requests.Meet():
                return (yield from self._meetings.join(actor, cluster.name, request))
            case (
                requests.Measure()
                | requests.Assign()
                | facts.Note()
                | facts.Aggregated()
                | requests.Forecast()
            ):
                return self._answer_now(actor, cluster, request)
            case peers.Send():
                return (yield from self._peers.send(request))
            case peers.Compute():
                return (yield from self._nodes.compute(request))
            case peers.All():
                return (yield from self._tasks.run(actor, cluster.name, request, self._drive))
            case peers.Wait():
                return (yield from wait(self.clock, request))
            case peers.NextLink():
                isls = self.build.plan.isls
                return None if isls is None else next_link(isls, request, self.clock.now)
            case peers.Reach():
                return self._peers.reach(cluster)
            case peers.Infer():
                self._nodes.check(request.at)
                return self._learning.inferred(request)
        raise SimulationError(f"{request!r} is not a request")

    def _chain(
        self, cluster: Cluster, steps: Sequence[Step]
    ) -> Generator[simpy.Event, Any, list[Reply]]:
        replies = yield from self._links[cluster.name].chain(steps)
        self.invariants.settled(cluster.name, steps, replies)
        return replies

    def _train_until_contact(
        self, actor: str, cluster: Cluster, request: TrainUntilContact
    ) -> Generator[simpy.Event, Any, Any]:
        """The disconnected phase counts from the set time, so that transfers do not shift it."""
        sessions, devices = self._sessions[cluster.name], self.devices[cluster.name]
        from_s = self.clock.now if request.from_now else sessions.parted_s(actor)
        if request.anew:
            devices.drop_open()
        phase = Phase(cluster, request, from_s, devices.compute, devices.presence)
        self._gaps[cluster.name][actor] = phase
        contact = yield from sessions.next_contact(actor, True, lambda: self.cycle)
        if contact is None:  # devices train on to the end, though nobody will hear of it
            none = np.zeros(cluster.devices, np.int64)
            return Work(none, np.full(cluster.devices, from_s), none.astype(bool)), None
        del self._gaps[cluster.name][actor]
        return self._train_in_gap(phase, contact.start_s), contact

    def _train_in_gap(self, phase: Phase, to_s: float) -> Work:
        cluster, request = phase.cluster, phase.request
        devices = self.devices[cluster.name]
        devices.load.add(request.cost)
        excluded = devices.excluded(request.cost)
        wanted = everybody(request.who, cluster.devices)
        with devices.as_before(phase.compute, phase.presence):
            span_s = phase.from_s, to_s
            rounds, begin, end = devices.gap_rounds(request.cost, wanted, *span_s, request.rounds)
        training = Training(rounds > 0, request.cost, rounds, begin, end, excluded)
        self._rows.training(training, training.who, cluster, None, to_s)
        self._rows.excluded(excluded, devices, request.cost, self.clock.now)
        return Work(rounds, end, excluded)

    def _answer_now(self, actor: str, cluster: Cluster | None, request: AtOnce) -> Any:
        match request:
            case requests.Measure(name=name, compute=compute, default=default):
                if not self.method.learner.trains:
                    return default
                return self.journal.answer(actor, name, self.clock.now, compute)
            case requests.Assign():
                self._learning.assigned(request, self.cycle)
            case requests.Forecast(cluster=name):
                return self._forecasts[name].answer(request, self.clock.now)
            case facts.Note():
                self._noted(
                    cluster, request.kind, request.version, request.detail, cause=request.cause
                )
            case facts.Aggregated(staleness=staleness, clusters=clusters):
                self._noted(
                    cluster,
                    "aggregate",
                    request.version,
                    request.text(),
                    clusters=None if clusters is None else clusters.some,
                    staleness_low=None if staleness is None else staleness.low,
                    staleness_high=None if staleness is None else staleness.high,
                )
        return None

    def _noted(
        self,
        cluster: Cluster | None,
        kind: str,
        version: int | None,
        detail: str,
        **columns: Any,
    ) -> None:
        """Write what a method has said into the events; an aggregation may end the run."""
        self.trace.add(
            "events",
            time_s=self.end_s,
            kind=kind,
            cluster=None if cluster is None else cluster.name,
            contact_id=None if cluster is None else self._sessions[cluster.name].at_hand(),
            version=version,
            detail=detail,
            **columns,
        )
        if kind == "aggregate":
            self._rounds += 1
            if self._rounds == self.build.scenario.stop.rounds:
                self.clock.after_this_instant("evaluation", self._evaluate)
