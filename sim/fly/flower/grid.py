"""SimulatedGrid: what a ServerApp sends its messages by; they wait here for simulated time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from sim.fly.baton import EPOCH_S, runner_here
from sim.fly.flower.library import RUN_ID, Stage, TooFewNodes

MOST_POLLS = 100
"""Times that an app may look for nodes, or replies, without doing anything else."""


def as_received(message: Message, message_id: str) -> Message:
    """Return what comes out of the network of a message, which shares nothing with it."""
    proto = message_to_proto(message)
    proto.metadata.message_id = message_id
    return message_from_proto(ProtoMessage.FromString(proto.SerializeToString()))


class SimulatedGrid(Grid):  # type: ignore[misc]  # flwr has no types here
    """Messages leave into ``outbox``, and replies are given back once they have ``arrived``.

    With ``patient`` neither a timeout nor the time to live of a message ends the wait for a reply.
    ``received`` is told what a pull has brought, and of how many. ``first_timeout_s`` and
    ``first_ttl_s`` are those of the first messages, None before these. ``pushed`` counts messages,
    ``taken`` the replies that the app has got, and ``lost`` those that it waits for no longer.
    """

    def __init__(self, stage: Stage, nodes: Sequence[int], *, patient: bool) -> None:
        self.outbox: list[Message] = []
        self.received: Callable[[list[Message], int], None] = lambda *_: None
        self.first_timeout_s: float | None = None
        self.first_ttl_s: float | None = None
        self._stage = stage
        self._nodes = list(nodes)
        self._patient = patient
        self._run = Run.create_empty(RUN_ID)
        self.pushed = 0
        self.taken = 0
        self._given_up: set[str] = set()
        self._polls = 0
        self._replies: dict[str, Message] = {}
        self._expires_s: dict[str, float] = {}
        self._open_until: Counter[float] = Counter()

    # What flwr asks of a grid.

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a new message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return all nodes: they are there from the start."""
        if runner_here() is None:  # a thread of flwr's own, which looks for new nodes all the time
            return list(self._nodes)
        self._polls += 1
        if self._polls > MOST_POLLS:
            raise TooFewNodes("it looks for nodes again and again")
        return list(self._nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; return their names."""
        self._polls = 0
        return [self._push(message) for message in messages]

    def _push(self, message: Message) -> str:
        if (node := message.metadata.dst_node_id) not in self._nodes:
            raise ValueError(f"a message is for node {node}, which is not there")
        name = f"m{self.pushed}"
        self.pushed += 1
        # As it is now: the app may go on to change it.
        sent = as_received(message, name)
        self.outbox.append(sent)
        self._stage.sent = next(iter(sent.content.array_records.values()), self._stage.sent)
        ttl_s = message.metadata.ttl
        if self.first_ttl_s is None:
            self.first_ttl_s = ttl_s
        sent_s = message.metadata.created_at - EPOCH_S
        self._expires_s[name] = math.inf if self._patient else sent_s + ttl_s
        self._open_until[self._expires_s[name]] += 1
        return name

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there; one who asks too often waits for the next."""
        wanted = set(message_ids)
        found = self._take(wanted)
        if found:
            self._polls = 0
            self.received(found, len(wanted))
            return found
        self._polls += 1
        if self._polls > MOST_POLLS and wanted & self._expires_s.keys():
            self._polls = 0  # who does not sleep would stop the clock
            self._stage.wait(lambda: bool(wanted & self._replies.keys()))
        return found

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages, and return the replies when all are there, or in time."""
        names = list(self.push_messages(messages))
        if self.first_timeout_s is None:
            self.first_timeout_s = math.inf if timeout is None else timeout
        waits_s = math.inf if timeout is None or self._patient else timeout
        if names:
            until_s = self._stage.now_s + waits_s
            missing = list(names)

            def all_there() -> bool:
                while missing and missing[-1] in self._replies:  # nobody else takes them
                    missing.pop()
                return not missing

            self._stage.wait(all_there, until_s)
        open_yet = set(names) - self._replies.keys()
        found = self._take(set(names))
        self._given_up |= open_yet  # nobody knows their names any more
        self.received(found, len(names))
        return found

    def _take(self, wanted: set[str]) -> list[Message]:
        # In the order in which they were sent: what is learnt then depends on who has answered, and
        # not on who was first, by the last bit of a sum.
        here = sorted(wanted & self._replies.keys(), key=lambda name: int(name[1:]))
        found = [self._replies.pop(name) for name in here]
        self.taken += sum(reply.has_content() for reply in found)
        return found

    # What the network asks of it.

    @property
    def open(self) -> int:
        """How many messages have no reply."""
        return len(self._expires_s)

    @property
    def lost(self) -> int:
        """How many replies have come, or will come, when the app waits for them no longer."""
        return len(self._given_up)

    @property
    def expiries_s(self) -> set[float]:
        """When messages without a reply expire."""
        return {time_s for time_s in self._open_until if time_s < math.inf}

    def arrived(self, reply: Message) -> None:
        """Take a reply, unless its message has expired, or the app has given it up."""
        name = reply.metadata.reply_to_message_id
        lives = name in self._expires_s
        if lives:
            self._close(name)
        if lives and name not in self._given_up:
            self._replies[name] = as_received(reply, f"r{name}")

    def _close(self, name: str) -> None:
        """Forget when a message expires, which is open no more."""
        time_s = self._expires_s.pop(name)
        self._open_until[time_s] -= 1
        if not self._open_until[time_s]:
            del self._open_until[time_s]

    def expire(self) -> None:
        """Answer messages by an error whose time to live is over."""
        if min(self._open_until, default=math.inf) > self._stage.now_s:
            return
        for name, ends_s in list(self._expires_s.items()):
            if ends_s <= self._stage.now_s:
                self._close(name)
                if name in self._given_up:
                    continue
                self._given_up.add(name)
                error = Error(ErrorCode.MESSAGE_UNAVAILABLE, "its time to live is over")
                lost = as_received(Message(RecordDict(), SUPERLINK_NODE_ID, "train"), name)
                self._replies[name] = Message(error, reply_to=lost)
