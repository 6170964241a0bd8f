"""`link:` - the radios, as overrides of a preset, and what surrounds them.

A key of a direction is not a field of `channel.Link`: it may be left to the preset, is in the unit
of a link budget (GHz, MHz, Mbit/s, dB), and says what no single radio knows (`sharing`, `delivery`,
the place of an `itu` atmosphere). What both have in common is in `channel.settings`: words, ranges,
and which rate uses what. `sim/plan/radios.py` turns a direction, with the preset's values filled
in, into SI units; `sim/links/sidelinks.py` and `sim/plan/isl.py` do so for links of these kinds.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, Tag

from channel.settings import (
    APERTURE_EFFICIENCY,
    EXCEEDANCE_PCT,
    OUTAGE_PROBABILITY,
    ROLLOFF,
    Atmosphere,
    EnvironmentName,
    Fading,
    Modcods,
    Rate,
)
from scenarios.errors import wrong
from scenarios.ground import Ground
from scenarios.orbit import OrbitSource
from scenarios.presets import Side
from scenarios.section import (
    Decibels,
    Loss,
    Positive,
    Section,
    TextOrNone,
    setting,
    word_or,
)
from statements import Code, Give, Lower, Raise, Remove, Set, Statement, unused

# The keys of one direction of the link, in the units of a link budget; all are optional.


class LinkSide(Section):
    """What differs from the preset in one direction."""

    frequency_ghz: Positive = setting(None, "carrier frequency, GHz", le=1000)
    bandwidth_mhz: Positive = setting(None, "bandwidth of one device, MHz", le=1e6)
    total_bandwidth_mhz: Positive = setting(
        None, "bandwidth of the beam, shared by the devices, MHz", le=1e6
    )
    tx_power_dbm: Decibels = setting(None, "transmit power, dBm")
    tx_gain_dbi: Decibels = setting(None, "transmit antenna gain, dBi")
    eirp_dbw: Decibels = setting(None, "EIRP, dBW; in place of power and gain")
    rx_gain_dbi: Decibels = setting(None, "receive antenna gain, dBi")
    noise_figure_db: Loss = setting(None, "receiver noise figure, dB")
    antenna_temperature_k: Positive = setting(None, "antenna noise temperature, K", le=1e6)
    g_over_t_db_k: Decibels = setting(
        None, "receiver G/T, dB/K; in place of gain, noise figure and temperature"
    )
    other_losses_db: Loss = setting(None, "losses that do not depend on elevation, dB")
    atmosphere: Literal[Atmosphere, "itu"] | None = setting(
        None, "how the air's attenuation depends on elevation"
    )
    zenith_attenuation_db: Loss = setting(
        None, "atmospheric attenuation at 90 degrees of elevation, dB"
    )
    exceedance_pct: float | None = setting(
        None,
        "share of the year in which the attenuation is exceeded, percent; with itu",
        ge=EXCEEDANCE_PCT.low,
        le=EXCEEDANCE_PCT.high,
    )
    scintillation_loss_db: Loss = setting(None, "loss by scintillation, dB")
    shadowing_margin_db: Loss = setting(None, "margin for shadowing, dB")
    path_gain_db: float | None = setting(
        None, "fixed large-scale fading in place of free space and atmosphere, dB", ge=-300, lt=0
    )
    fading: Fading | None = setting(None, "small-scale fading")
    rician_k_db: Decibels = setting(None, "Rician K factor, dB; with fading rician")
    rate: Rate | None = setting(None, "how the rate follows from the signal-to-noise ratio")
    outage_probability: float | None = setting(
        None,
        "share of the transmissions that fail; with rate outage",
        ge=OUTAGE_PROBABILITY.low,
        le=OUTAGE_PROBABILITY.high,
    )
    rolloff: float | None = setting(
        None,
        "roll-off of the DVB-S2 pulses; with rate modcod",
        ge=ROLLOFF.low,
        le=ROLLOFF.high,
    )
    modcods: Modcods | None = setting(
        None, "modes of DVB-S2 alone, or those of DVB-S2X too; with rate modcod"
    )
    fixed_rate_mbps: Positive = setting(None, "rate of one device, Mbit/s; with rate fixed", le=1e9)
    required_snr_db: Decibels = setting(
        None, "signal-to-noise ratio below which nothing is received, dB"
    )
    duty: Positive = setting(None, "share of the time in which this direction transmits", le=1)


class Uplink(LinkSide):
    """Device to satellite."""

    sharing: Literal["fixed_subchannel", "equal_share"] | None = setting(
        None, "how devices share the beam: a queue, or equal bandwidths"
    )


class Downlink(LinkSide):
    """Satellite to device."""

    delivery: Literal["broadcast", "unicast"] | None = setting(
        None, "one transmission to a whole cluster, or one to each device"
    )


# `link.sidelink:` - the direct links between devices on the ground; all keys are optional.


class Sidelink(Section):
    """What differs from an outdoor radio below 1 GHz."""

    rate_mbps: Positive = setting(
        None,
        "rate of each sidelink, Mbit/s; null for that of a radio of 2 MHz at 0.915 GHz over the "
        "distance",
        le=1e6,
    )
    tx_power_dbm: Decibels = setting(None, "transmit power of a device, dBm; null for 20")
    range_km: Positive = setting(
        None,
        "farthest that a sidelink reaches, km, within a cluster and beyond it; null "
        "for all devices of the same cluster",
        le=1000,
    )
    distance_km: Positive = setting(
        None,
        "distance between any two devices of a cluster, km; null for that of their places",
        le=1000,
    )

    def problems(self) -> Iterator[Statement]:
        """Devices that are out of range."""
        if self.range_km is not None and (self.distance_km or 0.0) > self.range_km:
            text = f"got {self.distance_km:g}; beyond range_km {self.range_km:g} nobody has a "
            yield wrong(
                "distance_km",
                f"{text}sidelink",
                Code.WRONG_VALUE,
                Lower("distance_km", to=self.range_km),
                Raise("range_km", to=self.distance_km),
            )

    @property
    def sent_dbm(self) -> float:
        """Transmit power of a device, dBm."""
        return 20.0 if self.tx_power_dbm is None else self.tx_power_dbm


def sidelink_problems(
    sidelink: Sidelink | None, ground: Ground, orbit: OrbitSource
) -> Iterator[Statement]:
    """Yield what does not fit together, with paths from the scenario's top."""
    if sidelink is None:
        return
    path = ("link", "sidelink")
    if not orbit.has_geometry:
        text = f"is missing; source {orbit.source!r} has no places to take distances from"
        if sidelink.distance_km is None:
            give = Give("link.sidelink.distance_km", like=0.2, what="in km")
            yield wrong((*path, "distance_km"), text, Code.MISSING, give)
    elif sidelink.distance_km is None and sidelink.rate_mbps is None:
        for cluster in ground.clusters:
            if (cluster.devices or 1) > 1 and cluster.radius_km == 0:
                text = f"is missing; the devices of cluster {cluster.name!r} are all in one place"
                give = Give("link.sidelink.distance_km", like=0.2, what="in km")
                other = "give that cluster's radius_km or places"
                yield wrong((*path, "distance_km"), text, Code.MISSING, give, other)


