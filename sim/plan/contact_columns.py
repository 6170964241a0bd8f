"""The contacts of a plan as columns, with an object of each on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from learning.requests.cluster import Cluster
from orbit.windows import groups
from sim.plan.contacts import PlannedContact
from sim.plan.link_source import LinkSource
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False, kw_only=True)
class ContactColumns:
    """Contacts by number: arrays (N,), and what ``contacts[number]`` makes of each.

    ``satellite`` and ``cluster`` are indices in ``satellites`` (name and NORAD number) and
    ``clusters``; the other columns are as in ``PlannedContact``, but for ``setup_s``: how long a
    beam or dish was made ready before ``start_s``, nan where it is not known. A contact is
    made when it is first asked for, and kept: of a constellation most are not served, and nobody
    asks for them. Where satellites or planes are clients, ``flying`` are indices in the ``fleet``,
    whose names contacts have as ``member``. ``link_source`` makes the links of each.
    """

    satellites: Sequence[tuple[str, int | None]]
    clusters: Sequence[Cluster]
    satellite: Ints
    cluster: Ints
    session: Ints
    rise_s: Floats
    culminate_s: Floats
    set_s: Floats
    max_elevation_deg: Floats
    min_slant_range_km: Floats
    served: Mask
    start_s: Floats
    end_s: Floats
    wait_from_s: Floats
    setup_s: Floats
    cut_by_stop: Mask
    link_source: LinkSource
    fleet: Sequence[str] = ()
    flying: Ints | None = None
    _made: dict[int, PlannedContact] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """The number of contacts."""
        return len(self.rise_s)

    def __getitem__(self, number: int) -> PlannedContact:
        """Return a contact, the same one each time."""
        made = self._made.get(number)
        if made is not None:
            return made
        number = range(len(self))[number]
        if number not in self._made:
            satellite, norad_id = self.satellites[self.satellite[number]]
            self._made[number] = PlannedContact(
                contact_id=number,
                session=int(self.session[number]),
                satellite=satellite,
                norad_id=norad_id,
                cluster=self.clusters[self.cluster[number]],
                rise_s=float(self.rise_s[number]),
                culminate_s=float(self.culminate_s[number]),
                set_s=float(self.set_s[number]),
                max_elevation_deg=float(self.max_elevation_deg[number]),
                min_slant_range_km=float(self.min_slant_range_km[number]),
                served=bool(self.served[number]),
                start_s=float(self.start_s[number]),
                end_s=float(self.end_s[number]),
                make=partial(self.link_source.links, number),
                wait_from_s=float(self.wait_from_s[number]),
                cut_by_stop=bool(self.cut_by_stop[number]),
                member="" if self.flying is None else self.fleet[self.flying[number]],
            )
        return self._made[number]

    def satellite_of(self, number: int) -> str:
        """Return the name of the satellite of a contact, without making it."""
        return self.satellites[self.satellite[number]][0]

    def ends(self, numbers: Ints) -> list[tuple[str, str]]:
        """Return who flies and who is seen from: names of the satellite and the place of contacts.

        A client that flies has the contact as its member.
        """
        servers = [self.satellites[n][0] for n in self.satellite[numbers].tolist()]
        clients = [self.clusters[n].name for n in self.cluster[numbers].tolist()]
        if self.flying is None:
            return list(zip(servers, clients, strict=True))
        members = [self.fleet[n] for n in self.flying[numbers].tolist()]
        return [
            (member, server) if member else (server, client)
            for member, server, client in zip(members, servers, clients, strict=True)
        ]

    def __iter__(self) -> Iterator[PlannedContact]:
        """All contacts in order."""
        return (self[number] for number in range(len(self)))

    @property
    def cut_short(self) -> Mask:
        """Where another cluster takes the beam over before the set."""
        return self.served & (self.end_s < self.set_s)

    @property
    def turned_away(self) -> Mask:
        """Where a cluster's next service begins as this one ends: it turns to another server."""
        order = np.lexsort((self.start_s, self.cluster))
        first = order[:-1]
        following = order[1:]
        same = self.cluster[first] == self.cluster[following]
        turned_away = np.zeros(len(order), bool)
        turned_away[first] = same & (self.end_s[first] == self.start_s[following])
        return turned_away

    def numbers(self, cluster: str) -> Ints:
        """Return the numbers of the contacts of a cluster."""
        return self._numbers.get(cluster, np.empty(0, np.int64))

    @cached_property
    def _numbers(self) -> dict[str, Ints]:
        names = [cluster.name for cluster in self.clusters]
        return dict(zip(names, groups(self.cluster, len(names)), strict=True))

    def services(self, cluster: str) -> Ints:
        """Return the numbers of a cluster's contacts that are served, by the begin of service."""
        numbers = self.numbers(cluster)
        numbers = numbers[self.served[numbers]]
        return numbers[np.argsort(self.start_s[numbers], kind="stable")]

    @cached_property
    def session_end_s(self) -> Floats:
        """When the session of each contact is over (N,); nan for one that is not served."""
        over_s = np.full(len(self), np.nan)
        served = np.flatnonzero(self.served)
        numbers = self.session[served]
        apart = int(numbers.max(initial=0)) + 1
        session = np.unique(self.cluster[served] * apart + numbers, return_inverse=True)[1]
        last_s = np.full(len(served), -np.inf)
        np.maximum.at(last_s, session, self.end_s[served])
        over_s[served] = last_s[session]
        return over_s
