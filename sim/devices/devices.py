"""Devices of a cluster: until when each is busy, what a disconnected phase holds, their load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.requests.cluster import Cluster, Cost
from sim.devices.battery import Battery
from sim.devices.compute import ROUNDING, Compute, Gap, Phase, whole_rounds
from sim.devices.faults import Presence
from statements.arrays import Floats, Ints, Mask

LONGEST_WAIT_S = 3600.0
"""How long the devices of a cluster wait in contact for those that do not come to an end."""


class Devices:
    """The devices of one cluster: until when each is busy, and time left over from a cut round.

    ``serving_until_s`` is when each has computed what it was asked for besides its training,
    ``sent_s`` (K,) the seconds in which it has sent to the server.
    ``compute`` says how fast they compute, ``presence`` when they are there (None: always); a
    device that is absent computes nothing. A satellite may have a ``battery``, which computing and
    sending drain.
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
        self.sent_s: Floats = np.zeros(cluster.devices)
        self._kept_s: Floats = np.zeros(cluster.devices)

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
        return np.full(self.free_s.shape, ~self.compute.fits(cost))

    def drop_open(self) -> None:
        """Forget the rounds that were interrupted; their time was spent."""
        self.ended_s = self.ended_s + self.open_s
        self._kept_s = np.zeros_like(self._kept_s)
        self.open_s = np.zeros_like(self.open_s)

    def phase(
        self, cost: Cost, who: Mask, from_s: float, most_rounds: int | Ints | None = None
    ) -> Phase:
        """Return a disconnected phase that begins at ``from_s``."""
        limit = self.compute.per_gap_max if most_rounds is None else most_rounds
        return Phase(cost, who, from_s, most_rounds, limit)

    def gap(self, phase: Phase, to_s: float) -> Gap:
        """Return what a disconnected phase holds by ``to_s``, without counting it.

        The time of a round that the phase cuts off is kept for the next one. Devices outside
        ``phase.who`` rest, and keep what they had.
        """
        compute = self.compute
        presence = self.presence
        round_s = compute.round_s(phase.cost)
        one_s = round_s if compute.pace_s is None else np.asarray(compute.pace_s)
        kept_s = self._kept_s
        able = phase.who & ~self.excluded(phase.cost)
        # In slots a gap holds a whole number of rounds, whatever the contact was spent on.
        in_slots = compute.pace_s is not None
        ready_s = np.maximum(phase.from_s, self.free_s)
        begin_s = np.full_like(self.free_s, phase.from_s) if in_slots else ready_s
        present_s = _present_s(presence, begin_s, to_s)
        if self.battery is not None:
            present_s = np.array([self.battery.computing_s(float(begin_s[0]), to_s)])
        spent_s = np.where(able, present_s + kept_s, 0.0)
        rounds = whole_rounds(spent_s, one_s)
        limit = phase.limit
        if limit is not None:
            rounds = np.minimum(rounds, limit)
        work_s: Floats = rounds * one_s
        left_s = np.maximum(spent_s - work_s, 0.0)
        if limit is not None:
            left_s = np.where(rounds < limit, left_s, 0.0)
        left_s = np.where(left_s < ROUNDING * one_s, 0.0, left_s)
        end_s = self.after_s(begin_s, work_s)
        end_s = np.minimum(end_s, np.maximum(to_s, begin_s))
        if presence is not None:
            begin_s = np.minimum(presence.returns_s(begin_s), end_s)
        ended_s = rounds * round_s
        open_s = np.where(able, left_s / one_s * round_s, self.open_s)
        if in_slots:  # they may hold more rounds than there is time to compute
            computed_s = ended_s + open_s - self.open_s
            ended_s -= np.maximum(computed_s - _present_s(presence, ready_s, to_s), 0.0)
        return Gap(
            rounds=rounds,
            ended_s=ended_s,
            begin_s=begin_s,
            end_s=end_s,
            kept_s=np.where(able, left_s, kept_s),
            open_s=open_s,
        )

    def due_s(self, phase: Phase) -> float | None:
        """When a phase in contact holds the rounds that a contact has, 1 where they fill one.

        That is when the last device is through or, where one is away, so long after the first. None
        where nobody is asked to train.
        """
        if not np.count_nonzero(phase.who):
            return None
        able = phase.who & ~self.excluded(phase.cost)
        compute = self.compute
        rounds: int | Ints = 1 if compute.per_contact is None else compute.per_contact
        if phase.limit is not None:
            rounds = np.minimum(rounds, phase.limit)
        able = able & (np.asarray(rounds) > 0)
        if not np.count_nonzero(able):
            return phase.from_s + LONGEST_WAIT_S
        begin_s = np.maximum(phase.from_s, self.free_s)
        work_s = rounds * compute.round_s(phase.cost) - self._kept_s
        ends_s = self.after_s(begin_s, np.maximum(work_s, 0.0))[able]
        return float(min(ends_s.max(), max(ends_s.min(), phase.from_s + LONGEST_WAIT_S)))

    def after_s(self, from_s: Floats, work_s: Floats) -> Floats:
        """When the devices (K,) have computed for ``work_s`` (K,) since ``from_s`` (K,)."""
        if self.battery is not None:
            return np.array([self.battery.after_s(float(from_s[0]), float(work_s[0]))])
        if self.presence is None:
            return from_s + work_s
        return self.presence.after_s(from_s, work_s)

    def end_phase(self, phase: Phase, to_s: float) -> Gap:
        """End a disconnected phase at ``to_s``: count what it held, and return it."""
        gap = self.gap(phase, to_s)
        if self.battery is not None and phase.who[0] and not self._lacks_memory(phase):
            self.battery.compute(*self._computing(phase, gap, to_s))
        self._kept_s = gap.kept_s
        self.open_s = gap.open_s
        some = gap.rounds > 0
        if np.count_nonzero(some):
            self.free_s = np.where(some, np.maximum(self.free_s, gap.end_s), self.free_s)
            self.rounds = self.rounds + gap.rounds
        self.ended_s = self.ended_s + gap.ended_s
        return gap

    def charge(self, phase: Phase | None, at_s: float) -> float:
        """Return the share of a battery's capacity at a time, 1 without one.

        It computes since the beginning of a ``phase`` that goes on, and otherwise idles.
        """
        if self.battery is None:
            return 1.0
        if phase is None or not phase.who[0] or self._lacks_memory(phase):
            return self.battery.share_at(at_s)
        return self.battery.share_at(at_s, *self._computing(phase, self.gap(phase, at_s), at_s))

    def _computing(self, phase: Phase, gap: Gap, to_s: float) -> tuple[float, float]:
        """Return from when a satellite computes in a phase, and until when: at most a time."""
        from_s = float(np.maximum(phase.from_s, self.free_s)[0])
        all_done = phase.most_rounds is not None and np.all(gap.rounds >= phase.most_rounds)
        return from_s, float(gap.end_s[0]) if all_done else to_s

    def _lacks_memory(self, phase: Phase) -> bool:
        return bool(self.excluded(phase.cost)[0])

    def count(self, rounds: Ints, computed_s: Floats) -> None:
        """Add complete ``rounds`` (K,), and the time that was computed besides open rounds."""
        self.rounds = self.rounds + rounds
        self.ended_s = self.ended_s + computed_s


def _present_s(presence: Presence | None, from_s: Floats, to_s: float) -> Floats:
    """Seconds (K,) in which devices are present, each from its own time on, to another."""
    if presence is None:
        return np.maximum(to_s - from_s, 0.0)
    return presence.present_s(from_s, np.full_like(from_s, to_s))


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