# `link.isl:` - the links between satellites.


ISL_BUDGET = ("frequency_ghz", "bandwidth_mhz", "tx_power_dbm", "gain_dbi", "noise_temperature_k")


class Isl(Section):
    """Which satellites have links to each other, how far these reach, and their rate."""

    within_plane: Literal["none", "ring"] = setting(
        "none", "links within a plane: none, or a ring of neighbours"
    )
    between_planes: Literal["none", "grid", "neighbours", "all"] = setting(
        "none",
        "links between planes: none, a grid (each satellite and the nearest of each neighbouring "
        "plane), neighbours (all of planes whose nodes are next to each other), or all",
    )
    windows: TextOrNone = setting(
        None, "CSV file of windows in place of a search (columns of orbit.isl_windows), or its text"
    )
    grazing_km: float = setting(
        80.0, "height above the ellipsoid that a link stays above, km", ge=0, le=1e6
    )
    max_range_km: Positive = setting(None, "longest distance of a link, km; null for any", le=1e6)
    terminals: int | None = setting(
        None,
        "links of a satellite at a time, those within planes first; null for any",
        ge=1,
        le=10_000,
    )
    route: Literal["direct", "earliest"] = setting(
        "direct",
        "how uploads and downloads travel: direct, in contacts of the client with the server, or "
        "by the links and contacts that bring them there earliest (store and forward)",
    )
    acquisition_s: float = setting(
        0.0, "time from when two terminals are free and in sight to the first bit, s", ge=0, le=1e6
    )
    rate_mbps: Positive = setting(None, "rate of each direction, Mbit/s; no budget then", le=1e6)
    frequency_ghz: Positive = setting(None, "carrier frequency of the budget, GHz", le=1000)
    bandwidth_mhz: Positive = setting(None, "bandwidth of each direction, MHz", le=1e6)
    tx_power_dbm: Decibels = setting(None, "transmit power, dBm")
    gain_dbi: Decibels = setting(None, "gain of each of the two antennas, dBi")
    noise_temperature_k: Positive = setting(None, "noise temperature of the receiver, K", le=1e6)

    rules = (
        unused(
            *("grazing_km", "max_range_km"),
            when=lambda isl: isl.windows is not None,
            by="where windows say who is in sight",
        ),
        unused(*ISL_BUDGET, when=lambda isl: isl.rate_mbps is not None, by="with a rate_mbps"),
    )

    def problems(self) -> Iterator[Statement]:
        """None or more than one way to their rate."""
        if self.within_plane == "ring" and self.terminals == 1:
            text = "got 1; a ring uses 2 of each satellite"
            yield wrong(
                "terminals",
                text,
                Code.WRONG_VALUE,
                Raise("terminals", to=2),
                Set("within_plane", "none"),
            )
        if self.route == "earliest" and not self.among_clients:
            text = "got 'earliest', and no satellites are linked; set within_plane or "
            yield wrong("route", f"{text}between_planes, or route: direct", Code.CONFLICT)
        for key in ISL_BUDGET:
            if getattr(self, key) is None and self.rate_mbps is None:
                text = "is missing; give it, or a rate_mbps instead of a budget"
                yield wrong(key, text, Code.MISSING)

    @property
    def among_clients(self) -> bool:
        """Tell whether satellites that learn have links to each other."""
        return not self.within_plane == self.between_planes == "none"


