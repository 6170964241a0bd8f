"""Inference of NMoE (arXiv 2511.01743): features go to the chosen clients, outputs come back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from learning.methods.base import Protocol
from learning.nmoe.system import Networked
from learning.requests.cluster import Cluster, Measure
from learning.requests.facts import Note
from learning.requests.payload import Payload
from learning.requests.peers import All, Answered, Arrival, Infer, Node, Send, Wait
from learning.requests.request import Request
from learning.rng import stream
from statements.arrays import Mask

HEADER_BYTES = 48
"""Headers of a message: 40 bytes of IPv6 and 8 of UDP. Samples for one expert share a message."""

FallbackEnds = dict[tuple[int, ...], float]
"""When the client's own expert has computed the samples of a group instead of those asked, s."""


def infer(system: Networked, me: Cluster, routing: str) -> Protocol:
    """Let all clients of a cluster answer queries, and report how many answers were correct.

    A client extracts the features of its samples and routes them to experts in reach, by its gate
    or by another ``routing``. Each expert that is chosen gets one message; the client's own expert
    needs none. The client waits until all have answered or the deadline has passed, but always
    for its own expert.
    """
    options = system.options
    if not options.inference_samples:
        return
    yield from _report_isolated(system, me, routing)
    size = options.inference_batch
    every_s = options.inference_interval_s
    firsts = range(0, options.inference_samples, size)
    sizes = [min(size, options.inference_samples - first) for first in firsts]
    clients = system.clients.of(me.name)
    ready_s = yield All(tuple(system.computing(client, 0.0) for client in clients))
    tasks = []
    for client, from_s in zip(clients, ready_s, strict=True):
        # One query per interval, the first at a random time within it.
        begin_s = from_s + stream(system.world.seed, "query", client).uniform(0.0, every_s)
        times = (begin_s + np.arange(len(sizes)) * every_s).tolist()
        each = enumerate(zip(sizes, times, strict=True))
        tasks += [Query(system, routing, client, n, *query).answer() for n, query in each]
    answers = yield All(tuple(tasks))
    samples, answered, correct = np.array(answers).sum(axis=0)
    detail = f"served samples:{samples:g} answered:{answered:g}"
    # A timing-only run does not know which answers are correct.
    measured = "" if math.isnan(correct) else f" correct:{correct:g}"
    yield Note("infer", system.version, detail + measured)


def _report_isolated(system: Networked, me: Cluster, routing: str) -> Protocol:
    """Name the clients that reach no expert but their own, unless they are to ask no other."""
    clients = system.clients
    alone = 0 in (system.options.reach_hops, system.options.reach_ms)
    if routing == "local" or alone or len(clients.nodes) == 1:
        return
    reach = system.reach[me.name] & clients.with_expert
    isolated = [
        node
        for node in clients.of(me.name)
        if not np.delete(reach[node.device], clients.numbers[node]).any()
    ]
    for holds, end in (True, "answer by their own expert"), (False, "hold none: queries fail"):
        named = [str(n) for n in isolated if (clients.own(n) is not None) == holds]
        if named:
            detail = f"clients {', '.join(named)} reach nobody else's expert: they {end}"
            yield Note("fault", system.version, detail)


