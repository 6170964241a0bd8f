"""What devices may ask of each other in simulated time: to send, to compute, all side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learning.requests.payload import Payload
from learning.requests.reasons import Reason


class Node(NamedTuple):
    """One device of one cluster, counted from 0."""

    cluster: str
    device: int

    def __str__(self) -> str:
        return "server" if self == SERVER else f"{self.cluster}/{self.device}"


SERVER = Node("server", -1)
"""Where messages may go, which is no device: to any satellite or station that serves."""


@dataclass(frozen=True, eq=False)
class Send:
    """Send a payload (of scalar size) from one device to another. Reply: :class:`Arrival`.

    Over the sidelink where there is one; else through the satellites, at the next contacts of both
    clusters, if the scenario relays. Messages of one directed link wait for each other in a queue.
    The reply comes when the message is there, or when it is known that it never will be: at once
    for somebody who is out of reach now, as :class:`Reach` says, unless it is to ``wait`` for the
    next window of a link between satellites. What is for the source itself is there at once. A
    message in a pass, also one for the server by its own satellite's, travels as part of a payload
    called ``relay``. With ``link.isl.route: earliest`` every message between satellites takes the
    earliest route over links and passes, and shares them with uploads and downloads.
    """

    source: Node
    target: Node
    payload: Payload
    wait: bool = False


class Journey(NamedTuple):
    """What a message has spent its time on, over so many ``hops``, from when it was sent on.

    Waiting is for ``window_s`` until links open, and for ``queue_s`` while they carry others;
    ``transmission_s`` is how long its bits take to leave at each hop, ``propagation_s`` how long
    the last one is under way. The four are all of the time until its arrival.
    """

    hops: int
    propagation_s: float
    transmission_s: float
    window_s: float
    queue_s: float


@dataclass(frozen=True)
class Arrival:
    """Whether and when a message has arrived; ``reason`` says why it has not.

    ``journey`` is that of one which came over links between satellites, else None.
    """

    delivered: bool
    time_s: float
    reason: Reason = Reason.NONE
    journey: Journey | None = None


@dataclass(frozen=True)
class NextLink:
    """Look up a link from one of ``sources`` to one of ``targets``. Reply: :class:`LinkWindow`.

    Of the windows that begin after ``after_s``, and not before now, and last longer than
    ``lasts_s``, it is the one that begins first; None if the plan holds none.
    """

    sources: Sequence[Node]
    targets: Sequence[Node]
    after_s: float
    lasts_s: float = 0.0


class LinkWindow(NamedTuple):
    """When one device has a link with another."""

    source: Node
    target: Node
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Compute:
    """Let one device compute ``flops``, behind what it computes already. Reply: the end, s.

    Training that is asked for later waits behind it, except for that of a disconnected phase.

    A device of a scenario with ``compute.seconds_per_round`` computes at the rate of a local round
    of ``round_flops``.
    """

    at: Node
    flops: float
    round_flops: float


@dataclass(frozen=True, eq=False)
class All:
    """Run protocols side by side. Reply: a list of what each returned.

    Each is an actor of its own: it has had no contact yet, and what it measures is its own.
    With ``deadline_s`` the reply comes at the latest so many seconds from now, None standing for
    those that are not done: they run on, and nobody hears of them. ``at`` names a cluster for each,
    whose contacts and devices it speaks of, if that is not the one that asks.
    """

    tasks: tuple[Generator[Any, Any, Any], ...]
    deadline_s: float | None = None
    at: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """Start protocols that run on by themselves. Reply: None, at once.

    As of :class:`All`, each is an actor of its own, of the cluster that ``at`` names for it, or of
    the one that asks. Nobody hears what they return.
    """

    tasks: tuple[Generator[Any, Any, Any], ...]
    at: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Wait:
    """Do nothing until ``time_s``; at once if that is past. Reply: None."""

    time_s: float


@dataclass(frozen=True)
class Reach:
    """Ask whom the cluster's devices can send to now. Reply: bool (K, N).

    The N clients are all devices of all clusters, in canonical order; everybody reaches himself.
    Through the satellites the scenario's ``link.relay`` says who counts as reachable. With
    ``link.isl.route: earliest`` it is everybody to whom links lead by the end, one after the other.
    With ``hops`` or ``within_s`` there it is those to whom links lead that are open now: by a path
    of so many links at most, over which light takes so long at most.
    """

    hops: int | None = None
    within_s: float | None = None


@dataclass(frozen=True, eq=False)
class Infer:
    """Write rows into the inferences table: one a group of samples that took the same way.

    ``batch`` counts a client's queries, which came at ``time_s``. The other arrays run over the
    groups: ``experts`` (the ones asked, as text), how many ``samples``, after how many seconds they
    were answered (``latency_s``; nan: never), ``sent_bytes`` over links, and the ``outcome``:
    ``local`` (the client's own expert alone), ``complete``, ``renormalised`` (over the experts that
    answered in time), ``fallback`` (own expert in place of those asked) or ``failed``. ``correct``
    counts the samples that were answered correctly; None without training. Reply: None.
    """

    at: Node
    batch: int
    time_s: float
    experts: tuple[str, ...]
    samples: NDArray[np.int64]
    latency_s: NDArray[np.float64]
    sent_bytes: NDArray[np.float64]
    outcome: tuple[str, ...]
    correct: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Answered:
    """Write a row into the answers table: one expert of another client, asked about ``samples``.

    The ``request`` of query ``batch`` was sent at ``time_s``, and the outputs came back after
    ``latency_s`` (nan: never), of which the ``expert``'s client had them for ``computing_s``, with
    what it had to compute before. Of request and ``answer`` it is known what they have spent their
    time on where they came over links between satellites; else they are None. Reply: None.
    """

    at: Node
    batch: int
    expert: int
    by: Node
    samples: int
    time_s: float
    request: Journey | None
    computing_s: float
    answer: Journey | None
    latency_s: float
