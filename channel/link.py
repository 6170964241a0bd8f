"""One direction of a radio link between a ground device and a satellite."""

from dataclasses import dataclass
from typing import Literal, get_args

from channel.arrays import between, checked, finite, not_negative, positive

Fading = Literal["none", "rayleigh", "rician"]
Rate = Literal["ergodic", "shannon", "fixed"]


@dataclass(frozen=True)
class Link:
    """What turns an elevation and a slant range into a rate; every field is a scalar.

    frequency_hz, bandwidth_hz: carrier and noise bandwidth, > 0.
    eirp_dbw, g_over_t_db_k: transmitter and receiver (see `eirp_dbw` and `g_over_t_db_k`).
    other_losses_db: implementation, polarisation, shadowing and scintillation margins, >= 0.
    zenith_attenuation_db: gaseous attenuation straight up, >= 0, scaled by the cosecant law.
    path_gain_db: a fixed large-scale fading, < 0, in the place of free-space loss (EMS-FL, section
        V-A, uses -160 dB at every elevation); None for free space over the slant range.
    fading: small-scale fading; it matters only for the ergodic rate.
    rician_k_linear: ratio of direct to scattered power, >= 0, used by Rician fading.
    rate: "ergodic" is EMS-FL equation (20), "shannon" is (21), "fixed" is fixed_rate_bps.
    fixed_rate_bps: > 0, given exactly when rate is "fixed".
    min_elevation_deg: the mask, 0 to 90; there is no link below it (EMS-FL, equation (16)).

    Raises ValueError for a field outside these ranges.
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

    def __post_init__(self) -> None:
        """Check every field."""
        positive("frequency_hz", self.frequency_hz)
        positive("bandwidth_hz", self.bandwidth_hz)
        finite("eirp_dbw", self.eirp_dbw)
        finite("g_over_t_db_k", self.g_over_t_db_k)
        not_negative("other_losses_db", self.other_losses_db)
        not_negative("zenith_attenuation_db", self.zenith_attenuation_db)
        between("min_elevation_deg", self.min_elevation_deg, 0.0, 90.0)
        self._check_path_gain()
        self._check_fading()
        self._check_rate()

    def _check_path_gain(self) -> None:
        if self.path_gain_db is not None:
            finite("path_gain_db", self.path_gain_db)
            checked(
                "path_gain_db",
                self.path_gain_db,
                lambda x: x < 0,
                "less than 0 dB, a loss written as a gain such as -160; None is free space",
            )

    def _check_fading(self) -> None:
        _one_of("fading", self.fading, get_args(Fading))
        checked(
            "rician_k_linear",
            self.rician_k_linear,
            lambda x: x >= 0,
            "a power ratio of at least 0, not decibels; infinity is no fading",
        )

    def _check_rate(self) -> None:
        _one_of("rate", self.rate, get_args(Rate))
        if self.rate == "fixed":
            if self.fixed_rate_bps is None:
                raise ValueError('fixed_rate_bps is None; rate "fixed" needs a number of bit/s')
            positive("fixed_rate_bps", self.fixed_rate_bps)
        elif self.fixed_rate_bps is not None:
            raise ValueError(
                f"fixed_rate_bps is {self.fixed_rate_bps} while rate is {self.rate!r}; "
                'leave it out or set rate to "fixed"'
            )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed is one of {', '.join(allowed)}")
