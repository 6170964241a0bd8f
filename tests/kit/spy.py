"""Who trained what and when, and what became of it: kept beside a run, outside of its method."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

import sim
from learning.clients import ClusterState
from learning.clients.cluster import NOT_HELD

After = Callable[[Any], None]
"""What looks at the answer of a call."""


class Spy:
    """Local rounds (K, E) of each cluster by what became of them, and the trainings of devices."""

    def __init__(self) -> None:
        self.sides: dict[str, ClusterState] = {}
        self.trainings: list[tuple[str, tuple[int, ...], int, float]] = []
        self.counts: dict[str, dict[str, np.ndarray]] = defaultdict(dict)

    @contextmanager
    def watching(self) -> Iterator[Spy]:
        """Let ``_name(side, *given)`` see each call of a cluster's side, and what it answers."""
        names = ("train", "offer", "forget", "deliver", "receive")
        with patch.multiple(ClusterState, **{name: self._seen(name) for name in names}):
            yield self

    def _seen(self, name: str) -> Any:
        call = getattr(ClusterState, name)
        look = getattr(self, f"_{name}")

        def method(side: ClusterState, *given: Any, **named: Any) -> Any:
            if self.sides.setdefault(side.name, side) is not side:  # a copy that goes ahead
                return call(side, *given, **named)
            after = look(side, *given)
            answer = call(side, *given, **named)
            after(answer)
            return answer

        return method

    def of(self, side: ClusterState, what: str) -> np.ndarray:
        return self.counts[side.name].setdefault(what, np.zeros_like(_experts(side)))

    def lost(self) -> int:
        """Rounds of all devices on all experts that the server never hears of."""
        return sum(int(counts.get("lost", np.zeros(1)).sum()) for counts in self.counts.values())

    def _train(self, side: ClusterState, work: Any, experts: Sequence[int], *rest: Any) -> After:
        trained = work.rounds[:, None] * _among(side, experts)

        def after(_: Any) -> None:
            self.of(side, "trained")[:] += trained
            for device in np.flatnonzero(work.rounds):
                self.trainings.append((side.name, tuple(experts), int(device), work.end_s[device]))

        return after

    def _offer(self, side: ClusterState, *rest: Any) -> After:
        return self._gone_to(side, "on its way")

    def _forget(self, side: ClusterState, *rest: Any) -> After:
        return self._gone_to(side, "lost")

    def _gone_to(self, side: ClusterState, what: str) -> After:
        before = _experts(side).copy()

        def after(_: Any) -> None:
            self.of(side, what)[:] += before - _experts(side)

        return after

    def _deliver(self, side: ClusterState, *rest: Any) -> After:
        pending = side.pending.copy()

        def after(done: Any) -> None:
            way = self.of(side, "on its way")
            self.of(side, "delivered")[done] += way[done]
            gone = pending & ~side.pending & ~done
            self.of(side, "lost")[gone] += way[gone]
            way[done | gone] = 0

        return after

    def _receive(self, side: ClusterState, *rest: Any) -> After:
        def after(_: Any) -> None:
            dropped = _experts(side)[side.changes_held == NOT_HELD]
            assert not dropped.any(), "a device drops an expert before it has sent what it trained"

        return after


def _experts(side: ClusterState) -> np.ndarray:
    """What is unsent of each expert (K, E); behind them is what is shared."""
    return side.unsent[:, :-1]


def _among(side: ClusterState, experts: Collection[int]) -> np.ndarray:
    return np.isin(np.arange(side.holds.shape[1]), list(experts))


def trainings(spy: Spy, result: sim.Result) -> Any:
    """Begin, end, cluster, device and expert of all, as the events table and the spy say."""
    events = result.events
    begin = {}
    starts, ends = (events[events.kind == kind] for kind in ("train_start", "train_end"))
    for (cluster, device), mine in ends.groupby(["cluster", "device"]):
        first_s = starts[(starts.cluster == cluster) & (starts.device == device)].time_s
        for begin_s, end_s in zip(np.sort(first_s), np.sort(mine.time_s), strict=True):
            begin[cluster, device, end_s] = begin_s
    return [
        (begin[cluster, device, end_s], end_s, cluster, device, expert)
        for cluster, experts, device, end_s in spy.trainings
        for expert in experts
    ]


def changes_of_hands(spy: Spy, result: sim.Result) -> int:
    """Return how often an expert went to another cluster; no two may train one at a time."""
    spans = defaultdict(list)
    for begin_s, end_s, cluster, _, expert in sorted(trainings(spy, result)):
        spans[expert].append((begin_s, end_s, cluster))
    changes = 0
    for mine in spans.values():
        latest_s = {cluster: -np.inf for _, _, cluster in mine}
        for begin_s, end_s, cluster in mine:
            others = [value for name, value in latest_s.items() if name != cluster]
            assert all(begin_s >= other_s - 1e-6 for other_s in others), "two train one expert"
            latest_s[cluster] = max(latest_s[cluster], end_s)
        changes += sum(one[2] != other[2] for one, other in itertools.pairwise(mine))
    return changes


def check_conserved(spy: Spy) -> None:
    """All rounds that were trained are delivered, lost, on their way, or not yet sent."""
    for name, side in spy.sides.items():
        counts = spy.counts[name]
        parts = [counts.get(what, 0) for what in ("delivered", "lost", "on its way")]
        assert np.array_equal(
            counts.get("trained", 0 * _experts(side)), sum(parts) + _experts(side)
        )


def owners(result: sim.Result) -> dict[int, str | None]:
    """Who owns each expert at the end; what an owner gives is taken by the next one."""
    rows = result.events[result.events.kind == "assign"]
    owner: dict[int, str | None] = {}
    for row in rows[rows.time_s == 0].itertuples():
        owner |= dict.fromkeys(numbers(row.detail), row.cluster)
    for row in rows.itertuples():
        verb, _, listed = row.detail.rpartition(" ")
        for expert in numbers(listed) if verb else ():
            assert owner[expert] == (row.cluster if verb == "gives" else None)
            owner[expert] = None if verb == "gives" else row.cluster
    return owner


def new_owners_that_trained(spy: Spy, result: sim.Result) -> int:
    """Return how often a device trained an expert that its cluster had taken.

    Before, a version has come down to it whole in which all of the expert was aggregated.
    """
    downs = result.transfers[result.transfers.direction == "downlink"]
    through = downs[downs.outcome == "delivered"]
    rows = result.events
    found = 0
    spans = trainings(spy, result)
    for row in rows[rows.detail.fillna("").str.startswith("takes")].itertuples():
        whole = through[(through.end_s >= row.time_s) & (through.version >= row.version)]
        taken = numbers(row.detail.removeprefix("takes "))
        for begin_s, _, cluster, device, expert in spans:
            if cluster == row.cluster and expert in taken and begin_s >= row.time_s - 1e-6:
                mine = whole[(whole.cluster == cluster) & (whole.device == device)]
                assert mine.end_s.min() <= begin_s + 1e-6, "trained before it came down"
                found += 1
    return found


def numbers(listed: str) -> list[int]:
    return [int(number) for number in listed.removeprefix("experts:").split(",") if number]
