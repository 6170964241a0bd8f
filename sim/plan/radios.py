"""The radios of a scenario in SI units, and warnings about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from inspect import signature
from typing import Any

import numpy as np

import channel
import scenarios
from channel import Link, snr_db
from learning.requests.cluster import Ints
from orbit import Site
from orbit.windows import groups
from scenarios import Scenario
from sim.devices.sites import distance_km, ground_nodes, lowest_mask_deg
from sim.errors import as_input
from sim.links.beam import PAPER_ALTITUDE_M, Radio, Radios, Sharing
from sim.plan.service import ServedPasses

LOWEST_ALTITUDE_M = 160e3
"""Lowest altitude of an orbit that a scenario can make: there a link is strongest, overhead."""
HIGHEST_SNR_DB = 120.0
"""More than any radio has: the figures of a link beyond it are taken for wrong ones."""

_AS_THEY_ARE = signature(Link).parameters.keys() - {"atmosphere"}
"""Keys of the scenario that are fields of the link, in the same unit."""


def ground_radios(scenario: Scenario) -> list[Radios]:
    """Return both directions of every cluster or station; they differ only by the air above it.

    There are none where one satellite serves the others. The first goes to the server: the uplink
    of clusters, the downlink of stations. Raises InputError for what the room of links refuses.
    """
    if scenario.roles.relay:
        return []
    resolved: Any = scenarios.resolved_link(scenario)
    mask_deg = lowest_mask_deg(scenario)
    serve = scenario.roles.satellites_learn

    @cache
    def under(side: str, air: channel.SlantAttenuation | None) -> Radio:
        values = resolved[side]
        link = si_link(values, mask_deg, resolved["environment"], air)
        snr = float(snr_db(link, 90.0, LOWEST_ALTITUDE_M))
        if snr > HIGHEST_SNR_DB:
            raise ValueError(
                f"the SNR is {snr:.0f} dB overhead; allowed is at most {HIGHEST_SNR_DB:g} dB: "
                "check the power, the gains, path_gain_db and their units"
            )
        broadcast = values.get("delivery") == "broadcast" and not serve
        sharing: Sharing = "broadcast" if broadcast else values.get("sharing", "fixed_subchannel")
        return Radio(link, values["total_bandwidth_mhz"] * 1e6, sharing)

    def radio(side: str, place: Any) -> Any:
        if resolved[side] == "neglected":
            return None  # a downlink of clusters
        with as_input(f"link.{side}: "):
            return under(side, _air(resolved[side], place))

    first, second = ("downlink", "uplink") if serve else ("uplink", "downlink")
    return [(radio(first, place), radio(second, place)) for place in ground_nodes(scenario)]


def si_link(
    values: Mapping[str, Any],
    min_elevation_deg: float,
    environment: Any = None,
    attenuation: channel.SlantAttenuation | None = None,
) -> Link:
    """Turn one direction of ``link:`` (user units, presets filled in) into SI values."""
    fixed_mbps = values.get("fixed_rate_mbps")
    frequency_hz = values["frequency_ghz"] * 1e9
    around = None
    if environment is not None:
        around = channel.propagation_scenario(environment, frequency_hz)
    return Link(
        frequency_hz=frequency_hz,
        bandwidth_hz=values["bandwidth_mhz"] * 1e6,
        attenuation=attenuation,
        environment=around,
        fixed_rate_bps=None if fixed_mbps is None else fixed_mbps * 1e6,
        rician_k_linear=10 ** (values.get("rician_k_db", 10.0) / 10),
        min_elevation_deg=min_elevation_deg,
        **{key: values[key] for key in _AS_THEY_ARE if key in values},
        **({} if attenuation else {"atmosphere": values.get("atmosphere", "cosecant")}),
    )


def _air(values: Mapping[str, Any], place: Any) -> channel.SlantAttenuation | None:
    """Return the attenuation of the air over a cluster, where it is to come from ITU-R models."""
    if values.get("atmosphere") != "itu":
        return None
    return _over(
        place.latitude_deg,
        place.longitude_deg,
        place.altitude_m,
        values["frequency_ghz"] * 1e9,
        values["exceedance_pct"],
    )


_over = lru_cache(maxsize=256)(channel.itu_attenuation)
"""The models, looked up once for a place and a frequency: that takes a second or two."""


# What a user should know of a scenario's radios before believing a run.


Place = tuple[float, float]
"""Elevation (deg) and slant range (m) of a satellite at its best."""
Terms = dict[str, float]
"""Figures of a link budget by name."""


def link_doubts(
    scenario: Scenario,
    served: ServedPasses,
    radios: Sequence[Radios],
    devices: Sequence[Sequence[Site]],
) -> Iterator[str]:
    """Yield a line for each cluster wider than the beam, or whose link is too weak at its best.

    So for stations; one that sees no satellite is named too.
    """
    if served.relayed:
        return
    width_deg = _beamwidth_deg(scenario) if served.places else None
    weak: dict[str, list[str]] = {}
    names = served.servers if served.turned else served.clients
    sides = ["uplink", "downlink"]
    here = groups(served.window_places, len(names))
    unseen = ", ".join(name for name, mine in zip(names, here, strict=True) if not len(mine))
    if unseen and served.turned:
        yield f"no satellite comes over {unseen} in {served.span_s / 86400:g} days"
    best = [_best(served, mine) for mine in here]
    sides = sides[::-1] if served.turned else sides
    links = [[None if radio is None else radio.link for radio in both] for both in radios]
    terms = [_terms(of_side, best) for of_side in zip(*links, strict=True)]
    for site, name in enumerate(names):
        if width_deg is not None:
            nearest_km = best[site][1] / 1e3
            yield from _too_wide(name, served.places[site], devices[site], width_deg, nearest_km)
        for side, link, of_side in zip(sides, links[site], terms, strict=True):
            for line in () if link is None else _too_weak(link, best[site], of_side[site]):
                weak.setdefault(f"link.{side}: {line}", []).append(name)
    for line, names in weak.items():
        yield f"{line} (over {', '.join(names)})"


def _best(served: ServedPasses, here: Ints) -> Place:
    """Where a satellite stands highest in some windows over one place."""
    if not (served.places and len(here)):
        return 90.0, PAPER_ALTITUDE_M
    highest = here[np.argmax(served.windows.max_elevation_deg[here])]
    elevation_deg = float(served.windows.max_elevation_deg[highest])
    return elevation_deg, float(served.windows.min_slant_range_km[highest]) * 1e3


def _beamwidth_deg(scenario: Scenario) -> float | None:
    """Half-power beamwidth of the satellite's antenna: as given, or by its gain."""
    resolved = scenarios.resolved_link(scenario)
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
) -> Iterator[str]:
    spread_km = 2.0 * max(distance_km(centre, device) for device in devices)
    footprint_km = float(channel.footprint_km(width_deg, nearest_km * 1e3))
    if spread_km > footprint_km:
        yield (
            f"cluster {name} is {spread_km:.0f} km wide, and the satellite's beam of "
            f"{width_deg:.2g} deg lights {footprint_km:.0f} km at its nearest "
            f"({nearest_km:.0f} km): devices at the edge have less than the link budget says"
        )


