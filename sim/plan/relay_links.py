"""Links of satellites with another satellite, which serves them."""

from __future__ import annotations

from functools import partial

import numpy as np

import orbit
from channel import LinkCurve
from learning.requests.cluster import Floats, Ints
from scenarios import Scenario
from sim.devices.satellites import relay_of
from sim.links.beam import Beam
from sim.links.device_links import DeviceLinks
from sim.plan.contacts import ContactLinks
from sim.plan.isl_budget import budget_of, fixed_rate_bps, rate_curve
from sim.plan.service import ServedPasses


class RelayLinks:
    """The same link in both directions, by ``link.isl``: at a fixed rate, or by its budget."""

    def __init__(self, scenario: Scenario, served: ServedPasses) -> None:
        isl = scenario.link.isl
        assert isl is not None  # the schema asks for it where a satellite serves others
        self._fixed_bps = fixed_rate_bps(isl)
        self._budget = budget_of(isl)
        self._server = relay_of(scenario)
        self._served = served

    def links(self, number: int) -> ContactLinks:
        """Return the links of a contact."""
        start_s, end_s = self._served.service_s(number)
        return ContactLinks(partial(self._device_links, number), start_s, end_s)

    def figures(self, numbers: Ints) -> None:
        """Return None: they follow from the links."""

    def _device_links(self, number: int) -> DeviceLinks:
        rise_s, set_s = self._served.window_s(number)
        client = self._served.satellites[self._served.window_satellites[number]]
        start = self._served.start

        def range_km(time_s: Floats) -> Floats:
            return orbit.pair_range_km(client, self._server, start, time_s)  # type: ignore[return-value]

        if self._budget is None:
            curve = LinkCurve.constant(np.array([self._fixed_bps]), rise_s, set_s)
        else:
            budget = self._budget
            one = rate_curve(lambda time_s: budget.rate_bps(range_km(time_s)), rise_s, set_s)
            curve = LinkCurve(one.time_s[None], one.rate_bps[None])
        return DeviceLinks(Beam(curve), Beam(curve), range_m=lambda time_s: range_km(time_s) * 1e3)
