"""What a user should know of a scenario's radios before believing a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import channel
import scenarios
from channel import Link
from orbit import Site
from sim.ground import distance_km
from sim.radios import PAPER_ALTITUDE_M, Radios
from sim.view import View

if TYPE_CHECKING:
    from scenarios import Scenario

Place = tuple[float, float]
"""Elevation (deg) and slant range (m) of a satellite at its best."""


def link_doubts(
    scenario: Scenario, view: View, radios: Sequence[Radios], places: Sequence[tuple[Site, ...]]
) -> Iterator[str]:
    """Yield a line for each cluster wider than the beam, or whose link is too weak at its best."""
    width_deg = _beamwidth_deg(scenario) if view.places else None
    weak: dict[str, list[str]] = {}
    for site, name in enumerate(view.sites):
        best = _best(view, site)
        if width_deg is not None:
            yield from _too_wide(name, view.places[site], places[site], width_deg, best[1] / 1e3)
        for side, radio in zip(("uplink", "downlink"), radios[site], strict=True):
            for line in () if radio is None else _too_weak(radio.link, best):
                weak.setdefault(f"link.{side}: {line}", []).append(name)
    for line, names in weak.items():
        yield f"{line} (over {', '.join(names)})"


def _best(view: View, site: int) -> Place:
    """Where a satellite stands highest over a cluster."""
    if not view.places:
        return 90.0, PAPER_ALTITUDE_M
    here = np.flatnonzero(view.windows.site == site)
    highest = here[np.argmax(view.windows.max_elevation_deg[here])]
    elevation_deg = float(view.windows.max_elevation_deg[highest])
    return elevation_deg, float(view.windows.min_slant_range_km[highest]) * 1e3


def _beamwidth_deg(scenario: Scenario) -> float | None:
    """Half-power beamwidth of the satellite's antenna: as given, or by its gain."""
    resolved = scenarios.resolved_link(scenario)
    if resolved["beamwidth_deg"] is not None:
        return resolved["beamwidth_deg"]
    up, down = resolved["uplink"], resolved["downlink"]
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


def _too_weak(link: Link, best: Place) -> Iterator[str]:
    """A link that carries nothing even at its best, or a fixed rate beyond its capacity."""
    terms = _terms(link, best)
    if terms["rate_mbps"] == 0.0:
        yield (
            f"nothing gets through: the SNR is {terms['snr_db']:.1f} dB at its best, "
            f"{-terms['margin_db']:.1f} dB less than the receiver needs"
        )
    elif link.rate == "fixed":
        if link.required_snr_db == -np.inf:
            margin_db = terms["margin_db"]
        else:
            margin_db = _terms(replace(link, required_snr_db=-np.inf), best)["margin_db"]
        if margin_db < 0:
            yield (
                f"the fixed rate needs {-margin_db:.1f} dB more than the link has at its best, "
                f"{terms['snr_db']:.1f} dB of SNR"
            )


def _terms(link: Link, best: Place) -> dict[str, float]:
    terms = channel.link_budget_terms(link, best[0], slant_range_m=best[1])
    return {name: float(values[0]) for name, values in terms.items()}
