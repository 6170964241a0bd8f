"""TR 38.811 environments: line of sight, shadowing, clutter, Rician K, and what a device draws."""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from operator import index
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import ArrayLike

from channel.checks import above_horizon, checked, finite, one_of, positive
from channel.settings import BANDS_GHZ, Band, EnvironmentName
from statements.arrays import Floats, Mask

_IONOSPHERE_4_GHZ_DB: Final = 1.1 / math.sqrt(2.0)


@dataclass(frozen=True)
class Environment:
    """A propagation scenario in one frequency band: the tables of TR 38.811, section 6.6 and 6.7.

    name: "dense_urban", "urban", "suburban" or "rural". band: "S" (1 to 6 GHz) or "Ka" (17 to
    40 GHz). Two of the same name and band are equal.

    The tables stand at 10, 20, ..., 90 degrees of elevation. Every method takes elevation_deg of
    any shape and gives an array of that shape. Between the angles it interpolates linearly (the
    report itself takes the nearest angle, which would make rates jump while a satellite climbs),
    and below 10 degrees it keeps the value at 10. Elevations outside (0, 90] raise ValueError.

    Raises ValueError for a name or a band that is none of these.
    """

    name: EnvironmentName
    band: Band

    def __post_init__(self) -> None:
        one_of("environment", self.name, get_args(EnvironmentName))
        one_of("band", self.band, get_args(Band))

    def line_of_sight_probability(self, elevation_deg: ArrayLike) -> Floats:
        """Share of the sites, 0 to 1, that see a satellite at this elevation (table 6.6.1-1)."""
        rows = read_tables()["environments"][self.name]
        return _interpolated(elevation_deg, rows["los_probability_pct"]) / 100.0

    def clutter_loss_db(self, elevation_deg: ArrayLike) -> Floats:
        """Mean further loss in dB out of the line of sight, 0 in it (tables 6.6.2-1 to 6.6.2-3)."""
        return self._row("nlos_clutter_db", elevation_deg)

    def shadowing_deviation_db(self, elevation_deg: ArrayLike, line_of_sight: ArrayLike) -> Floats:
        """Standard deviation in dB of the shadowing, normal in dB with mean 0 (same tables).

        line_of_sight is a boolean array that broadcasts with elevation_deg.
        """
        seen = self._row("los_shadowing_db", elevation_deg)
        hidden = self._row("nlos_shadowing_db", elevation_deg)
        return np.where(np.asarray(line_of_sight, dtype=np.bool_), seen, hidden)[()]

    def rician_k_db(self, elevation_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Mean and standard deviation in dB of the Rician K factor in the line of sight.

        Tables 6.7.2-1 to 6.7.2-8; K is normal in dB. In "urban" and "rural" it falls as the
        satellite climbs. Out of the line of sight the tables give none: K is 0 (Rayleigh), which
        is not 0 dB.
        """
        mean_db = self._row("los_k_mean_db", elevation_deg)
        return mean_db, self._row("los_k_deviation_db", elevation_deg)

    def scintillation_loss_db(self, elevation_deg: ArrayLike, frequency_hz: ArrayLike) -> Floats:
        """Loss in dB by scintillation; inputs broadcast.

        Band S, through the ionosphere: 1.1 dB (f / 4 GHz)^-1.5 peak to peak over sqrt(2), that is
        6.22 / f_GHz^1.5, at every elevation (section 6.6.6.1). Band Ka, through the troposphere:
        what is not exceeded 99 % of the time at 20 GHz (table 6.6.6.2.1-1).
        Raises ValueError for a frequency outside the band.
        """
        band_ghz = BANDS_GHZ[self.band]
        low_hz = band_ghz.low * 1e9
        high_hz = band_ghz.high * 1e9
        allowed = f"{low_hz / 1e9:g}e9 to {high_hz / 1e9:g}e9 in band {self.band}"
        hertz = checked(
            "frequency_hz", frequency_hz, lambda x: (x >= low_hz) & (x <= high_hz), allowed
        )
        troposphere_db = _interpolated(
            elevation_deg, read_tables()["tropospheric_scintillation_db"]
        )
        ionosphere_db = _IONOSPHERE_4_GHZ_DB * (hertz / 1e9 / 4.0) ** -1.5
        both = np.broadcast_arrays(ionosphere_db, troposphere_db)
        return both[0 if self.band == "S" else 1].copy()[()]

    def _row(self, row: str, elevation_deg: ArrayLike) -> Floats:
        return _interpolated(
            elevation_deg, read_tables()["environments"][self.name][self.band][row]
        )


def propagation_scenario(name: EnvironmentName, frequency_hz: float) -> Environment:
    """The environment `name` in the band of the carrier: S from 1 to 6 GHz, Ka from 17 to 40 GHz.

    Raises ValueError for other names, and for a carrier that neither band of the tables covers.
    """
    frequency = positive("frequency_hz", frequency_hz)
    for band, band_ghz in BANDS_GHZ.items():
        if band_ghz.low * 1e9 <= frequency <= band_ghz.high * 1e9:
            return Environment(name, band)
    raise ValueError(
        f"frequency_hz is {frequency_hz}; allowed with an environment is 1e9 to 6e9 (band S) "
        "or 17e9 to 40e9 (band Ka)"
    )


@cache
def read_tables(name: str = "tr38811.json") -> dict[str, Any]:
    """Return the tables of a standard, out of a file of this package."""
    return json.loads((files("channel") / name).read_text("utf-8"))


def _interpolated(elevation_deg: ArrayLike, row: list[float]) -> Floats:
    """A row of the tables at the elevations; np.interp keeps the first value below 10 degrees."""
    elevation = above_horizon(elevation_deg)
    return np.asarray(np.interp(elevation, read_tables()["elevation_deg"], row))[()]


SMALLEST_UNIFORM: Final = 2.0**-54
"""Half a step of a generator's uniform numbers, in place of 0, whose deviate is not finite."""


@dataclass(frozen=True, eq=False)
class Path:
    """Large-scale propagation of each device, fixed for a pass; scalars, or arrays (K, 1).

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
        allowed = "a probability, at least 0 and below 1"
        checked("los_quantile", self.los_quantile, lambda x: (x >= 0.0) & (x < 1.0), allowed)
        finite("shadowing_deviate", self.shadowing_deviate)
        finite("k_deviate", self.k_deviate)


CLEAR_PATH: Final = Path(0.0, 0.0, 0.0)
"""In sight at every elevation, with median shadowing and median K."""
OUT_OF_SIGHT: Final = Path(np.nextafter(1.0, 0.0), 0.0, 0.0)
"""In sight at no elevation at which any device is out of sight, with median shadowing."""


def draw_paths(devices: int, rng: np.random.Generator) -> Path:
    """Independent paths of `devices` devices, as arrays (K, 1).

    The path of device k depends on the state of the generator and on k alone, not on how many
    devices follow. Raises ValueError for a number that is not whole or is negative.
    """
    from scipy.special import ndtri

    try:
        count = index(devices)
    except TypeError:
        count = -1
    if count < 0:
        raise ValueError(f"devices is {devices!r}; allowed is a whole number, at least 0")
    uniform = rng.random((count, 3))
    normal = ndtri(np.maximum(uniform[:, 1:], SMALLEST_UNIFORM))
    return Path(uniform[:, :1], normal[:, :1], normal[:, 1:])


def line_of_sight(environment: Environment, elevation_deg: ArrayLike, path: Path) -> Mask:
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
