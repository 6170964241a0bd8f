"""Legs: what devices came to in a transfer or a training, messages in a hop; and chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from learning.requests.facts import Cause
from sim.facts.directions import Way
from sim.facts.row import Fact
from sim.network.books import PayloadKey
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, slots=True, eq=False)
class Moved(Fact):
    """What the devices in ``who`` (K,) moved of a payload in a contact, until it was there.

    ``outcome`` is that of each, or of all. The record was written at ``now_s``. A neglected link
    takes no time: all of it is there ``at_once``. The arrays are those of the leg. Over a mesh,
    ``message`` (K,) numbers the messages that it is a hop of. Of a broadcast, ``on_air`` (K,) are
    the bytes that no device before got from the same transmission; None where all were sent to one.
    """

    cluster: str
    contact_id: int
    way: Way
    payload: str
    who: Mask
    version: Ints
    size: Floats
    bytes: Floats
    start_s: Floats
    end_s: Floats
    outcome: Ints | int
    now_s: float
    at_once: bool = False
    message: Ints | None = None
    on_air: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Hopped(Fact):
    """Hops (N,) of messages over a mesh that have ended, or were cut off, in the order of ends.

    ``source`` and ``target`` are numbers of ``nodes``, ``key`` those of ``keys``, which both may
    grow behind them. ``contact_id`` is ``OVER_LINK`` where a hop went over no pass of a client.
    """

    nodes: Sequence[str]
    keys: Sequence[PayloadKey]
    message: Ints
    source: Ints
    target: Ints
    contact_id: Ints
    key: Ints
    version: Ints
    size: Floats
    bytes: Floats
    start_s: Floats
    end_s: Floats
    outcome: Ints

    @property
    def who(self) -> Ints:
        """Whose rows they are, one each."""
        return self.message


@dataclass(frozen=True, slots=True, eq=False)
class Trained(Fact):
    """Rounds of the devices in ``who`` (K,), in a contact or, where that is None, in a gap.

    Those of no FLOPs take no time: they are trained ``at_once``.
    """

    cluster: str
    contact_id: int | None
    who: Mask
    rounds: Ints
    start_s: Floats
    end_s: Floats
    now_s: float
    at_once: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Dropped(Fact):
    """What devices (R,) had moved by ``time_s`` (R,), and is given up, or forgotten.

    ``detail`` names the payload and what becomes of it, for people.
    """

    cluster: str
    contact_id: int
    who: Ints
    version: Ints
    time_s: Floats
    detail: str
    now_s: float
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChainEnded(Fact):
    """A chain has ended for all devices of a cluster: its steps, and what each was replied.

    Its transfers are legs, or messages ``over_mesh``.
    """

    cluster: str
    steps: Sequence[Any]
    replies: Sequence[Any]
    over_mesh: bool = False


Leg = Moved | Hopped | Trained | Dropped
