"""One direction of a radio link between a ground device and a satellite."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, InitVar, dataclass
from typing import TYPE_CHECKING, Any, Final

from channel import budget, link_rules
from channel.forms import one_form
from channel.link_rules import Fading, Rate

if TYPE_CHECKING:
    from channel.atmosphere import Atmosphere
    from channel.environment import Environment
    from channel.slant_attenuation import SlantAttenuation

IN_PARTS: Final[Any] = None
"""Default of a figure that may be given in parts; after construction it is always a number."""


@dataclass(frozen=True)
class Link:
    """What turns an elevation and a slant range into a rate; every field is a scalar.

    frequency_hz, bandwidth_hz: carrier and noise bandwidth, > 0.
    eirp_dbw: radiated power; or in its place tx_power_dbm and tx_gain_dbi (see `eirp_dbw`).
    g_over_t_db_k: receiver; or in its place rx_gain_dbi, noise_figure_db and antenna_temperature_k
        (see `g_over_t_db_k`). The parts are arguments only: the link keeps the two figures, so that
        there is one way through the budget. To `replace` a part, give all parts of its figure and
        None for the figure.

    Losses, all in dB and >= 0; every one is a term of `link_budget`:
    zenith_attenuation_db, atmosphere: gases straight up, and their law over the elevation,
        "cosecant" or "inverse_elevation" (see `atmospheric_attenuation_db`).
    attenuation: gases and rain from a table over the elevation, in the place of those two.
    scintillation_loss_db: None is the table of the environment, 0 without one.
    clutter_loss_db, shadowing_margin_db: constants; with an environment its tables stand for them.
    other_losses_db: implementation, polarisation, pointing.
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
    fixed_rate_bps: > 0, given exactly when rate is "fixed".
    outage_probability: 1e-9 to 0.999; it needs fading.
    required_snr_db: below it the receiver does not lock and the rate is 0; -infinity for none. The
        table of "modcod" has its own thresholds.
    duty: above 0 and at most 1, the share of the time in which this direction transmits; it
        multiplies every rate.
    min_elevation_deg: the mask, 0 to 90; there is no link below it (EMS-FL, equation (16)).

    Raises ValueError for a field outside these ranges, for two forms of one quantity, and for
    outage_probability or rolloff that differ from their defaults where no rate uses them.
    """

    frequency_hz: float
    bandwidth_hz: float
    eirp_dbw: float = IN_PARTS
    g_over_t_db_k: float = IN_PARTS
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
    scintillation_loss_db: float | None = None
    clutter_loss_db: float = 0.0
    shadowing_margin_db: float = 0.0
    environment: Environment | None = None
    outage_probability: float = 0.1
    rolloff: float = 0.2
    required_snr_db: float = -math.inf
    duty: float = 1.0
    tx_power_dbm: InitVar[float | None] = None
    tx_gain_dbi: InitVar[float | None] = None
    rx_gain_dbi: InitVar[float | None] = None
    noise_figure_db: InitVar[float | None] = None
    antenna_temperature_k: InitVar[float | None] = None

    def __post_init__(
        self,
        tx_power_dbm: float | None,
        tx_gain_dbi: float | None,
        rx_gain_dbi: float | None,
        noise_figure_db: float | None,
        antenna_temperature_k: float | None,
    ) -> None:
        """Bring both figures to their one form and check every field."""
        sent = {"tx_power_dbm": tx_power_dbm, "tx_gain_dbi": tx_gain_dbi}
        received = {
            "rx_gain_dbi": rx_gain_dbi,
            "noise_figure_db": noise_figure_db,
            "antenna_temperature_k": antenna_temperature_k,
        }
        eirp = one_form("eirp_dbw", self.eirp_dbw, sent, budget.eirp_dbw)
        figure = one_form("g_over_t_db_k", self.g_over_t_db_k, received, budget.g_over_t_db_k)
        object.__setattr__(self, "eirp_dbw", eirp)
        object.__setattr__(self, "g_over_t_db_k", figure)
        link_rules.check(self)
