"""Devices of a cluster: until when each is busy; its largest load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.requests.cluster import Cluster, Cost, Floats, Ints, Mask
from sim.devices.battery import Battery
from sim.devices.compute import ROUNDING, Compute, whole_rounds
from sim.devices.faults import Presence


@dataclass(frozen=True, eq=False)
class Gap:
    """What a disconnected phase holds for each device (K,).

    Complete ``rounds``, the time that they take to compute, and when they begin and end. ``kept_s``
    is time left for the next phase, ``open_s`` what is computed of the round that it belongs to.
    """

    rounds: Ints
    ended_s: Floats
    begin_s: Floats
    end_s: Floats
    kept_s: Floats
    open_s: Floats

    @property
    def computed_s(self) -> Floats:
        """Time (K,) that rounds took which are complete now, or open."""
        return self.ended_s + self.open_s


class Devices:
    """The devices of one cluster: until when each is busy, and time left over from a cut round.

    ``serving_until_s`` is when each has computed what it was asked for besides its training.
    ``presence`` says when they are there (None: always); nothing is computed by who is away. A
    satellite may have a ``battery``, which what it computes and sends is drawn from.
    """

    def __init__(
        self,
        cluster: Cluster,
        compute: Compute,
        presence: Presence | None = None,
        battery: Battery | None = None,
    ) -> None:
        self.cluster = cluster
        self.compute = compute
        self.presence = presence
        self.battery = battery
        self.load = Load()
        self.free_s: Floats = np.zeros(cluster.devices)
        self.serving_until_s: Floats = np.zeros(cluster.devices)
        self.rounds: Ints = np.zeros(cluster.devices, np.int64)
        self.ended_s: Floats = np.zeros(cluster.devices)
        self.open_s: Floats = np.zeros(cluster.devices)
        self._kept_s: Floats = np.zeros(cluster.devices)

    @contextmanager
    def as_before(self, compute: Compute, presence: Presence | None) -> Iterator[None]:
        """Use the compute and presence that were in force when a phase began."""
        now = self.compute, self.presence
        self.compute, self.presence = compute, presence
        try:
            yield
        finally:
            self.compute, self.presence = now

    @property
    def computed_s(self) -> Floats:
        """Seconds (K,) that each device has computed, those of rounds that were cut off too."""
        return self.ended_s + self.open_s

    @property
    def memory_bytes(self) -> Floats:
        """Memory (K,) of each device; inf where nothing limits it."""
        memory = np.inf if self.compute.memory_bytes is None else self.compute.memory_bytes
        return np.broadcast_to(memory, self.free_s.shape).astype(float)

    def excluded(self, cost: Cost) -> Mask:
        """Devices (K,) whose memory is too small for the round."""
        excluded = ~self.compute.fits(cost)
        if excluded.shape == self.free_s.shape:
            return excluded
        return np.broadcast_to(excluded, self.free_s.shape).copy()

    def drop_open(self) -> None:
        """Forget the rounds that were interrupted; their time was spent."""
        self.ended_s = self.ended_s + self.open_s
        self._kept_s, self.open_s = np.zeros_like(self._kept_s), np.zeros_like(self.open_s)

    def gap(
        self, cost: Cost, who: Mask, from_s: float, to_s: float, most: int | None = None
    ) -> Gap:
        """Return what a disconnected phase holds, without counting it: ``most`` rounds if given.

        The time of a round that the phase cuts off is kept for the next one. Devices outside
        ``who`` rest, and keep what they had.
        """
        paced, round_s = self.compute.pace_s, self.compute.round_s(cost)
        one_s = round_s if paced is None else np.asarray(paced)
        able = who & ~self.excluded(cost)
        # In slots a gap holds a whole number of rounds, whatever the contact was spent on.
        at_once = paced is not None
        begin = np.full_like(self.free_s, from_s) if at_once else np.maximum(from_s, self.free_s)
        there_s = np.maximum(to_s - begin, 0.0)
        if self.presence is not None:
            there_s = self.presence.present_s(begin, np.full_like(begin, to_s))
        if self.battery is not None:
            there_s = np.array([self.battery.computing_s(float(begin[0]), to_s)])
        spent = np.where(able, there_s + self._kept_s, 0.0)
        rounds = whole_rounds(spent, one_s)
        limit = self.compute.per_gap_max if most is None else most
        if limit is not None:
            rounds = np.minimum(rounds, limit)
        work_s: Floats = rounds * one_s
        left = np.maximum(spent - work_s, 0.0)
        if limit is not None:
            left = np.where(rounds < limit, left, 0.0)
        left = np.where(left < ROUNDING * one_s, 0.0, left)
        end = np.minimum(self.after_s(begin, work_s), np.maximum(to_s, begin))
        if self.presence is not None:
            begin = np.minimum(self.presence.returns_s(begin), end)
        return Gap(
            rounds,
            rounds * round_s,
            begin,
            end,
            np.where(able, left, self._kept_s),
            np.where(able, left / one_s * round_s, self.open_s),
        )

    def after_s(self, from_s: Floats, work_s: Floats) -> Floats:
        """When the devices (K,) have computed for ``work_s`` (K,) since ``from_s`` (K,)."""
        if self.battery is not None:
            return np.array([self.battery.after_s(float(from_s[0]), float(work_s[0]))])
        if self.presence is None:
            return from_s + work_s
        return self.presence.after_s(from_s, work_s)

    def gap_rounds(
        self, cost: Cost, who: Mask, from_s: float, to_s: float, most: int | None = None
    ) -> tuple[Ints, Floats, Floats]:
        """Rounds (K,) that end in a disconnected phase, and when the training begins and ends."""
        gap = self.gap(cost, who, from_s, to_s, most)
        if self.battery is not None and who[0] and not self.excluded(cost)[0]:
            done = most is not None and gap.rounds[0] >= most
            from_s = float(np.maximum(from_s, self.free_s)[0])
            self.battery.compute(from_s, float(gap.end_s[0]) if done else to_s)
        self._kept_s, self.open_s = gap.kept_s, gap.open_s
        self.free_s = np.where(gap.rounds > 0, np.maximum(self.free_s, gap.end_s), self.free_s)
        self.count(gap.rounds, gap.ended_s)
        return gap.rounds, gap.begin_s, gap.end_s

    def count(self, rounds: Ints, computed_s: Floats) -> None:
        """Add complete ``rounds`` (K,), and the time that was computed besides open rounds."""
        self.rounds = self.rounds + rounds
        self.ended_s = self.ended_s + computed_s


@dataclass
class Load:
    """The rounds with most and with least memory that were asked for, and the most FLOPs of one."""

    most: Cost | None = None
    least: Cost | None = None
    flops: float = 0.0

    def add(self, cost: Cost) -> None:
        """Count a round that a method asks for."""
        if cost is self.most or cost is self.least:  # nearly always
            return
        self.flops = max(self.flops, float(np.max(cost.flops)))
        memory = cost.memory_bytes
        ends = [] if np.ndim(memory) == 0 else [int(np.argmin(memory)), int(np.argmax(memory))]
        for one in [cost.of(k) for k in ends] or [cost]:
            if self.most is None or one.memory_bytes > self.most.memory_bytes:
                self.most = one
            if self.least is None or one.memory_bytes < self.least.memory_bytes:
                self.least = one

    def figures(self) -> dict[str, Any] | None:
        """Return the figures in bytes and FLOPs, None where no round was asked for."""
        if self.most is None or self.least is None:
            return None
        return {
            "memory_bytes": self.most.memory_bytes,
            "expert_bytes": self.most.expert_bytes,
            "least_memory_bytes": self.least.memory_bytes,
            "least_expert_bytes": self.least.expert_bytes,
            "round_flops": self.flops,
        }