def _too_weak(link: Link, best: Place, terms: Terms) -> Iterator[str]:
    """A link that carries nothing even at its best, or a fixed rate beyond its capacity."""
    if terms["rate_mbps"] == 0.0:
        yield (
            f"nothing gets through: the SNR is {terms['snr_db']:.1f} dB at its best, "
            f"{-terms['margin_db']:.1f} dB less than the receiver needs"
        )
    elif link.rate == "fixed":
        if link.required_snr_db == -np.inf:
            margin_db = terms["margin_db"]
        else:
            unlimited = replace(link, required_snr_db=-np.inf)
            margin_db = _terms([unlimited], [best])[0]["margin_db"]
        if margin_db < 0:
            yield (
                f"the fixed rate needs {-margin_db:.1f} dB more than the link has at its best, "
                f"{terms['snr_db']:.1f} dB of SNR"
            )


def _terms(links: Sequence[Link | None], best: Sequence[Place]) -> list[Terms]:
    """The budget of each link at its best; those of the same link together."""
    found: list[Terms] = [{} for _ in links]
    alike: dict[Link, list[int]] = {}
    for number, link in enumerate(links):
        if link is not None:
            alike.setdefault(link, []).append(number)
    for link, numbers in alike.items():
        elevation_deg, range_m = np.array([best[number] for number in numbers]).T
        terms = channel.link_budget_terms(link, elevation_deg, slant_range_m=range_m)
        for place, number in enumerate(numbers):
            found[number] = {name: float(values[place]) for name, values in terms.items()}
    return found
