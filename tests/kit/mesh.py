"""What tests of a mesh share: random windows, a script that asks, and the earliest path."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import networkx  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
from sgp4.api import jday

import learning
import scenarios
import sim
from learning.methods.surface import Traits
from tests.kit.inner import learning as seam
from tests.kit.inner.sim import Plan
from tests.kit.scripted import Scripted, play

NAMES = [f"P{plane:02}-S01" for plane in range(1, 7)]

CITIES = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.25}
roles: {server: "satellite:P03-S01", clients: devices}
orbit:
  {source: walker, pattern: star, satellites: 6, planes: 6, phasing: 1, altitude_km: 700,
   inclination_deg: 86, propagation: secular_j2, min_elevation_deg: 0}
ground:
  clusters:
    - {name: Tromso, latitude_deg: 69.65, longitude_deg: 18.95}
    - {name: Alert, latitude_deg: 82.5, longitude_deg: -62.3}
link:
  uplink: {rate: fixed, fixed_rate_mbps: 1000, bandwidth_mhz: 500, total_bandwidth_mhz: 500}
  downlink: {rate: fixed, fixed_rate_mbps: 1000}
  isl: {between_planes: all, rate_mbps: 1000, route: earliest}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedavg, model: {kind: vector-mlp}}
"""
"""Devices whose server is a satellite of a mesh."""
GATEWAYS = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.25}
roles: {server: stations, clients: devices}
orbit:
  {source: walker, pattern: star, satellites: 6, planes: 6, phasing: 1, altitude_km: 700,
   inclination_deg: 86, propagation: secular_j2, min_elevation_deg: 0}
ground:
  clusters:
    - {name: Tromso, latitude_deg: 69.65, longitude_deg: 18.95}
    - {name: Alert, latitude_deg: 82.5, longitude_deg: -62.3}
  stations:
    - {name: Troll, latitude_deg: -72.0, longitude_deg: 2.5, min_elevation_deg: 10}
    - {name: Punta Arenas, latitude_deg: -53.2, longitude_deg: -70.9}
link:
  uplink: {rate: fixed, fixed_rate_mbps: 1000, bandwidth_mhz: 500, total_bandwidth_mhz: 500}
  downlink: {rate: fixed, fixed_rate_mbps: 1000}
  isl: {between_planes: all, rate_mbps: 1000, route: earliest}
  feeder: {rate_mbps: 500}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedavg, model: {kind: vector-mlp}}
"""
"""Devices whose updates come down to stations over a mesh."""

Asked = tuple[str, float, bool]
"""Who asks, when, and whether for an upload: else for a download."""
Replied = tuple[str, float, bool, Any]
"""What was asked, with the receipt."""


@learning.register("asking")
class Asking(Scripted):
    """A script that asks for uploads and downloads only."""

    traits: ClassVar[Traits] = replace(Scripted.traits, uses_isl=())


WINDOWS = "link.isl.windows"
"""Key of the windows of links; a scenario that is written gets their text in its place."""


def written(folder: Path, text: str, keys: Mapping[str, Any] | None = None) -> scenarios.Scenario:
    """Return a scenario that is written to a folder, with the file of windows beside it."""
    path = folder / "mesh.yaml"
    path.write_text(text)
    given = dict(keys or {})
    if WINDOWS in given:
        (folder / "windows.csv").write_text(given[WINDOWS])
        given |= {WINDOWS: "windows.csv", "link.isl.grazing_km": 80}
    return scenarios.load(path, given)


def windows_text(
    rows: Sequence[tuple[int, int, int, int]],
    names: Sequence[str] = NAMES,
    start: str = "2024-04-14T16:00:00Z",
) -> str:
    """Windows of pairs of satellites by number, from a minute to another."""

    def utc(minute: int) -> str:
        return (pd.Timestamp(start) + pd.Timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")

    lines = [f"{names[a]},{names[b]},{utc(begin)},{utc(end)}" for a, b, begin, end in rows]
    return "\n".join(["a,b,start_utc,end_utc", *lines]) + "\n"


def drawn_windows(rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Windows of whole minutes that do not overlap, of random pairs of the six satellites."""
    rows: list[tuple[int, int, int, int]] = []
    for a in range(6):
        for b in range(a + 1, 6):
            edges = np.sort(rng.choice(350, 2 * int(rng.integers(0, 4)), replace=False))
            rows += [(a, b, int(p), int(q)) for p, q in zip(edges[::2], edges[1::2], strict=True)]
    return rows[:40] or [(0, 1, 5, 9)]


LONGEST_WAY_S = 0.25
"""Longer than light takes over any way between six satellites at 700 km."""


