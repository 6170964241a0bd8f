"""Random faults: outages, churn, stragglers; presence of devices in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from learning import stream
from learning.requests.cluster import Cluster, Floats, Ints, Mask
from scenarios.faults import Packets, Uploads
from sim.world.world import World


@dataclass(frozen=True, eq=False)
class Intervals:
    """Spans (N,) in seconds, in order of time and apart; a span holds its begin and not its end."""

    begin_s: Floats
    end_s: Floats

    def between(self, from_s: float, to_s: float) -> Intervals:
        """Return the parts of the spells that lie between two times."""
        begin_s = np.maximum(self.begin_s, from_s)
        end_s = np.minimum(self.end_s, to_s)
        left = end_s > begin_s
        return Intervals(begin_s[left], end_s[left])

    def then(self, later: Intervals) -> Intervals:
        """Return these and later ones; two that touch become one."""
        if len(self.end_s) and len(later.begin_s) and self.end_s[-1] == later.begin_s[0]:
            begin_s = np.concatenate([self.begin_s, later.begin_s[1:]])
            return Intervals(begin_s, np.concatenate([self.end_s[:-1], later.end_s]))
        return Intervals(
            np.concatenate([self.begin_s, later.begin_s]), np.concatenate([self.end_s, later.end_s])
        )


NO_INTERVALS = Intervals(np.zeros(0), np.zeros(0))


def drawn_intervals(
    draws: np.random.Generator, apart_s: float, lasting_s: float, until_s: float
) -> Intervals:
    """Draw the spells of an alternating exponential process up to ``until_s``.

    ``apart_s`` is the mean time from the end of one to the begin of the next, ``lasting_s`` the
    mean of how long one lasts. The process is in its steady state at 0: a spell goes on then with
    probability ``lasting_s / (apart_s + lasting_s)``. A longer run begins with the same spells, and
    other means only stretch the same draws.
    """
    means = np.array([apart_s, lasting_s])
    inside = int(draws.random() < lasting_s / means.sum())
    edges = [np.zeros(inside)]
    last_s = 0.0
    while last_s <= until_s:
        # Always pairs, so that each block begins as the first one did.
        pairs = 8 + int(min((until_s - last_s) / means.sum(), 100_000.0))
        steps = draws.standard_exponential(2 * pairs) * np.tile(np.roll(means, -inside), pairs)
        # From one to the next, so that it does not matter how many are drawn at a time.
        times = np.cumsum(np.append(last_s, steps))[1:]
        edges.append(times)
        last_s = float(times[-1])
    times = np.concatenate(edges)
    begin_s, end_s = times[: len(times) // 2 * 2].reshape(-1, 2).T
    return Intervals(begin_s, end_s).between(0.0, until_s)


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


@dataclass(frozen=True)
class FaultsUntilFork:
    """What held until a fork: another scenario's faults, up to ``at_s``."""

    world: World
    at_s: float


@dataclass(frozen=True, eq=False)
class Faults:
    """The faults of one run.

    ``outages`` of satellites by name, ``churn`` and ``slowdown`` (K,) of devices by cluster: of
    those alone to whom it happens. ``packets`` and ``uploads`` say what holds for legs planned from
    ``from_s`` on, ``before`` what held until then.
    """

    seed: int
    outages: Mapping[str, Intervals]
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
    world: World,
    clusters: Sequence[Cluster],
    outages: Mapping[str, Intervals],
    span_s: float,
    before: FaultsUntilFork | None = None,
) -> Faults | None:
    """Return the faults of a run over ``span_s``; None where nothing can fail.

    ``outages`` are those of each satellite, by :func:`outages_of`. With ``before``, what that
    scenario says holds until its ``at_s``, and from then on this one: the intervals of both are cut
    there and put together.
    """
    past = None
    if before is not None:
        past = faults_of(before.world, clusters, {}, span_s)
    kinds = type(world.faults).model_fields
    if past is None and not any(getattr(world.faults, kind) for kind in kinds):
        return None
    seed = world.seed
    names = {c.name: [("churn", c.name, k) for k in range(c.devices)] for c in clusters}
    away = {c: _drawn("churn", world, each, span_s, before) for c, each in names.items()}
    return Faults(
        seed=seed,
        outages={name: spells for name, spells in outages.items() if len(spells.begin_s)},
        churn={
            name: Presence(each) for name, each in away.items() if any(len(s.begin_s) for s in each)
        },
        slowdown=slowdown_of(world, clusters),
        packets=world.faults.packets,
        uploads=world.faults.uploads,
        from_s=0.0 if before is None else before.at_s,
        before=past or (None if before is None else Faults(seed, {}, {}, {})),
    )


def outages_of(
    world: World,
    satellites: Sequence[str],
    span_s: float,
    before: FaultsUntilFork | None = None,
) -> list[Intervals]:
    """Return when each satellite is out, cut and put together at ``before`` as by `faults_of`."""
    return _drawn("outages", world, [("outage", name) for name in satellites], span_s, before)


def _drawn(
    kind: str,
    world: World,
    names: Sequence[tuple[str | int, ...]],
    span_s: float,
    before: FaultsUntilFork | None,
) -> list[Intervals]:
    """Draw intervals from a stream for each name; until the fork those of ``before``."""
    intervals = [NO_INTERVALS] * len(names)
    rule = getattr(world.faults, kind)
    if rule is not None:
        means_s = (  # from the end of one to the begin of the next, and how long one lasts
            (86_400.0 / rule.per_day, rule.mean_hours * 3600.0)
            if kind == "outages"
            else (rule.mean_present_hours * 3600.0, rule.mean_away_hours * 3600.0)
        )
        intervals = [drawn_intervals(stream(world.seed, *name), *means_s, span_s) for name in names]
    if before is None:
        return intervals
    early = _drawn(kind, before.world, names, span_s, None)
    at_s = before.at_s
    pairs = zip(early, intervals, strict=True)
    return [a.between(0.0, at_s).then(b.between(at_s, np.inf)) for a, b in pairs]


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
