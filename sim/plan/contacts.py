"""A planned contact and a planned session, with their links."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from learning.requests.cluster import Cluster, Floats, Ints, Mask
from orbit.windows import groups
from sim.links.beam import DeviceLinks, PassFigures, SessionBeam, served_bits
from sim.trace.directions import Way

LAST_BITS_S = 1.0
"""Longest that the last bits of a contact are on their way: seven times geostationary."""


class ContactLinks:
    """The links of one contact, asked for when first wanted and let go when it is over.

    A plan of thousands of contacts and devices would not fit into memory with all its curves, nor
    with what they carry for each device; of that only ``figures`` remember the least, as a whole
    and while served from ``start_s`` to ``end_s``.
    """

    def __init__(
        self,
        make: Callable[[], DeviceLinks],
        start_s: float = -np.inf,
        end_s: float = np.inf,
        figures: Callable[[], PassFigures] | None = None,
    ) -> None:
        self._make = make
        self._span_s = start_s, end_s
        self._of_pass = figures
        self._now: DeviceLinks | None = None

    @property
    def devices(self) -> DeviceLinks:
        """Both ways, one row per device."""
        if self._now is None:
            self._now = self._make()
        return self._now

    @property
    def capacity_in_service_bytes(self) -> Floats:
        """Bytes (K,) that each device can upload while a beam serves the cluster."""
        return served_bits(self.devices.to_server.curve, *self._span_s) / 8.0

    @cached_property
    def figures(self) -> PassFigures:
        """What the device with the poorest link could upload, and the Doppler shifts."""
        if self._of_pass is not None:
            return self._of_pass()
        links = self._now or self._make()
        curve = links.to_server.curve
        whole, served = curve.capacity_bits.min(), served_bits(curve, *self._span_s).min()
        return PassFigures(float(whole) / 8.0, float(served) / 8.0, links.doppler_hz)

    def close(self) -> None:
        """Let the curves go; they are made again when asked for."""
        self._now = None


@dataclass(frozen=True, eq=False)
class PlannedContact:
    """A window of one satellite over one cluster, with its devices' links.

    ``start_s`` to ``end_s`` is when a beam serves the cluster (nan if never): to the set, or to
    when another cluster takes the beam over. ``wait_from_s`` is when it began to wait for one (nan
    if it did not). ``session`` is -1 for a contact that is not served. ``member`` names the
    satellite that has it where satellites or planes are the clients.
    """

    contact_id: int
    session: int
    satellite: str
    norad_id: int | None
    cluster: Cluster
    rise_s: float
    culminate_s: float
    set_s: float
    max_elevation_deg: float
    min_slant_range_km: float
    served: bool
    start_s: float
    end_s: float
    links: ContactLinks
    wait_from_s: float = np.nan
    member: str = ""


# A planned session: contacts of one cluster that a method takes for one.


@dataclass(frozen=True, eq=False)
class PlannedSession:
    """Contacts of one cluster that follow each other so closely that they count as one.

    The links of several contacts are one after the other; in the gaps nothing moves.
    """

    number: int
    contacts: tuple[PlannedContact, ...]
    _parts: dict[tuple[float, ...], PlannedSession | None] = field(default_factory=dict, repr=False)

    @property
    def start_s(self) -> float:
        """When the first contact's service begins."""
        return self.contacts[0].start_s

    @property
    def end_s(self) -> float:
        """When the last contact's service ends."""
        return self.contacts[-1].end_s

    @cached_property
    def to_server(self) -> SessionBeam:
        """From the devices to their server."""
        beams = [contact.links.devices.to_server for contact in self.contacts]
        return SessionBeam(beams, self._spans_s, self._whole)

    @cached_property
    def to_client(self) -> SessionBeam | None:
        """From the server to the devices; None where that link is neglected."""
        each = (contact.links.devices.to_client for contact in self.contacts)
        beams = [beam for beam in each if beam is not None]
        return SessionBeam(beams, self._spans_s, self._whole) if beams else None

    def beam(self, way: Way) -> SessionBeam | None:
        """Return the link that goes one way; None where it is neglected."""
        return self.to_server if way is Way.TO_SERVER else self.to_client

    @property
    def capacity_bytes(self) -> float:
        """Bytes that the device with the poorest link can upload in the session, if alone."""
        _ = self.to_server  # the links are wanted in a moment, so that they are made and kept
        if len(self.contacts) == 1:
            return self.contacts[0].links.figures.least_in_service_bytes
        each = [contact.links.capacity_in_service_bytes for contact in self.contacts]
        return float(np.sum(each, axis=0).min())

    @property
    def _spans_s(self) -> list[tuple[float, float]]:
        return [(contact.start_s, contact.end_s) for contact in self.contacts]

    @property
    def _whole(self) -> bool:
        """Whether there is one contact, served from its rise to its set."""
        first = self.contacts[0]
        alone = len(self.contacts) == 1
        return alone and first.start_s == first.rise_s and first.end_s == first.set_s

    def delay_s(self, time_s: Floats) -> Floats:
        """Seconds that a signal takes between each device and its satellite at its time (K,)."""
        delay = self.contacts[0].links.devices.delay_s(time_s)
        for contact in self.contacts[1:]:
            there = contact.links.devices.delay_s(time_s)
            delay = np.where(time_s >= contact.start_s, there, delay)
        return delay

    def in_service_s(self, time_s: Floats) -> Floats:
        """Each time, or when the next contact begins if it lies in a gap; at most the end."""
        at = np.minimum(np.maximum(time_s, self.start_s), self.end_s)
        for before, after in zip(self.contacts, self.contacts[1:], strict=False):
            at = np.where((at > before.end_s) & (at < after.start_s), after.start_s, at)
        return at

    def at(self, time_s: float) -> PlannedContact:
        """Return the contact that had begun last by ``time_s``."""
        begun = [contact for contact in self.contacts if contact.start_s <= time_s]
        return begun[-1] if begun else self.contacts[0]

    def contact_ids(self, time_s: Floats) -> Ints:
        """Return which contact had begun last by each time (K,); the first one before that."""
        ids = np.full(len(time_s), self.contacts[0].contact_id)
        for contact in self.contacts[1:]:
            ids = np.where(time_s >= contact.start_s, contact.contact_id, ids)
        return ids

    def knowing(self, known_s: Callable[[str], float]) -> PlannedSession | None:
        """Return what is left of the session from when each satellite knows the server's state.

        ``known_s`` says when a satellite does; None where no contact lasts that long.
        """
        when = tuple(known_s(contact.satellite) for contact in self.contacts)
        if all(t <= c.start_s for t, c in zip(when, self.contacts, strict=True)):
            return self
        if when not in self._parts:  # a chain mostly asks again for the same times
            left = tuple(
                replace(contact, start_s=max(contact.start_s, t))
                for t, contact in zip(when, self.contacts, strict=True)
                if t < contact.end_s
            )
            self._parts.clear()
            self._parts[when] = PlannedSession(self.number, left) if left else None
        return self._parts[when]

    def close(self) -> None:
        """Let the curves go."""
        self.__dict__.pop("to_server", None)
        self.__dict__.pop("to_client", None)
        self._parts.clear()
        for contact in self.contacts:
            contact.links.close()


# The contacts of a plan as columns, with an object of each on demand.


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
