"""The radios of a scenario: what its link section says of each cluster, in SI units."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import channel
import scenarios
from channel import Link, snr_db
from sim.beam import Radio, Sharing
from sim.errors import InputError
from sim.ground import lowest_mask_deg

if TYPE_CHECKING:
    from scenarios import Scenario

Radios = tuple[Radio, Radio | None]
"""Uplink and downlink of a cluster; None for a neglected downlink."""

LOWEST_ALTITUDE_M = 160e3
"""Lowest altitude of an orbit that a scenario can make: there a link is strongest, overhead."""
PAPER_ALTITUDE_M = 600e3
"""Satellite altitude that the paper's fixed large-scale fading stands for: overhead, where there is
no geometry."""
HIGHEST_SNR_DB = 120.0
"""More than any radio has: the figures of a link beyond it are taken for wrong ones."""

_AS_THEY_ARE = (
    *("eirp_dbw", "tx_power_dbm", "tx_gain_dbi"),
    *("g_over_t_db_k", "rx_gain_dbi", "noise_figure_db", "antenna_temperature_k"),
    *("other_losses_db", "zenith_attenuation_db", "scintillation_loss_db", "clutter_loss_db"),
    *("shadowing_margin_db", "path_gain_db", "fading", "rate", "outage_probability", "rolloff"),
    *("required_snr_db", "duty"),
)
"""Keys of the scenario that are fields of the link, in the same unit."""


def cluster_radios(scenario: Scenario) -> list[Radios]:
    """Return both directions of every cluster; they differ only by the air above it.

    Raises InputError for what the room of links refuses.
    """
    resolved, mask_deg = scenarios.resolved_link(scenario), lowest_mask_deg(scenario)
    up, down = resolved["uplink"], resolved["downlink"]
    radios: list[Radios] = []
    for place in scenario.ground.clusters:
        about = place, resolved["environment"], mask_deg
        downlink = None if isinstance(down, str) else _radio("downlink", down, *about)
        radios.append((_radio("uplink", up, *about), downlink))
    return radios


def _radio(
    side: str, values: Mapping[str, Any], place: Any, environment: Any, mask_deg: float
) -> Radio:
    """Return one direction, checked where it is strongest: overhead, at the lowest altitude."""
    try:
        link = si_link(values, mask_deg, environment, _air(values, place))
        _check_strength(link)
    except ValueError as error:
        raise InputError(f"link.{side}: {error}") from None
    broadcast = values.get("delivery") == "broadcast"
    sharing: Sharing = "broadcast" if broadcast else values.get("sharing", "fixed_subchannel")
    return Radio(link, values["total_bandwidth_mhz"] * 1e6, sharing)


def _check_strength(link: Link) -> None:
    """Raise ValueError for a link that is beyond all radios where it is strongest."""
    snr = float(snr_db(link, 90.0, LOWEST_ALTITUDE_M))
    if snr > HIGHEST_SNR_DB:
        raise ValueError(
            f"the SNR is {snr:.0f} dB overhead; allowed is at most {HIGHEST_SNR_DB:g} dB: check "
            "the power, the gains, path_gain_db and their units"
        )


def si_link(
    values: Mapping[str, Any],
    min_elevation_deg: float,
    environment: Any = None,
    attenuation: channel.SlantAttenuation | None = None,
) -> Link:
    """Turn one direction of ``link:`` (user units, presets filled in) into SI values."""
    fixed_mbps, frequency_hz = values.get("fixed_rate_mbps"), values["frequency_ghz"] * 1e9
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
    frequency_hz = values["frequency_ghz"] * 1e9
    return _over(
        place.latitude_deg,
        place.longitude_deg,
        place.altitude_m,
        frequency_hz,
        values["exceedance_pct"],
    )


@lru_cache(maxsize=256)
def _over(
    latitude_deg: float,
    longitude_deg: float,
    altitude_m: float,
    frequency_hz: float,
    exceedance_pct: float,
) -> channel.SlantAttenuation:
    """Look up the models once for a place and a frequency: that takes a second or two."""
    return channel.itu_attenuation(
        latitude_deg, longitude_deg, altitude_m, frequency_hz, exceedance_pct
    )
