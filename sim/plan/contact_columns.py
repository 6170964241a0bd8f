"""The contacts of a plan as columns, with an object of each on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from learning.requests.cluster import Cluster, Floats, Ints, Mask
from orbit.windows import groups
from sim.plan.contacts import ContactLinks, PlannedContact


@dataclass(frozen=True, eq=False, kw_only=True)
class ContactColumns:
    """Contacts by number: arrays (N,), and what ``contacts[number]`` makes of each.

    ``satellite`` and ``cluster`` are places in ``satellites`` (name and NORAD number) and
    ``clusters``; the other columns are what ``PlannedContact`` says. A contact is made when it is
    first asked for, and kept: of a constellation most are not served, and nobody asks for them.
    Those that were ``given`` have numbers of their own. Where satellites or planes are clients,
    ``flying`` are places in the ``fleet``, whose names contacts have as ``member``. ``figures_of``
    many contacts gives what ``links.figures`` of each are (4, N), where they need not be made for
    that.
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
    links_of: Callable[[int], ContactLinks]
    figures_of: Callable[[Ints], Floats] | None = None
    given: bool = False
    fleet: Sequence[str] = ()
    flying: Ints | None = None
    _made: dict[int, PlannedContact] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, contacts: Sequence[PlannedContact]) -> ContactColumns:
        """Return the columns of contacts that are there, numbered from 0 in their order."""
        satellites = {(c.satellite, c.norad_id): None for c in contacts}
        clusters = {c.cluster.name: c.cluster for c in contacts}
        places = {satellite: place for place, satellite in enumerate(satellites)}
        sites = {name: place for place, name in enumerate(clusters)}
        fleet = {name: place for place, name in enumerate(sorted({c.member for c in contacts}))}

        def column(name: str, of_type: type = np.float64) -> np.ndarray:
            return np.array([getattr(contact, name) for contact in contacts], of_type)

        return cls(
            satellites=list(satellites),
            clusters=list(clusters.values()),
            satellite=np.array([places[c.satellite, c.norad_id] for c in contacts], np.int64),
            cluster=np.array([sites[c.cluster.name] for c in contacts], np.int64),
            session=column("session", np.int64),
            served=column("served", np.bool_),
            **{name: column(name) for name in _FLOATS},
            links_of=lambda number: contacts[number].links,
            figures_of=None,
            given=True,
            fleet=list(fleet),
            flying=np.array([fleet[c.member] for c in contacts]) if any(fleet) else None,
            _made=dict(enumerate(contacts)),
        )

    def __len__(self) -> int:
        """How many contacts there are."""
        return len(self.rise_s)

    def __getitem__(self, number: int) -> PlannedContact:
        """Return a contact, the same one each time."""
        number = range(len(self))[number]
        if number not in self._made:
            satellite, norad_id = self.satellites[self.satellite[number]]
            self._made[number] = PlannedContact(
                contact_id=number,
                session=int(self.session[number]),
                satellite=satellite,
                norad_id=norad_id,
                cluster=self.clusters[self.cluster[number]],
                served=bool(self.served[number]),
                links=self.links_of(number),
                member="" if self.flying is None else self.fleet[self.flying[number]],
                **{name: float(getattr(self, name)[number]) for name in _FLOATS},
            )
        return self._made[number]

    def named(self, number: int) -> tuple[int, str, int]:
        """Return the id, the satellite and the session of a contact, without making it."""
        named = self._made[number].contact_id if self.given else number
        return named, self.satellites[self.satellite[number]][0], int(self.session[number])

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
        first, then = order[:-1], order[1:]
        same = self.cluster[first] == self.cluster[then]
        found = np.zeros(len(order), bool)
        found[first] = same & (self.end_s[first] == self.start_s[then])
        return found

    def numbers(self, cluster: str) -> Ints:
        """Numbers of the contacts of a cluster."""
        return self._numbers.get(cluster, np.empty(0, np.int64))

    @cached_property
    def _numbers(self) -> dict[str, Ints]:
        mine = groups(self.cluster, len(self.clusters))
        return dict(zip((c.name for c in self.clusters), mine, strict=True))

    def services(self, cluster: str) -> Ints:
        """Numbers of the contacts in which a cluster is served, by the begin of service."""
        mine = self.numbers(cluster)
        mine = mine[self.served[mine]]
        return mine[np.argsort(self.start_s[mine], kind="stable")]

    @cached_property
    def session_end_s(self) -> Floats:
        """When the session of each contact is over (N,); nan for one that is not served."""
        over_s = np.full(len(self), np.nan)
        mine = np.flatnonzero(self.served)
        pairs = np.stack([self.cluster[mine], self.session[mine]])
        session = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
        last_s = np.full(len(mine), -np.inf)
        np.maximum.at(last_s, session, self.end_s[mine])
        over_s[mine] = last_s[session]
        return over_s


_FLOATS = (
    *("rise_s", "culminate_s", "set_s", "max_elevation_deg", "min_slant_range_km"),
    *("start_s", "end_s", "wait_from_s"),
)
