"""Where the contacts of a scenario come from."""

from __future__ import annotations

from typing import Protocol

from scenarios import Scenario
from sim.plan.file_passes import FilePasses
from sim.plan.orbit_passes import OrbitPasses
from sim.plan.passes import Passes
from sim.plan.relay_passes import RelayPasses
from sim.plan.slot_passes import SlotPasses
from sim.plan.windows import Find


class ContactSource(Protocol):
    """Gives the passes of a scenario."""

    def passes(self) -> Passes:
        """Return them, with satellites as servers; raise InputError where the source is wrong."""
        ...


def contact_source(scenario: Scenario, find: Find) -> ContactSource:
    """Return the source that ``orbit.source`` names, or another satellite as ``roles.server``.

    ``find`` looks for the windows of satellites over sites.
    """
    if scenario.roles.relay:
        return RelayPasses(scenario)
    if scenario.orbit.source == "slots":
        return SlotPasses(scenario)
    if scenario.orbit.source == "contacts":
        return FilePasses(scenario)
    return OrbitPasses(scenario, find)
