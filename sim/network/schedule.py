"""When devices begin and end a transfer; when a chain is over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.requests.cluster import Floats, Mask, Quorum, Upload
from sim.errors import DURATIONS, violated
from sim.links.sharing import everywhere
from sim.network.steps import Leg, Step, Training, Transfer, everybody
from sim.plan.contacts import PlannedSession


def schedule(
    leg: Transfer,
    session: PlannedSession,
    earlier: Sequence[Leg],
    others: Sequence[Transfer] = (),
) -> None:
    """Plan a leg over what can be used of a session, behind the earlier legs of its chain.

    It also keeps behind ``others``, the transfers of other chains that go its way: its device's
    own, and as many as the beam has no sub-channels for beside it.
    """
    leg.session = session
    leg.beam = session.beam(leg.way)
    leg.los_s = np.full(len(leg.who), session.end_s)
    in_time = leg.who & (leg.arrival_s <= session.end_s)
    arrival_s = session.in_service_s(leg.arrival_s)
    leg.arrival_s = arrival_s if everywhere(in_time) else np.where(in_time, arrival_s, np.inf)
    if leg.beam is None:  # a neglected downlink takes no time
        leg.begin_s = leg.sent_s = leg.end_s = leg.arrival_s
        return
    free_s = _beam_free_s(leg, earlier)
    if free_s > -np.inf:
        leg.arrival_s = np.maximum(leg.arrival_s, free_s)
    if others:
        leg.arrival_s = np.maximum(leg.arrival_s, _turn_s(leg, others))
    given = leg.beam.send(leg.arrival_s, leg.bits, in_time, leg.personal)
    leg.begin_s, leg.sent_s, leg.curve = given.begin_s, given.end_s, given.curve
    there = given.end_s < np.inf
    if everywhere(there):
        leg.end_s = given.end_s + session.delay_s(given.end_s)
    else:
        if np.isnan(given.begin_s).any() or np.isnan(given.end_s).any():
            raise violated(DURATIONS, f"{leg.name} to the {leg.way} has no time at all (nan)")
        delay_s = session.delay_s(np.where(there, given.end_s, session.start_s))
        leg.end_s = np.where(there, given.end_s + delay_s, np.inf)
    leg.los_s = np.minimum(leg.los_s, leg.beam.curve.time_s[:, -1])


def _beam_free_s(leg: Transfer, earlier: Sequence[Leg]) -> float:
    """When the transfers of earlier steps leave a shared beam to this one; -inf for at once.

    A broadcast is one transmission at a time, and where a cluster has more devices than the beam
    has sub-channels, the beam serves the steps of a chain one after the other: those of a later
    step begin when the last device has ended an earlier one.
    """
    assert leg.beam is not None  # callers have turned to others for a neglected downlink
    if not (leg.beam.is_broadcast or leg.beam.crowding(len(leg.who)) > 1.0):
        return -np.inf
    free_s = -np.inf
    for other in earlier:
        if isinstance(other, Transfer) and other.way is leg.way and other.who.any():
            free_s = max(free_s, float(_stops_s(other)[other.who].max()))
    return free_s


def _turn_s(leg: Transfer, others: Sequence[Transfer]) -> Floats:
    """When each device (K,) of a leg has its turn behind the transfers of other chains."""
    assert leg.beam is not None  # callers have turned to others for a neglected downlink
    sending = [(other, other.who & np.isfinite(other.begin_s)) for other in others]
    stops_s = np.array([np.where(sends, _stops_s(other), -np.inf) for other, sends in sending])
    own_s: Floats = stops_s.max(axis=0)
    busy_until_s = np.sort(stops_s[np.isfinite(stops_s)])[::-1]
    beside = max(leg.beam.channels - int(leg.who.sum()), 0)
    if len(busy_until_s) <= beside:
        return own_s
    # So many of the others may still send when the leg takes its sub-channels.
    return np.maximum(own_s, busy_until_s[beside])


def _stops_s(leg: Transfer) -> Floats:
    """When each device (K,) of a leg sends no more of it."""
    return np.where(np.isfinite(leg.sent_s), leg.sent_s, leg.los_s)


# When a chain with uploads ends, if that does not wait for all of its devices.


def closes_s(
    closing: Quorum, steps: Sequence[Step], legs: Sequence[Leg], begun_s: float, all_s: float
) -> float:
    """Return when a chain is over that was begun at ``begun_s`` and would last until ``all_s``.

    With a quorum, when so many of the devices that take part have ended it; if fewer ever do, it
    waits for all. A chain without an upload aggregates nothing, and waits for all too.
    """
    if closing.waits_for_all or not any(isinstance(step, Upload) for step in steps):
        return all_s
    if np.isfinite(closing.deadline_s):
        return min(begun_s + closing.deadline_s, all_s)
    ends_s = np.sort(_ended_s(steps, legs)[_parties(legs)])
    needed = closing.enough(len(ends_s))
    return float(ends_s[needed - 1]) if needed and np.isfinite(ends_s[needed - 1]) else all_s


def cut_off(steps: Sequence[Step], legs: Sequence[Leg], over_s: float) -> int:
    """How many of the devices that take part in a chain have not ended it when it is over."""
    return int((_ended_s(steps, legs)[_parties(legs)] > over_s).sum())


def _parties(legs: Sequence[Leg]) -> Mask:
    """Devices (K,) that begin any step; who lacks the memory for one takes no part."""
    begins: Mask = np.logical_or.reduce([leg.who for leg in legs])
    unable = [leg.excluded for leg in legs if isinstance(leg, Training)]
    return begins & ~np.logical_or.reduce(unable) if unable else begins


def _ended_s(steps: Sequence[Step], legs: Sequence[Leg]) -> Floats:
    """When each device (K,) has ended all steps that it was asked for; inf for never."""
    ended_s = np.full(len(legs[0].who), -np.inf)
    for step, leg in zip(steps, legs, strict=True):
        end_s = np.where(leg.who, leg.end_s, np.inf)
        if not isinstance(leg, Training) and leg.corrupted is not None:
            end_s = np.where(leg.corrupted, np.inf, end_s)
        asked = everybody(step.who, len(end_s))
        ended_s = np.maximum(ended_s, np.where(asked, end_s, -np.inf))
    return ended_s
