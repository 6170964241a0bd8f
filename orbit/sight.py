"""A satellite as seen from a site: where it stands, how far it is, and how both change."""

from dataclasses import dataclass

import numpy as np

from orbit.arrays import FloatArray, IntArray
from orbit.sites import SiteFrames

# x, y and z apart: several times faster than arrays whose last axis is 3 long.
_Vector = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True)
class Sight:
    """Arrays of one shape. `margin` is sin(elevation) - sin(mask): not negative when in view."""

    margin: FloatArray
    margin_rate_per_s: FloatArray
    slant_range_km: FloatArray
    range_rate_km_s: FloatArray


def sight(state: FloatArray, frames: SiteFrames, site: IntArray) -> Sight:
    """View of Earth-fixed states (..., 6) from sites (by index, broadcast against the states).

    With q the line of sight, n its length, u the site's normal: sin(el) = q.u / n, n' = q.v / n,
    sin(el)' = (v.u - sin(el) n') / n.
    """
    line, velocity = _line(state, frames, site), _vector(state[..., 3:])
    up = _vector(frames.up, site)
    slant_range = np.sqrt(_dot(line, line))
    range_rate = _dot(line, velocity) / slant_range
    sin_elevation = _dot(line, up) / slant_range
    rate = (_dot(velocity, up) - sin_elevation * range_rate) / slant_range
    return Sight(sin_elevation - frames.sin_mask[site], rate, slant_range, range_rate)


def margins(state: FloatArray, frames: SiteFrames, site: IntArray) -> FloatArray:
    """The margins of `sight` alone, of positions or states (..., 3 or 6)."""
    line = _line(state, frames, site)
    sine: FloatArray = _dot(line, _vector(frames.up, site))
    sine /= np.sqrt(_dot(line, line))
    sine -= frames.sin_mask[site]
    return sine


def elevation_and_range(
    state: FloatArray, frames: SiteFrames, site: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Elevation (deg), slant range (km) and range rate (km/s), shaped as `sight`."""
    line = _line(state, frames, site)
    east, north, up = _local(line, frames, site)
    level = np.square(east, out=east)
    level += np.square(north, out=north)
    # The arctangent keeps its digits near the zenith, where the arcsine loses them.
    elevation: FloatArray = np.degrees(np.arctan2(up, np.sqrt(level)))
    level += np.square(up, out=up)
    slant_range = np.sqrt(level, out=level)
    range_rate = _dot(line, _vector(state[..., 3:]))
    range_rate /= slant_range
    return elevation, slant_range, range_rate


def azimuth_deg(state: FloatArray, frames: SiteFrames, site: IntArray) -> FloatArray:
    """Azimuth from north through east, 0 to 360 deg, shaped as `sight`."""
    east, north, _ = _local(_line(state, frames, site), frames, site)
    azimuth: FloatArray = np.degrees(np.arctan2(east, north)) % 360
    return azimuth


def _local(line: _Vector, frames: SiteFrames, site: IntArray) -> _Vector:
    """Components to the east, to the north and upwards."""
    east, north, up = (_dot(line, _vector(frames.axes[:, axis], site)) for axis in range(3))
    return east, north, up


def _line(state: FloatArray, frames: SiteFrames, site: IntArray) -> _Vector:
    there, here = _vector(state), _vector(frames.position_km, site)
    return there[0] - here[0], there[1] - here[1], there[2] - here[2]


def _vector(array: FloatArray, which: IntArray | None = None) -> _Vector:
    x, y, z = (array[..., axis] for axis in range(3))
    return (x, y, z) if which is None else (x[which], y[which], z[which])


def _dot(left: _Vector, right: _Vector) -> FloatArray:
    product: FloatArray = left[0] * right[0]
    product += left[1] * right[1]
    product += left[2] * right[2]
    return product
