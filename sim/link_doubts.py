"""What a user should know of a scenario's radios before believing a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import channel
import scenarios
from orbit import Site
from sim.ground import distance_km
from sim.radios import Radios
from sim.view import View

if TYPE_CHECKING:
    from scenarios import Scenario


def link_doubts(
    scenario: Scenario,
    view: View,
    radios: Sequence[Radios],
    places: Sequence[tuple[Site, ...]],
) -> Iterator[str]:
    """Yield a line for each cluster wider than the beam, and for a fixed rate beyond the SNR."""
    width_deg = _beamwidth_deg(scenario)
    for site, name in enumerate(view.sites):
        here = view.windows.site == site
        if not here.any():
            continue
        if view.places and width_deg is not None:
            nearest_km = float(view.windows.min_slant_range_km[here].min())
            yield from _too_wide(name, view.places[site], places[site], width_deg, nearest_km)
    yield from _beyond(view, radios)


def _beamwidth_deg(scenario: Scenario) -> float | None:
    """Half-power beamwidth of the satellite's antenna: as given, or by its gain."""
    resolved = scenarios.resolved_link(scenario)
    if resolved["beamwidth_deg"] is not None:
        return resolved["beamwidth_deg"]
    up, down = resolved["uplink"], resolved["downlink"]
    received: Any = up.get("rx_gain_dbi")
    sent: Any = down.get("tx_gain_dbi") if isinstance(down, Mapping) else None
    gains = [gain for gain in (received, sent) if gain is not None]
    return float(channel.beamwidth_deg(max(gains))) if gains else None


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


def _beyond(view: View, radios: Sequence[Radios]) -> Iterator[str]:
    """A fixed rate that the link could not carry even at its best."""
    best = int(np.argmax(view.windows.max_elevation_deg)) if view.places else 0
    elevation_deg, distance_m = 90.0, 600e3
    if view.places:
        elevation_deg = float(view.windows.max_elevation_deg[best])
        distance_m = float(view.windows.min_slant_range_km[best]) * 1e3
    for side, radio in zip(("uplink", "downlink"), radios[0], strict=True):
        if radio is None or radio.link.rate != "fixed":
            continue
        terms = channel.link_budget_terms(radio.link, elevation_deg, slant_range_m=distance_m)
        margin_db = float(terms["margin_db"][0])
        if margin_db < 0:
            yield (
                f"link.{side}: the fixed rate needs {-margin_db:.1f} dB more than the link has at "
                f"its best, {float(terms['snr_db'][0]):.1f} dB of SNR"
            )
