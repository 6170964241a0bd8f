"""Simulation: one run of a build on the simulated clock; its clients, actors and facts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from learning.own.raised import ANYTHING
from learning.requests.cluster import Measure
from learning.requests.decide import Agent, Decide, Decision
from sim.checks.invariants import Invariants
from sim.clock import Clock
from sim.engine.actors import Actors
from sim.engine.announcements import announce
from sim.engine.clients import Clients
from sim.engine.evaluation import Evaluator
from sim.engine.journal import Journal
from sim.engine.learning_facts import LearningFacts
from sim.engine.progress import Progress
from sim.errors import Interrupted, SimulationError
from sim.facts.faults import NoContactsLeft
from sim.facts.observer import Followers, Observer
from sim.facts.stream import Facts
from sim.mesh.check import check_of
from sim.network.legs import LegLog
from sim.trace.recorder import Trace
from sim.trace.tables import Tables

if TYPE_CHECKING:
    from sim.engine.setup import Build


class Simulation:
    """One run of a build.

    ``journal`` answers what an interrupted run has measured already, ``trace`` records what
    happens, and ``observers`` follow the run. A ``player`` decides in place of the method's own
    agent.
    """

    def __init__(
        self,
        build: Build,
        journal: Journal,
        trace: Trace,
        observers: Sequence[Observer] = (),
        player: Agent | None = None,
    ) -> None:
        self.build = build
        self.method = method = build.new_method()
        self.clock = clock = Clock()
        self.trace = trace
        self.journal = journal
        self._observers = observers
        self._player = player
        self._ended_at_s: float | None = None
        self._last_known_s = math.inf
        plan = build.plan
        self.invariants = Invariants(plan, method.learner, lambda: self.end_s, check_of(plan))
        # Invariants come last, so that a row that violates one is recorded and shown first.
        self._facts = Facts(trace, Followers(observers), self.invariants)
        self._log = LegLog(self._facts)
        keeps_best = build.world.learning.keep == "best"
        self.evaluator = Evaluator(plan, method, journal, self._facts, keeps_best)
        self._progress = Progress(
            clock,
            build.world,
            method=method,
            evaluator=self.evaluator,
            energy=self.energy,
        )
        self.clients = Clients(build, clock, self._facts, self._log)
        self._actors = Actors(
            clock,
            method,
            self.clients,
            progress=self._progress,
            measure=self._measure,
            decide=self._decide,
            learning_facts=LearningFacts(
                self._facts, method, journal, plan.clusters, lambda: self.end_s
            ),
        )

    def _measure(self, actor: str, request: Measure) -> Any:
        """Answer what an actor asks about tensors, of which a timing-only run has none."""
        if not self.method.learner.measures:
            return request.default
        return self.journal.answer(actor, request.name, self.clock.now, request.compute)

    def _decide(self, request: Decide) -> Decision:
        """Let the player decide or, if there is none, the method's agent."""
        agent = request.agent if self._player is None else self._player
        return agent(self.clients.observed(request.situation, self.clock.now))

    def run(self, before_end: Callable[[], None] = lambda: None) -> None:
        """Run to the end; call ``before_end`` when time is over and nothing is concluded yet."""
        for observer in self._observers:
            observer.started(self.build.plan.start)
        try:
            self._actors.at_once(self.method.prepare())
            self._progress.evaluate()
        except (TypeError, LookupError, AttributeError, ArithmeticError) as error:
            # Of a method of one's own, or of a journal that holds something else than it asked.
            raise self.clock.failed("the start", error) from error
        announce(self.build.plan, self.clock, self._facts)
        self.clients.open_sessions()
        planned = self.clients.planned
        last_ones_s = [own.starts_s[-1] for own in planned if len(own) > 1]
        self._last_known_s = min(last_ones_s, default=math.inf)
        self._progress.follow(planned)
        self._actors.start()
        if self.build.world.learning.evaluate_every_hours:
            self.clock.start("evaluation", self._progress.periodic(self.build.plan.stop_s))
        self.clock.run(self.build.plan.stop_s, self._event)
        before_end()
        self._finish()

    def _event(self, number: int) -> None:
        try:
            for observer in self._observers:
                observer.event(number, self.clock.now)
        except Interrupted:
            self._flush()  # a run that contradicts itself by now has failed
            raise

    def _flush(self) -> None:
        """Emit the rows that are made of many legs, hops and contacts, up to now."""
        self._log.flush()
        if self.clock.events:  # a run may end before anything happens
            self.clients.edges.tell(self.end_s)

    def evaluated_beside(self) -> Callable[[], None]:
        """Compute what an evaluation of the model as it is measures; return what tells of it.

        The tables alone are told of it, and neither observers, invariants nor the journal, so that
        a run that goes on does not know of it.
        """
        evaluator = self.evaluator.beside(Facts(self.trace))
        return partial(self._progress.conclude, self.clock.now, evaluator)

    @property
    def is_near_its_end(self) -> bool:
        """Whether what happens next may rest on when the run stops.

        That is from when the first client begins the last of its sessions: it may ask for the next.
        """
        return self._progress.is_over or self.clock.next_s >= self._last_known_s

    @property
    def end_s(self) -> float:
        """When the run ended (at the plan's end, unless it was stopped before), or where it is."""
        return self.clock.now if self._ended_at_s is None else self._ended_at_s

    def _finish(self) -> None:
        self._ended_at_s = self.clock.now if self.clock.stopped else self.build.plan.stop_s
        self.clients.settle(self.end_s)
        try:
            self._progress.conclude(self.end_s)
            self._actors.at_once(self.method.conclude())
            self._flush()
        except ANYTHING as error:
            raise self.clock.failed("the end", error) from error
        self._record_who_waits()

    def _record_who_waits(self) -> None:
        """Record the meetings that never filled; raise where nobody can come to one any more."""
        meetings = self._actors.meetings
        # An actor for which the plan had no contact left may be missing at a barrier.
        stuck = meetings.waiting(excused=self.clients.without_contacts)
        over = not any(len(own) and own.ends_s[-1] > self.end_s for own in self.clients.planned)
        if stuck and self.clock.exhausted and over:
            raise SimulationError(f"the run is over but these still wait: {stuck}")
        if waiting := meetings.waiting():
            self._facts.emit(NoContactsLeft(time_s=self.end_s, waiting=waiting))

    def tables(self) -> Tables:
        """Return the tables of the run so far."""
        self._flush()
        return self.trace.tables()

    def digest(self) -> str:
        """Return the digest of all rows so far, in the order in which they came."""
        self._flush()
        return self.trace.digest()

    @property
    def rounds(self) -> int:
        """How many rounds the server has completed."""
        return self._progress.rounds

    @property
    def next_evaluation_s(self) -> float:
        """When the model is evaluated next, at the end of the plan at the latest."""
        return min(self._progress.next_evaluation_s, self.build.plan.stop_s)

    @property
    def ended_because(self) -> str:
        """Why the method has ended the run, empty if it has not."""
        return self._progress.ended_because

    @property
    def ended_by(self) -> tuple[str, ...]:
        """The keys of ``stop`` that ended the run by what it had learnt, such as stop.patience."""
        return self._progress.ended_by

    @property
    def spending(self) -> dict[str, list[Any]]:
        """What all devices together had spent by each evaluation, by column."""
        return self._progress.spending.columns()

    def energy(self) -> list[dict[str, Any]]:
        """Time and energy that each cluster's devices have spent so far."""
        return self.clients.energy(self.end_s)
