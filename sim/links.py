"""Links of a scenario in SI units, and the link curves of a contact's devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from channel import Link, LinkCurve, eirp_dbw, g_over_t_db_k, rate_bps
from learning.requests import Floats
from orbit import ContactGeometry
from sim.errors import InputError


def si_link(values: Mapping[str, Any], min_elevation_deg: float) -> Link:
    """Turn one direction of ``link:`` (user units, presets filled in) into SI values."""
    eirp, figure = values.get("eirp_dbw"), values.get("g_over_t_db_k")
    if eirp is None:
        eirp = float(eirp_dbw(values["tx_power_dbm"], values["tx_gain_dbi"]))
    if figure is None:
        figure = float(
            g_over_t_db_k(
                values["rx_gain_dbi"], values["noise_figure_db"], values["antenna_temperature_k"]
            )
        )
    fixed_mbps = values.get("fixed_rate_mbps")
    return Link(
        frequency_hz=values["frequency_ghz"] * 1e9,
        bandwidth_hz=values["bandwidth_mhz"] * 1e6,
        eirp_dbw=eirp,
        g_over_t_db_k=figure,
        other_losses_db=values.get("other_losses_db", 0.0),
        zenith_attenuation_db=values.get("zenith_attenuation_db", 0.0),
        path_gain_db=values.get("path_gain_db"),
        fading=values["fading"],
        rician_k_linear=10 ** (values.get("rician_k_db", 10.0) / 10),
        rate=values["rate"],
        fixed_rate_bps=None if fixed_mbps is None else fixed_mbps * 1e6,
        min_elevation_deg=min_elevation_deg,
    )


def sub_channels(values: Mapping[str, Any]) -> int:
    """How many devices can send at once: total bandwidth over that of a sub-channel."""
    return int(values["total_bandwidth_mhz"] / values["bandwidth_mhz"] * (1 + 1e-9))


def check_sub_channels(values: Mapping[str, Any], cluster: str, devices: int) -> None:
    """Raise InputError if a cluster has more devices than the link has sub-channels."""
    channels = sub_channels(values)
    if devices > channels:
        raise InputError(
            f"ground.clusters {cluster!r}: {devices} devices share {channels} sub-channels; "
            "raise link.uplink.total_bandwidth_mhz, lower bandwidth_mhz, or have fewer devices"
        )


def contact_curve(link: Link, geometry: ContactGeometry) -> LinkCurve:
    """Rate of every device (K) along a contact, from its own AOS to its own LOS."""
    seen = geometry.los_s > geometry.aos_s
    # AOS and LOS lie on the mask by construction; rounding must not put them below the gate.
    elevation = np.maximum(geometry.elevation_deg, link.min_elevation_deg)
    rate = rate_bps(link, elevation, geometry.slant_range_km * 1e3)
    return LinkCurve(geometry.time_s, np.where(seen[:, None], rate, 0.0))


def slot_curve(link: Link, devices: int, start_s: float, end_s: float) -> LinkCurve:
    """Constant rate of every device in one slot (no geometry: fixed rate or fixed path gain)."""
    rate = float(rate_bps(link, 90.0, 600e3))
    time: Floats = np.tile([start_s, end_s], (devices, 1))
    return LinkCurve(time, np.full((devices, 2), rate))
