"""What two devices on the ground can send each other directly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from channel.budget import BOLTZMANN_DBW_K_HZ, REFERENCE_TEMPERATURE_K, free_space_path_loss_db
from channel.checks import finite, not_negative, positive
from statements.arrays import Floats


def log_distance_path_loss_db(
    distance_m: ArrayLike,
    frequency_hz: ArrayLike,
    exponent: ArrayLike,
    reference_distance_m: ArrayLike = 1.0,
) -> Floats:
    """Path loss along the ground: free space up to a reference distance, a power law beyond it.

    L(d) = L_fs(min(d, d0)) + 10 n log10(max(d / d0, 1)), the log-distance law of Rappaport,
    Wireless Communications, section 4.9, without its shadowing. Exponent n = 2 is free space.
    Raises ValueError unless all are finite and positive.
    """
    distance = positive("distance_m", distance_m)
    reference = positive("reference_distance_m", reference_distance_m)
    near_db = free_space_path_loss_db(np.minimum(distance, reference), frequency_hz)
    beyond = np.maximum(distance / reference, 1.0)
    return near_db + 10.0 * positive("exponent", exponent) * np.log10(beyond)


@dataclass(frozen=True)
class Sidelink:
    """The radio between two devices, each with an isotropic antenna, in SI units and decibels.

    Raises ValueError unless all values are finite, the losses not negative, and frequency,
    bandwidth, exponent and reference distance positive.
    """

    frequency_hz: float
    bandwidth_hz: float
    tx_power_dbm: float
    path_loss_exponent: float
    reference_distance_m: float = 1.0
    noise_figure_db: float = 0.0
    other_losses_db: float = 0.0

    def __post_init__(self) -> None:
        positive("bandwidth_hz", self.bandwidth_hz)
        finite("tx_power_dbm", self.tx_power_dbm)
        for name in ("noise_figure_db", "other_losses_db"):
            not_negative(name, getattr(self, name))
        self.rate_bps(self.reference_distance_m)

    def snr_db(self, distance_m: ArrayLike) -> Floats:
        """Signal-to-noise ratio over a distance: P - L(d) - losses - 10 log10(k T0 F B), in dB."""
        loss_db = log_distance_path_loss_db(
            distance_m, self.frequency_hz, self.path_loss_exponent, self.reference_distance_m
        )
        noise_band = REFERENCE_TEMPERATURE_K * self.bandwidth_hz
        noise_dbw = BOLTZMANN_DBW_K_HZ + 10.0 * np.log10(noise_band) + self.noise_figure_db
        return self.tx_power_dbm - 30.0 - loss_db - self.other_losses_db - noise_dbw

    def rate_bps(self, distance_m: ArrayLike) -> Floats:
        """Rate over a distance, B log2(1 + SNR), in bit/s.

        Raises ValueError for a distance that is not finite and positive.
        """
        snr = 10.0 ** (self.snr_db(distance_m) / 10.0)
        return self.bandwidth_hz * np.log1p(snr) / np.log(2.0)
