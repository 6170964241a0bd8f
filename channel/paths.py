"""What chance decides about a link for one device and one pass: sight, shadowing and fading."""

from dataclasses import dataclass
from operator import index
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from channel.arrays import Floats, checked, finite
from channel.environment import Environment

SMALLEST_UNIFORM: Final = 2.0**-54
"""Half a step of a generator's uniform numbers; stands for a 0, which has no finite deviate."""


@dataclass(frozen=True, eq=False)
class Path:
    """The luck of each device during a pass, drawn once; scalars, or arrays (K, 1) for K devices.

    los_quantile: 0 to below 1, uniform. The device sees the satellite wherever the line-of-sight
        probability exceeds it: the share of devices in sight is right at every elevation, and
        each device sees the satellite from some elevation upwards.
    shadowing_deviate, k_deviate: standard normal; how far shadowing and Rician K (both in dB)
        are from their means, in standard deviations. The report's correlation between the two
        is left out.

    Raises ValueError for fields outside these ranges.
    """

    los_quantile: ArrayLike
    shadowing_deviate: ArrayLike
    k_deviate: ArrayLike

    def __post_init__(self) -> None:
        """Check every field."""
        checked(
            "los_quantile",
            self.los_quantile,
            lambda x: (x >= 0.0) & (x < 1.0),
            "a probability, at least 0 and below 1",
        )
        finite("shadowing_deviate", self.shadowing_deviate)
        finite("k_deviate", self.k_deviate)


CLEAR_PATH: Final = Path(0.0, 0.0, 0.0)
"""In sight at every elevation, with median shadowing and median K."""


def draw_paths(devices: int, rng: np.random.Generator) -> Path:
    """Independent paths of `devices` devices, as arrays (K, 1).

    The path of device k depends on the state of the generator and on k alone, not on how many
    devices follow. Raises ValueError for a number that is not whole or is negative.
    """
    from scipy.special import ndtri

    uniform = rng.random((_count(devices), 3))
    normal = ndtri(np.maximum(uniform[:, 1:], SMALLEST_UNIFORM))
    return Path(uniform[:, :1], normal[:, :1], normal[:, 1:])


def line_of_sight(
    environment: Environment, elevation_deg: ArrayLike, path: Path
) -> NDArray[np.bool_]:
    """Where the device sees the satellite: los_quantile < P(line of sight at this elevation).

    elevation_deg, more than 0 and at most 90, broadcasts with the fields of the path.
    """
    probability = environment.line_of_sight_probability(elevation_deg)
    return np.asarray(np.asarray(path.los_quantile) < probability)


def excess_loss_db(environment: Environment, elevation_deg: ArrayLike, path: Path) -> Floats:
    """Shadowing, and out of sight clutter as well, in dB; shapes as `line_of_sight`.

    TR 38.811, equation (6.6-2) without the free-space term. Shadowing has mean 0 in dB, so a path
    can gain: the loss is negative where the deviate is.
    """
    seen = line_of_sight(environment, elevation_deg, path)
    clutter_db = np.where(seen, 0.0, environment.clutter_loss_db(elevation_deg))
    deviation_db = environment.shadowing_deviation_db(elevation_deg, seen)
    return (clutter_db + deviation_db * finite("shadowing_deviate", path.shadowing_deviate))[()]


def rician_k_linear(environment: Environment, elevation_deg: ArrayLike, path: Path) -> Floats:
    """Rician K as a ratio of powers; 0 (Rayleigh) out of sight. Shapes as `line_of_sight`."""
    mean_db, deviation_db = environment.rician_k_db(elevation_deg)
    k_db = mean_db + deviation_db * finite("k_deviate", path.k_deviate)
    seen = line_of_sight(environment, elevation_deg, path)
    return np.where(seen, 10.0 ** (k_db / 10.0), 0.0)[()]


def _count(devices: int) -> int:
    try:
        count = index(devices)
    except TypeError:
        count = -1
    if count < 0:
        raise ValueError(f"devices is {devices!r}; allowed is a whole number, at least 0")
    return count