class Query:
    """Query ``number`` of a client: ``size`` samples that arrive at ``time_s``.

    They are routed at ``routed_s``, each to experts in ``chosen``. ``asked`` are these experts by
    number, and what has come of asking them. An answer after ``deadline_s`` is late.
    """

    def __init__(
        self, system: Networked, routing: str, client: Node, number: int, size: int, time_s: float
    ) -> None:
        self.system = system
        self.options = system.options
        self.routing = routing
        self.client = client
        self.number = number
        self.size = size
        self.time_s = time_s
        self.deadline_s = time_s + self.options.inference_deadline_s
        self.routed_s = time_s
        self.chosen: list[list[int]] = []
        self.asked: dict[int, Asked] = {}

    def answer(self) -> Generator[Request, Any, tuple[int, int, float]]:
        """Answer it; return the numbers of samples, of answers, and of correct answers."""
        system = self.system
        client = self.client
        sizes = self.system.sizes
        yield Wait(self.time_s)
        routing_flops = sizes.forward_flops(sizes.extractor) + sizes.forward_flops(sizes.gate)
        self.routed_s = yield from system.computing(client, self.size * routing_flops)
        reach = (yield system.reaching())[client.device] & system.clients.with_expert
        if self.routing == "local":
            reach = reach & (np.arange(len(reach)) == system.clients.numbers[client])
        if not reach.any():
            nothing = [0] if system.learner.trains else None
            yield self.rows([Group((), self.size, "failed", self.routed_s, 0.0)], {}, nothing)
            return self.size, 0, 0.0
        routed = yield self.routes(reach)
        self.chosen = routed["chosen"]
        counts = Counter(chain.from_iterable(self.chosen))
        self.asked = {e: Asked(system.clients.nodes[e], n) for e, n in sorted(counts.items())}
        fallback_end_s = yield from self.gather()
        groups = self.groups()
        correct = yield self.correct(routed, groups)
        yield self.rows(groups, fallback_end_s, correct)
        answered = sum(group.samples for group in groups if group.outcome != "failed")
        return self.size, answered, math.nan if correct is None else sum(correct)

    def routes(self, reach: Mask) -> Measure:
        """Route the samples among the experts in ``reach`` (N,), if timing-only in turn."""
        system = self.system
        client = self.client
        experts = np.flatnonzero(reach)
        k = min(system.learner.config.model.top_k, len(experts))
        first = self.number * self.options.inference_batch + np.arange(self.size)
        places = (first[:, None] * k + np.arange(k)) % len(experts)
        held = [system.tested()]
        if self.routing == "gate":
            held.append(system.gates[client.cluster])
        return Measure(
            f"routes of {client} in query {self.number}",
            lambda: system.learner.number(
                "learning.nmoe.training.answers:routes",
                *held,
                routing=self.routing,
                client=client,
                batch=self.number,
                size=self.size,
                reach=reach,
            ),
            {"chosen": experts[places].tolist()},
        )

    def gather(self) -> Generator[Request, Any, FallbackEnds]:
        """Ask all chosen experts in parallel and record in ``asked`` what they have answered.

        Returns when the own expert has answered the groups that fall back on it. It starts on them
        at the deadline, after what it computes already.
        """
        sizes = self.system.sizes
        own = self.system.clients.numbers[self.client]
        others = {e: one for e, one in self.asked.items() if e != own}

        def rest() -> Generator[Request, Any, FallbackEnds]:
            # Nothing is sent if the deadline has passed before the samples are routed.
            if others and self.routed_s < self.deadline_s:
                left_s = self.deadline_s - self.routed_s
                yield All(tuple(self.ask(one) for one in others.values()), left_s)
            # Late requests continue, but their answers no longer count: keep the state as it is.
            self.asked |= {e: replace(one) for e, one in others.items()}
            groups = self.groups()
            missed = [g for g in groups if g.outcome == "fallback" and own not in g.experts]
            flops = [group.samples * sizes.forward_flops(sizes.expert) for group in missed]
            ends = yield All(tuple(self.system.computing(self.client, f) for f in flops))
            return {group.experts: end_s for group, end_s in zip(missed, ends, strict=True)}

        mine = (self.ask(self.asked[own]),) if own in self.asked else ()
        return (yield All((*mine, rest())))[-1]

    def ask(self, asked: Asked) -> Protocol:
        """Ask an expert, the client's own without a message; record the result in ``asked``."""
        system = self.system
        sizes = system.sizes
        n = asked.samples
        flops = n * sizes.forward_flops(sizes.expert)
        if asked.at == self.client:
            asked.known_s = yield from system.computing(self.client, flops)
            asked.answered = True
            return
        request = yield from asked.send(self.client, asked.at, "feature", n * sizes.feature_bytes)
        if not request.delivered:
            asked.known_s = request.time_s
            yield self.answered(asked, request)
            return
        computed_s = yield from system.computing(asked.at, flops)
        answer = yield from asked.send(asked.at, self.client, "output", n * sizes.output_bytes)
        asked.answered = answer.delivered
        asked.known_s = answer.time_s
        yield self.answered(asked, request, computed_s - request.time_s, answer)

    def answered(
        self,
        asked: Asked,
        request: Arrival,
        computing_s: float = math.nan,
        answer: Arrival | None = None,
    ) -> Answered:
        """Return the row of the answers table for an expert that was asked, in vain or not."""
        came = answer is not None and answer.delivered
        return Answered(
            self.client,
            self.number,
            expert=self.system.clients.numbers[asked.at],
            by=asked.at,
            samples=asked.samples,
            time_s=self.routed_s,
            request=request.journey,
            computing_s=computing_s,
            answer=None if answer is None else answer.journey,
            latency_s=asked.known_s - self.routed_s if came else math.nan,
        )

    def groups(self) -> list[Group]:
        """Return groups of samples by the experts that they were routed to."""
        own = self.system.clients.own(self.client)
        return grouped(self.chosen, self.asked, own, self.routed_s, self.deadline_s)

    def rows(
        self,
        groups: Sequence[Group],
        fallback_end_s: FallbackEnds,
        correct: Sequence[int] | None,
    ) -> Infer:
        """Return the rows of the query in the table of inferences."""
        clients = self.system.clients
        latency_s = []
        names = clients.nodes
        own = clients.numbers[self.client]
        for group in groups:
            end_s = group.settled_s if group.outcome != "failed" else math.nan
            if group.outcome == "fallback":
                mine = own in group.experts
                own_s = self.asked[own].known_s if mine else fallback_end_s[group.experts]
                end_s = max(end_s, own_s)
            latency_s.append(end_s - self.time_s)
        return Infer(
            self.client,
            self.number,
            self.time_s,
            experts=tuple(",".join(str(names[e]) for e in group.experts) for group in groups),
            samples=np.array([group.samples for group in groups]),
            latency_s=np.array(latency_s),
            sent_bytes=np.array([group.sent_bytes for group in groups]),
            outcome=tuple(group.outcome for group in groups),
            correct=None if correct is None else np.array(correct, np.int64),
        )

    def correct(self, routed: Mapping[str, Any], groups: Sequence[Group]) -> Measure:
        """Count the samples of each group that were answered correctly."""
        learner = self.system.learner
        tested = self.system.tested()
        counted = {group.experts: group.counted for group in groups}

        def count() -> list[int]:
            each = zip(routed["rows"], routed["chosen"], routed["weights"], strict=True)
            mixtures = [
                (row, list(mixture(chosen, weights, counted[tuple(sorted(chosen))]).items()))
                for row, chosen, weights in each
            ]
            some = [one for one in mixtures if one[1]]
            how = {"mixtures": some}
            found = learner.number("learning.nmoe.training.answers:answered", tested, **how)[
                "correct"
            ]
            mixed = (tuple(sorted(chosen)) for chosen in routed["chosen"])
            of = [experts for experts, one in zip(mixed, mixtures, strict=True) if one[1]]
            right = Counter(experts for experts, hit in zip(of, found, strict=True) if hit)
            return [right[group.experts] for group in groups]

        name = f"correct of {self.client} in query {self.number}"
        return Measure(name, count if any(counted.values()) else lambda: [0] * len(groups), None)


