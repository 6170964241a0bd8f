"""The contacts of satellites with each other and with the ground, as a graph of routes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from channel import SPEED_OF_LIGHT_M_S
from sim.network.sessions import ClusterSessions
from sim.plan.isl import IslPlan
from sim.routing.graph import ContactGraph, ContactPlan


def timetable(
    isls: IslPlan, sessions: Mapping[str, ClusterSessions], *, stores: bool
) -> ContactGraph:
    """Return the contacts of satellites with each other, and with the ground, the node behind them.

    Messages go up from the ground only if it ``stores`` what others have sent to it. The delay of a
    link of a fixed rate is that of the longest range of its window.
    """
    ground = len(isls.names)
    links = len(isls)
    found = ((k, sessions[name].planned) for k, name in enumerate(isls.names) if name in sessions)
    passes = [(k, own, place) for k, own in found for place in range(len(own))]

    def sent(contact: int, source: int, begin_s: float, bits: float) -> tuple[float, float]:
        if contact < links:
            sent_s, _ = isls.sent(contact, begin_s, bits)
            return sent_s, sent_s if sent_s == np.inf else sent_s + isls.delay_s(contact, sent_s)
        _, own, place = passes[contact - links]
        session = own[place]
        beam = session.to_client if source == ground else session.to_server
        sent_s = begin_s if beam is None else float(beam.curve.completion_time_s(bits, begin_s)[0])
        if sent_s == np.inf or (source == ground and not stores):
            return np.inf, np.inf
        return sent_s, sent_s + float(session.delay_s(np.array([sent_s]))[0])

    spans = np.array([(k, own.start_s(n), own.end_s(n)) for k, own, n in passes]).reshape(-1, 3).T
    fixed_bps = np.nan if isls.fixed_bps is None else isls.fixed_bps
    plan = ContactPlan(
        nodes=ground + 1,
        a=np.concatenate([isls.a, spans[0].astype(int)]),
        b=np.concatenate([isls.b, np.full(len(passes), ground)]),
        start_s=np.concatenate([isls.start_s, spans[1]]),
        end_s=np.concatenate([isls.end_s, spans[2]]),
        rate_bps=np.repeat([fixed_bps, np.nan], [links, len(passes)]),
        delay_s=np.append(isls.max_range_km * 1e3 / SPEED_OF_LIGHT_M_S, np.zeros(len(passes))),
        sent=sent,
    )
    return ContactGraph(plan)
