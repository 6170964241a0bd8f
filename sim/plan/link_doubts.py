"""What a user should know of a scenario's radios before believing a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

import channel
from channel import Link
from learning.requests.cluster import Ints
from orbit import Site
from orbit.windows import groups
from sim.links.beam import Radios
from sim.links.constant_links import PAPER_ALTITUDE_M
from sim.plan.service import ServedPasses
from sim.world.sites import distance_km
from sim.world.world import World
from statements import Code, Lower, Statement


class BestSight(NamedTuple):
    """Where a satellite stands highest over a place."""

    elevation_deg: float
    slant_range_m: float


Terms = dict[str, float]
"""Figures of a link budget by name."""


def link_doubts(
    world: World,
    served: ServedPasses,
    radios: Sequence[Radios],
    devices: Sequence[Sequence[Site]],
) -> Iterator[Statement]:
    """Yield a doubt on each cluster wider than the beam, and on links too weak at their best.

    Stations are treated as clusters are, and those that see no satellite are named too.
    """
    if served.topology.relay:
        return
    width_deg = _beamwidth_deg(world) if served.places else None
    weak: dict[str, tuple[Statement, list[str]]] = {}
    names = served.grounded
    sides = ("downlink", "uplink") if served.topology.in_orbit else ("uplink", "downlink")
    windows_of = groups(served.window_places, len(names))
    unseen = ", ".join(
        name for name, windows in zip(names, windows_of, strict=True) if not len(windows)
    )
    if unseen and served.topology.in_orbit:
        yield Statement.doubt(
            Code.NEVER_SEEN,
            "ground.stations",
            "no satellite comes over {names} in {days:g} days",
            names=unseen,
            days=served.span_s / 86400,
        )
    best = [_best(served, windows) for windows in windows_of]
    given = served.pieces is not None  # a contact plan tells the rates
    links = [[None if radio is None or given else radio.link for radio in both] for both in radios]
    terms = [_terms(of_side, best) for of_side in zip(*links, strict=True)]
    for site, name in enumerate(names):
        if width_deg is not None:
            nearest_km = best[site].slant_range_m / 1e3
            yield from _too_wide(name, served.places[site], devices[site], width_deg, nearest_km)
        for side, link, of_side in zip(sides, links[site], terms, strict=True):
            if link is None:
                continue
            for doubt in _too_weak(f"link.{side}", link, best[site], of_side[site]):
                weak.setdefault(str(doubt), (doubt, []))[1].append(name)
    for doubt, over in weak.values():
        values = {**doubt.values, "names": ", ".join(over)}
        yield replace(doubt, text=f"{doubt.text} (over {{names}})", values=values)


def _best(served: ServedPasses, windows: Ints) -> BestSight:
    """Where a satellite stands highest in some windows over one place; overhead without any."""
    if not (served.places and len(windows)):
        return BestSight(90.0, PAPER_ALTITUDE_M)
    highest = windows[np.argmax(served.windows.max_elevation_deg[windows])]
    return BestSight(
        elevation_deg=float(served.windows.max_elevation_deg[highest]),
        slant_range_m=float(served.windows.min_slant_range_km[highest]) * 1e3,
    )


def _beamwidth_deg(world: World) -> float | None:
    """Half-power beamwidth of the satellite's antenna: as given, or by its gain."""
    resolved = world.resolved_link
    if resolved["beamwidth_deg"] is not None:
        return resolved["beamwidth_deg"]
    up = resolved["uplink"]
    down = resolved["downlink"]
    received: Any = up.get("rx_gain_dbi")
    sent: Any = down.get("tx_gain_dbi") if isinstance(down, Mapping) else None
    gains = [gain for gain in (received, sent) if gain is not None]
    # An antenna without gain lights everything below it.
    return float(channel.beamwidth_deg(max(gains))) if gains and max(gains) > 0 else None


def _too_wide(
    name: str, centre: Site, devices: Sequence[Site], width_deg: float, nearest_km: float
) -> Iterator[Statement]:
    spread_km = 2.0 * max(distance_km(centre, device) for device in devices)
    footprint_km = float(channel.footprint_km(width_deg, nearest_km * 1e3))
    if spread_km > footprint_km:
        yield Statement.doubt(
            Code.NARROW_BEAM,
            "ground.clusters",
            "cluster {name} is {spread_km:.0f} km wide, and the satellite's beam of "
            "{beamwidth_deg:.2g} deg lights {footprint_km:.0f} km at its nearest "
            "({nearest_km:.0f} km), so that devices at the edge have less than the link budget "
            "says",
            name=name,
            spread_km=spread_km,
            beamwidth_deg=width_deg,
            footprint_km=footprint_km,
            nearest_km=nearest_km,
        )


def _too_weak(key: str, link: Link, best: BestSight, terms: Terms) -> Iterator[Statement]:
    """A link that carries nothing even at its best, or a fixed rate beyond its capacity."""
    if terms["rate_mbps"] == 0.0:
        yield Statement.doubt(
            Code.WEAK_LINK,
            key,
            "nothing gets through, as the SNR is {snr_db:.1f} dB at its best, {lacking_db:.1f} dB "
            "less than the receiver needs",
            snr_db=terms["snr_db"],
            lacking_db=-terms["margin_db"],
        )
    elif link.rate == "fixed":
        if link.required_snr_db == -np.inf:
            margin_db = terms["margin_db"]
        else:
            unlimited = replace(link, required_snr_db=-np.inf)
            margin_db = _terms([unlimited], [best])[0]["margin_db"]
        if margin_db < 0:
            yield Statement.doubt(
                Code.WEAK_LINK,
                key,
                "the fixed rate needs {lacking_db:.1f} dB more than the link has at its best, "
                "{snr_db:.1f} dB of SNR",
                Lower(f"{key}.fixed_rate_mbps"),
                snr_db=terms["snr_db"],
                lacking_db=-margin_db,
            )


def _terms(links: Sequence[Link | None], best: Sequence[BestSight]) -> list[Terms]:
    """The budget of each link at its best; those of the same link together."""
    terms_of: list[Terms] = [{} for _ in links]
    alike: dict[Link, list[int]] = {}
    for number, link in enumerate(links):
        if link is not None:
            alike.setdefault(link, []).append(number)
    for link, numbers in alike.items():
        elevation_deg, range_m = np.array([best[number] for number in numbers]).T
        terms = channel.link_budget_terms(link, elevation_deg, slant_range_m=range_m)
        for place, number in enumerate(numbers):
            terms_of[number] = {name: float(values[place]) for name, values in terms.items()}
    return terms_of
