"""``leomix link``: the budget of a scenario's link by elevation, or along one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import channel
import orbit
from scenarios import Scenario
from sim.errors import InputError
from sim.formatting import counted, legend_of, listed, percent
from sim.links.beam import PAPER_ALTITUDE_M, Radio
from sim.links.link_table import LinkTable
from sim.links.pass_geometry import GroundPlace, Pass
from sim.links.rate_points import HORIZON_DEG
from sim.plan.radios import dish_gains_dbi, ground_radios, with_dish
from sim.plan.service import served_passes
from sim.trace import plain_tables
from sim.world.world import World
from statements import Code
from statements.arrays import Floats

Tables = dict[str, dict[str, Any]]
"""Columns of each direction."""

STEP_S = 8.0
"""Longest time between two rows of a pass."""

FAR_MORE = 10.0
"""How many times the rate of the slower direction is too much for one scale."""
HEADS = {name: head for name, (head, _) in legend_of("link").items()}
"""Short heads for the terminal; files keep the full names."""
LOSSES = (
    *("free_space_path_loss_db", "atmospheric_loss_db", "rain_loss_db", "scintillation_loss_db"),
    *("shadowing_margin_db", "other_losses_db"),
)
"""Losses between EIRP and G/T; their sum is `path_loss_db` along a pass."""
TERMS = {*LOSSES, "eirp_dbw", "g_over_t_db_k", "noise_bandwidth_dbhz", "required_snr_db"}
"""Terms of the budget, of which many are the same in all rows."""
MODE = ("modcod", "modcod_margin_db")
"""The mode that rate modcod uses, beside the margin to the lowest one."""
GEOMETRY = ("time_s", "elevation_deg", "slant_range_km")
FINE = ("spectral_efficiency_bps_hz", "line_of_sight_probability")
FORMS = {n: "{:.2f}" for n in HEADS if n not in FINE and not n.endswith("rate_mbps")} | {
    "slant_range_km": "{:.1f}",
    "time_s": "{:.1f}",
}


def heading(world: World) -> str:
    """Name the preset and what the scenario overrides of it."""
    resolved = world.resolved_link
    changed = ", ".join(resolved["overridden"]) or "nothing"
    return f"link of preset {world.link.preset!r} (overridden: {changed})"


def budgets_text(scenario: Scenario) -> str:
    """Return the budgets of a scenario's links by elevation, as `link` prints them."""
    world = World(scenario)
    each = [f"{one.about}\n{one.text}" for one in budget(world)]
    return "\n\n".join([heading(world), *each])


@dataclass(frozen=True, eq=False)
class Budget:
    """Terms of a budget in each direction, with its radio; ``about`` says in a line of what.

    ``dish`` has what makes the gains of a station's dish, "" where there is none.
    """

    about: str
    dish: str
    radios: Mapping[str, Radio]
    tables: Tables

    @property
    def text(self) -> str:
        """The columns of each direction, aligned, under the terms that are the same in all rows."""
        parts = [
            "\n".join([f"{side}: {_about(self.radios[side])}", *_columns(columns)])
            for side, columns in self.tables.items()
        ]
        if "downlink" not in self.tables:
            parts.append("downlink: neglected, takes no time")
        return "\n\n".join([self.dish, *parts] if self.dish else parts)


@dataclass(frozen=True, eq=False)
class HeightBudget(Budget):
    """A budget by elevation, of a satellite's height over a place, above the ellipsoid there.

    Without geometry there is no ``satellite``, and the height is that of the paper.
    """

    satellite: str
    altitude_km: float
    place: str


def budget(world: World, place: int = 0) -> list[HeightBudget]:
    """Budgets from the lowest to the highest orbit, one row an elevation from mask to zenith.

    There is one for each height, and for perigee and apogee of an eccentric orbit; of more than
    ``MOST_HEIGHTS`` those of the lowest and the highest. All are over one place, a station or a
    cluster, by its index in ``world.sites.nodes``.
    """
    directions = _directions(world, place)
    names = [node.name for node in world.sites.nodes]
    name = names[place]
    over = _over(name, names, ground_radios(world))
    if not world.orbit.has_geometry:
        heights = [Height(PAPER_ALTITUDE_M, None, "", "any satellite")]
        stands = [Overhead(None, PAPER_ALTITUDE_M, PAPER_ALTITUDE_M)]
        over += f"; source {world.orbit.source!r} has no heights, and this is that of the paper"
    else:
        heights = _heights(world.fleet.satellites)
        stands = [_overhead(world, height, world.sites.of_passes[place]) for height in heights]
    return [
        HeightBudget(
            f"{height.who} at a height of {overhead.altitude_m / 1e3:.0f} km, {over}",
            _dish(world, place),
            directions,
            {side: _by_elevation(radio.link, overhead) for side, radio in directions.items()},
            height.satellite,
            overhead.altitude_m / 1e3,
            name,
        )
        for height, overhead in zip(heights, stands, strict=True)
    ]


