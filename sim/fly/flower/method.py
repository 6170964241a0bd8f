"""Flower: any Flower app, its ServerApp behind the satellites and a node for each device."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from flwr.app import Message
from pydantic.dataclasses import dataclass

from learning.methods.base import Protocol, World
from learning.methods.options import CHECKED, option
from learning.methods.own_learning import OwnLearning
from learning.methods.surface import Traits
from learning.metrics import Score
from learning.requests.cluster import (
    Cost,
    Download,
    EndRun,
    Evaluate,
    Measure,
    NextContact,
    Train,
    Upload,
)
from learning.requests.facts import Aggregated, Cause, Note, Share, update_refused
from learning.requests.payload import Payload
from learning.requests.peers import Compute, Node, Start, Wait
from learning.requests.reasons import Reason
from sim.errors import custom_line
from sim.fly.baton import Runner, Stuck
from sim.fly.flower.app import (
    Answer,
    FlowerApp,
    content_bytes,
    figures_of,
    refused,
    weight_of,
)
from sim.fly.flower.figures import Figures
from sim.fly.flower.grid import SimulatedGrid, as_received
from sim.fly.flower.library import Stage, TooFewNodes, dated_by
from sim.fly.trees import safetensors
from sim.fly.user_code import CallOptions, seeded
from sim.formatting import duration
from sim.process.garbage import GarbageByBytes
from statements import Code, Set, Statement

TRAINING = 3.0
"""How many times the FLOPs of evaluating an example it takes to train on it."""
MOST_TRIED = 3
"""Clients that are called before the run at most, until one answers."""
MOST_WAKES = 300
"""Times that an app may wake in its rehearsal before it has sent anything."""


@dataclass(frozen=True, config=CHECKED)
class FlowerOptions(CallOptions):
    """Options of a run of a Flower app."""

    app: str = option("", "folder of the app, with its pyproject.toml")
    server: str = option("", "MODULE:NAME of its ServerApp, by which its code is known")
    client: str = option("", "MODULE:NAME of its ClientApp, by which its code is known")
    timeout: Literal["app", "none"] = option(
        "app", "timeouts and lives of messages: as the app has them, or never over"
    )


@dataclasses.dataclass
class Brought:
    """What the ServerApp has got since it last sent: replies to training, of those it ``asked``.

    The replies are of ``clusters``. It has ``measured`` where it got replies to evaluation, or has
    evaluated by itself.
    """

    replies: int = 0
    asked: int = 0
    clusters: set[str] = dataclasses.field(default_factory=set)
    measured: bool = False


class Flower(OwnLearning):
    """A Flower app on the clock: messages wait for contacts, clients train for their time.

    A node, a device, takes one message after another: it downloads it, over as many contacts as
    that takes, computes, and uploads its reply. The ServerApp runs in a thread while the clock
    stands still, until it waits.
    """

    Options: ClassVar[type] = FlowerOptions
    traits: ClassVar[Traits] = replace(OwnLearning.traits, waits_for_all=True)

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        if not self.learner.measures:
            raise ValueError(
                "learning.train: bytes and times of an app come from its messages; set it to true"
            )
        own = self.options
        self.places = [Node(one.name, k) for one in world.clusters for k in range(one.devices)]
        self.devices_of = {one.name: one.devices for one in world.clusters}
        self.app = FlowerApp(Path(own.app).resolve(), own.config, len(self.places), world.seed)
        self.learner.replies.code = self.app.code
        self.stage = Stage(own.call_limit_s)
        self.stage.told = self._told
        self.grid = SimulatedGrid(self.stage, self.app.nodes, patient=own.timeout == "none")
        self.grid.received = self._received
        self.inbox: dict[int, deque[Message]] = {node: deque() for node in self.app.nodes}
        self.busy: set[int] = set()
        self.alarms: set[float] = set()
        self.notes: list[Note] = []
        self.traffic = GarbageByBytes()
        self.brought = Brought()
        self.figures = Figures()
        self.foretold: dict[str, float] = {}
        self.main: Runner | None = None
        self.is_cut = False
        self.reshaped = ""

    # -- before the run

    def rehearse(self, longest_gap_s: float) -> list[Statement]:
        """Let the ServerApp run until it sends, and call one client; say what will bite.

        The run goes on from there: until it sends, the app lives in simulated time by itself.
        """
        self._begin()
        self._run_server(0.0)
        for _ in range(MOST_WAKES):
            if self.grid.outbox or not self.stage.wakes_s:
                break
            self._run_server(self.stage.wakes_s[0])
        doubts = [*self._impatient(longest_gap_s), *self.app.unseen()]
        if self.grid.outbox:
            doubts += self._tried()
        elif self.main is not None and not self.main.ended:
            raise ValueError(
                f"{self.app.folder}: the ServerApp waits, and has sent no message; it needs one of "
                "flwr's strategies, or Grid.push_messages"
            )
        self.figures.server, self.foretold = {}, self.figures.server
        return doubts

    def dismiss(self) -> None:
        """End the app's threads."""
        self.stage.close()
        self.traffic.end()

    def _tried(self) -> Iterator[Statement]:
        """Call clients until one answers; raise ValueError where none of some does."""
        answers = self._tries(self.grid.outbox[:MOST_TRIED])
        first, answer = answers[0], answers[-1]
        if first.failed and not answer.failed:
            text = "the first client that was tried fails: {why}"
            yield Statement.doubt(Code.OWN_CODE, "", text, why=first.failed)
        if answer.failed:
            cure = f"; {first.cure}" if first.cure else ""
            raise ValueError(
                f"{self.app.folder}: no client that was tried answers: {first.failed}{cure}"
            )
        if not answer.is_finite:
            yield Statement.doubt(
                Code.DIVERGING,
                "",
                "the first client returns arrays with numbers that are not finite, and the server "
                "refuses such updates",
                "lower the step size of your training code",
            )
        if answer.reshaped:
            yield Statement.doubt(
                Code.OWN_CODE,
                "",
                "the first client returns arrays of other shapes than it got: {shapes}; a strategy "
                "that averages models cannot use them",
                shapes=answer.reshaped,
            )

    def _tries(self, messages: list[Message]) -> list[Answer]:
        """Call the clients of messages until one answers; the run knows what they answered."""
        answers = []
        with self.learner.replies.held(), self.app.as_before():
            for message in messages:
                answers.append(self._ask(as_received(message, message.metadata.message_id)))
                if not answers[-1].failed:
                    break
        return answers

    def _impatient(self, longest_gap_s: float) -> Iterator[Statement]:
        """Say where the app gives up before a client can answer."""
        limits_s = {
            "waits for replies for": self.grid.first_timeout_s,
            "sends messages that live for": self.grid.first_ttl_s,
        }
        for what, limit_s in limits_s.items():
            if self.options.timeout == "app" and limit_s is not None and limit_s < longest_gap_s:
                yield Statement.doubt(
                    Code.LOST_REPLIES,
                    "learning.options.timeout",
                    f"the app {what} {duration(limit_s)} of simulated time, and a client may be "
                    f"without contact for {duration(longest_gap_s)}: replies that come later are "
                    "lost to it, and it says nothing",
                    Set(value="none"),
                    limit_s=limit_s,
                    gap_s=longest_gap_s,
                )

    def _begin(self) -> None:
        """Start the ServerApp, which runs when it is its turn."""
        logging.getLogger("flwr").setLevel(logging.WARNING)
        dated_by(self.stage)
        self.traffic.begin()
        app = self.app

        def main() -> None:
            try:
                with seeded(self.world.seed):
                    app.server(self.grid, app.server_context())
            except SystemExit as end:
                if end.code:  # else it is done
                    raise

        self.main = self.stage.begin(main)

    def _run_server(self, now_s: float) -> None:
        """Let the ServerApp run until it waits. Raises ValueError, in one line, where it fails."""
        try:
            self.stage.run(now_s)
        except Stuck as error:
            raise ValueError(
                f"the ServerApp {error}; raise learning.options.call_limit_s, or let it wait by "
                "its grid or time.sleep"
            ) from None
        failed = None if self.main is None else self.main.error
        if failed is None:
            return
        if isinstance(failed, TooFewNodes):
            raise ValueError(
                f"{self.app.folder}: the app waits for more nodes than the {len(self.places)} that "
                f"the scenario has ({failed}); lower its least number of nodes, or add devices"
            )
        why = " ".join(f"{type(failed).__name__}: {failed}".split()) + custom_line(failed)
        hints = [hint for hint in (self.app.cure(failed), self.reshaped) if hint]
        raise ValueError("; ".join([f"{self.app.folder}: the ServerApp fails: {why}", *hints]))

    # -- what the app measures

    def _told(self, metrics: Mapping[str, Any]) -> None:
        """Keep what the server has evaluated by itself."""
        self.figures.told(metrics)
        self.brought.measured = True

    def _received(self, replies: list[Message], asked: int) -> None:
        """Look at replies as the ServerApp gets them."""
        good = [reply for reply in replies if reply.has_content()]
        kinds = {_kind(reply) for reply in good}
        for reply in good:
            kind = _kind(reply)
            named, content = self.stage.weighted_by, reply.content
            figures = figures_of(content, named)
            weight, examples = weight_of(content, named), weight_of(content)
            self.figures.add(reply.metadata.src_node_id, kind, figures, weight, examples)
        if "train" in kinds:
            self.brought.replies += len(good)
            self.brought.asked += asked
            self.brought.clusters |= {
                self._place(reply.metadata.src_node_id).cluster for reply in good
            }
        elif len(good) < asked:
            self.notes.append(Note("wait", self.version, f"{len(good)} of {asked} replies"))
        if "evaluate" in kinds:
            self.brought.measured = True

    def _heard(self) -> Protocol:
        """Tell what the ServerApp has aggregated and measured: it has gone on to something else."""
        notes, self.notes = self.notes, []
        yield from notes
        brought, self.brought = self.brought, Brought()
        if brought.replies:
            self.version += 1
            share = Share(brought.replies, brought.asked)
            clusters = Share(len(brought.clusters), len(self.devices_of))
            yield Aggregated(self.version, "replies", devices=share, clusters=clusters)
        if brought.measured:
            yield Evaluate()

    # -- the protocol

    def cluster(self, me: Any) -> Protocol:
        """Let the ServerApp begin; what comes of it are actors of their own."""
        if me.index == 0:
            if self.main is None:
                self._begin()
            if self.stage.now_s > 0.0:  # it has slept before it sent anything
                yield Wait(self.stage.now_s)
            self.figures.server = self.foretold
            yield from self._go_on(self.stage.now_s)

    def _go_on(self, now_s: float) -> Protocol:
        """Let the ServerApp run until it waits, and send what it has pushed."""
        self.stage.now_s = max(now_s, self.stage.now_s)
        self.grid.expire()
        self._run_server(now_s)
        has_ended = self.main is not None and self.main.ended
        if self.grid.outbox or has_ended:
            yield from self._heard()
        tasks: list[Protocol] = []
        at: list[str] = []
        for message in self.grid.outbox:
            if _kind(message) == "train":
                self.figures.new_round()
            node = message.metadata.dst_node_id
            self.inbox[node].append(message)
            if node not in self.busy:
                self.busy.add(node)
                tasks.append(self._serve(node))
                at.append(self._place(node).cluster)
        self.grid.outbox = []
        ends_s = {*self.stage.wakes_s, *self.grid.expiries_s} - self.alarms
        for end_s in sorted(ends_s):
            self.alarms.add(end_s)
            tasks.append(self._alarm(end_s))
            at.append(self.places[0].cluster)
        if tasks:
            yield Start(tuple(tasks), tuple(at))
        if has_ended:
            yield EndRun("the ServerApp has ended")

    def _alarm(self, time_s: float) -> Protocol:
        """Let the ServerApp go on at a time that it waits for."""
        yield Wait(time_s)
        self.alarms.discard(time_s)
        yield from self._go_on(time_s)

    def _place(self, node: int) -> Node:
        return self.places[self.app.partition_of(node)]

    def _serve(self, node: int) -> Protocol:
        """Bring a node's messages to it one after the other, and its replies back."""
        place = self._place(node)
        only = np.arange(self.devices_of[place.cluster]) == place.device
        while self.inbox[node]:
            message = self.inbox[node].popleft()
            kind = _kind(message)
            number = int(message.metadata.message_id[1:])
            sent_bytes = content_bytes(message)
            down = Payload(f"message {kind}", sent_bytes, number)
            begun_s = yield from self._through(Download(down, only, personal=True), place)
            if begun_s is None:
                return
            self.stage.now_s = max(self.stage.now_s, begun_s)
            answer, flops = yield from self._answered(message)
            if answer.failed:
                name = message.metadata.message_type
                yield Note("fault", self.version, f"{name} of a client fails: {answer.failed}")
            if answer.reshaped and not self.reshaped:
                self.reshaped = (
                    f"the node with partition {self.app.partition_of(node)} returned other shapes "
                    f"than it got: {answer.reshaped}"
                )
            if kind == "train":
                yield Train(Cost(flops), rounds=1, who=only)
            elif flops:
                yield Compute(place, flops, TRAINING * flops)
            up = Payload(f"reply {kind}", max(answer.bytes, 1), number)
            there_s = yield from self._through(Upload(up, only), place)
            if there_s is None:
                return
            reply = answer.reply
            if kind == "train" and not answer.is_finite:
                text = update_refused(place.device, spoilt=True)
                yield Note("drop", self.version, text, Cause.UPDATE_NOT_FINITE)
                reply = refused(message)
            self.grid.arrived(reply)
            self.traffic.moved(sent_bytes + answer.bytes)
            yield from self._go_on(there_s)
        self.busy.discard(node)

    def _through(
        self, transfer: Download | Upload, place: Node
    ) -> Generator[Any, Any, float | None]:
        """Transfer over as many contacts as it takes; return when it is there, None for never."""
        fresh = False
        while (yield NextContact(fresh)) is not None:
            receipt = yield transfer
            if receipt.done[place.device]:
                return float(receipt.end_s[place.device])
            # The cluster may have contact for longer than this device.
            fresh = receipt.reason in (Reason.DEVICES_AWAY, Reason.CONTACT_ENDED)
        return None

    def _answered(self, message: Message) -> Generator[Any, Any, tuple[Answer, float]]:
        """Return a client's answer and the FLOPs that it takes; these are journalled."""
        made: list[Answer] = []

        def compute() -> float:
            made.append(self._ask(message))
            return self._flops(message, made[0])

        flops = yield Measure(f"reply to {message.metadata.message_id}", compute, None)
        if not made:  # of a run that is resumed
            made.append(self._ask(message))
        return made[0], float(flops)

    def _ask(self, message: Message) -> Answer:
        return self.app.ask(message, self.options, self.learner.replies, self.stage.weighted_by)

    def _flops(self, message: Message, answer: Answer) -> float:
        """FLOPs that a device does for an answer."""
        own = self.options
        if own.time == "counted":
            return answer.flops
        trains = _kind(message) == "train"
        each = float(own.flops_per_example) / (1.0 if trains else TRAINING)
        return answer.examples * each

    # -- what is measured

    def scores(self) -> list[Score]:
        """Return the metrics of the clients' last replies by cluster, and those of the server."""
        own: dict[str, list[int]] = {cluster.name: [] for cluster in self.world.clusters}
        for node in self.app.nodes:
            own[self._place(node).cluster].append(node)
        return self.figures.scores(own)

    def final_weights(self) -> bytes | None:
        """Return what the strategy ended with as a safetensors file."""
        if not self.stage.arrays:
            return None
        return safetensors(self.stage.arrays)

    def counts(self) -> Mapping[str, int]:
        """Return how many messages the app has sent, and what became of the replies."""
        grid = self.grid
        return {"messages": grid.pushed, "replies": grid.taken, "replies_lost": grid.lost}

    def doubts(self) -> list[Statement]:
        """Say how many replies the app has given up, and that it was not done."""
        doubts = self.figures.doubts()
        if self.stage.cut_by and self.stage.arrays:
            doubts.append(
                Statement.note(
                    Code.INCOMPLETE,
                    "",
                    "the strategy ended by an error ({why}): the run keeps the arrays that it sent "
                    "last",
                    why=self.stage.cut_by,
                )
            )
        if not all(np.isfinite(array).all() for array in self.stage.arrays.values()):
            text = "the arrays that the strategy ends with are not finite"
            doubts.append(Statement.doubt(Code.DIVERGING, "", text))
        if self.grid.lost:
            doubts.append(
                Statement.doubt(
                    Code.LOST_REPLIES,
                    "learning.options.timeout",
                    "{lost} of {messages} replies were lost, as they came, or would have come, "
                    "after a timeout of the app or the time to live of their message",
                    Set(value="none"),
                    lost=self.grid.lost,
                    messages=self.grid.pushed,
                )
            )
        if self.is_cut:
            doubts.append(
                Statement.doubt(
                    Code.INCOMPLETE,
                    "",
                    "the run was over before the app was",
                    "simulate longer",
                    "let the app run fewer rounds",
                )
            )
        return doubts

    def conclude(self) -> Protocol:
        """End the app's threads; say whether it had ended."""
        self.is_cut = self.main is not None and not self.main.ended
        if self.is_cut:
            unsaid = f"the ServerApp has not ended: {self.grid.open} messages have no reply"
            yield Note("wait", self.version, unsaid)
        self.stage.close()


def _kind(message: Message) -> str:
    """Return the kind of a message: its type without what the app calls it beside."""
    return str(message.metadata.message_type).partition(".")[0]
