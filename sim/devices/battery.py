"""The battery of a satellite that learns: charged by the Sun, drained by computing and sending."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

import orbit
from sim.devices.compute import transmitter_of
from sim.errors import InputError
from sim.world.world import World
from statements import Code
from statements.arrays import Floats

WH_J = 3600.0
TICK_S = 1e-7
"""Durations below it count as 0: rounding of times over decades."""


@dataclass(frozen=True)
class Power:
    """What a battery holds (J), and what charges and drains it (W).

    ``charge_w`` comes in sunlight, ``idle_w`` is drawn always, ``compute_w`` while computing,
    ``send_w`` while sending, ``peer_w`` to other satellites. Nothing is computed on what is below
    ``reserve_j``.
    """

    capacity_j: float
    start_j: float
    reserve_j: float
    charge_w: float
    idle_w: float
    compute_w: float
    send_w: float = 0.0
    peer_w: float = 0.0


class Walked(NamedTuple):
    """A walk along time: its end, the charge then and at its lowest, and seconds of computing.

    The charge is a straight line between the ``bends``: times and charges, up to the end.
    """

    at_s: float
    level_j: float
    lowest_j: float
    done_s: float
    bends: list[tuple[float, float]]


class Charge(NamedTuple):
    """What a battery held, as a share of its capacity: a straight line between times (N,).

    Two values at the same time are those before and after something was sent.
    """

    time_s: Floats
    share: Floats


class Battery:
    """The charge of one satellite, which computes as long as it has any above the reserve.

    At the reserve it computes for the share of the time that it is charged for, and not at all in
    the dark. ``edges_s`` are when it enters and leaves the Earth's shadow, in turns, from when it
    first enters it. What it does has to be told in order of time; in between it idles.
    """

    def __init__(self, power: Power, edges_s: Floats) -> None:
        self._power = power
        self._edges_s = edges_s
        self._at_s = 0.0
        self._level_j = power.start_j
        self.lowest_j = power.start_j
        # Numbers in a row, in place of objects: a long run of many satellites has millions.
        self._bend_s = array("d", [0.0])
        self._bend_j = array("d", [power.start_j])

    def charge_by(self, at_s: float) -> Charge:
        """Return what it held up to a time until which it idles."""
        bends = self._idle(at_s).bends
        time_s = np.array([*self._bend_s, *(time_s for time_s, _ in bends)])
        level_j = np.array([*self._bend_j, *(level_j for _, level_j in bends)])
        # What it was told to do may reach beyond that time.
        inside = time_s < at_s
        shown_j = np.append(level_j[inside], np.interp(at_s, time_s, level_j))
        return Charge(np.append(time_s[inside], at_s), shown_j / self._power.capacity_j)

    def charges_at(self, at_s: float) -> tuple[float, float]:
        """Shares of the capacity: the lowest so far, and that at a time until which it idles."""
        idled = self._idle(at_s)
        lowest_j = min(self.lowest_j, idled.lowest_j)
        return lowest_j / self._power.capacity_j, idled.level_j / self._power.capacity_j

    def share_at(self, at_s: float, from_s: float | None = None, to_s: float = np.inf) -> float:
        """Return the share of the capacity at a time, up to which it idles.

        From a time ``from_s`` it computes in place of that, up to ``to_s`` at most.
        """
        if at_s < self._at_s:  # what it was told to do reaches beyond that time
            return float(self.charge_by(at_s).share[-1])
        level_j = self._level_j
        idles_from_s = self._at_s
        if from_s is not None and from_s < at_s:
            done = self._computed(from_s, min(to_s, at_s))[1]
            level_j = done.level_j
            idles_from_s = done.at_s
        return self._walk(idles_from_s, at_s, level_j, computes=False).level_j / (
            self._power.capacity_j
        )

    def computing_s(self, from_s: float, to_s: float) -> float:
        """Return for how long it could compute between two times."""
        return self._computed(from_s, to_s)[1].done_s

    def after_s(self, from_s: float, work_s: float) -> float:
        """Return when it has computed for ``work_s`` since a time; inf for never."""
        return self._computed(from_s, np.inf, work_s)[1].at_s

    def compute(self, from_s: float, to_s: float) -> None:
        """Let it compute, as far as it can, between two times."""
        idled, done = self._computed(from_s, to_s)
        self._keep(done.at_s, done.level_j, idled, done)

    def send(self, at_s: float, sending_s: float, *, to_peer: bool = False) -> None:
        """Draw the energy of sending for ``sending_s`` at once, at most all that is left."""
        if energy_j := sending_s * (self._power.peer_w if to_peer else self._power.send_w):
            idled = self._idle(at_s)
            self._keep(idled.at_s, max(idled.level_j - energy_j, 0.0), idled)

    def _keep(self, at_s: float, level_j: float, *walked: Walked) -> None:
        """Be at a time with a charge, after some walks."""
        self._at_s = at_s
        self._level_j = level_j
        self.lowest_j = min(self.lowest_j, level_j, *(one.lowest_j for one in walked))
        for bend_s, bend_j in [*(bend for one in walked for bend in one.bends), (at_s, level_j)]:
            self._bend_s.append(bend_s)
            self._bend_j.append(bend_j)

    def _computed(self, from_s: float, to_s: float, work_s: float = np.inf) -> list[Walked]:
        """Return the walk of idling up to a time, and that of computing from there."""
        idled = self._idle(from_s)
        return [idled, self._walk(max(from_s, self._at_s), to_s, idled.level_j, work_s)]

    def _idle(self, to_s: float) -> Walked:
        """Return the walk of idling up to a time; of no length for a time in the past."""
        return self._walk(self._at_s, to_s, self._level_j, computes=False)

    def _walk(
        self,
        at_s: float,
        to_s: float,
        level_j: float,
        work_s: float = np.inf,
        *,
        computes: bool = True,
    ) -> Walked:
        """Go on until a time, or until it has computed for ``work_s``.

        From one edge of the shadow to the next, and there to where its charge meets the reserve.
        """
        p = self._power
        done_s = 0.0
        lowest_j = level_j
        bends: list[tuple[float, float]] = []
        near_j = 1e-9 * p.capacity_j + TICK_S * (p.charge_w + p.idle_w + p.compute_w)
        number = int(np.searchsorted(self._edges_s, at_s, "right"))
        while at_s < to_s and done_s < work_s:
            edge_s = float(self._edges_s[number]) if number < len(self._edges_s) else np.inf
            until_s = min(to_s, edge_s)
            gain_w = (0.0 if number % 2 else p.charge_w) - p.idle_w
            if abs(level_j - p.reserve_j) <= near_j:
                level_j = p.reserve_j
            share = 0.0
            if computes and level_j >= p.reserve_j:
                at_reserve = level_j == p.reserve_j
                share = min(max(gain_w, 0.0) / p.compute_w, 1.0) if at_reserve else 1.0
            net_w = gain_w - share * p.compute_w
            if computes and (p.reserve_j - level_j) * net_w > 0:  # it gets to the reserve
                until_s = min(until_s, at_s + (p.reserve_j - level_j) / net_w)
            if share > 0:
                until_s = min(until_s, at_s + (work_s - done_s) / share)
            if until_s == np.inf:  # it computes for ever, or never again
                return Walked(np.inf, level_j, lowest_j, np.inf if share else done_s, bends)
            reached_j = level_j + net_w * (until_s - at_s)
            before_j, level_j = level_j, min(max(reached_j, 0.0), p.capacity_j)
            if level_j != reached_j:  # full, or empty, on the way
                bends.append((at_s + (level_j - before_j) / net_w, level_j))
            bends.append((until_s, level_j))
            lowest_j = min(lowest_j, level_j)
            done_s += share * (until_s - at_s)
            if work_s - done_s <= TICK_S:
                done_s = work_s
            at_s = until_s
            number += until_s == edge_s
        return Walked(at_s, level_j, lowest_j, done_s, bends)


def supplies_of(world: World, start: datetime, stop_s: float) -> dict[str, tuple[Power, Floats]]:
    """Return power and shadow edges of each satellite's battery; none where the scenario has none.

    Raises InputError for one that idles away more than the Sun charges.
    """
    battery = world.compute.battery
    if battery is None:
        return {}
    compute_w = world.compute.overridden_by(None).power_w
    assert compute_w is not None  # the schema asks for it
    capacity_j = battery.capacity_wh * WH_J
    sender = transmitter_of(world)
    power = Power(
        capacity_j=capacity_j,
        start_j=battery.initial * capacity_j,
        reserve_j=battery.reserve * capacity_j,
        charge_w=battery.charge_w,
        idle_w=battery.idle_w,
        compute_w=compute_w,
        send_w=(sender.power_w or 0.0) * sender.duty,
        peer_w=sender.peer_w[1],
    )
    satellites = world.fleet.satellites
    dark = orbit.eclipses(satellites, start, start + timedelta(seconds=stop_s))
    supplies: dict[str, tuple[Power, Floats]] = {}
    for number, name in enumerate(satellite.name for satellite in satellites):
        of_satellite = dark.satellite == number
        enter_s = dark.enter_s[of_satellite]
        leave_s = dark.leave_s[of_satellite]
        lit = 1.0 - float((leave_s - enter_s).sum()) / stop_s
        if lit * power.charge_w <= power.idle_w:
            raise InputError.of(
                Code.WRONG_VALUE,
                "compute.battery",
                f"the battery of {name!r} never charges: it is in sunlight for "
                f"{100 * lit:.0f} % of the time, which gives {lit * power.charge_w:.3g} W in "
                f"the mean, and draws {power.idle_w:g} W; raise charge_w or lower idle_w",
            )
        supplies[name] = power, np.stack([enter_s, leave_s], axis=1).ravel()
    return supplies
