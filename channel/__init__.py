"""What a satellite link can carry: budget, atmosphere, fading, capacity and link curves.

Plain numpy functions and frozen dataclasses in SI units and decibels. Names load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channel.atmosphere import atmospheric_attenuation_db
    from channel.budget import (
        carrier_to_noise_db,
        eirp_dbw,
        free_space_path_loss_db,
        g_over_t_db_k,
        slant_range_m,
    )
    from channel.capacity import ergodic_capacity, shannon_capacity
    from channel.curve import LinkCurve
    from channel.doppler import doppler_hz
    from channel.joining import joined
    from channel.link import Link
    from channel.rate import rate_bps, snr_db
    from channel.table import link_budget, link_budget_terms

__all__ = [
    "Link",
    "LinkCurve",
    "atmospheric_attenuation_db",
    "carrier_to_noise_db",
    "doppler_hz",
    "eirp_dbw",
    "ergodic_capacity",
    "free_space_path_loss_db",
    "g_over_t_db_k",
    "joined",
    "link_budget",
    "link_budget_terms",
    "rate_bps",
    "shannon_capacity",
    "slant_range_m",
    "snr_db",
]

_MODULES = {
    "Link": "link",
    "LinkCurve": "curve",
    "atmospheric_attenuation_db": "atmosphere",
    "carrier_to_noise_db": "budget",
    "doppler_hz": "doppler",
    "eirp_dbw": "budget",
    "ergodic_capacity": "capacity",
    "free_space_path_loss_db": "budget",
    "g_over_t_db_k": "budget",
    "joined": "joining",
    "link_budget": "table",
    "link_budget_terms": "table",
    "rate_bps": "rate",
    "shannon_capacity": "capacity",
    "slant_range_m": "budget",
    "snr_db": "rate",
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
