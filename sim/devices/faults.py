"""Faults of a run: outages, churn, stragglers; presence of devices in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from learning import stream
from learning.requests.cluster import Cluster
from scenarios.faults import Packets, Uploads
from sim.devices.outages import Intervals, Outages, drawn_spells
from sim.world.world import World
from statements.arrays import Floats, Ints, Mask


class Presence:
    """K devices that are away during their spells; all in closed form, without a step of time.

    Times may be inf, for a device that is never ready: results for it have no meaning.
    """

    def __init__(self, away: Sequence[Intervals]) -> None:
        self.away = tuple(away)
        most = max((len(spells.begin_s) for spells in away), default=0)
        shape = len(self.away), most + 1
        self._begin_s = np.full(shape, np.inf)
        self._end_s = np.full(shape, np.inf)
        self._lost_s = np.zeros(shape)
        for k, spells in enumerate(self.away):
            count = len(spells.begin_s)
            self._begin_s[k, :count] = spells.begin_s
            self._end_s[k, :count] = spells.end_s
            self._lost_s[k, 1 : count + 1] = np.cumsum(spells.end_s - spells.begin_s)
            self._lost_s[k, count + 1 :] = self._lost_s[k, count]
        self._rows = np.arange(len(self.away))

    def present(self, time_s: Floats) -> Mask:
        """Which devices (K,) are there at their times (K,)."""
        begun = self._begun(time_s)
        return (begun == 0) | (time_s >= self._end_of(begun))

    def leaves_s(self, time_s: Floats) -> Floats:
        """When each device (K,) that is there leaves next; inf for never."""
        return self._begin_s[self._rows, self._begun(time_s)]

    def returns_s(self, time_s: Floats) -> Floats:
        """The times (K,) themselves, or when the devices return that are away then."""
        return np.where(self.present(time_s), time_s, self._end_of(self._begun(time_s)))

    def present_s(self, from_s: Floats, to_s: Floats) -> Floats:
        """Seconds (K,) that the devices are there between two times; 0 where they are reversed."""
        lost_s = self._lost_by_s(to_s) - self._lost_by_s(from_s)
        return np.maximum(to_s - from_s - lost_s, 0.0)

    def after_s(self, from_s: Floats, work_s: Floats) -> Floats:
        """When the devices (K,) have been there for ``work_s`` (K,) since ``from_s``: the first
        such time."""
        worked_s = from_s - self._lost_by_s(from_s) + work_s
        # Time present by each leaving, which those who have worked longer have seen.
        by_leaving_s = np.where(np.isfinite(self._begin_s), self._begin_s - self._lost_s, np.inf)
        seen = np.count_nonzero(by_leaving_s < worked_s[:, None], axis=1)
        return np.maximum(worked_s + self._lost_s[self._rows, seen], from_s)

    def _begun(self, time_s: Floats) -> Ints:
        """How many spells (K,) have begun by the times; of a device that is never ready, none."""
        begun = self._begin_s[:, :-1] <= np.where(np.isfinite(time_s), time_s, -1.0)[:, None]
        return np.count_nonzero(begun, axis=1)

    def _end_of(self, begun: Ints) -> Floats:
        """When the last of so many spells ends (K,)."""
        return self._end_s[self._rows, np.maximum(begun - 1, 0)]

    def _lost_by_s(self, time_s: Floats) -> Floats:
        """Seconds (K,) that the devices have been away by the times."""
        begun = self._begun(time_s)
        rest_s = np.maximum(self._end_of(begun) - time_s, 0.0)
        lost_s = self._lost_s[self._rows, begun] - rest_s
        return np.where(begun > 0, lost_s, 0.0)


@dataclass(frozen=True, eq=False)
class Faults:
    """The faults of one run.

    ``outages`` by name, ``churn`` and ``slowdown`` (K,) of devices by cluster: of those alone to
    whom it happens. ``packets`` and ``uploads`` say what fails on links.
    """

    seed: int
    outages: Outages
    churn: Mapping[str, Presence]
    slowdown: Mapping[str, Floats]
    packets: Packets | None = None
    uploads: Uploads | None = None


def faults_of(
    world: World, clusters: Sequence[Cluster], outages: Outages, span_s: float
) -> Faults | None:
    """Return the faults of a run over ``span_s``; None where nothing can fail.

    ``outages`` are those of :func:`sim.devices.outages.outages_of`.
    """
    kinds = type(world.faults).model_fields
    if not any(getattr(world.faults, kind) for kind in kinds):
        return None
    seed = world.seed
    names = {c.name: [("churn", c.name, k) for k in range(c.devices)] for c in clusters}
    away = {c: drawn_spells("churn", world, each, span_s) for c, each in names.items()}
    return Faults(
        seed=seed,
        outages=outages,
        churn={
            name: Presence(each) for name, each in away.items() if any(len(s.begin_s) for s in each)
        },
        slowdown=slowdown_of(world, clusters),
        packets=world.faults.packets,
        uploads=world.faults.uploads,
    )


def slowdown_of(world: World, clusters: Sequence[Cluster]) -> dict[str, Floats]:
    """Return the factors (K,) by which devices compute slower, for clusters with slow ones."""
    stragglers = world.faults.stragglers
    if stragglers is None:
        return {}
    drawn = {c.name: stream(world.seed, "straggler", c.name).random(c.devices) for c in clusters}
    slow = {
        name: np.where(draw < stragglers.share, stragglers.slowdown, 1.0)
        for name, draw in drawn.items()
    }
    return {name: times for name, times in slow.items() if (times > 1.0).any()}
