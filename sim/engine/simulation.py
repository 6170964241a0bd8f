"""Simulation: one run of a build on the simulated clock; its clients, actors and facts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sim.checks.invariants import Invariants
from sim.clock import Clock, Process
from sim.devices.battery import Battery
from sim.engine.actors import Actors
from sim.engine.client import Client
from sim.engine.evaluation import Evaluator
from sim.engine.journal import Journal
from sim.engine.learning_facts import LearningFacts
from sim.engine.meetings import Waiting
from sim.engine.observer import Followers, Observer
from sim.engine.progress import Progress
from sim.engine.rules import learning_rules_of, rules_of
from sim.errors import InputError, Interrupted, SimulationError
from sim.facts.faults import NoContactsLeft
from sim.facts.stream import Facts
from sim.network.announced import tell_faults, tell_waits
from sim.network.books import Booked, Books, books_of
from sim.network.endpoint import Shared
from sim.network.leg_log import LegLog
from sim.network.link_queue import LinkQueue
from sim.network.message_facts import MessageFacts
from sim.network.nodes import Nodes
from sim.network.payload_list import PayloadList
from sim.network.peers import Peers
from sim.network.relay import Relay
from sim.network.synchronisation import Synchronisation
from sim.trace.recorder import Trace
from sim.trace.tables import Tables

if TYPE_CHECKING:
    from sim.engine.setup import Build


@dataclass(frozen=True, eq=False)
class Stage:
    """Which build a run follows from ``from_s`` on; ``until_s`` is that of the next fork, or inf.

    What happens at ``until_s`` itself belongs to the next stage.
    """

    build: Build
    from_s: float
    until_s: float


class Simulation:
    """One run of a build, which at each of the ``switches`` goes on as another build.

    ``switches`` are times and builds, in order. ``journal`` answers what an interrupted run has
    measured already, ``trace`` records what happens, and ``observers`` follow the run.
    """

    def __init__(
        self,
        build: Build,
        journal: Journal,
        trace: Trace,
        observers: Sequence[Observer] = (),
        switches: Sequence[tuple[float, Build]] = (),
    ) -> None:
        self.build = build
        self.method = method = build.new_method()
        self.clock = clock = Clock()
        self.trace = trace
        self.journal = journal
        self.payloads = PayloadList()
        self._observers = observers
        self._stages = list(_stages(build, switches))
        self._ended_at_s: float | None = None
        plan = build.plan
        # The plan of the last build holds all contacts of the run.
        last_plan = self._stages[-1].build.plan
        self.invariants = Invariants(last_plan, method.learner, lambda: self.end_s)
        # What contradicts the rest shall be in the trace, too, and shown.
        self._facts = Facts(trace, Followers(observers), self.invariants)
        self._log = LegLog(self._facts, plan.topology)
        self.evaluator = Evaluator(plan, method, journal, self._facts)
        self._progress = Progress(
            clock,
            build.scenario,
            len(plan.clusters),
            method=method,
            evaluator=self.evaluator,
            energy=self.energy,
        )
        self.clients = self._make_clients()
        self._peers = self._make_peers()
        self._actors = Actors(
            clock,
            method,
            self.clients,
            peers=self._peers,
            progress=self._progress,
            journal=journal,
            learning_facts=LearningFacts(
                self._facts, method, journal, plan.clusters, lambda: self.end_s
            ),
        )

    def _make_clients(self) -> dict[str, Client]:
        build, plan = self.build, self.build.plan
        rules = rules_of(build)
        shared = Shared(
            topology=plan.topology,
            facts=self._facts,
            log=self._log,
            synchronisation=Synchronisation(plan.sync_delay_s),
            payloads=self.payloads,
        )
        clients = {}
        for cluster in plan.clusters:
            name = cluster.name
            clients[name] = Client(
                self.clock,
                cluster,
                rules[name],
                battery=Battery(*build.supplies[name]) if name in build.supplies else None,
                shared=shared,
                served=partial(self._progress.served, name),
            )
        return clients

    def _make_peers(self) -> Peers:
        build, plan = self.build, self.build.plan
        sessions = {name: client.sessions for name, client in self.clients.items()}
        devices = {name: client.devices for name, client in self.clients.items()}
        links = {name: client.link for name, client in self.clients.items()}
        endpoints = {name: client.endpoint for name, client in self.clients.items()}
        facts = MessageFacts(self._facts)
        peers = Peers(
            self.clock,
            plan.clusters,
            Nodes(self.clock, devices, links),
            facts,
            over_sidelinks=LinkQueue(self.clock, "sidelink", facts, self.payloads, endpoints),
            over_isls=LinkQueue(self.clock, "isl", facts, self.payloads, endpoints),
            relay=Relay(self.clock, sessions, links, build.scenario.link.relay),
        )
        peers.under(build.sidelinks, plan.isls, build.scenario.link.relay)
        return peers

    def run(self) -> None:
        """Run to the end.

        A fork comes before everything else at its time. Raises InputError where the run has ended
        by then, or has gone too far for the new build.
        """
        for observer in self._observers:
            observer.started(self.build.plan.start)
        try:
            self._actors.at_once(self.method.prepare())
            self._progress.evaluate()
        except (TypeError, LookupError, AttributeError, ArithmeticError) as error:
            # Of a method of one's own, or of a journal that holds something else than it asked.
            raise self.clock.failed("the start", error) from error
        first, *later = self._stages
        self._announce(first)
        # Sessions that are open at the start open as the table of contacts has them, not by name.
        for client in sorted(self.clients.values(), key=lambda one: one.sessions.first_contact()):
            client.sessions.run()
        self._actors.start()
        self._evaluate_periodically(first)
        for stage in later:
            self.clock.run(math.nextafter(stage.from_s, -math.inf), self._event)
            if self.clock.stopped:
                raise InputError(f"--at {stage.from_s:g} s: the run ends at {self.clock.now:g} s")
            self.clock.pass_to(stage.from_s)
            try:
                self._begin(stage)
            except InputError as error:
                raise InputError(f"--at {stage.from_s:g} s: {error}") from None
        self.clock.run(self.build.plan.stop_s, self._event)
        self._finish()

    def _event(self, number: int) -> None:
        try:
            for observer in self._observers:
                observer.event(number, self.clock.now)
        except Interrupted:
            self._log.flush()  # a run that contradicts itself by now has failed
            raise

    def _begin(self, stage: Stage) -> None:
        """Go on as another build; what is under way ends by the rules under which it began."""
        build, plan, rules = stage.build, stage.build.plan, rules_of(stage.build)
        for name, client in self.clients.items():
            client.keep_spent(self.end_s, self._peers.spent(name, self.end_s), rules[name])
        self.build = build
        self.method.under(build.world, learning_rules_of(build))
        self._progress.switch(build.scenario)
        for name, client in self.clients.items():
            client.under(rules[name])
        self._peers.under(build.sidelinks, plan.isls, build.scenario.link.relay)
        self._announce(stage)
        self._evaluate_periodically(stage)

    def _announce(self, stage: Stage) -> None:
        """Record what the plan of a stage says will happen, when it does."""
        plan = stage.build.plan
        self._start_within(stage, "waits", tell_waits(plan, self.clock, self._facts))
        if plan.faults is not None:
            faults = tell_faults(plan.faults, self.clock, self._facts)
            self._start_within(stage, "faults", faults)

    def _evaluate_periodically(self, stage: Stage) -> None:
        if stage.build.scenario.learning.evaluate_every_hours:
            evaluations = self._progress.periodic(stage.build.plan.stop_s)
            self._start_within(stage, "evaluation", evaluations)

    def _start_within(self, stage: Stage, name: str, process: Process) -> None:
        """Run a process that waits for times and acts at each of them, until the stage is over."""

        def within() -> Process:
            for event in process:
                yield event
                if self.clock.now >= stage.until_s:
                    return

        self.clock.start(name, within())

    @property
    def end_s(self) -> float:
        """When the run ended (at the plan's end, unless it was stopped before), or where it is."""
        return self.clock.now if self._ended_at_s is None else self._ended_at_s

    def _finish(self) -> None:
        self._ended_at_s = self.clock.now if self.clock.stopped else self.build.plan.stop_s
        for client in self.clients.values():
            client.link.settle_all(self.end_s)
        self._peers.settle_all(self.end_s)
        for client in self.clients.values():
            client.settle_phases(self.end_s)
        try:
            self._progress.conclude(self.end_s)
            self._actors.at_once(self.method.conclude())
            self._log.flush()
        except Exception as error:
            raise self.clock.failed("the end", error) from error
        self._record_who_waits()

    def _record_who_waits(self) -> None:
        """Record the meetings that never filled; raise where nobody can come to one any more."""
        meetings = self._actors.meetings
        # An actor for which the plan had no contact left may be missing at a barrier.
        gone = [name for name, client in self.clients.items() if client.sessions.exhausted]
        stuck = meetings.waiting(excused=gone)
        if stuck and self.clock.exhausted:
            raise SimulationError(f"the run is over but these still wait: {stuck}")
        if waiting := meetings.waiting():
            self._facts.emit(NoContactsLeft(time_s=self.end_s, waiting=waiting))

    def tables(self) -> Tables:
        """Return the tables of the run so far."""
        self._log.flush()
        return self.trace.tables()

    def digest(self) -> str:
        """Return the digest of all rows so far, in the order in which they came."""
        self._log.flush()
        return self.trace.digest()

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """Who still waits for others at a meeting; of a finished run, who did when it ended."""
        return self._actors.meetings.left()

    @property
    def spending(self) -> dict[str, list[Any]]:
        """What all devices together had spent by each evaluation, by column."""
        return self._progress.spending.columns()

    def energy(self) -> list[dict[str, Any]]:
        """Time and energy that each cluster's devices have spent so far."""
        return [
            client.energy(self.end_s, self._peers.spent(name, self.end_s))
            for name, client in self.clients.items()
        ]

    def booked(self) -> list[Booked]:
        """Return the accounts of all payloads, each client's and those of messages."""
        booked = [
            one for client in self.clients.values() for one in client.endpoint.ledger.booked()
        ]
        return [*booked, *self._peers.booked()]

    @property
    def books(self) -> Books:
        """The bytes of all payloads: offered, delivered, carried and dropped."""
        return books_of(self.booked())


def _stages(build: Build, switches: Sequence[tuple[float, Build]]) -> Iterator[Stage]:
    """Return the stages of a run, the first from its start."""
    begins = [(0.0, build), *switches]
    ends_s = [from_s for from_s, _ in switches] + [math.inf]
    for (from_s, of_stage), until_s in zip(begins, ends_s, strict=True):
        yield Stage(of_stage, from_s, until_s)
