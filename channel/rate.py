"""Signal-to-noise ratio and rate of a link at given elevations and ranges."""

from numpy.typing import ArrayLike

from channel.arrays import Floats
from channel.link import Link
from channel.paths import CLEAR_PATH, Path
from channel.signal import received_signal, signal_rate_bps


def snr_db(
    link: Link, elevation_deg: ArrayLike, slant_range_m: ArrayLike, path: Path = CLEAR_PATH
) -> Floats:
    """Signal-to-noise ratio in dB without small-scale fading, -infinity below the mask.

    Arguments, gate and errors are those of `received_signal`.
    """
    return received_signal(link, elevation_deg, slant_range_m, path).snr_db


def rate_bps(
    link: Link, elevation_deg: ArrayLike, slant_range_m: ArrayLike, path: Path = CLEAR_PATH
) -> Floats:
    """Rate in bit/s in the link's bandwidth, by link.rate; 0 below the mask.

    Arguments, gate and errors are those of `received_signal`.
    """
    return signal_rate_bps(link, received_signal(link, elevation_deg, slant_range_m, path))
