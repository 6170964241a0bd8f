"""Carrier frequency shift from the motion of the satellite."""

from numpy.typing import ArrayLike

from channel.arrays import Floats, finite, positive
from channel.constants import SPEED_OF_LIGHT_M_S


def doppler_hz(range_rate_km_s: ArrayLike, frequency_hz: ArrayLike) -> Floats:
    """First-order Doppler shift -(dd/dt) f / c in Hz, positive while the satellite approaches.

    EMS-FL, equation (18): f_D = v_r / wavelength, with the closing speed v_r = -dd/dt.
    Inputs broadcast. Raises ValueError for numbers that are not finite and for frequencies <= 0.
    """
    closing_speed_m_s = -1000.0 * finite("range_rate_km_s", range_rate_km_s)
    return closing_speed_m_s * positive("frequency_hz", frequency_hz) / SPEED_OF_LIGHT_M_S