class Overhead(NamedTuple):
    """A place's distance from the Earth's centre, and how far above it a satellite passes over it.

    ``altitude_m`` is the same height above the ellipsoid. Without a radius the Earth is a sphere.
    """

    site_radius_m: float | None
    above_site_m: float
    altitude_m: float


def _overhead(world: World, height: Height, site: orbit.Site) -> Overhead:
    """Return how high a satellite passes over a site, of an apsis as if that were there.

    A polar station is 21 km nearer to the Earth's centre than the equator, and the orbit's radius
    is up to 10 km off its axis: with the nominal height over a sphere, ranges over it would be too
    short by up to 0.3 dB. Passes of a circular orbit are within 0.05 dB of these.
    """
    site_m = 1e3 * orbit.geocentric_radius_km(site)
    assert height.radius_m is not None  # a satellite has one
    orbit_m = height.radius_m
    if not height.of_apsis:
        flying = next(one for one in world.fleet.satellites if one.name == height.satellite)
        # Where SGP4 knows no position at the start, the axis is the best that is known.
        with suppress(ValueError):
            orbit_m = 1e3 * orbit.radius_over_km(flying, site, world.fleet.start)
    above_m = orbit_m - site_m
    return Overhead(site_m, above_m, above_m + site.altitude_m)


def _by_elevation(link: channel.Link, overhead: Overhead) -> dict[str, Any]:
    lowest = max(link.min_elevation_deg, 5.0)
    steps = np.arange(np.ceil((lowest + 0.01) / 10) * 10, 91, 10)
    elevation_deg = np.unique(np.concatenate([[lowest], steps]))
    range_m = channel.slant_range_m(overhead.above_site_m, elevation_deg, overhead.site_radius_m)
    return _terms(link, elevation_deg, range_m)


def _terms(link: channel.Link, elevation_deg: Any, slant_range_m: Any) -> dict[str, Any]:
    """Return the terms of a budget; with rate modcod the mode that is used is beside the margin.

    The margin is that to the lowest mode, which says whether anything is received.
    """
    terms = channel.link_budget_terms(link, elevation_deg, slant_range_m=slant_range_m)
    columns: dict[str, Any] = {}
    for name, values in terms.items():
        columns[name] = values
        if name == "margin_db" and link.rate == "modcod":
            used = channel.modcods_used(terms["snr_db"], link.rolloff, link.modcods)
            columns |= dict(zip(MODE, used, strict=True))
    return columns


def _over(
    place: str, places: Sequence[str], radios: Sequence[tuple[Radio | None, Radio | None]]
) -> str:
    """Name a place, and say whose air the losses are of, where each of ``places`` has its own."""
    if all(one is None or one.link.attenuation is None for both in radios for one in both):
        return f"over {place}"
    others = [name for name in places if name != place]
    return f"over {place} with the air there{f' (not that of {listed(others)})' if others else ''}"


SAME_HEIGHT = 1.05
"""Ratio of heights up to which their budgets are one: 0.4 dB overhead."""
MOST_HEIGHTS = 4
"""Heights of which each has its budget; of more, the lowest and the highest."""


class Height(NamedTuple):
    """A height of a ``satellite``; ``who`` names it, with its apsis and how many others are there.

    ``altitude_m`` is above the equator's radius, ``radius_m`` the distance from the Earth's centre,
    None without geometry: of an apsis, or the semi-major axis of an orbit that is nearly circular.
    """

    altitude_m: float
    radius_m: float | None
    satellite: str
    who: str
    of_apsis: bool = False


def _heights(satellites: Sequence[orbit.Satellite]) -> list[Height]:
    """Return the heights of satellites from the lowest on, as far as they differ."""
    every = [height for satellite in satellites for height in _apsides(satellite)]
    groups: list[list[Height]] = []
    for height in sorted(every, key=lambda one: one.altitude_m):
        if groups and height.altitude_m <= SAME_HEIGHT * groups[-1][0].altitude_m:
            groups[-1].append(height)
        else:
            groups.append([height])
    if len(groups) > MOST_HEIGHTS:
        ends = {"lowest": groups[0][0], "highest": groups[-1][-1]}
        many = f"of {len(satellites)} satellites"
        return [one._replace(who=f"{one.who}, the {end} {many},") for end, one in ends.items()]
    place = {id(height): number for number, height in enumerate(every)}
    found = []
    for group in groups:
        first = min(group, key=lambda one: place[id(one)])
        others = len({one.satellite for one in group}) - 1
        more = (
            f" ({counted(others, 'other')} within {percent(SAME_HEIGHT - 1, 0)})" if others else ""
        )
        found.append(first._replace(who=first.who + more))
    return found


