"""What a user should know of a scenario's radios before believing a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, floor, log10
from typing import Any, NamedTuple

import numpy as np

import channel
from channel import Link
from orbit import Site
from orbit.look_angles import elevation_and_range
from orbit.sites import site_frames
from orbit.tracks import contact_tracks
from orbit.windows import groups
from scenarios.presets import BANDS, Side
from sim.advice.remedies import MOST_PLACES_NAMED, less_rain
from sim.formatting import counted, percent, some
from sim.links.beam import PAPER_ALTITUDE_M
from sim.links.rate_points import HORIZON_DEG
from sim.plan.contacts import ContactTable
from sim.plan.plan import Plan
from sim.world.sites import distances_km
from sim.world.world import World
from statements import Code, Give, Lower, Raise, Remedy, Remove, Set, Statement
from statements.arrays import Floats, Ints


class BestSight(NamedTuple):
    """Where a satellite stands highest over a place."""

    elevation_deg: float
    slant_range_m: float


RADIOS_IN_ORBIT: tuple[tuple[Side, str], ...] = (
    ("uplink", "g_over_t_db_k"),
    ("downlink", "eirp_dbw"),
)
"""Keys of the radios of satellites that differ by 7 dB or more from band to band."""
Terms = dict[str, float]
"""Figures of a link budget by name."""


def link_doubts(world: World, plan: Plan) -> Iterator[Statement]:
    """Yield a doubt on each cluster wider than the beam, and on links too weak at their best.

    A fixed rate is doubted where the link has less than it needs for a part of the time in view, a
    rate that follows Shannon where it is beyond all modems while it serves. Stations
    are treated as clusters are, and those that see no satellite are named too.
    """
    served = plan.contacts
    yield from _of_another_band(world)
    if served.topology.grounded == "relay":
        return
    width_deg = _beamwidth_deg(world) if served.places else None
    names = served.grounded.names
    sides = served.topology.directions
    windows_of = groups(served.ground, len(names))
    yield from _unseen_stations(served)
    best = [_best(served, windows) for windows in windows_of]
    given = served.pieces is not None  # a contact plan tells the rates
    links = [
        [None if radio is None or given else radio.link for radio in both] for both in served.radios
    ]
    for centre, devices, nearest in zip(served.places, served.devices, best, strict=False):
        if width_deg is not None:
            nearest_km = nearest.slant_range_m / 1e3
            yield from _too_wide(centre.name, centre, devices, width_deg, nearest_km)
    for side, of_side in zip(sides, zip(*links, strict=True), strict=True):
        yield from _weak_links(world, side, served, of_side, best)
    serving = [_best_in_service(served, windows) for windows in windows_of]
    for side, own in zip(sides, zip(*links, strict=True), strict=True):
        yield from _too_fast(f"link.{side}", names, own, serving)


def _of_another_band(world: World) -> Iterator[Statement]:
    """Yield the radios of satellites whose given values are typical of another band of the dish."""
    dish = world.link.station
    if dish is None:
        return
    for side, key in RADIOS_IN_ORBIT:
        given = getattr(getattr(world.link, side), key, None)
        if given is None:
            continue
        typical = {band: float(BANDS[band][side][key]) for band in BANDS}
        band = dish.band_of(side)
        nearest = min(typical, key=lambda other: abs(typical[other] - given))
        if nearest != band:
            yield Statement.doubt(
                Code.CONFLICT,
                f"link.{side}.{key}",
                "{given:g} is near what satellites have in band {nearest} ({near:g}), and the dish "
                "uses band {band} ({typical:g})",
                Remove(),
                given=given,
                nearest=nearest,
                near=typical[nearest],
                band=band,
                typical=typical[band],
            )


def _unseen_stations(served: ContactTable) -> Iterator[Statement]:
    """Stations that no satellite passes; one that is out in each of its passes is seen."""
    names = served.grounded.names
    passes_of = groups(served.grounded.which, len(names))
    unseen = ", ".join(name for name, own in zip(names, passes_of, strict=True) if not len(own))
    if unseen and served.topology.grounded != "cluster":
        yield Statement.doubt(
            Code.NEVER_SEEN,
            "ground.stations",
            f"no satellite comes over {{names}} in {counted(served.span_s / 86400, 'day')}",
            names=unseen,
            days=served.span_s / 86400,
        )


def _best(served: ContactTable, windows: Ints) -> BestSight:
    """Where a satellite stands highest in some windows over one place; overhead without any."""
    if not (served.places and len(windows)):
        return BestSight(90.0, PAPER_ALTITUDE_M)
    highest = windows[np.argmax(served.windows.max_elevation_deg[windows])]
    return BestSight(
        elevation_deg=float(served.windows.max_elevation_deg[highest]),
        slant_range_m=float(served.windows.min_slant_range_km[highest]) * 1e3,
    )


def _best_in_service(served: ContactTable, windows: Ints) -> BestSight | None:
    """Where a satellite that is served culminates highest in its service; None if none does."""
    service = served.service
    at_s = served.windows.culminate_s[windows]
    serves = (service.start_s[windows] <= at_s) & (at_s <= service.end_s[windows])
    if not serves.any():
        return None
    return _best(served, windows[serves])


def _beamwidth_deg(world: World) -> float | None:
    """Half-power beamwidth of the satellite's antenna: the preset's, or by its gain."""
    resolved = world.resolved_link
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
) -> Iterator[Statement]:
    spread_km = 2.0 * float(distances_km(centre, devices).max())
    footprint_km = float(channel.footprint_km(width_deg, nearest_km * 1e3))
    if spread_km > footprint_km:
        yield Statement.doubt(
            Code.NARROW_BEAM,
            "ground.clusters",
            "cluster {name} is {spread_km:.0f} km wide, and the satellite's beam of "
            "{beamwidth_deg:.2g} deg lights {footprint_km:.0f} km at its nearest "
            "({nearest_km:.0f} km), so that devices at the edge have less than the link budget "
            "says",
            name=name,
            spread_km=spread_km,
            beamwidth_deg=width_deg,
            footprint_km=footprint_km,
            nearest_km=nearest_km,
        )


def _weak_links(
    world: World,
    side: str,
    served: ContactTable,
    links: Sequence[Link | None],
    best: Sequence[BestSight],
) -> Iterator[Statement]:
    """Links of a direction that are too weak at their best, or lower in the sky."""
    weak: dict[str, tuple[Statement, list[str]]] = {}
    fixed: dict[int, Link] = {}
    terms = _terms(links, best)
    for place, link in enumerate(links):
        if link is None:
            continue
        doubts = [*_too_weak(world, side, link, best[place], terms[place])]
        for doubt in doubts:
            weak.setdefault(str(doubt), (doubt, []))[1].append(served.grounded.names[place])
        if link.rate == "fixed" and served.places and not doubts:
            fixed[place] = link
    for doubt, over in weak.values():
        values = {**doubt.values, "names": ", ".join(over)}
        yield replace(doubt, text=f"{doubt.text} (over {{names}})", values=values)
    yield from _beyond_its_margin(world, side, served, fixed)


def _too_weak(
    world: World, side: str, link: Link, best: BestSight, terms: Terms
) -> Iterator[Statement]:
    """A link that carries nothing even at its best, or a fixed rate beyond its capacity."""
    key = f"link.{side}"
    if terms["rate_mbps"] == 0.0:
        text = "nothing gets through, as the SNR is {snr_db:.1f} dB at its best, {lacking_db:.1f} "
        text += "dB less than the receiver needs"
        values = {"snr_db": terms["snr_db"], "lacking_db": -terms["margin_db"]}
        remedies: list[Remedy] = []
        clear_mbps = (
            0.0 if link.attenuation is None else _terms([_dry(link)], [best])[0]["rate_mbps"]
        )
        if clear_mbps > 0.0:
            text += "; {rain_db:.1f} dB are rain, and a clear sky carries {clear_mbps:.4g} Mbit/s"
            values |= {"rain_db": terms["rain_loss_db"], "clear_mbps": clear_mbps}
            remedies += less_rain(world, side)
        yield Statement.doubt(Code.WEAK_LINK, key, text, *remedies, **values)
    elif link.rate == "fixed":
        if link.required_snr_db == -np.inf:
            margin_db = terms["margin_db"]
        else:
            unlimited = replace(link, required_snr_db=-np.inf)
            margin_db = _terms([unlimited], [best])[0]["margin_db"]
        if margin_db < 0:
            yield Statement.doubt(
                Code.WEAK_LINK,
                key,
                "the fixed rate needs {lacking_db:.1f} dB more than the link has at its best, "
                "{snr_db:.1f} dB of SNR",
                Lower(f"{key}.fixed_rate_mbps"),
                snr_db=terms["snr_db"],
                lacking_db=-margin_db,
            )


def _dry(link: Link) -> Link:
    """Return a link through the same air without its rain."""
    air = link.attenuation
    assert air is not None
    return replace(link, attenuation=replace(air, rain_db=np.zeros_like(air.rain_db)))


MOST_LOOKED_AT = 240
"""Of more windows, as many that are evenly spread tell the share of the time in view."""
LOOKS = 48
"""Looks in each of them, each in the middle of as much time."""
LEAST_SHARE = 0.005
"""Of the time in view: less is no doubt."""


def _beyond_its_margin(
    world: World, side: str, served: ContactTable, links: Mapping[int, Link]
) -> Iterator[Statement]:
    """A fixed rate that counts while the link has less than it needs, at some elevations.

    ``links`` are those of places by their number, all of them with a margin at their best.
    """
    windows = np.flatnonzero(np.isin(served.ground, [*links]))
    if not len(windows):
        return
    if len(windows) > MOST_LOOKED_AT:
        windows = windows[np.linspace(0, len(windows) - 1, MOST_LOOKED_AT).astype(np.intp)]
    lasts_s = (served.windows.set_s - served.windows.rise_s)[windows]
    elevation_deg, range_m = _looks(served, windows)
    short = np.zeros(elevation_deg.shape, bool)
    margin_db = np.full(elevation_deg.shape, np.inf)
    needed_db = -np.inf
    carried_mbps = np.inf
    for place, link in links.items():
        here = served.ground[windows] == place
        if not here.any():
            continue
        lowest_deg = max(link.min_elevation_deg, HORIZON_DEG)  # AOS and LOS lie on the mask
        seen_deg, away_m = np.maximum(elevation_deg[here], lowest_deg), range_m[here]
        snr_db = channel.snr_db(link, seen_deg, away_m)
        needs_db = _fixed_rate_needs_db(link, seen_deg)
        margin_db[here] = snr_db - needs_db
        short[here] = (snr_db >= link.required_snr_db) & (snr_db < needs_db)
        if short[here].any():
            needed_db = max(needed_db, float(needs_db.max()))
            follows = replace(
                link, rate="ergodic", fixed_rate_bps=None, required_snr_db=-np.inf, duty=1.0
            )
            least_bps = channel.rate_bps(follows, seen_deg, away_m)[short[here]].min()
            carried_mbps = min(carried_mbps, float(least_bps) / 1e6)
    share = float(lasts_s @ short.mean(axis=1)) / float(lasts_s.sum())
    if share < LEAST_SHARE:
        return
    over = np.unique(served.ground[windows][short.any(axis=1)])
    needed_db = ceil(10 * needed_db) / 10
    yield Statement.doubt(
        Code.WEAK_LINK,
        f"link.{side}.fixed_rate_mbps",
        f"the margin is negative for {percent(share, 0)} of the time in view, "
        "down to -{lacking_db:.1f} dB; "
        "a fixed rate counts there too, unless required_snr_db is {needed_db:.1f} (over {names})",
        *_within_its_margin(world, side, carried_mbps, needed_db),
        share=share,
        lacking_db=-float(margin_db[short].min()),
        needed_db=needed_db,
        names=some([served.grounded.names[place] for place in over], MOST_PLACES_NAMED),
    )


def _within_its_margin(
    world: World, side: str, carried_mbps: float, needed_db: float
) -> Iterator[Remedy]:
    """Yield what takes away the time in which a fixed rate lacks margin, or the lack."""
    given: Any = getattr(world.link, side)
    now_mbps = world.resolved_link[side]["fixed_rate_mbps"]
    key = f"link.{side}.required_snr_db"
    if given.required_snr_db is not None:
        yield Raise(key, now=given.required_snr_db, to=needed_db)
    elif given.fading is None and given.rician_k_db is None:  # neither is used beside it
        yield Give(key, like=needed_db)
    digits = 1 - floor(log10(carried_mbps))
    least_mbps = floor(carried_mbps * 10**digits) / 10**digits
    yield Lower(f"link.{side}.fixed_rate_mbps", now=now_mbps, to=least_mbps)


def _looks(served: ContactTable, windows: Ints) -> tuple[Floats, Floats]:
    """Elevations and ranges (m), (N, LOOKS), in the middle of even parts of windows (N,)."""
    satellites = [served.satellites[number] for number in served.flyer[windows]]
    rise_s, set_s = served.windows.rise_s[windows], served.windows.set_s[windows]
    tracks = contact_tracks(satellites, served.start, rise_s, set_s)
    shares = (np.arange(LOOKS) + 0.5) / LOOKS
    times_s = rise_s[:, np.newaxis] + (set_s - rise_s)[:, np.newaxis] * shares
    window = np.repeat(np.arange(len(windows)), LOOKS)
    state = tracks.state(window, times_s.ravel()).T
    frames = site_frames(served.places, served.min_elevation_deg)
    place = served.ground[windows][window]
    elevation_deg, range_km, _ = elevation_and_range(state, frames, place)
    return elevation_deg.reshape(times_s.shape), range_km.reshape(times_s.shape) * 1e3


def _fixed_rate_needs_db(link: Link, elevation_deg: Floats) -> Floats:
    """SNR at which the capacity is the fixed rate, whatever the receiver's threshold.

    It follows the elevation where an environment says how a link fades there.
    """
    rows_deg = np.arange(1.0, 91.0) if link.environment is not None else np.array([90.0])
    unlimited = replace(link, required_snr_db=-np.inf)
    terms = channel.link_budget_terms(unlimited, rows_deg, slant_range_m=PAPER_ALTITUDE_M)
    return np.interp(elevation_deg, rows_deg, terms["required_snr_db"])


MOST_BPS_HZ = 6.0
"""Bit/s/Hz that no mode of DVB-S2X carries: its last one has 5.9 bits in a symbol."""


def _too_fast(
    key: str,
    names: Sequence[str],
    links: Sequence[Link | None],
    best: Sequence[BestSight | None],
) -> Iterator[Statement]:
    """A rate that follows the SNR beyond what any modem of satellites carries in a hertz."""
    following = [link if link and link.law.follows_shannon else None for link in links]
    fast = {
        name: terms["spectral_efficiency_bps_hz"] / link.duty
        for name, link, terms in zip(names, following, _terms(following, best), strict=True)
        if link is not None and terms
    }
    over = {name: each for name, each in fast.items() if each > MOST_BPS_HZ}
    if over:
        [rate, *_] = [link.rate for link in following if link is not None]
        yield Statement.doubt(
            Code.HIGH_EFFICIENCY,
            key,
            "rate {rate!r} gives up to {efficiency_bps_hz:.1f} bit/s/Hz, and DVB-S2X carries 5.9 "
            "bits in a symbol at most (over {names})",
            Set(f"{key}.rate", "modcod"),
            rate=rate,
            efficiency_bps_hz=max(over.values()),
            names=some([*over], MOST_PLACES_NAMED),
        )


def _terms(links: Sequence[Link | None], best: Sequence[BestSight | None]) -> list[Terms]:
    """The budget of each link at its best, none without; those of the same link together."""
    terms_of: list[Terms] = [{} for _ in links]
    alike: dict[Link, list[int]] = {}
    for number, (link, sight) in enumerate(zip(links, best, strict=True)):
        if link is not None and sight is not None:
            alike.setdefault(link, []).append(number)
    for link, numbers in alike.items():
        elevation_deg, range_m = np.array([best[number] for number in numbers]).T
        terms = channel.link_budget_terms(link, elevation_deg, slant_range_m=range_m)
        for place, number in enumerate(numbers):
            terms_of[number] = {name: float(values[place]) for name, values in terms.items()}
    return terms_of
