"""``leomix link``: the budget of a scenario's link by elevation, or along one pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import channel
import orbit
import scenarios
from sim import columns as plain
from sim.errors import InputError
from sim.ground import scenario_links
from sim.satellites import satellites_of
from sim.sources import view_of

if TYPE_CHECKING:
    from scenarios import Scenario

PAPER_ALTITUDE_M = 600e3
"""Satellite altitude that the paper's fixed large-scale fading stands for."""
EQUATORIAL_RADIUS_KM = 6378.135

HEADS = {
    "time_s": "time s",
    "elevation_deg": "elevation",
    "slant_range_km": "range km",
    "eirp_dbw": "EIRP dBW",
    "free_space_path_loss_db": "FSPL dB",
    "atmospheric_loss_db": "gas dB",
    "other_losses_db": "other dB",
    "g_over_t_db_k": "G/T dB/K",
    "noise_bandwidth_dbhz": "B dBHz",
    "c_over_n0_dbhz": "C/N0 dBHz",
    "snr_db": "SNR dB",
    "spectral_efficiency_bps_hz": "bit/s/Hz",
    "rate_mbps": "Mbit/s",
    "doppler_khz": "Doppler kHz",
    "delivered_mbit": "Mbit through",
}
"""Short heads for the terminal; files keep the full names."""
FORMS = {
    name: "{:.2f}" for name in HEADS if name not in ("spectral_efficiency_bps_hz", "rate_mbps")
} | {"slant_range_km": "{:.1f}", "time_s": "{:.1f}"}


def heading(scenario: Scenario) -> str:
    """Name the preset and what the scenario overrides of it."""
    resolved = scenarios.resolved_link(scenario)
    changed = ", ".join(resolved["overridden"]) or "nothing"
    down = "neglected" if resolved["downlink"] == "neglected" else "modelled"
    return f"uplink of preset {scenario.link.preset!r} (overridden: {changed}); downlink {down}"


def budget(scenario: Scenario) -> dict[str, Any]:
    """Budget terms, one row an elevation from the mask to the zenith."""
    uplink, _ = scenario_links(scenario)
    lowest = max(uplink.min_elevation_deg, 5.0)
    steps = np.arange(np.ceil((lowest + 0.01) / 10) * 10, 91, 10)
    elevation = np.unique(np.concatenate([[lowest], steps]))
    return dict(channel.link_budget_terms(uplink, elevation, altitude_m=_altitude_m(scenario)))


def one_pass(scenario: Scenario, number: int) -> dict[str, Any]:
    """Geometry, rate and bits through over one pass, for the centre of its cluster."""
    view = view_of(scenario)
    if not view.places:
        raise InputError(
            f"--contact: source {scenario.orbit.source!r} has no geometry; show the budget "
            "without it"
        )
    if not 0 <= number < len(view.windows):
        raise InputError(
            f"--contact {number}: the scenario has contacts 0 to {len(view.windows) - 1}"
        )
    satellite = view.satellites[view.windows.satellite[number]]
    site = view.places[view.windows.site[number]]
    own_deg = site.min_elevation_deg
    mask = view.min_elevation_deg if own_deg is None else own_deg
    rise_s, set_s = float(view.windows.rise_s[number]), float(view.windows.set_s[number])
    g = orbit.contact_geometry(satellite, [site], view.start, rise_s, set_s, mask)
    uplink, _ = scenario_links(scenario)
    elevation = np.maximum(g.elevation_deg[0], mask)
    distance_m = g.slant_range_km[0] * 1e3
    terms = channel.link_budget_terms(uplink, elevation, slant_range_m=distance_m)
    curve = channel.LinkCurve(g.time_s[0], terms["rate_mbps"] * 1e6)
    return {
        "time_s": g.time_s[0] - rise_s,
        "elevation_deg": elevation,
        "slant_range_km": g.slant_range_km[0],
        "doppler_khz": channel.doppler_hz(g.range_rate_km_s[0], uplink.frequency_hz) / 1e3,
        "c_over_n0_dbhz": terms["c_over_n0_dbhz"],
        "snr_db": terms["snr_db"],
        "rate_mbps": terms["rate_mbps"],
        "delivered_mbit": curve.delivered_bits(g.time_s[0]) / 1e6,
    }


def text(columns: dict[str, Any]) -> str:
    """Align the columns."""
    return plain.text(columns, FORMS, HEADS)


def write(columns: dict[str, Any], path: Path) -> None:
    """Write the columns to a .csv or .parquet file."""
    plain.write(columns, path)


def _altitude_m(scenario: Scenario) -> float:
    if scenario.orbit.source in ("slots", "contacts"):
        return PAPER_ALTITUDE_M
    semi_major_axis = satellites_of(scenario)[0].model.a  # in equatorial radii
    return float((semi_major_axis - 1) * EQUATORIAL_RADIUS_KM * 1e3)
