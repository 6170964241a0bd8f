"""What a satellite link can carry: budget, atmosphere, fading, capacity and link curves.

Plain numpy functions and frozen dataclasses in SI units and decibels. Names load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channel.antenna import beamwidth_deg, footprint_km
    from channel.atmosphere import atmospheric_attenuation_db
    from channel.broadcast import weakest
    from channel.budget import (
        carrier_to_noise_db,
        eirp_dbw,
        free_space_path_loss_db,
        g_over_t_db_k,
        slant_range_m,
    )
    from channel.capacity import ergodic_capacity, shannon_capacity
    from channel.constants import SPEED_OF_LIGHT_M_S
    from channel.curve import LinkCurve
    from channel.doppler import doppler_hz
    from channel.environment import Environment, propagation_scenario
    from channel.even_grid import bit_preserving
    from channel.itu import itu_attenuation
    from channel.joining import clipped, joined
    from channel.link import Link
    from channel.paths import CLEAR_PATH, Path, draw_paths
    from channel.rate import rate_bps, snr_db
    from channel.sidelink import Sidelink, log_distance_path_loss_db
    from channel.signal import (
        Signal,
        bends_deg,
        rate_state,
        received_signal,
        signal_rate_bps,
    )
    from channel.slant_attenuation import SlantAttenuation
    from channel.table import link_budget, link_budget_terms

__all__ = [
    "CLEAR_PATH",
    "Environment",
    "Link",
    "LinkCurve",
    "Path",
    "SPEED_OF_LIGHT_M_S",
    "Sidelink",
    "Signal",
    "SlantAttenuation",
    "atmospheric_attenuation_db",
    "beamwidth_deg",
    "bends_deg",
    "bit_preserving",
    "carrier_to_noise_db",
    "doppler_hz",
    "draw_paths",
    "eirp_dbw",
    "ergodic_capacity",
    "footprint_km",
    "free_space_path_loss_db",
    "g_over_t_db_k",
    "itu_attenuation",
    "clipped",
    "joined",
    "link_budget",
    "link_budget_terms",
    "log_distance_path_loss_db",
    "propagation_scenario",
    "rate_bps",
    "rate_state",
    "received_signal",
    "shannon_capacity",
    "signal_rate_bps",
    "slant_range_m",
    "snr_db",
    "weakest",
]

_MODULES = {
    "CLEAR_PATH": "paths",
    "Environment": "environment",
    "Link": "link",
    "LinkCurve": "curve",
    "Path": "paths",
    "SPEED_OF_LIGHT_M_S": "constants",
    "Sidelink": "sidelink",
    "Signal": "signal",
    "SlantAttenuation": "slant_attenuation",
    "atmospheric_attenuation_db": "atmosphere",
    "beamwidth_deg": "antenna",
    "bends_deg": "signal",
    "bit_preserving": "even_grid",
    "carrier_to_noise_db": "budget",
    "doppler_hz": "doppler",
    "draw_paths": "paths",
    "eirp_dbw": "budget",
    "ergodic_capacity": "capacity",
    "footprint_km": "antenna",
    "free_space_path_loss_db": "budget",
    "g_over_t_db_k": "budget",
    "itu_attenuation": "itu",
    "clipped": "joining",
    "joined": "joining",
    "link_budget": "table",
    "link_budget_terms": "table",
    "log_distance_path_loss_db": "sidelink",
    "propagation_scenario": "environment",
    "rate_bps": "rate",
    "rate_state": "signal",
    "received_signal": "signal",
    "shannon_capacity": "capacity",
    "signal_rate_bps": "signal",
    "slant_range_m": "budget",
    "snr_db": "rate",
    "weakest": "broadcast",
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'channel' has no attribute {name!r}")
    value = getattr(import_module(f"channel.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
