"""What tests of a mesh share: random windows, a script that asks, and the earliest path."""

import itertools

import networkx
import numpy as np
import pandas as pd
import pytest

import learning
import sim
from tests.kit import learning as seam
from tests.kit.scripted import Scripted, nothing

HEADER = "a,b,start_utc,end_utc"
NAMES = [f"P{plane:02}-S01" for plane in range(1, 7)]


@learning.register("asking")
class Asking(Scripted):
    """A script that asks for uploads and downloads only."""

    uses_isl = ()
    script = staticmethod(nothing)


def windows_text(rows):
    """Windows of pairs of satellites by number, from a minute to another."""
    start = pd.Timestamp("2024-04-14T16:00:00Z")

    def utc(minute):
        return (start + pd.Timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")

    lines = [f"{NAMES[a]},{NAMES[b]},{utc(begin)},{utc(end)}" for a, b, begin, end in rows]
    return "\n".join([HEADER, *lines]) + "\n"


def drawn_windows(rng, most=40):
    """Windows of whole minutes that do not overlap, of random pairs of the six satellites."""
    rows = []
    for a in range(6):
        for b in range(a + 1, 6):
            edges = np.sort(rng.choice(350, 2 * int(rng.integers(0, 4)), replace=False))
            rows += [(a, b, int(p), int(q)) for p, q in zip(edges[::2], edges[1::2], strict=True)]
    return rows[:most] or [(0, 1, 5, 9)]


def earliest(plan, source, target, ready_s):
    """First time at the target over links of no length and infinite rate: time-expanded graph."""
    contacts = plan.contacts
    edges = [
        (plan.isls.names[a], plan.isls.names[b], start_s, end_s)
        for a, b, start_s, end_s in zip(
            plan.isls.a, plan.isls.b, plan.isls.start_s, plan.isls.end_s, strict=True
        )
    ]
    fly = plan.topology.clients_fly
    ends = {source, target}
    for c in contacts:
        if c.served and (fly or c.cluster.name in ends):  # a cluster passes nothing on
            beyond = "" if fly else c.satellite
            edges.append((c.cluster.name, beyond, c.start_s, c.end_s))
    times = sorted({ready_s, *(start_s for _, _, start_s, _ in edges if start_s > ready_s)})
    graph = networkx.DiGraph()
    for node in {*plan.isls.names, "", *ends}:
        graph.add_edges_from(((node, one), (node, two)) for one, two in itertools.pairwise(times))
    for a, b, start_s, end_s in edges:
        for time_s in times:
            if start_s <= time_s < end_s:
                graph.add_edge((a, time_s), (b, time_s))
                graph.add_edge((b, time_s), (a, time_s))
    reached = (
        networkx.descendants(graph, (source, ready_s)) if graph.has_node((source, ready_s)) else ()
    )
    return min((t for node, t in reached if node == target), default=None)


def ask(scenario, asked):
    """Let clients send and get a byte at times (by name, in order); return all replies."""
    replies = []

    def script(me):
        for name, at_s, upload in asked:
            if name != me.name:
                continue
            yield seam.Wait(at_s)
            payload = seam.Payload(f"at {at_s:.0f}", 1.0)
            request = seam.Upload(payload) if upload else seam.Download(payload)
            replies.append((name, at_s, upload, (yield request)))

    Asking.script = staticmethod(script)
    try:
        return replies, sim.run(scenario)
    finally:
        Asking.script = staticmethod(nothing)


def drawn_asks(rng, names, asks=12):
    """Who asks, when, and whether for an upload: in order of time."""
    drawn = (
        (names[rng.integers(len(names))], float(rng.uniform(0, 20_000)), bool(rng.integers(2)))
        for _ in range(asks)
    )
    return sorted(drawn, key=lambda one: one[1])


def compare_with_earliest(plan, replies):
    """Hold the times of replies against the earliest paths; return how many never arrive."""
    never = 0
    ready_s = {}
    for name, at_s, upload, receipt in sorted(replies, key=lambda one: one[1]):
        # One that is still on its way holds up the next of its client: it asks later.
        begin_s = max(at_s, ready_s.get(name, 0.0))
        ends = (name, plan.server) if upload else (plan.server, name)
        truth = earliest(plan, *ends, begin_s)
        if truth is None:
            never += 1
            assert not receipt.done[0] and receipt.reason == "no route before the end"
            continue
        assert receipt.end_s[0] == pytest.approx(truth, abs=0.25)
        ready_s[name] = float(receipt.end_s[0])
    return never
