"""Links without geometry: of slots, or of contacts of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from learning.requests.cluster import Cluster, Ints
from sim.links.beam import Radios
from sim.links.constant_links import bare_links
from sim.plan.contacts import ContactLinks
from sim.plan.service import ServedPasses


@dataclass(frozen=True, eq=False)
class BareLinks:
    """Links of a fixed rate or a fixed path gain, from the rise to the set of each window.

    ``radios`` are those of each place: of each cluster, or of each station.
    """

    served: ServedPasses
    clusters: Sequence[Cluster]
    radios: Sequence[Radios]

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact."""
        rise_s, set_s = self.served.window_s(number)
        start_s, end_s = self.served.service_s(number)
        radios = self.radios[self.served.window_places[number]]
        devices = self.clusters[self.served.windows.site[number]].devices
        return ContactLinks(partial(bare_links, radios, devices, rise_s, set_s), start_s, end_s)

    def figures(self, numbers: Ints) -> None:
        """Return None: they follow from the links."""