def _apsides(satellite: orbit.Satellite) -> list[Height]:
    """Return perigee and apogee of a satellite, or its mean height where they hardly differ."""
    model = satellite.model
    name = satellite.name
    earth_m = model.radiusearthkm * 1e3  # of the equator, in which a is given
    mean, low, high = (
        Height(float((radii - 1) * earth_m), float(radii * earth_m), name, f"{name}{apsis}", at)
        for radii, apsis, at in (
            (model.a, "", False),
            (model.a * (1 - model.ecco), " in its perigee", True),
            (model.a * (1 + model.ecco), " in its apogee", True),
        )
    )
    return [mean] if high.altitude_m <= SAME_HEIGHT * low.altitude_m else [low, high]


def _directions(world: World, place: int) -> dict[str, Radio]:
    if world.topology.grounded == "relay":
        raise InputError.of(
            Code.UNSUPPORTED,
            "roles.server",
            f"{world.fleet.server.name!r} has no links to the ground; its windows with the "
            "clients are those of leomix contacts, and their rate is that of link.isl",
        )
    if world.flyers is not None and world.flyers.tells_rates:
        raise InputError.of(
            Code.WRONG_VALUE,
            "orbit",
            "the rates are those of the contact plan, and follow from no budget; "
            "leomix export SCENARIO --to ion lists them",
        )
    both = ground_radios(world)[place]
    of_side = dict(zip(world.topology.directions, both, strict=True))
    found = {side: of_side[side] for side in ("uplink", "downlink")}
    return {side: radio for side, radio in found.items() if radio is not None}


def _dish(world: World, place: int) -> str:
    """Describe in a line what makes the gains of a station's dish, "" where there is none."""
    dish = world.link.station
    if dish is None:
        return ""
    node = world.sites.nodes[place]
    own_m = getattr(node, "dish_m", None)
    parts = [f"dish of {own_m or dish.dish_m:g} m, {percent(dish.efficiency, 0)} of its aperture"]
    for side, (key, unit) in _BESIDE_GAIN.items():
        values = world.resolved_link[side]
        gains = {} if values == "neglected" else dish_gains_dbi(with_dish(values, own_m))
        parts += [f"{side} {gain:.2f} dBi, {values[key]:g} {unit}" for gain in gains.values()]
    return "; ".join(parts)


_BESIDE_GAIN = {
    "uplink": ("tx_power_dbm", "dBm"),
    "downlink": ("antenna_temperature_k", "K"),
}
"""What makes EIRP and G/T with the gain of a dish, and its unit."""


def passes_of(scenario: Scenario) -> Callable[[int], Tables]:
    """Return what gives the columns over a contact of a run's scenario, by its number."""
    world = World(scenario)
    return lambda number: one_pass(world, number).tables


def fit_one_scale(sides: Tables) -> bool:
    """Return whether the rates of all directions over a pass can be read on one linear scale."""
    peaks = [float(side["rate_mbps"].max()) for side in sides.values()]
    return max(peaks) <= FAR_MORE * min(peaks) or min(peaks) == 0.0


def one_pass(world: World, number: int) -> Budget:
    """Geometry, rate and bits sent over one pass, for the centre of its cluster.

    With a propagation scenario the centre sees the satellite all the time, under median shadowing.
    """
    served = served_passes(world)
    if not served.places:
        raise InputError.of_option(
            "--contact",
            Code.UNSUPPORTED,
            "source {source!r} has no geometry",
            "show the budget without it",
            source=world.orbit.source,
        )
    if not 0 <= number < len(served.windows):
        raise InputError.of_option(
            f"--contact {number}",
            Code.WRONG_VALUE,
            f"the scenario has contacts 0 to {len(served.windows) - 1}",
        )
    satellite = served.satellites[served.flyer[number]]
    place = int(served.ground[number])
    site = served.places[place]
    own_deg = site.min_elevation_deg
    mask_deg = served.min_elevation_deg if own_deg is None else own_deg
    rise_s, set_s = float(served.rise_s[number]), float(served.whole.set_s[number])
    until_s = float(served.set_s[number])  # the end of the run may cut the pass
    time_s = np.linspace(rise_s, until_s, max(2, ceil((until_s - rise_s) / STEP_S) + 1))
    seen = orbit.look_angles(satellite, site, served.start, time_s)
    # Bits are those of a run, whose grid is finer than what is shown.
    nearest_km = float(served.windows.min_slant_range_km[number])
    radios = ground_radios(world)
    ground = GroundPlace(site, [site], mask_deg, radios[place])
    flown = Pass(satellite, ground, rise_s, set_s, nearest_km, channel.CLEAR_PATH)
    curves = {
        served.topology.direction(way): beam.curve
        for way, beam in LinkTable([flown], served.start).links(0).beams
        if beam is not None
    }
    directions = _directions(world, place)
    tables = {
        side: _along(radio.link, seen, time_s, curves[side], mask_deg)
        for side, radio in directions.items()
    }
    over = _over(site.name, [one.name for one in served.places], radios)
    rise = served.start + timedelta(seconds=rise_s)
    about = f"contact {number}: {satellite.name}, {over}, from {rise:%Y-%m-%dT%H:%M:%SZ}"
    return Budget(about, _dish(world, place), directions, tables)


