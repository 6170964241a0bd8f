"""Terminals of links between satellites: which windows a satellite uses at a time."""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop, heappush
from math import inf

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from scenarios.link import Isl
from sim.plan.isl import IslPlan


def with_terminals(plan: IslPlan, isl: Isl, opens: Mask) -> IslPlan:
    """Return the windows for which there are ``terminals``, each from the end of its acquisition.

    Rings keep their terminals all the time. The others are served in the order in which they open;
    a window that waits gets terminals when one is free at both ends. A window takes
    ``acquisition_s`` where it ``opens`` during the run (M,), or has waited.
    """
    begin_s = plan.start_s.copy()
    if isl.terminals is not None:
        ring = np.unique(np.stack([plan.a, plan.b, plan.within]), axis=1)
        free = np.full(len(plan.names), isl.terminals)
        for end in ring[:2, ring[2] == 1]:
            np.subtract.at(free, end, 1)
        begin_s = np.where(plan.within, begin_s, _assigned(plan, free))
        opens = opens | (begin_s > plan.start_s)
    begin_s = begin_s + np.where(opens, isl.acquisition_s, 0.0)
    keep = np.flatnonzero(begin_s < plan.end_s)
    keep = keep[np.argsort(begin_s[keep], kind="stable")]
    return replace(plan, start_s=begin_s).where(keep)


def _assigned(plan: IslPlan, free: Ints) -> Floats:
    """Return when each window between planes gets its terminals (M,); inf where it never does.

    ``free`` (N,) are the terminals of each satellite that rings do not use.
    """
    begin_s: Floats = np.full(len(plan), inf)
    waiting: list[int] = []
    # In order of time, as windows are: a heap. At one time, ends come before begins.
    across = np.flatnonzero(~plan.within).tolist()
    events = [(float(plan.start_s[window]), True, window) for window in across]
    while events:
        now_s, begins_now, window = heappop(events)
        if not begins_now:
            free[[plan.a[window], plan.b[window]]] += 1
            waiting = [w for w in waiting if plan.end_s[w] > now_s]
        for w in [window] if begins_now else list(waiting):
            if free[plan.a[w]] > 0 and free[plan.b[w]] > 0:
                free[[plan.a[w], plan.b[w]]] -= 1
                begin_s[w] = now_s
                heappush(events, (float(plan.end_s[w]), False, w))
                waiting = [other for other in waiting if other != w]
            elif begins_now:
                waiting.append(w)
    return begin_s
