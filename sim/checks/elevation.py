"""Nothing moves below a device's own lowest elevation: by orbit and place, apart from all links."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from orbit.look_angles import local, of_local
from orbit.propagation import propagate
from orbit.sites import SiteFrames, site_frames
from orbit.utc import Start
from orbit.windows import groups
from sim.errors import violated
from sim.network.legs import MovedRows
from sim.plan.contacts import ContactTable
from statements.arrays import Floats, Ints, Mask

ABOVE = "no transfer below its gate"

TOLERANCE_DEG = 0.003
"""A row ends when the last bit has come down. Until then a satellite at a range r turns by v / r
times r / c, which is v / c at any range: 0.0021 deg for the 11 km/s of the fastest orbits. The rest
is for the ends of a contact, which are known to 0.1 ms and, of grazing ones, to 1e-6 deg."""


@dataclass(frozen=True, eq=False)
class _Ends:
    """First start and last end, (2, R), of what devices (one a row) moved in contacts."""

    contact: Ints
    device: Ints
    time_s: Floats


class Gate:
    """Looks at where the satellite stood when transfers began and ended, many contacts at once.

    Of all that a device moved in a contact the first start and the last end are looked at. What
    takes no time (a neglected downlink) uses no link.
    """

    def __init__(self, contacts: ContactTable) -> None:
        self._contacts = contacts
        self._start = Start.of(contacts.start)
        counts = [len(sites) for sites in contacts.devices]
        self._first: Ints = np.cumsum([0, *counts[:-1]])

    @cached_property
    def _frames(self) -> SiteFrames:
        """All devices of all clusters, or all stations."""
        sites = [site for here in self._contacts.devices for site in here]
        return site_frames(sites, self._contacts.min_elevation_deg)

    @cached_property
    def _gate_deg(self) -> Floats:
        """Lowest elevation of each of them."""
        return np.degrees(np.arcsin(self._frames.sin_mask))

    def moved(self, rows: MovedRows) -> None:
        """Raise InvariantError if anything moved with its satellite below the gate."""
        took_time = rows.end_s > rows.start_s
        if not np.count_nonzero(took_time):
            return
        ends = self._ends(rows, took_time)
        contacts, of_row = np.unique(ends.contact, return_inverse=True)
        satellites, of_contact = np.unique(self._contacts.flyer[contacts], return_inverse=True)
        rows_of = groups(of_contact[of_row], len(satellites))
        position_km = np.empty((*ends.time_s.shape, 3))
        for number, some in zip(satellites.tolist(), rows_of, strict=True):
            satellite = self._contacts.satellites[number]
            state = propagate(satellite, self._start, ends.time_s[:, some].ravel())
            position_km[:, some] = state[:, :3].reshape(2, -1, 3)
        self._look(ends, position_km)

    def _ends(self, rows: MovedRows, some: Mask) -> _Ends:
        """Put together what each device (counted over all clusters) moved in each contact."""
        contacts = np.array([leg.contact_id for leg in rows.legs], np.int64)
        first: Ints = self._first[self._contacts.ground[contacts]]
        contact = contacts[rows.leg][some]
        device = (rows.device + first[rows.leg])[some]
        order = np.lexsort([device, contact])
        contact = contact[order]
        device = device[order]
        new = np.ones(len(order), bool)
        new[1:] = (contact[1:] != contact[:-1]) | (device[1:] != device[:-1])
        first = np.flatnonzero(new)
        start_s = np.minimum.reduceat(rows.start_s[some][order], first)
        end_s = np.maximum.reduceat(rows.end_s[some][order], first)
        return _Ends(contact[first], device[first], np.stack([start_s, end_s]))

    def _look(self, ends: _Ends, position_km: Floats) -> None:
        """Look at where the satellite of each row stood at its positions (2, R, 3)."""
        elevation_deg, _ = of_local(*local(position_km, self._frames, ends.device))
        low_deg = self._gate_deg[ends.device] - elevation_deg
        if low_deg.max() <= TOLERANCE_DEG:
            return
        which, row = np.unravel_index(int(np.argmax(low_deg)), low_deg.shape)
        contact_id = int(ends.contact[row])
        [(name, _)] = self._contacts.ends(ends.contact[row : row + 1])
        device = int(ends.device[row] - self._first[self._contacts.ground[contact_id]])
        cluster = self._contacts[contact_id].cluster
        at = f"{low_deg[which, row]:.4f} deg too low at {ends.time_s[which, row]:.3f} s"
        who = f"device {device} of {cluster.name} in contact {contact_id}"
        raise violated(ABOVE, f"{name} was {at} for a transfer of {who}")
