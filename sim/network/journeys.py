"""What a message over links has spent its time on: sending, light time, and waiting."""

from __future__ import annotations

from learning.requests.cluster import Floats
from learning.requests.peers import Journey
from sim.routing.hop import Route


def journey_of(route: Route, ready_s: float, opens_s: Floats) -> Journey:
    """Return the parts of the time from ``ready_s`` until the last hop has arrived.

    The link or pass of a row opens at ``opens_s`` (M,): before that a message waits for it, and
    afterwards for those that are sent before.
    """
    propagation_s = transmission_s = window_s = queue_s = 0.0
    for row, begin_s, sent_s, arrival_s in route.hops():
        waits_s = begin_s - ready_s
        closed_s = min(max(float(opens_s[row]) - ready_s, 0.0), waits_s)
        window_s += closed_s
        queue_s += waits_s - closed_s
        transmission_s += sent_s - begin_s
        propagation_s += arrival_s - sent_s
        ready_s = arrival_s
    return Journey(len(route), propagation_s, transmission_s, window_s, queue_s)
