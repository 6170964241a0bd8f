"""A link: its radio, losses and rate, and the ranges of their values."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import get_args

from channel.atmosphere import SlantAttenuation
from channel.checks import between, checked, finite, not_negative, one_of, positive
from channel.environment import Environment
from channel.settings import (
    OUTAGE_PROBABILITY,
    RATES,
    ROLLOFF,
    USED_BY_ONE_RATE,
    Atmosphere,
    Fading,
    Modcods,
    Rate,
    RateLaw,
)


@dataclass(frozen=True)
class Link:
    """What turns an elevation and a slant range into a rate; every field is a scalar.

    frequency_hz, bandwidth_hz: carrier and noise bandwidth, > 0.
    eirp_dbw: radiated power; `eirp_dbw` makes it of power and gain.
    g_over_t_db_k: receiver; `g_over_t_db_k` makes it of gain, noise figure and temperature.

    Losses, all in dB and >= 0; every one is a term of `link_budget`:
    zenith_attenuation_db, atmosphere: gases straight up, and their law over the elevation,
        "cosecant" or "inverse_elevation" (see `atmospheric_attenuation_db`).
    attenuation: gases and rain from a table over the elevation, in the place of those two.
    system_temperature_k: > 0, the noise of the whole receiver under a clear sky, as in its G/T; the
        rain of attenuation adds its own (see `g_over_t_under_rain_db_k`). None for a receiver that
        looks down on the rain, which is as warm as the ground.
    scintillation_loss_db: None is the table of the environment, 0 without one.
    shadowing_margin_db: a constant; with an environment its tables stand for it.
    other_losses_db: implementation, polarisation, pointing, clutter.
    path_gain_db: a fixed large-scale fading, < 0, in the place of free-space loss (EMS-FL, section
        V-A, uses -160 dB at every elevation); None for free space over the slant range.
    environment: a propagation scenario of TR 38.811; line of sight, clutter, shadowing and Rician K
        then depend on the elevation and on the path of a device.

    fading: small-scale fading; it matters for the ergodic and the outage rate.
    rician_k_linear: ratio of direct to scattered power, >= 0, used by Rician fading without an
        environment.
    rate: "ergodic" is EMS-FL equation (20), "shannon" is (21), "outage" is the goodput of a rate
        that fails with outage_probability, "modcod" follows the table of DVB-S2 at a rolloff
        (0 to 1), "fixed" is fixed_rate_bps.
    modcods: "dvb-s2", or "dvb-s2x" for the modes of DVB-S2X too.
    fixed_rate_bps: > 0, given exactly when rate is "fixed".
    outage_probability: 1e-9 to 0.999; it needs fading.
    required_snr_db: below it the receiver does not lock and the rate is 0; -infinity for none. The
        table of "modcod" has its own thresholds.
    duty: above 0 and at most 1, the share of the time in which this direction transmits; it
        multiplies every rate.
    min_elevation_deg: the mask, 0 to 90; there is no link below it (EMS-FL, equation (16)).

    Raises ValueError for a field outside these ranges, and for outage_probability, rolloff or
    modcods that differ from their defaults where no rate uses them.
    """

    frequency_hz: float
    bandwidth_hz: float
    eirp_dbw: float
    g_over_t_db_k: float
    other_losses_db: float = 0.0
    zenith_attenuation_db: float = 0.0
    path_gain_db: float | None = None
    fading: Fading = "none"
    rician_k_linear: float = 10.0
    rate: Rate = "ergodic"
    fixed_rate_bps: float | None = None
    min_elevation_deg: float = 10.0
    _: KW_ONLY
    atmosphere: Atmosphere = "cosecant"
    attenuation: SlantAttenuation | None = None
    system_temperature_k: float | None = None
    scintillation_loss_db: float | None = None
    shadowing_margin_db: float = 0.0
    environment: Environment | None = None
    outage_probability: float = 0.1
    rolloff: float = 0.2
    modcods: Modcods = "dvb-s2"
    required_snr_db: float = -math.inf
    duty: float = 1.0

    def __post_init__(self) -> None:
        """Check every field."""
        check(self)

    @property
    def law(self) -> RateLaw:
        """What follows from how the rate is computed."""
        return RATES[self.rate]

    @property
    def arriving_share(self) -> float:
        """Share of what is sent that arrives: less than 1 under the rate "outage"."""
        return 1.0 - self.outage_probability if self.rate == "outage" else 1.0


def check(link: Link) -> None:
    """Raise ValueError for the first field that is wrong, in one line that says how to mend it."""
    for name in ("frequency_hz", "bandwidth_hz"):
        positive(name, getattr(link, name))
    for name in ("eirp_dbw", "g_over_t_db_k"):
        finite(name, getattr(link, name))
    between("min_elevation_deg", link.min_elevation_deg, 0.0, 90.0)
    _check_losses(link)
    _check_rate(link)


LOSSES = ("other_losses_db", "zenith_attenuation_db", "shadowing_margin_db")
TABULATED = ("shadowing_margin_db", "rician_k_linear")


def _check_losses(link: Link) -> None:
    for name in LOSSES:
        not_negative(name, getattr(link, name))
    if link.scintillation_loss_db is not None:
        not_negative("scintillation_loss_db", link.scintillation_loss_db)
    one_of("atmosphere", link.atmosphere, get_args(Atmosphere))
    if link.attenuation is not None:
        _instance(link, "attenuation", SlantAttenuation, "a SlantAttenuation")
        _untouched(link, ("zenith_attenuation_db", "atmosphere"), "attenuation is given")
    else:
        _untouched(link, ("system_temperature_k",), "without attenuation there is no rain")
    if link.system_temperature_k is not None:
        positive("system_temperature_k", link.system_temperature_k)
    if link.path_gain_db is not None:
        allowed = "less than 0 dB, a loss written as a gain such as -160; None is free space"
        checked("path_gain_db", finite("path_gain_db", link.path_gain_db), lambda x: x < 0, allowed)
        _untouched(link, ("environment", "attenuation"), "path_gain_db is the whole path")
    if link.environment is not None:
        _instance(link, "environment", Environment, "what propagation_scenario gives")
        link.environment.scintillation_loss_db(90.0, link.frequency_hz)  # refuses another band
        _untouched(link, TABULATED, "the tables of environment stand for it")


def _check_rate(link: Link) -> None:
    one_of("fading", link.fading, get_args(Fading))
    allowed = "a power ratio of at least 0, not decibels; infinity is no fading"
    checked("rician_k_linear", link.rician_k_linear, lambda x: x >= 0, allowed)
    one_of("rate", link.rate, get_args(Rate))
    if link.rate != "fixed":
        _untouched(link, ("fixed_rate_bps",), f"rate is {link.rate!r}")
    elif link.fixed_rate_bps is None:
        raise ValueError('fixed_rate_bps is None; rate "fixed" needs a number of bit/s')
    else:
        positive("fixed_rate_bps", link.fixed_rate_bps)
    between(
        "outage_probability",
        link.outage_probability,
        OUTAGE_PROBABILITY.low,
        OUTAGE_PROBABILITY.high,
    )
    between("rolloff", link.rolloff, ROLLOFF.low, ROLLOFF.high)
    one_of("modcods", link.modcods, get_args(Modcods))
    others = tuple(name for name, rate in USED_BY_ONE_RATE.items() if rate != link.rate)
    _untouched(link, others, f"rate is {link.rate!r}")
    if link.rate == "outage" and link.fading == "none":
        raise ValueError(
            'rate is "outage" while fading is "none"; allowed with fading rayleigh or rician: '
            'set fading, or rate to "shannon"'
        )
    checked("duty", link.duty, lambda x: (x > 0) & (x <= 1), "more than 0 and at most 1")
    allowed = "a number of dB, or -infinity for no threshold"
    checked("required_snr_db", link.required_snr_db, lambda x: x < math.inf, allowed)
    if link.rate == "modcod":
        _untouched(link, ("required_snr_db",), 'the table of rate "modcod" has its thresholds')


def _untouched(link: Link, names: tuple[str, ...], why: str) -> None:
    """Refuse a field that would change nothing: it must stand at its default."""
    for name in names:
        value = getattr(link, name)
        default = getattr(type(link), name)
        if value != default:
            short = _short(value)
            raise ValueError(f"{name} is {short}; allowed is {default} as {why}: leave it out")


def _instance(link: Link, name: str, kind: type, allowed: str) -> None:
    value = getattr(link, name)
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {_short(value)}; allowed is None or {allowed}")


def _short(value: object) -> str:
    """One line, whatever it is."""
    return " ".join(repr(value).split())[:60]
