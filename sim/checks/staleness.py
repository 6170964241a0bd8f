"""How old an update is when it is aggregated, from what its devices have downloaded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from learning.requests.cluster import Cluster, Download, Receipt, Train, Upload
from sim.checks.conservation import worst
from sim.errors import violated
from sim.facts.directions import Way
from sim.facts.learning import ModelAggregated
from sim.links.sharing import everywhere
from sim.network.legs import ChainEnded, MovedRows
from statements.arrays import Ints, Mask

STALENESS_COUNTED = "staleness counted from the version downloaded"

REMEMBERED = 32
"""Downloads of a cluster that are remembered. Of older versions a device could hold any."""
FOUND = -1
"""Stands for a version that need not be looked for any more."""
WAITING = 256
"""Versions of a cluster's uploads that may wait to be aggregated."""

Strange = dict[tuple[str, str], tuple[int, str]]


class _Held:
    """The last downloads of a cluster: which devices (R,) got which version (R,)."""

    def __init__(self, devices: int) -> None:
        self._devices = devices
        at_start = np.arange(devices), np.zeros(devices, np.int64)
        self._downloads: deque[tuple[Ints, Ints]] = deque([at_start], maxlen=REMEMBERED)

    def take(self, device: Ints, version: Ints) -> None:
        """Remember that devices (R,) have got a version (R,) each."""
        self._downloads.append((device, version))

    def lacks(self, device: Ints, version: Ints) -> Mask:
        """Return which devices (R,) had not downloaded a version (R,) that is remembered.

        A version older than all that are remembered of a device counts as downloaded.
        """
        wanted = np.full(self._devices, FOUND)
        wanted[device] = version
        oldest = np.full_like(wanted, np.iinfo(np.int64).max)
        for who, had in reversed(self._downloads):
            wanted[who] = np.where(wanted[who] == had, FOUND, wanted[who])
            oldest[who] = had
            if everywhere(wanted == FOUND):
                break
        return (wanted[device] != FOUND) & (version >= oldest[device])


