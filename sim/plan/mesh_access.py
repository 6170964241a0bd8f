"""Sessions of devices on the ground whose satellites reach the server over links between them.

The server is one of the satellites, or the stations, which satellites reach over feeder links.

Passes are served as without links. One is a session where what it brings is at the server no
later than what any later pass brings: a satellite may be linked to the server while it is over a
cluster, or carry a message to where a link opens.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from heapq import heappop, heappush
from math import inf

import numpy as np

from learning.requests.cluster import Floats, Ints
from sim.errors import InputError
from sim.facts.directions import Way
from sim.plan.contact_columns import ContactColumns, PlannedSessions
from sim.plan.feeder import FeederPlan, with_ground
from sim.plan.isl import IslPlan
from sim.plan.mesh_sessions import Windows, windows_of_each
from statements import Code, Other, Raise, Remedy, Statement


class AccessSessions(PlannedSessions):
    """Sessions of one pass each, of satellites that have links to the ``server``, or are it.

    A link carries ``link_bps`` at least. The ``server`` is "" where stations are it.
    """

    def __init__(
        self, contacts: ContactColumns, numbers: Ints, server: str, link_bps: float
    ) -> None:
        super().__init__(contacts, numbers)
        self._server = server
        self._link_bps = link_bps

    def carried_bits(self, place: int, way: Way, from_s: float) -> Floats | float:
        """Return what the pass of a session carries, and a link of its satellite while it lasts.

        That is for each device (K,) if it were alone.
        """
        bits = super().carried_bits(place, way, from_s)
        if self.contact(place).satellite == self._server:
            return bits
        return np.minimum(bits, self._link_bps * max(self.end_s(place) - from_s, 0.0))


def access_sessions(
    contacts: ContactColumns,
    isls: IslPlan,
    server: str,
    feeder: FeederPlan | None,
    remedies: Sequence[Remedy],
) -> dict[str, AccessSessions]:
    """Return the sessions of each cluster, by name, with a ``server`` that is a satellite.

    With the passes of a ``feeder`` stations are the server. Raises InputError for a cluster from
    which nothing ever arrives; ``remedies`` say what lets more satellites have links.
    """
    arrival_s = _arrivals_s(contacts, isls, server, feeder)
    link_bps = isls.least_bps if feeder is None else min(isls.least_bps, feeder.rate_bps)
    found: dict[str, AccessSessions] = {}
    for cluster in contacts.clusters:
        numbers = contacts.services(cluster.name)
        there_s = arrival_s[numbers]
        # Of each pass, when what goes with any later one is there at the earliest.
        later_s = np.minimum.accumulate(np.append(there_s[1:], inf)[::-1])[::-1]
        numbers = numbers[np.isfinite(there_s) & (there_s <= later_s)]
        if not len(numbers):
            whom = repr(server)
            cures: list[Remedy] = [*remedies]
            if feeder is not None:
                whom = "a station"
                cures += [Other(said="lower the masks of stations"), Raise("ground.antennas")]
            raise InputError(
                Statement.of(
                    Code.NEVER_REACHED,
                    "link.isl.route",
                    "what {client!r} sends never reaches {server}, by no passes and links",
                    *cures,
                    client=cluster.name,
                    server=whom,
                )
            )
        found[cluster.name] = AccessSessions(contacts, numbers, server, link_bps)
    return found


def _arrivals_s(
    contacts: ContactColumns, isls: IslPlan, server: str, feeder: FeederPlan | None
) -> Floats:
    """Return for each contact (N,) when what is sent as it begins is at the server; inf for never.

    Links of the search take no time, as far as they are open.
    """
    number_of = {name: number for number, name in enumerate(isls.names)}
    flying = [number_of[name] for name, _ in contacts.satellites]
    windows = windows_of_each(isls)
    if feeder is None:
        target = number_of[server]
    else:
        target = len(windows)
        windows = with_ground(windows, feeder)
    arrival_s: Floats = np.full(len(contacts), inf)
    for number in np.flatnonzero(contacts.served).tolist():
        satellite = flying[contacts.satellite[number]]
        start_s = float(contacts.start_s[number])
        arrival_s[number] = _arrival_s(windows, satellite, target, start_s)
    return arrival_s


def _arrival_s(windows: Sequence[Windows], source: int, target: int, from_s: float) -> float:
    """Return when a message is at a satellite that is at another from a time on; inf for never."""
    reached: set[int] = set()
    ahead = [(from_s, source)]
    while ahead:
        time_s, node = heappop(ahead)
        if node == target:
            return time_s
        if node in reached:
            continue
        reached.add(node)
        for other, (starts_s, ends_s) in windows[node].items():
            window = bisect_right(ends_s, time_s)
            if other not in reached and window < len(ends_s):
                heappush(ahead, (max(starts_s[window], time_s), other))
    return inf
