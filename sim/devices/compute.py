"""Compute of devices: seconds per round and memory, and what a disconnected phase holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learning.requests.cluster import Cost
from scenarios.compute import DeviceCompute
from sim.devices.energy import Transmitter
from sim.devices.faults import slowdown_of
from sim.world.world import World
from statements.arrays import Floats, Ints, Mask

ROUNDING = 1e-9
"""Relative slack when rounds are counted, so that 0.7 s hold seven rounds of 0.1 s."""


@dataclass(frozen=True, eq=False)
class Compute:
    """Compute of one cluster's devices: one number for all of them, or an array (K,).

    A round takes ``seconds_per_round``, or where that is None or NaN its FLOPs over
    ``flops_per_s``. ``memory_bytes`` is None or inf where nothing limits it, ``power_w`` (drawn
    while they compute) None or NaN where it is not known. ``per_contact`` is a number of rounds or
    None for as many as fit; ``per_gap_max`` None for no limit. ``pace_s`` replaces the round time
    in disconnected phases: the paper's slots hold ``per_contact`` rounds each, however long a round
    of any of the devices is; an array (K,) where some are slower than that.
    """

    seconds_per_round: float | Floats | None
    flops_per_s: float | Floats | None
    memory_bytes: float | Floats | None
    per_contact: int | None
    per_gap_max: int | None
    pace_s: float | Floats | None = None
    power_w: float | Floats | None = None

    def round_s(self, cost: Cost) -> Floats:
        """Seconds of one local round, () or (K,)."""
        # The scenario's schema asks for one of the two.
        by_rate = np.nan if self.flops_per_s is None else cost.flops / self.flops_per_s
        if self.seconds_per_round is None:
            return np.asarray(by_rate)
        return np.where(np.isnan(self.seconds_per_round), by_rate, self.seconds_per_round)

    def slowed(self, times: Floats) -> Compute:
        """Return the compute of devices that are slower by these factors (K,)."""
        each = self.seconds_per_round
        rate = self.flops_per_s
        pace = self.pace_s
        return replace(
            self,
            seconds_per_round=None if each is None else each * times,
            flops_per_s=None if rate is None else rate / times,
            pace_s=None if pace is None else pace * times,
        )

    def fits(self, cost: Cost) -> Mask:
        """Return whether a device's memory is large enough for the round, () or (K,)."""
        held_bytes = np.inf if self.memory_bytes is None else self.memory_bytes
        return np.asarray(cost.memory_bytes <= held_bytes)


def whole_rounds(seconds: Floats, round_s: float | Floats) -> Ints:
    """Count how many rounds of ``round_s`` fit into ``seconds`` (K,); negative time holds none."""
    counts = np.floor(np.maximum(seconds, 0.0) / round_s * (1 + ROUNDING) + ROUNDING)
    return counts.astype(np.int64)


def compute_of(world: World) -> tuple[Compute, ...]:
    """Return the computing of each cluster's devices (K,), in canonical order.

    Stragglers take longer. Raises InputError for kinds of devices that do not cover a file of
    places.
    """
    clusters = world.sites.clusters
    slow = slowdown_of(world, clusters)
    each = [(c.name, _cluster(world, c.index, c.devices)) for c in clusters]
    return tuple(own.slowed(slow[name]) if name in slow else own for name, own in each)


def transmitter_of(world: World) -> Transmitter:
    """Return the transmitter of every device of a scenario."""
    isl = world.link.isl
    sidelink = world.link.sidelink
    isl_dbm = None if isl is None else isl.tx_power_dbm
    radio: Any = {"tx_power_dbm": isl_dbm}
    if isl is None or world.topology.grounded != "relay":
        radio = world.resolved_link[world.topology.directions[0]]
    power_dbm = radio.get("tx_power_dbm")
    duty = float(radio.get("duty", 1.0))
    peers_w = (
        0.0 if sidelink is None else _watts(sidelink.sent_dbm),
        0.0 if isl_dbm is None else _watts(isl_dbm),
    )
    return Transmitter(None if power_dbm is None else _watts(float(power_dbm)), duty, peers_w)


def _watts(power_dbm: float) -> float:
    return float(10 ** (power_dbm / 10) / 1000)


def _cluster(world: World, index: int, devices: int) -> Compute:
    rounds = world.learning.rounds
    per_contact = None if rounds.per_contact == "fill" else int(rounds.per_contact)
    pace_s = None
    if world.slots is not None and per_contact is not None:
        pace_s = world.slots.seconds / per_contact
    each = [world.compute.overridden_by(own) for own in _own(world, index, devices)]
    return Compute(
        seconds_per_round=_numbers([own.seconds_per_round for own in each], np.nan),
        flops_per_s=_numbers([own.tflops for own in each], np.nan) * 1e12,
        memory_bytes=_numbers([own.memory_gib for own in each], np.inf) * 2**30,
        per_contact=per_contact,
        per_gap_max=rounds.per_gap_max,
        pace_s=pace_s,
        power_w=_numbers([own.power_w for own in each], np.nan),
    )


def _own(world: World, index: int, devices: int) -> Sequence[DeviceCompute | None]:
    """Return the settings of each device of a cluster, in the order of its kinds."""
    kinds = world.sites.kinds_of(index) if world.ground.clusters else None
    if kinds is None:
        return [None] * devices
    return [kind for kind in kinds for _ in range(kind.devices)]


def _numbers(values: list[float | None], unsaid: float) -> Floats:
    return np.array([unsaid if value is None else value for value in values])


@dataclass(frozen=True, eq=False)
class Phase:
    """A disconnected phase: rounds of one ``cost``, asked of the devices in ``who`` (K,).

    It lasts from ``from_s`` until the next contact, and is asked for ``most_rounds`` per device,
    for all or each (K,) (None: as many as fit). ``limit`` is that, or else what ``learning.rounds``
    allows.
    """

    cost: Cost
    who: Mask
    from_s: float
    most_rounds: int | Ints | None = None
    limit: int | Ints | None = None


@dataclass(frozen=True, eq=False)
class Gap:
    """What a disconnected phase holds for each device (K,).

    Complete ``rounds``, the time ``ended_s`` that was computed for them, and when they begin and
    end. ``kept_s`` is time left for the next phase, ``open_s`` what is computed of the round that
    it belongs to.
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
