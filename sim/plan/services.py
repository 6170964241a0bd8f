"""Services of a plan, by client and direction, with the link curve that each may be sent over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from channel import LinkCurve
from learning.requests.cluster import Floats, Ints
from sim.facts.directions import Way
from sim.links.device_links import served_bits
from sim.plan.operations import is_down
from sim.plan.plan import Plan
from sim.plan.volumes import served_in_order


@dataclass(frozen=True, eq=False)
class Services:
    """Services (N,) of one client in one direction, by their start.

    ``number`` is that of the contact. A service carries ``bits`` by the curve of the device that
    can transfer least in it.
    """

    number: Ints
    start_s: Floats
    end_s: Floats
    bits: Floats
    curves: Sequence[LinkCurve]


class _Service(NamedTuple):
    number: int
    start_s: float
    end_s: float
    bits: float
    curve: LinkCurve


def services_of(plan: Plan) -> dict[tuple[str, str], Services]:
    """Return the services of each client, by its name and ``down`` or ``up``.

    A direction that is neglected is left out.
    """
    found = defaultdict[tuple[str, str], list[_Service]](list)
    for contact in served_in_order(plan):
        links = contact.links.devices
        span_s = contact.start_s, contact.end_s
        for way, beam in ((Way.TO_SERVER, links.to_server), (Way.TO_CLIENT, links.to_client)):
            if beam is None:
                continue
            bits = served_bits(beam.curve, *span_s)
            weakest = int(bits.argmin())
            key = contact.cluster.name, "down" if is_down(plan.topology, way) else "up"
            curve = beam.curve.device(weakest)
            found[key].append(_Service(contact.contact_id, *span_s, float(bits[weakest]), curve))
        contact.links.close()
    return {
        key: Services(
            np.array([one.number for one in own], np.int64),
            np.array([one.start_s for one in own]),
            np.array([one.end_s for one in own]),
            np.array([one.bits for one in own]),
            [one.curve for one in own],
        )
        for key, own in found.items()
    }
