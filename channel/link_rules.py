"""What the fields of a link allow, each on its own and beside the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

from channel.arrays import between, checked, finite, not_negative, one_of, positive
from channel.atmosphere import Atmosphere
from channel.environment import Environment
from channel.slant_attenuation import SlantAttenuation

if TYPE_CHECKING:
    from channel.link import Link

Fading = Literal["none", "rayleigh", "rician"]
Rate = Literal["ergodic", "shannon", "outage", "modcod", "fixed"]


def check(link: Link) -> None:
    """Raise ValueError for the first field that is wrong, in one line that says how to mend it."""
    for name in ("frequency_hz", "bandwidth_hz"):
        positive(name, getattr(link, name))
    for name in ("eirp_dbw", "g_over_t_db_k"):
        finite(name, getattr(link, name))
    between("min_elevation_deg", link.min_elevation_deg, 0.0, 90.0)
    _check_losses(link)
    _check_path_gain(link)
    _check_environment(link)
    _check_fading(link)
    _check_rate(link)
    _check_use(link)


def _check_losses(link: Link) -> None:
    for name in (
        "other_losses_db",
        "zenith_attenuation_db",
        "clutter_loss_db",
        "shadowing_margin_db",
    ):
        not_negative(name, getattr(link, name))
    if link.scintillation_loss_db is not None:
        not_negative("scintillation_loss_db", link.scintillation_loss_db)
    one_of("atmosphere", link.atmosphere, get_args(Atmosphere))
    if link.attenuation is not None:
        _instance(link, "attenuation", SlantAttenuation, "a SlantAttenuation")
        _untouched(link, ("zenith_attenuation_db", "atmosphere"), "attenuation is given")


def _check_path_gain(link: Link) -> None:
    if link.path_gain_db is None:
        return
    finite("path_gain_db", link.path_gain_db)
    checked(
        "path_gain_db",
        link.path_gain_db,
        lambda x: x < 0,
        "less than 0 dB, a loss written as a gain such as -160; None is free space",
    )
    _untouched(link, ("environment", "attenuation"), "path_gain_db is the whole path")


def _check_environment(link: Link) -> None:
    if link.environment is not None:
        _instance(link, "environment", Environment, "what propagation_scenario gives")
        link.environment.scintillation_loss_db(90.0, link.frequency_hz)  # refuses another band
        tabulated = ("clutter_loss_db", "shadowing_margin_db", "rician_k_linear")
        _untouched(link, tabulated, "the tables of environment stand for it")


def _check_fading(link: Link) -> None:
    one_of("fading", link.fading, get_args(Fading))
    checked(
        "rician_k_linear",
        link.rician_k_linear,
        lambda x: x >= 0,
        "a power ratio of at least 0, not decibels; infinity is no fading",
    )


def _check_rate(link: Link) -> None:
    one_of("rate", link.rate, get_args(Rate))
    if link.rate == "fixed":
        if link.fixed_rate_bps is None:
            raise ValueError('fixed_rate_bps is None; rate "fixed" needs a number of bit/s')
        positive("fixed_rate_bps", link.fixed_rate_bps)
    else:
        _untouched(link, ("fixed_rate_bps",), f"rate is {link.rate!r}")
    between("outage_probability", link.outage_probability, 1e-9, 0.999)
    if link.rate != "outage":
        _untouched(link, ("outage_probability",), f"rate is {link.rate!r}")
    elif link.fading == "none":
        raise ValueError(
            'rate is "outage" while fading is "none"; allowed with fading rayleigh or rician: '
            'set fading, or rate to "shannon"'
        )
    between("rolloff", link.rolloff, 0.0, 1.0)
    if link.rate != "modcod":
        _untouched(link, ("rolloff",), f"rate is {link.rate!r}")


def _check_use(link: Link) -> None:
    checked("duty", link.duty, lambda x: (x > 0) & (x <= 1), "more than 0 and at most 1")
    checked(
        "required_snr_db",
        link.required_snr_db,
        lambda x: x < math.inf,
        "a number of dB, or -infinity for no threshold",
    )
    if link.rate == "modcod":
        _untouched(link, ("required_snr_db",), 'the table of rate "modcod" has its thresholds')


def _untouched(link: Link, names: tuple[str, ...], why: str) -> None:
    """Refuse a field that would change nothing: it must stand at its default."""
    for name in names:
        value, default = getattr(link, name), getattr(type(link), name)
        if value != default:
            raise ValueError(
                f"{name} is {_short(value)}; allowed is {default} as {why}: leave it out"
            )


def _instance(link: Link, name: str, kind: type, allowed: str) -> None:
    value = getattr(link, name)
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {_short(value)}; allowed is None or {allowed}")


def _short(value: object) -> str:
    """One line, whatever it is."""
    return " ".join(repr(value).split())[:60]
