"""Who flies in a run, and over what: all that is told of a run's world beside its tables.

It is made again from the scenario in the run's manifest. Pages, plots and exports take it from
here, and nothing else of what simulates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orbit
from scenarios import Scenario
from sim.world.world import World


@dataclass(frozen=True)
class Scenery:
    """The ``satellites`` that take part, all that are ``flying``, and the ``sites`` on a map.

    One that serves satellites flies, too. Sites are those of passes, and gateways behind them.
    """

    satellites: Sequence[orbit.Satellite]
    flying: Sequence[orbit.Satellite]
    sites: Sequence[orbit.Site]


def scenery_of(scenario: Scenario) -> Scenery:
    """Return it for a scenario with satellites; ValueError or OSError where a file is gone."""
    world = World(scenario)
    return Scenery(world.fleet.satellites, world.fleet.flying, world.sites.to_draw)


def planes_of_clients(scenario: Scenario) -> dict[str, str]:
    """Return the plane of each client by its name, "" for one without."""
    return {client.name: client.plane or "" for client in World(scenario).sites.clusters}