def _along(
    link: channel.Link,
    seen: orbit.LookAngles,
    time_s: Floats,
    curve: channel.LinkCurve,
    mask_deg: float,
) -> dict[str, Any]:
    """One direction at the times (T,) of a pass over one site."""
    elevation = np.maximum(seen.elevation_deg[:, 0], max(mask_deg, HORIZON_DEG))
    range_m = seen.slant_range_km[:, 0] * 1e3
    terms = _terms(link, elevation, range_m)
    losses = {name: terms[name] for name in LOSSES if name in terms}
    mode = {name: terms[name] for name in MODE if name in terms}
    return {
        "time_s": time_s - time_s[0],
        "elevation_deg": elevation,
        "slant_range_km": seen.slant_range_km[:, 0],
        "delay_ms": range_m * 1e3 / channel.SPEED_OF_LIGHT_M_S,
        "eirp_dbw": terms["eirp_dbw"],
        **losses,
        "path_loss_db": sum(losses.values()),
        "doppler_khz": channel.doppler_hz(seen.range_rate_km_s[:, 0], link.frequency_hz) / 1e3,
        **{name: terms[name] for name in ("g_over_t_db_k", "noise_bandwidth_dbhz")},
        **{name: terms[name] for name in ("c_over_n0_dbhz", "snr_db", "required_snr_db")},
        "margin_db": terms["margin_db"],
        **mode,
        "rate_mbps": terms["rate_mbps"],
        "delivered_mbit": curve.device(0).delivered_bits(time_s) / 1e6,
    }


def _columns(columns: dict[str, Any]) -> Iterator[str]:
    """Terms that do not depend on the elevation in a line, and a table of the others."""
    same = {n: x[0] for n, x in columns.items() if n in TERMS and (x == x[0]).all()}
    terms = [f"{HEADS[name]} {FORMS[name].format(value)}" for name, value in same.items()]
    if terms:
        yield f"everywhere: {', '.join(terms)}"
    yield plain_tables.text({n: x for n, x in columns.items() if n not in same}, FORMS, HEADS)


def _about(radio: Radio) -> str:
    """Describe in a line what does not depend on the elevation."""
    link = radio.link
    band = f"{link.bandwidth_hz / 1e6:g} of {radio.total_bandwidth_hz / 1e6:g} MHz"
    rate = link.rate if link.duty == 1.0 else f"{link.rate} for {percent(link.duty, 0)} of the time"
    shared = radio.sharing.replace("_", " ")
    if radio.sharing != "broadcast":
        shared = f"{shared}, {radio.channels} sub-channels"
    return f"{link.frequency_hz / 1e9:g} GHz, {band}, {shared}, fading {link.fading}, rate {rate}"


def columns_of(tables: Tables) -> dict[str, Any]:
    """Return one row an elevation or time, with the columns of both directions.

    Those of the downlink that are not of the geometry are called ``downlink_...``.
    """
    merged = dict(tables["uplink"])
    for name, values in tables.get("downlink", {}).items():
        if name not in GEOMETRY:
            merged[f"downlink_{name}"] = values
    return merged


def write(budgets: Sequence[HeightBudget], path: Path) -> None:
    """Write budgets to a .csv or .parquet file, with the satellite, height and place of each."""
    parts = []
    for one in budgets:
        columns = columns_of(one.tables)
        many = len(columns["elevation_deg"])
        of = {"satellite": [one.satellite] * many, "place": [one.place] * many}
        parts.append(of | {"altitude_km": np.full(many, one.altitude_km)} | columns)
    merged = {name: [row for part in parts for row in part[name]] for name in parts[0]}
    plain_tables.write(merged, path)


def write_pass(one: Budget, path: Path) -> None:
    """Write a pass, one row a time, to a .csv or .parquet file."""
    plain_tables.write(columns_of(one.tables), path)