def earliest(
    plan: Plan, source: str, target: str, ready_s: float, *, early_s: float = 0.0
) -> float | None:
    """First time at the target over links of no length and infinite rate: time-expanded graph.

    All links and passes end ``early_s`` before their time.
    """
    if source == target:
        return ready_s
    assert plan.isls is not None
    contacts = plan.contacts
    edges = [
        (plan.isls.names[a], plan.isls.names[b], start_s, end_s)
        for a, b, start_s, end_s in zip(
            plan.isls.a, plan.isls.b, plan.isls.start_s, plan.isls.end_s, strict=True
        )
    ]
    fly = plan.topology.over_mesh
    ends = {source, target}
    for c in contacts:
        if c.served and (fly or c.cluster.name in ends):  # a cluster passes nothing on
            beyond = "" if fly else c.satellite
            edges.append((c.cluster.name, beyond, c.start_s, c.end_s))
    feeder = plan.feeder
    if feeder is not None:  # the stations are one server
        edges += [
            (feeder.ends(n)[0], "", feeder.start_s[n], feeder.end_s[n]) for n in range(len(feeder))
        ]
    times = sorted({ready_s, *(start_s for _, _, start_s, _ in edges if start_s > ready_s)})
    graph = networkx.DiGraph()
    for node in {*plan.isls.names, "", *ends}:
        graph.add_edges_from(((node, one), (node, two)) for one, two in itertools.pairwise(times))
    for a, b, start_s, end_s in edges:
        for time_s in times:
            if start_s <= time_s < end_s - early_s:
                graph.add_edge((a, time_s), (b, time_s))
                graph.add_edge((b, time_s), (a, time_s))
    reached = (
        networkx.descendants(graph, (source, ready_s)) if graph.has_node((source, ready_s)) else ()
    )
    return min((t for node, t in reached if node == target), default=None)


def ask(
    scenario: scenarios.Scenario, asked: Sequence[Asked], *, in_contacts: bool = False
) -> tuple[list[Replied], sim.Result]:
    """Let clients send and get a byte at times (by name, in order); return all replies.

    With ``in_contacts``, each in the contact that is open then, or the next one, if there is any.
    """
    replies: list[Replied] = []

    def script(me: seam.Cluster) -> Generator[Any, Any, None]:
        for name, at_s, upload in asked:
            if name != me.name:
                continue
            yield seam.Wait(at_s)
            if in_contacts:
                contact = yield seam.NextContact(fresh=False)
                if contact is None:
                    return
                at_s = contact.start_s
            payload = seam.Payload(f"at {at_s:.0f}", 1.0)
            request = seam.Upload(payload) if upload else seam.Download(payload)
            replies.append((name, at_s, upload, (yield request)))

    return replies, play(scenario, script)


def drawn_asks(
    rng: np.random.Generator,
    names: Sequence[str],
    asks: int = 12,
    until_s: float = 20_000.0,
    ends_s: Sequence[float] = (),
) -> list[Asked]:
    """What clients ask for at random times, in order.

    A third of the times are so shortly before one of ``ends_s``, if there are any, that a way over
    what ends then may take too long.
    """
    drawn = []
    for _ in range(asks):
        name = names[int(rng.integers(len(names)))]
        at_s = float(rng.uniform(0, until_s))
        if ends_s and rng.random() < 1 / 3:
            at_s = float(rng.choice(ends_s) - rng.uniform(0, LONGEST_WAY_S))
        drawn.append((name, at_s, bool(rng.integers(2))))
    return sorted(drawn, key=lambda one: one[1])


def compare_with_earliest(plan: Plan, replies: Sequence[Replied]) -> int:
    """Hold the times of replies against the earliest paths; return how many never arrive.

    No message is there sooner than over links of no length. If these end so early that light has
    still time for all of a way, none is there later than over them and the time of light.
    """
    never = 0
    ready_s: dict[str, float] = {}
    for name, at_s, upload, receipt in sorted(replies, key=lambda one: one[1]):
        # One that is still on its way holds up the next of its client: it asks later.
        begin_s = max(at_s, ready_s.get(name, 0.0))
        first, last = (name, plan.server) if upload else (plan.server, name)
        soonest_s = earliest(plan, first, last, begin_s)
        surely_s = earliest(plan, first, last, begin_s, early_s=LONGEST_WAY_S)
        if not receipt.done[0]:
            never += 1
            assert surely_s is None and receipt.reason == "no route before the end"
            continue
        there_s = float(receipt.end_s[0])
        assert soonest_s is not None and soonest_s <= there_s
        assert surely_s is None or there_s <= surely_s + LONGEST_WAY_S
        ready_s[name] = there_s
    return never


def same_as_direct(mesh: sim.Result, direct: sim.Result) -> None:
    """Hold the transfers and rounds over a mesh without links against those without a mesh."""
    columns = ["cluster", "device", "direction", "payload", "version", "delivered_bytes", "outcome"]
    order = ["start_s", "cluster", "device"]
    ours, theirs = (run.transfers.sort_values(order) for run in (mesh, direct))
    assert len(theirs) > 10
    assert ours[columns].values.tolist() == theirs[columns].values.tolist()
    np.testing.assert_allclose(ours[["start_s", "end_s"]], theirs[["start_s", "end_s"]], atol=1e-9)
    both = [run.events[run.events.kind == "aggregate"] for run in (mesh, direct)]
    np.testing.assert_allclose(both[0].time_s, both[1].time_s, atol=1e-9)
    assert len(both[0])


def ranges_m(satellites: Sequence[Any]) -> Callable[..., Any]:
    """Return the distance of two satellites, by name, at a time (s), by the elements of each."""
    flying = {satellite.name: satellite.model for satellite in satellites}
    day, fraction = jday(2024, 4, 14, 16, 0, 0)

    def range_m(time_s: float, *names: str) -> Any:
        when = np.array([day]), np.array([fraction + time_s / 86_400])
        ends = (flying[name].sgp4_array(*when)[1] for name in names)
        return 1e3 * np.linalg.norm(np.subtract(*ends))

    return range_m