@dataclass
class Asked:
    """An expert that is asked about ``samples`` of the samples of a query.

    ``answered`` is whether its answer has arrived, ``known_s`` when that became known (inf: it is
    under way, or was never asked for); ``sent_bytes`` have been handed to links so far.
    """

    at: Node
    samples: int
    answered: bool = False
    known_s: float = math.inf
    sent_bytes: float = 0.0

    def send(
        self, source: Node, target: Node, name: str, size: float
    ) -> Generator[Request, Arrival, Arrival]:
        """Send a message; its bytes count from when it is sent, unless it is lost."""
        message = Payload(name, size + HEADER_BYTES)
        self.sent_bytes += size + HEADER_BYTES
        arrival = yield Send(source, target, message)
        if not arrival.delivered:
            self.sent_bytes -= size + HEADER_BYTES
        return arrival


@dataclass(frozen=True)
class Group:
    """Samples of a query that were routed to the same ``experts``.

    ``settled_s`` is when each of these had answered or was known to be lost, at the latest the
    deadline; fallbacks are computed after it. ``sent_bytes`` is the group's share of the messages,
    ``counted`` are the experts whose outputs are mixed: none for samples that fail.
    """

    experts: tuple[int, ...]
    samples: int
    outcome: str
    settled_s: float
    sent_bytes: float
    counted: tuple[int, ...] = ()


def grouped(
    chosen: Sequence[Sequence[int]],
    asked: Mapping[int, Asked],
    own: int | None,
    routed_s: float,
    deadline_s: float,
) -> list[Group]:
    """Return groups of samples by the experts ``chosen``, settled from ``routed_s`` on.

    Where answers are missing, the others share their weight; if all are, the client's ``own``
    expert answers, and the samples of a client without one fail.
    """
    groups = []
    for experts, count in sorted(Counter(tuple(sorted(row)) for row in chosen).items()):
        counted = [e for e in experts if asked[e].answered and asked[e].known_s <= deadline_s]
        if len(counted) == len(experts):
            outcome = "local" if experts == (own,) else "complete"
        elif counted:
            outcome = "renormalised"
        else:
            outcome = "failed" if own is None else "fallback"
            counted = [] if own is None else [own]
        settled_s = max(routed_s, *(min(asked[e].known_s, deadline_s) for e in experts))
        sent_bytes = sum(asked[e].sent_bytes * count / asked[e].samples for e in experts)
        groups.append(Group(experts, count, outcome, settled_s, sent_bytes, tuple(counted)))
    return groups


def mixture(
    chosen: Sequence[int], weights: Sequence[float], counted: Collection[int]
) -> dict[int, float]:
    """Return the weight of each of the ``counted`` experts in the answer to one sample."""
    own = {e: weight for e, weight in zip(chosen, weights, strict=True) if e in counted}
    return own or dict.fromkeys(counted, 1.0)