# `link.feeder:` - the links between satellites and gateways.


class Feeder(Section):
    """The links by which satellites reach stations with what devices have sent."""

    rate_mbps: float = Field(gt=0, le=1e6, description="rate of each direction, Mbit/s")


# `link.station:` - the dish of ground stations.


DishBand = Literal["S", "X", "Ka"]


class Dish(Section):
    """The dish of a ground station, of which preset `station` makes both directions."""

    dish_m: float = Field(gt=0, le=100, description="diameter of the dish, m")
    band: DishBand = Field(description="band, which gives carriers, bandwidths and typical radios")
    uplink_band: DishBand | None = setting(None, "band of the uplink, if another; null for band")
    efficiency: float = setting(
        APERTURE_EFFICIENCY, "share of the aperture that counts", gt=0, le=1
    )
    system_temperature_k: Positive = setting(
        None, "noise temperature of the station with its sky, K; null for the band's", le=1e6
    )

    def band_of(self, side: Side) -> DishBand:
        """Return the band of a direction."""
        return (self.uplink_band or self.band) if side == "uplink" else self.band


class Link(Section):
    """Both directions of the link."""

    preset: Literal["paper", "physical", "station"] = setting(
        "physical", "values that the keys below start from"
    )
    station: Dish | None = setting(
        None, "the dish of the stations; with preset station, which needs it"
    )
    environment: EnvironmentName | None = setting(
        None, "propagation scenario of 3GPP TR 38.811 around the devices; null for none"
    )
    cut_transfers: Literal["resume", "restart", "drop"] = setting(
        "resume", "what becomes of a transfer that the end of a pass cuts off"
    )
    uplink: Uplink = setting(Uplink(), "device to satellite: overrides of the preset")
    downlink: Annotated[
        Annotated[Literal["neglected"], Tag("neglected")] | Annotated[Downlink, Tag("other")],
        word_or(
            "neglected",
            lambda value: isinstance(value, dict | Downlink),
            "must be 'neglected' or a mapping of link keys",
        ),
    ] = setting(
        Downlink(), "satellite to device: 'neglected' (takes no time) or overrides of the preset"
    )
    sidelink: Sidelink | None = setting(
        None, "device to device: null for none, or keys of its radio ({} for its defaults)"
    )
    isl: Isl | None = setting(None, "satellite to satellite, of satellites that learn; null: none")
    feeder: Feeder | None = setting(
        None, "station to satellite, where devices reach stations over satellites; null: none"
    )
    relay: Literal["none", "contact", "store"] = setting(
        "none",
        "whom devices without a sidelink reach through the satellites: nobody, those "
        "in contact at the same time, or all, by messages that wait for contacts",
    )

    rules = (
        unused(
            "station",
            when=lambda link: link.preset != "station",
            by="with preset {preset!r}",
            remedies=(Set("preset", "station"), Remove()),
        ),
    )

    def problems(self) -> Iterator[Statement]:
        """A preset without its dish."""
        if self.preset == "station" and self.station is None:
            text = "is missing; preset 'station' needs it"
            give = Give(like={"dish_m": 13, "band": "X"})
            yield wrong("station", text, Code.MISSING, give)

    @property
    def route(self) -> Literal["direct", "mesh"]:
        """How uploads and downloads travel: by contacts, or over links between satellites too."""
        return "mesh" if self.isl is not None and self.isl.route == "earliest" else "direct"