class Versions:
    """What devices have downloaded and uploaded, and what is said of it when it is aggregated.

    Every device is given version 0 at the start. A method may number its payloads as it likes, and
    aggregate them when it likes. But where it states the staleness of what it aggregates
    (``Aggregated.staleness``), that many versions lie between the server's before and those that
    were uploaded, by the cluster of the row or else by all; and devices had downloaded these. What
    satellites have got of devices, and ``carry_on`` to the server, waits from when it is there.
    """

    def __init__(self, clusters: Sequence[Cluster], *, carry_on: bool = False) -> None:
        self._carry_on = carry_on
        self._held = {c.name: _Held(c.devices) for c in clusters}
        self._waiting: dict[str, set[int]] = {c.name: set() for c in clusters}
        self._uncounted: set[str] = set()
        self._strange: Strange = {}
        self._later: deque[tuple[int, Callable[[], None]]] = deque()
        self._seen = 0

    def moved(self, rows: MovedRows, before: int) -> None:
        """Remember what has come down, and what has come up in which version.

        So many transfers were looked at ``before``; what was written in between is looked at now.
        """
        first = rows.first.tolist()
        cut = set(rows.leg[~rows.delivered].tolist())
        for number, leg in enumerate(rows.legs):
            if self._later:
                self._catch_up(before + number)
            mine = slice(first[number], first[number + 1])
            device = rows.device[mine]
            version = rows.version[mine]
            if number in cut:
                through = rows.delivered[mine]
                device = device[through]
                version = version[through]
            held = self._held[leg.cluster]
            if leg.way is Way.TO_CLIENT:
                held.take(device, version)
                continue
            unknown = held.lacks(device, version)
            if np.count_nonzero(unknown):
                row = mine.start + int(np.flatnonzero(rows.delivered[mine])[worst(unknown)])
                found = int(rows.version[row])
                what = f"{rows.named(row)} is of version {found}"
                self._strange[leg.cluster, leg.payload] = found, what
            if not self._carry_on:
                self._wait(leg.cluster, version)
        self._catch_up(before + len(rows.legs))

    def _wait(self, cluster: str, version: Ints) -> None:
        """Remember in which versions uploads wait to be aggregated."""
        waiting = self._waiting[cluster]
        waiting.update(version.tolist())
        if len(waiting) > WAITING:
            self._uncounted.add(cluster)
            waiting.clear()

    def behind(self, transfers: int, look: Callable[[], None]) -> None:
        """Look at something when so many transfers have been looked at."""
        if not self._later and transfers <= self._seen:
            look()
        else:
            self._later.append((transfers, look))
            self._catch_up(self._seen)

    def _catch_up(self, transfers: int) -> None:
        self._seen = transfers
        while self._later and self._later[0][0] <= transfers:
            self._later.popleft()[1]()

    def settled(self, transfers: int, chain: ChainEnded) -> None:
        """Remember transfers of no bytes, which have no rows: nothing had changed.

        And uploads over the mesh, whose rows are hops, or those that satellites carry on. What has
        come down over the mesh is held against no row.
        """
        for step, reply in zip(chain.steps, chain.replies, strict=True):
            if isinstance(step, Train) or not isinstance(reply, Receipt):
                continue
            is_upload = isinstance(step, Upload)
            if chain.over_mesh and not is_upload:
                continue
            if chain.over_mesh or (self._carry_on and is_upload):
                without_rows = reply.done
            else:
                without_rows = _empty(step, reply)
            (device,) = without_rows.nonzero()
            if not len(device):
                continue
            versions = _of(step.payload.version, device)
            if is_upload:
                look = partial(self._wait, chain.cluster, versions)
            else:
                look = partial(self._held[chain.cluster].take, device, versions)
            self.behind(transfers, look)

    def aggregated(self, aggregated: ModelAggregated) -> None:
        """Hold what is said of an aggregation against what has been uploaded."""
        told = aggregated.told
        if told.staleness is None:
            return
        low, high = told.staleness
        own = aggregated.cluster
        names = list(self._waiting)
        if isinstance(own, str) and self._explains([own], told.version, low, high):
            names = [own]
        elif not self._explains(names, told.version, low, high):
            raise violated(STALENESS_COUNTED, self._contradiction(aggregated))
        own_payloads = {key: found for key, found in self._strange.items() if key[0] in names}
        for key, (uploaded, what) in own_payloads.items():
            del self._strange[key]
            if low <= told.version - 1 - uploaded <= high:
                raise violated(STALENESS_COUNTED, f"{what}, which the device has not downloaded")
        for name in names:
            self._waiting[name].clear()
        self._uncounted.difference_update(names)

    def _explains(self, clusters: Sequence[str], version: int, low: int, high: int) -> bool:
        """Whether uploads that wait are as old as is said: the youngest and the oldest."""
        if not self._uncounted.isdisjoint(clusters):  # too many to be remembered
            return True
        behind = {version - 1 - v for name in clusters for v in self._waiting[name]}
        return 0 <= low <= high and {low, high} <= behind

    def _contradiction(self, aggregated: ModelAggregated) -> str:
        own = aggregated.cluster
        uploaded = sorted(self._waiting[own] if isinstance(own, str) else set[int]())
        uploaded = uploaded or sorted(set().union(*self._waiting.values()))
        return (
            f"{own} aggregated {aggregated.text()!r} into version {aggregated.version} at "
            f"{aggregated.time_s:.3f} s, of uploads in versions {uploaded}"
        )


def _empty(step: Download | Upload, reply: Receipt) -> Mask:
    """Which transfers (K,) that are through had no bytes."""
    return reply.done & np.equal(step.payload.bytes, 0)


def _of(version: int | Ints, device: Ints) -> Ints:
    """Return the version of each of some devices (R,)."""
    if isinstance(version, np.ndarray) and version.ndim:
        return version[device]
    return np.full(len(device), version)
