"""Services of a plan, by client and direction, with the link curve that each may be sent over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from channel import LinkCurve
from sim.links.beam import served_bits
from sim.plan.plan import Plan
from sim.plan.volumes import served_in_order
from statements.arrays import Floats, Ints


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


def services_of(plan: Plan) -> dict[tuple[str, str], Services]:
    """Return the services of each client, by its name and ``down`` or ``up``.

    A direction that is neglected is left out.
    """
    found = defaultdict[tuple[str, str], list[tuple[Any, ...]]](list)
    for contact in served_in_order(plan):
        span_s = contact.start_s, contact.end_s
        for way, beam in contact.links.beams:
            if beam is None:
                continue
            bits = served_bits(beam.curve, *span_s)
            weakest = int(bits.argmin())
            key = contact.cluster.name, "down" if plan.topology.is_down(way) else "up"
            curve = beam.curve.device(weakest)
            found[key].append((contact.contact_id, *span_s, float(bits[weakest]), curve))
    services = {}
    for key, rows in found.items():
        number, start_s, end_s, carried, curves = zip(*rows, strict=True)
        services[key] = Services(
            np.array(number), np.array(start_s), np.array(end_s), np.array(carried), curves
        )
    return services


BITS_PER_MB = 8e6


class Alone(NamedTuple):
    """What a payload takes in one ``direction`` that begins with a service, and has it for itself.

    So many of the ``services`` carry it ``whole``, in so many seconds at best and in the median of
    these; None where none does. Of those that carry anything the worst carries ``worst_mb``, so
    that a payload takes ``worst_services`` like it; it is the contact ``worst_contact``. Those that
    carry nothing are ``silent``. The ``cut`` ones are left out: those that the start or the end of
    the plan cuts, unless all are.
    """

    direction: str
    services: int
    whole: int
    share: float
    best_s: float | None
    median_s: float | None
    worst_mb: float | None
    worst_services: int | None
    worst_contact: int | None
    silent: int
    cut: int


def alone(plan: Plan, every: Mapping[tuple[str, str], Services], bits: float) -> list[Alone]:
    """Return what a payload of so many bits takes each way, by :func:`services_of` a plan."""
    found = []
    for direction in ("up", "down"):
        own = [services for (_, way), services in every.items() if way == direction]
        if own:
            found.append(_alone(plan, direction, own, bits))
    return found


def _alone(plan: Plan, direction: str, own: Sequence[Services], bits: float) -> Alone:
    number, start_s, end_s, carried = (
        np.concatenate([getattr(services, name) for services in own])
        for name in ("number", "start_s", "end_s", "bits")
    )
    curves = [curve for services in own for curve in services.curves]
    by_start = (start_s == 0.0) & bool(
        plan.contacts.places
    )  # slots and files have whole ones there
    by_end = (end_s >= plan.stop_s) & plan.contacts.cut_by_stop[number]
    kept = np.flatnonzero(~(by_start | by_end))
    if not len(kept):  # contact lasts all the time
        kept = np.arange(len(number))
    whole = kept[carried[kept] >= bits]
    took_s = [float(curves[n].completion_time_s(bits, start_s[n]) - start_s[n]) for n in whole]
    some = kept[carried[kept] > 0.0]
    worst = int(some[carried[some].argmin()]) if len(some) else None
    return Alone(
        direction=direction,
        services=len(kept),
        whole=len(whole),
        share=len(whole) / len(kept),
        best_s=min(took_s, default=None),
        median_s=float(np.median(took_s)) if took_s else None,
        worst_mb=None if worst is None else float(carried[worst]) / BITS_PER_MB,
        worst_services=None if worst is None else ceil(bits / float(carried[worst])),
        worst_contact=None if worst is None else int(number[worst]),
        silent=len(kept) - len(some),
        cut=len(number) - len(kept),
    )
