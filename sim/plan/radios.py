"""The radios of a scenario in SI units."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from inspect import signature
from typing import Any

import channel
from channel import Link, snr_db
from channel.budget import system_temperature_k
from channel.settings import BUDGET_FORMS
from scenarios.ground import Station
from scenarios.link_rules import DISHES
from sim.errors import InputError, as_input
from sim.links.beam import Radio, Radios, Sharing
from sim.links.rate_points import HORIZON_DEG
from sim.world.world import World
from statements import Code

LOWEST_ALTITUDE_M = 160e3
"""Lowest altitude of an orbit that a scenario can make: there a link is strongest, overhead."""
HIGHEST_SNR_DB = 120.0
"""More than any radio has: values of a link beyond it are taken to be wrong."""

_AS_THEY_ARE = signature(Link).parameters.keys() - {
    *BUDGET_FORMS,
    "atmosphere",
    "system_temperature_k",
}
"""Keys of the scenario that are fields of the link, in the same unit."""


def ground_radios(world: World) -> list[Radios]:
    """Return both directions of every cluster or station; they differ by dishes and the air above.

    There are none where one satellite serves the others. The first is toward the server: the uplink
    of clusters, the downlink of stations. Raises InputError for values that ``channel`` refuses.
    """
    if world.topology.grounded == "relay":
        return []
    resolved: Any = world.resolved_link
    mask_deg = world.sites.lowest_mask_deg
    to_clusters = world.topology.grounded == "cluster"

    @cache
    def under(side: str, dish_m: float | None, air: channel.SlantAttenuation | None) -> Radio:
        values = with_dish(resolved[side], dish_m)
        system_k = None if side == "uplink" or air is None else _system_temperature_k(values)
        link = si_link(values, mask_deg, resolved["environment"], air, system_k)
        snr = float(snr_db(link, 90.0, LOWEST_ALTITUDE_M))
        if snr > HIGHEST_SNR_DB:
            raise ValueError(
                f"the SNR is {snr:.0f} dB overhead; allowed is at most {HIGHEST_SNR_DB:g} dB: "
                "check the power, the gains, path_gain_db and their units"
            )
        broadcast = values.get("delivery") == "broadcast" and to_clusters
        sharing: Sharing = "broadcast" if broadcast else values.get("sharing", "fixed_subchannel")
        return Radio(link, values["total_bandwidth_mhz"] * 1e6, sharing)

    def radio(side: str, place: Any) -> Any:
        if resolved[side] == "neglected":
            return None  # a downlink of clusters
        _check_place(resolved[side], place)
        with as_input(f"link.{side}"):
            return under(side, getattr(place, "dish_m", None), _air(resolved[side], place))

    first, second = world.topology.directions
    return [(radio(first, place), radio(second, place)) for place in world.sites.nodes]


def carries_at_mask(world: World, direction: str) -> bool:
    """Whether a link carries anything at its mask, so that lower down there may be more to carry.

    That is of the satellite that comes nearest, over any of the places.
    """
    if world.topology.grounded == "relay" or not world.orbit.has_geometry:
        return False
    models = [satellite.model for satellite in world.fleet.satellites]
    lowest_m = 1e3 * min((m.a * (1 - m.ecco) - 1) * m.radiusearthkm for m in models)
    way = world.topology.directions.index(direction)
    links = [both[way] for both in ground_radios(world)]
    for link in {radio.link for radio in links if radio is not None}:
        elevation_deg = max(link.min_elevation_deg, HORIZON_DEG)
        range_m = channel.slant_range_m(lowest_m, elevation_deg)
        if channel.rate_bps(link, elevation_deg, range_m) > 0.0:
            return True
    return False


def si_link(
    values: Mapping[str, Any],
    min_elevation_deg: float,
    environment: Any = None,
    attenuation: channel.SlantAttenuation | None = None,
    system_k: float | None = None,
) -> Link:
    """Turn one direction of ``link:`` (user units, presets filled in) into SI values."""
    fixed_mbps = values.get("fixed_rate_mbps")
    parts = {**values, **dish_gains_dbi(values)}
    frequency_hz = values["frequency_ghz"] * 1e9
    around = None
    if environment is not None:
        around = channel.propagation_scenario(environment, frequency_hz)
    return Link(
        frequency_hz=frequency_hz,
        bandwidth_hz=values["bandwidth_mhz"] * 1e6,
        attenuation=attenuation,
        system_temperature_k=system_k,
        environment=around,
        fixed_rate_bps=None if fixed_mbps is None else fixed_mbps * 1e6,
        rician_k_linear=10 ** (values.get("rician_k_db", 10.0) / 10),
        min_elevation_deg=min_elevation_deg,
        **{key: values[key] for key in _AS_THEY_ARE if key in values},
        eirp_dbw=_figure("eirp_dbw", parts),
        g_over_t_db_k=_figure("g_over_t_db_k", parts),
        atmosphere="cosecant" if attenuation else values.get("atmosphere", "cosecant"),
    )


def _figure(name: str, values: Mapping[str, Any]) -> float:
    """Return a figure of the budget, as it is given or of its parts."""
    if name in values:
        return float(values[name])
    combined: Any = {"eirp_dbw": channel.eirp_dbw, "g_over_t_db_k": channel.g_over_t_db_k}[name]
    return float(combined(*(values[part] for part in BUDGET_FORMS[name])))


USUAL_SYSTEM_K = 290.0
"""Noise of a receiver on the ground of which nothing but a G/T is known."""


def _system_temperature_k(values: Mapping[str, Any]) -> float:
    """Return the noise temperature of a receiver on the ground under a clear sky."""
    if "g_over_t_db_k" in values:
        return float(values.get("system_temperature_k", USUAL_SYSTEM_K))
    figure_db, antenna_k = values["noise_figure_db"], values["antenna_temperature_k"]
    return float(system_temperature_k(figure_db, antenna_k))


def with_dish(values: Mapping[str, Any], dish_m: float | None) -> Mapping[str, Any]:
    """Return a direction of a station that has dishes of its own, of a diameter; None for others.

    A gain that is given has no dish to be changed.
    """
    dishes = [] if dish_m is None else [dish for dish in DISHES.values() if dish in values]
    return {**values, **dict.fromkeys(dishes, dish_m)}


def dish_gains_dbi(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the gain of each dish that a direction has in the place of a gain, by its key."""
    share = values.get("aperture_efficiency", 1.0)
    hertz = values["frequency_ghz"] * 1e9
    return {
        gain: float(channel.aperture_gain_dbi(values[dish], hertz, share))
        for gain, dish in DISHES.items()
        if dish in values
    }


def _check_place(values: Mapping[str, Any], place: Any) -> None:
    """Raise InputError for a place that is higher, or lower, than the models of the air reach."""
    allowed = channel.ITU_ALTITUDE_M
    inside = allowed.low <= place.altitude_m <= allowed.high
    if values.get("atmosphere") == "itu" and not inside:
        kind = "stations" if isinstance(place, Station) else "clusters"
        raise InputError.of(
            Code.UNSUPPORTED,
            f"ground.{kind}",
            "altitude_m {altitude_m:g} of {name!r} is outside "
            f"{allowed.low:g} to {allowed.high:g}, for which atmosphere 'itu' has models",
            "correct it, or take another atmosphere",
            altitude_m=place.altitude_m,
            name=place.name,
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
"""The models are evaluated once per place and frequency: that takes a second or two."""
