"""Rows about faults: each begins with ``injected:``, so that nobody takes it for real trouble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from learning.faults import INJECTED
from learning.requests.cluster import Floats
from sim.clock import Clock, Process
from sim.coded import Coded
from sim.faults.drawing import Faults
from sim.legs import Transfer
from sim.trace import Trace


def told(faults: Faults, clock: Clock, trace: Trace) -> Process:
    """Tell of every outage, absence and slow device when it begins."""
    for time_s, cluster, device, detail in sorted(_spells(faults)):
        if time_s < clock.now:  # before the run has turned to these faults
            continue
        yield clock.at(time_s)
        whose = {"cluster": cluster, "device": device} if cluster else {}
        _row(trace, time_s, detail, **whose)


def leg_told(trace: Trace, leg: Transfer, moved: Floats, time_s: float, **shared: Any) -> None:
    """Tell how many packets of a leg were sent again by a time, and which uploads began late."""
    if leg.resent is not None and leg.packets is not None:
        left = leg.size - leg.before
        share = np.divide(moved, left, out=np.zeros_like(left), where=left > 0)
        again, sent = (int(np.rint(n * share).sum()) for n in (leg.resent, leg.packets))
        if again:
            _row(trace, time_s, f"{again} of {sent} packets of {leg.name} sent again", **shared)
    if leg.late_s is not None:
        late = leg.who & (leg.late_s > 0) & (leg.ready_s <= time_s)
        rows = np.flatnonzero(late)
        texts = [f"{INJECTED}upload of {leg.name} late by {s:.1f} s" for s in leg.late_s[rows]]
        shared |= {"device": rows, "detail": Coded(np.arange(len(rows)), texts)}
        trace.add("events", len(rows), time_s=leg.ready_s[rows], kind="fault", **shared)


def _spells(faults: Faults) -> Iterator[tuple[float, str, int, str]]:
    """Time, cluster (empty for a satellite), device and detail of everything known beforehand."""
    for name, spells in faults.outages.items():
        for begin_s, end_s in zip(spells.begin_s.tolist(), spells.end_s.tolist(), strict=True):
            yield begin_s, "", 0, f"satellite {name} out until {end_s:.3f} s"
    for name, presence in faults.churn.items():
        for k, away in enumerate(presence.away):
            for begin_s, end_s in zip(away.begin_s.tolist(), away.end_s.tolist(), strict=True):
                yield begin_s, name, k, f"away until {end_s:.3f} s"
    first = faults.at(0.0)
    yield from _slow(first.slowdown, {}, 0.0)
    if faults is not first:
        yield from _slow(faults.slowdown, first.slowdown, faults.from_s)


def _slow(
    slowdown: Mapping[str, Floats], before: Mapping[str, Floats], from_s: float
) -> Iterator[tuple[float, str, int, str]]:
    """Devices that are slow from a time on, and were not so slow before."""
    for name, times in slowdown.items():
        new = (times > 1.0) & (times != before.get(name, np.ones_like(times)))
        for k in np.flatnonzero(new).tolist():
            yield from_s, name, k, f"{times[k]:g} times as slow"


def _row(trace: Trace, time_s: float, detail: str, **columns: Any) -> None:
    trace.add("events", time_s=time_s, kind="fault", detail=INJECTED + detail, **columns)
