"""Settings of a link that mean the same in a scenario file and in code: words, ranges and uses.

A file overrides a preset in the units of a link budget (GHz, MHz, Mbit/s, dB); `channel.Link` is
one whole radio in SI units. What both say of a setting is here, once; nothing is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Rate = Literal["ergodic", "shannon", "outage", "modcod", "fixed"]
"""How the rate follows from the SNR: see `channel.Link`."""
Fading = Literal["none", "rayleigh", "rician"]
Atmosphere = Literal["cosecant", "inverse_elevation"]
"""Laws of gases over the elevation: see `channel.atmosphere`."""
EnvironmentName = Literal["dense_urban", "urban", "suburban", "rural"]
Band = Literal["S", "Ka"]
Modcods = Literal["dvb-s2", "dvb-s2x"]
"""Which standard's modes the rate `modcod` has: DVB-S2, or these and those of DVB-S2X."""


@dataclass(frozen=True)
class Range:
    """Values from `low` to `high`, both of them included."""

    low: float
    high: float


BANDS_GHZ: Final[Mapping[Band, Range]] = {"S": Range(1.0, 6.0), "Ka": Range(17.0, 40.0)}
"""Carriers for which environments have tables."""
OUTAGE_PROBABILITY: Final = Range(1e-9, 0.999)
ROLLOFF: Final = Range(0, 1)
APERTURE_EFFICIENCY: Final = 0.6
"""Share of a dish's aperture that counts, where nothing else is known: G = 0.6 (pi D f / c)^2."""
ITU_FREQUENCY_GHZ: Final = Range(1.0, 55.0)
"""Carriers for which the models of ITU-R that are used here hold together."""
EXCEEDANCE_PCT: Final = Range(0.001, 5)
"""Share of a year in which rain is exceeded, for which ITU-R P.618 holds."""

USED_BY_ONE_RATE: Final[Mapping[str, Rate]] = {
    "outage_probability": "outage",
    "rolloff": "modcod",
    "modcods": "modcod",
}
"""Settings that change nothing under other rates; `fixed` has its rate, in a unit for each side."""


class RateLaw(NamedTuple):
    """What follows from how a link's rate is computed; what computes it is `channel.efficiency`.

    One that `follows_shannon` grows with the SNR without an end; any other is
    constant between its jumps. One that `has_levels` jumps between levels of its own; one that
    `fades` looks at how signals fade.
    """

    follows_shannon: bool = False
    has_levels: bool = False
    fades: bool = False


RATES: Final[Mapping[Rate, RateLaw]] = {
    "ergodic": RateLaw(follows_shannon=True, fades=True),
    "shannon": RateLaw(follows_shannon=True),
    "outage": RateLaw(follows_shannon=True, fades=True),
    "modcod": RateLaw(has_levels=True),
    "fixed": RateLaw(),
}
FADED_RATES: Final = tuple(rate for rate, law in RATES.items() if law.fades)
"""A fixed rate looks at fading too, where its loss is to be known."""

BUDGET_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "eirp_dbw": ("tx_power_dbm", "tx_gain_dbi"),
    "g_over_t_db_k": ("rx_gain_dbi", "noise_figure_db", "antenna_temperature_k"),
}
"""A figure of the link budget, or the parts that make it: giving one form replaces the other."""
