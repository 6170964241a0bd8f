"""What a message over links has spent its time on: sending, light time, and waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from learning.requests.peers import Journey
from sim.routing.hop import Hop


def journey_of(hops: Sequence[Hop], ready_s: float, opens_s: Callable[[Hop], float]) -> Journey:
    """Return the parts of the time from ``ready_s`` until the last hop has arrived.

    ``opens_s`` says when the link or pass of a hop opens: before that a message waits for it, and
    afterwards for those that are sent before.
    """
    propagation_s = transmission_s = window_s = queue_s = 0.0
    for hop in hops:
        waits_s = hop.begin_s - ready_s
        closed_s = min(max(opens_s(hop) - ready_s, 0.0), waits_s)
        window_s += closed_s
        queue_s += waits_s - closed_s
        transmission_s += hop.sent_s - hop.begin_s
        propagation_s += hop.arrival_s - hop.sent_s
        ready_s = hop.arrival_s
    return Journey(len(hops), propagation_s, transmission_s, window_s, queue_s)
