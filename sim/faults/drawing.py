"""What a scenario's ``faults:`` come to in one run: drawn before it begins, or as it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from learning import stream
from learning.requests.cluster import Cluster, Floats
from sim.faults.presence import Presence
from sim.faults.spells import NO_SPELLS, Spells, drawn_spells

if TYPE_CHECKING:
    from scenarios import Scenario
    from scenarios.faults import Packets, Uploads


@dataclass(frozen=True)
class Before:
    """What held until a fork: another scenario's faults, up to ``at_s``."""

    scenario: Scenario
    at_s: float


@dataclass(frozen=True, eq=False)
class Faults:
    """The faults of one run.

    ``outages`` of satellites by name, ``churn`` and ``slowdown`` (K,) of devices by cluster: of
    those alone to whom it happens. ``packets`` and ``uploads`` say what holds for legs planned from
    ``from_s`` on, ``before`` what held until then.
    """

    seed: int
    outages: Mapping[str, Spells]
    churn: Mapping[str, Presence]
    slowdown: Mapping[str, Floats]
    packets: Packets | None = None
    uploads: Uploads | None = None
    from_s: float = 0.0
    before: Faults | None = None

    def at(self, time_s: float) -> Faults:
        """Return what holds at a time: this, or what held before a fork."""
        return self.before if self.before is not None and time_s < self.from_s else self


def faults_of(
    scenario: Scenario,
    clusters: Sequence[Cluster],
    satellites: Sequence[str],
    span_s: float,
    before: Before | None = None,
) -> Faults | None:
    """Return the faults of a run over ``span_s``; None where nothing can fail.

    With ``before``, what that scenario says holds until its ``at_s``, and from then on this one:
    the intervals of both are cut there and put together.
    """
    past = None
    if before is not None:
        past = faults_of(before.scenario, clusters, satellites, span_s)
    if past is None and not _said(scenario):
        return None
    said, seed = scenario.faults, scenario.seed
    out = zip(satellites, outages_of(scenario, satellites, span_s, before), strict=True)
    away = {c.name: _away(scenario, c, span_s, before) for c in clusters}
    return Faults(
        seed,
        {name: spells for name, spells in out if len(spells.begin_s)},
        {name: Presence(each) for name, each in away.items() if any(len(s.begin_s) for s in each)},
        slowdown_of(scenario, clusters),
        said.packets,
        said.uploads,
        0.0 if before is None else before.at_s,
        past or (None if before is None else Faults(seed, {}, {}, {})),
    )


def outages_of(
    scenario: Scenario, satellites: Sequence[str], span_s: float, before: Before | None = None
) -> list[Spells]:
    """Return when each satellite is out, cut and put together at ``before`` as by `faults_of`."""
    said, seed = scenario.faults.outages, scenario.seed
    found = [NO_SPELLS] * len(satellites)
    if said is not None:
        means_s = 86_400.0 / said.per_day, said.mean_hours * 3600.0
        streams = (stream(seed, "outage", name) for name in satellites)
        found = [drawn_spells(draws, *means_s, span_s) for draws in streams]
    if before is None:
        return found
    return _spliced(outages_of(before.scenario, satellites, span_s), found, before.at_s)


def slowdown_of(scenario: Scenario, clusters: Sequence[Cluster]) -> dict[str, Floats]:
    """Return how many times as long the devices (K,) compute, of clusters with slow ones."""
    said = scenario.faults.stragglers
    if said is None:
        return {}
    drawn = {c.name: stream(scenario.seed, "straggler", c.name).random(c.devices) for c in clusters}
    slow = {name: np.where(luck < said.share, said.slowdown, 1.0) for name, luck in drawn.items()}
    return {name: times for name, times in slow.items() if (times > 1.0).any()}


def _said(scenario: Scenario) -> bool:
    """Whether the scenario names any kind of fault."""
    return any(getattr(scenario.faults, kind) for kind in type(scenario.faults).model_fields)


def _away(
    scenario: Scenario, cluster: Cluster, span_s: float, before: Before | None
) -> list[Spells]:
    """When each device of a cluster is away."""
    said, found = scenario.faults.churn, [NO_SPELLS] * cluster.devices
    if said is not None:
        means_s = said.mean_present_hours * 3600.0, said.mean_away_hours * 3600.0
        each = (stream(scenario.seed, "churn", cluster.name, k) for k in range(cluster.devices))
        found = [drawn_spells(draws, *means_s, span_s) for draws in each]
    if before is None:
        return found
    return _spliced(_away(before.scenario, cluster, span_s, None), found, before.at_s)


def _spliced(early: Sequence[Spells], late: Sequence[Spells], at_s: float) -> list[Spells]:
    pairs = zip(early, late, strict=True)
    return [a.between(0.0, at_s).then(b.between(at_s, np.inf)) for a, b in pairs]
