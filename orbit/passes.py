"""Passes: rise, culmination, set and closest approach.

`Samples` are what sites see of an interpolated ephemeris, `find_passes` finds the passes in them;
`refined` then moves rise and set to where SGP4 itself crosses the mask, as `contact_windows` does
on request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from orbit.checks import Rows
from orbit.ephemeris import Ephemeris, SampledEphemeris, motion
from orbit.look_angles import dot
from orbit.propagation import Source
from orbit.roots import newton_roots
from orbit.sites import SiteFrames
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True)
class LineOfSight:
    """Height above a site's horizon plane and squared range, each with one or two derivatives.

    In km, and per second or per step of an ephemeris; arrays of one shape. Between two satellites
    the height is any measure that is positive where they see each other, and the mask is 0.
    """

    height: Sequence[Floats]
    square: Sequence[Floats]

    @classmethod
    def of(cls, up: Floats, *line: Floats) -> "LineOfSight":
        """From a line of sight (3, n) and its derivatives, and the site's normal `up`."""
        return cls([dot(each, up) for each in line], products(line, line))

    @property
    def sin_elevation(self) -> Floats:
        """Sine of the elevation."""
        return self.height[0] / np.sqrt(self.square[0])

    @property
    def climb(self) -> Floats:
        """Rate of sin(elevation) times slant range cubed: positive while the satellite climbs."""
        return self.height[1] * self.square[0] - 0.5 * self.height[0] * self.square[1]

    @property
    def climb_and_rate(self) -> tuple[Floats, Floats]:
        """`climb` and its rate."""
        bend = self.height[2] * self.square[0] - 0.5 * self.height[0] * self.square[2]
        return self.climb, bend + 0.5 * self.height[1] * self.square[1]

    def above_mask_and_rate(self, sin_mask: Floats) -> tuple[Floats, Floats]:
        """Height above the mask's cone (km) and its rate."""
        slant_range = np.sqrt(self.square[0])
        rate = self.height[1] - 0.5 * sin_mask * self.square[1] / slant_range
        return self.height[0] - sin_mask * slant_range, rate


def products(one: Sequence[Floats], other: Sequence[Floats]) -> list[Floats]:
    """Scalar product of two vectors and its derivatives, from those of both."""
    half = dot(one[0], other[1])
    rate = half + (half if one is other else dot(one[1], other[0]))
    found = [dot(one[0], other[0]), rate]
    if len(one) > 2:
        bends = dot(one[2], other[0]) + dot(one[0], other[2])
        found.append(bends + 2 * dot(one[1], other[1]))
    return found


class Arcs(Protocol):
    """Lines of sight of n pairs during a step each."""

    def __call__(self, which: Ints, x: Floats, derivatives: int = 2) -> LineOfSight:
        """Return those of pairs `which` at fractions x, with one or two derivatives."""


def picked(columns: Floats, which: Ints) -> Floats:
    """Some columns of the last axis, by rising index."""
    whole = len(which) == columns.shape[-1]
    return columns if whole else np.take(columns, which, axis=-1)


@dataclass(frozen=True)
class Samples:
    """What sites see at samples, sorted by site, satellite, time; arrays of one length P.

    `row` is that of the ephemeris; `linked` says whether the next sample is the next one of the
    same pair. A step is named by its first sample: `left` indexes these arrays.
    """

    ephemeris: Ephemeris
    frames: SiteFrames
    row: Ints
    site: Ints
    seen: LineOfSight
    visible: Mask
    linked: Mask

    @classmethod
    def of(cls, ephemeris: Ephemeris, frames: SiteFrames, site: Ints, row: Ints) -> "Samples":
        """The samples of rows from sites, both (P,)."""
        node = ephemeris.node
        line = np.take(node[0], row, axis=1) - np.take(frames.position_km.T, site, axis=1)
        up = np.take(frames.up.T, site, axis=1)
        seen = LineOfSight.of(up, line, np.take(node[1], row, axis=1))
        visible = seen.height[0] >= frames.sin_mask[site] * np.sqrt(seen.square[0])
        linked = np.zeros(len(row), bool)
        linked[:-1] = (row[1:] == row[:-1] + 1) & (site[1:] == site[:-1])
        linked &= ~ephemeris.last[row]
        return cls(ephemeris, frames, row, site, seen, visible, linked)

    def sin_mask(self, left: Ints) -> Floats:
        """Sine of the mask for steps `left`."""
        return self.frames.sin_mask[self.site[left]]

    def arcs(self, left: Ints) -> Arcs:
        """The steps `left` as the ephemeris has them."""
        powers = self.ephemeris.polynomials(self.row[left])
        site = self.site[left]
        powers[0] -= np.take(self.frames.position_km.T, site, axis=1)
        up = np.take(self.frames.up.T, site, axis=1)

        def at(which: Ints, x: Floats, derivatives: int = 2) -> LineOfSight:
            return LineOfSight.of(picked(up, which), *motion(picked(powers, which), x, derivatives))

        return at

    def pair(self, left: Ints) -> tuple[Ints, Ints]:
        """Indices of satellite and site of samples `left`."""
        return self.ephemeris.satellite[self.row[left]], self.site[left]

    def time_s(self, left: Ints, x: Floats) -> Floats:
        """Seconds since the start at fractions x of steps `left`."""
        # The grid's own times, so that the first and the last are the span's to the last bit.
        grid_s = self.ephemeris.time_s[self.row[left]]
        return grid_s + x * self.ephemeris.step_s[self.pair(left)[0]]


# The normal of the ellipsoid and the geocentric radius differ by at most 0.1924 deg.
_DEFLECTION = np.radians(0.2)
# Half a step's motion, and a tenth more for its change and for single precision below.
_HALF_STEP = 0.55
_SLACK = 0.003


def visible_candidates(
    ephemeris: SampledEphemeris, frames: SiteFrames, sites: slice
) -> tuple[Ints, Ints]:
    """Site and row of samples that can matter to windows of some sites, sorted in this order.

    Holds both ends of every step during which the satellite can be above the mask: those where its
    central angle from the site is below acos(R/r cos e) - e, widened by its motion in half a step,
    and one sample more on either side.
    """
    position_km = frames.position_km[sites]
    radius_km = np.linalg.norm(position_km, axis=1)
    directions = (position_km / radius_km[:, None]).astype(np.float32)
    position = ephemeris.node[0].astype(np.float32)
    # Not by BLAS, whose threads cost more than they bring on three terms.
    along = np.einsum("sk,kn->sn", directions, position)
    lowest_rad = np.arcsin(frames.sin_mask[sites].min()) - _DEFLECTION
    shape = len(directions), len(ephemeris.step_s), ephemeris.samples
    near = along.reshape(shape) >= _thresholds_km(ephemeris, radius_km.min(), lowest_rad)
    wide = near.copy()
    wide[..., 1:] |= near[..., :-1]
    wide[..., :-1] |= near[..., 1:]
    site, row = np.divmod(np.flatnonzero(wide), position.shape[1])
    return site + sites.start, row


def _thresholds_km(
    ephemeris: SampledEphemeris, lowest_site_km: float, lowest_rad: float
) -> NDArray[np.float32]:
    """Least projection (N, T) of a satellite on a site's radius that can be in view of it."""
    node = ephemeris.node[:2].reshape(2, 3, len(ephemeris.step_s), ephemeris.samples)
    radius, speed = np.sqrt(np.square(node).sum(axis=1))
    fastest = (speed / radius).max(axis=1, keepdims=True)
    # A satellite below the lowest site has no horizon of its own: the cosine stops at 1.
    cosine = np.minimum(lowest_site_km / radius * np.cos(lowest_rad), 1.0)
    reach = np.arccos(cosine) - lowest_rad + _HALF_STEP * fastest + _SLACK
    return (radius * np.cos(np.minimum(reach, np.pi))).astype(np.float32)


# The passes in samples.


# Newton's last change of x, a fraction of the time between samples: the root is then right to some
# nanoseconds.
EXACT = 4e-7
# The same where a value is flat, as the range is at its extrema.
FLAT = 1e-3

SHORTEST_S = 1e-6
"""Times are written to the microsecond: a shorter pass would set as it rises. A span that begins
when a satellite sets, by a table, or ends when it rises, has such a rest of a pass."""


class Sights(Protocol):
    """What is searched: even samples of satellites over sites, or of pairs of satellites.

    The fields and methods are those of :class:`Samples`.
    """

    @property
    def seen(self) -> LineOfSight:
        """At each sample (P,)."""

    @property
    def visible(self) -> Mask:
        """Whether each is in view."""

    @property
    def linked(self) -> Mask:
        """Whether the next sample is the next one of the same pair."""

    def sin_mask(self, left: Ints) -> Floats:
        """Sine of the mask for steps `left`."""

    def arcs(self, left: Ints) -> Arcs:
        """The steps `left` as the ephemeris has them."""

    def pair(self, left: Ints) -> tuple[Ints, Ints]:
        """Indices of both ends of samples `left`."""

    def time_s(self, left: Ints, x: Floats) -> Floats:
        """Seconds since the start at fractions x of steps `left`."""


@dataclass(frozen=True)
class _Instants(Rows):
    """Instants after samples `left` at fractions x of the step."""

    left: Ints
    x: Floats

    @property
    def place(self) -> Floats:
        """A number that grows along the samples."""
        return self.left + self.x


@dataclass(frozen=True)
class Extrema(_Instants):
    """Extrema of the elevation, in order."""

    is_peak: Mask
    sin_elevation: Floats
    visible: Mask


@dataclass(frozen=True)
class _Ends(_Instants):
    """One end of every pass, in order; those that are clipped are at x = 0."""

    clipped: Mask


def elevation_extrema(samples: Sights) -> Extrema:
    """Peaks that can reach the mask, and the dips between two samples in view."""
    climb = samples.seen.climb
    visible = samples.visible
    up = climb > 0
    turns = samples.linked[:-1] & (up[:-1] != up[1:])
    left = np.flatnonzero(turns & (up[:-1] | (visible[:-1] & visible[1:])))
    arcs = samples.arcs(left)
    peak = up[left]
    x = newton_roots(
        lambda which, x: arcs(which, x).climb_and_rate, *_step(left), _secant(climb, left), ~peak,
        EXACT,
    )  # fmt: skip
    line = arcs(np.arange(len(left)), x, 1)
    in_view = line.above_mask_and_rate(samples.sin_mask(left))[0] >= 0
    return Extrema(left, x, peak, line.sin_elevation, in_view)


def _step(left: Ints) -> tuple[Floats, Floats]:
    return np.zeros(len(left)), np.ones(len(left))


def _secant(values: Floats, left: Ints) -> Floats:
    return values[left] / (values[left] - values[left + 1])


def _open_and_close(samples: Sights, turns: Extrema) -> tuple[_Ends, _Ends]:
    """Where passes open and close, as many of one as of the other.

    The mask is crossed once wherever visibility changes between a sample and an extremum: a pass or
    a dip shorter than a step shows as two changes. A pass that is in view at the first or the last
    sample of its site and satellite is clipped there.
    """
    seen = samples.visible
    linked = samples.linked
    left = turns.left
    whole = linked[:-1] & (seen[:-1] != seen[1:])
    whole[left] = False
    plain = np.flatnonzero(whole)
    early = seen[left] != turns.visible
    late = turns.visible != seen[left + 1]
    steps = np.concatenate([plain, left[early], left[late]])
    zero = np.zeros(len(plain))
    one = np.ones(len(plain))
    low = np.concatenate([zero, np.zeros(early.sum()), turns.x[late]])
    high = np.concatenate([one, turns.x[early], np.ones(late.sum())])
    rises = ~np.concatenate([seen[plain], seen[left[early]], turns.visible[late]])
    arcs = samples.arcs(steps)
    sin_mask = samples.sin_mask(steps)
    x = newton_roots(
        lambda which, x: arcs(which, x, 1).above_mask_and_rate(sin_mask[which]),
        low, high, 0.5 * (low + high), rises, EXACT,
    )  # fmt: skip
    starts = seen.copy()
    starts[1:] &= ~linked[:-1]

    def ends(which: Mask, clipped: Ints) -> _Ends:
        left = np.append(steps[which], clipped)
        fraction = np.append(x[which], np.zeros(len(clipped)))
        is_clipped = np.arange(len(left)) >= np.count_nonzero(which)
        every = _Ends(left, fraction, is_clipped)
        return every.where(np.argsort(every.place))

    return ends(rises, np.flatnonzero(starts)), ends(~rises, np.flatnonzero(seen & ~linked))


@dataclass(frozen=True)
class Passes(Rows):
    """Arrays of one length, sorted by site, satellite, time; times in seconds since start.

    sin_elevation is that at culminate_s; closest_s and farthest_s are the rise where the range has
    no minimum or maximum inside; `culminations` counts peaks.
    """

    satellite: Ints
    site: Ints
    rise_s: Floats
    culminate_s: Floats
    sin_elevation: Floats
    closest_s: Floats
    farthest_s: Floats
    set_s: Floats
    culminations: Ints
    clipped_start: Mask
    clipped_end: Mask


def find_passes(
    samples: Sights,
    ranges: Literal["none", "least", "both"] = "none",
    until_s: float | None = None,
) -> Passes:
    """All passes: from each upward crossing of the mask (or first sample) to the next downward one.

    ``closest_s`` and ``farthest_s`` are the rise where ``ranges`` does not ask for them. Those that
    have risen by `until_s`, a time within the samples, are clipped there.
    """
    extrema = elevation_extrema(samples)
    opens, closes = _open_and_close(samples, extrema)
    peaks = extrema.where(extrema.visible & extrema.is_peak)
    if until_s is not None:
        opens, closes = _clipped(samples, opens, closes, until_s)
        peaks = peaks.where(samples.time_s(peaks.left, peaks.x) < until_s)
    pass_of = np.searchsorted(opens.place, peaks.place, side="right") - 1
    rise_s = samples.time_s(opens.left, opens.x)
    set_s = samples.time_s(closes.left, closes.x)
    if until_s is not None:
        set_s[closes.clipped] = until_s
    inside = samples.visible[:-1] | samples.visible[1:]
    inside[peaks.left] = True
    highest_s, sine = _highest(samples, peaks, pass_of, opens, closes)
    passes = Passes(
        *samples.pair(opens.left),
        rise_s,
        np.minimum(highest_s, set_s),
        sine,
        rise_s if ranges == "none" else _best_range_s(samples, inside, opens, closes, 1),
        rise_s if ranges != "both" else _best_range_s(samples, inside, opens, closes, -1),
        set_s,
        np.bincount(pass_of, minlength=len(opens.left)),
        opens.clipped,
        closes.clipped,
    )
    # A touch of the mask at a single instant is not a window.
    return passes.where(passes.set_s - passes.rise_s >= SHORTEST_S)


def _clipped(samples: Sights, opens: _Ends, closes: _Ends, until_s: float) -> tuple[_Ends, _Ends]:
    """Where those passes open and close that have risen before a time within the samples."""
    risen = samples.time_s(opens.left, opens.x) < until_s
    opens = opens.where(risen)
    closes = closes.where(risen)
    late = samples.time_s(closes.left, closes.x) >= until_s
    zero = np.zeros(len(late))
    opened_s = samples.time_s(opens.left, zero)
    steps = (until_s - opened_s) / (samples.time_s(opens.left, zero + 1.0) - opened_s)
    whole = steps.astype(np.int64)
    left = np.where(late, np.minimum(opens.left + whole, closes.left), closes.left)
    # Behind the last sample there is no step.
    late &= ~(closes.clipped & (left == closes.left))
    return opens, _Ends(left, np.where(late, steps - whole, closes.x), closes.clipped | late)


def _highest(
    samples: Sights, peaks: Extrema, pass_of: Ints, opens: _Ends, closes: _Ends
) -> tuple[Floats, Floats]:
    """When each pass is highest, at its best peak or at an end that is clipped, and the sine."""
    best = first_largest(peaks.sin_elevation, pass_of)
    sine = np.full((3, len(opens.left)), -np.inf)
    time_s = np.tile(samples.time_s(opens.left, opens.x), (3, 1))
    sine[0, pass_of[best]] = peaks.sin_elevation[best]
    time_s[0, pass_of[best]] = samples.time_s(peaks.left[best], peaks.x[best])
    for row, ends in ((1, opens), (2, closes)):
        at_end = ends.left[ends.clipped]
        height, square = (values[0][at_end] for values in vars(samples.seen).values())
        sine[row, ends.clipped] = height / np.sqrt(square)
        between = np.flatnonzero(ends.clipped & (ends.x > 0.0))
        line = samples.arcs(ends.left[between])(np.arange(len(between)), ends.x[between], 1)
        sine[row, between] = line.sin_elevation
        time_s[row, ends.clipped] = samples.time_s(at_end, ends.x[ends.clipped])
    highest = sine.argmax(axis=0), np.arange(len(opens.left))
    return time_s[highest], sine[highest]


def _best_range_s(
    samples: Sights, wanted: Mask, opens: _Ends, closes: _Ends, sign: Literal[1, -1]
) -> Floats:
    """When the range has its least minimum in each pass, or its largest maximum with sign -1.

    The rise where it has none. Looks at steps that are `wanted` (P - 1,) only.
    """
    rate = sign * samples.seen.square[1]
    left = np.flatnonzero(samples.linked[:-1] & wanted & (rate[:-1] < 0) & (rate[1:] >= 0))
    arcs = samples.arcs(left)
    rising = np.full(len(left), sign > 0)

    def square_rate(which: Ints, x: Floats) -> tuple[Floats, Floats]:
        _, rate, bend = arcs(which, x).square
        return rate, bend

    x = newton_roots(square_rate, *_step(left), _secant(rate, left), rising, FLAT)
    square = arcs(np.arange(len(left)), x, 1).square[0]
    at = left + x
    time_s = samples.time_s(opens.left, opens.x)
    pass_of = np.searchsorted(opens.place, at, side="right") - 1
    inside = np.flatnonzero((pass_of >= 0) & (at < closes.place[pass_of]))
    best = inside[first_largest(-sign * square[inside], pass_of[inside])]
    time_s[pass_of[best]] = samples.time_s(left[best], x[best])
    return time_s


def first_largest(values: Floats, group: Ints) -> Ints:
    """Index of the largest value of each group (the first of equals); `group` is sorted."""
    starts = _starts(group)
    if not starts.size:
        return starts
    largest = np.maximum.reduceat(values, starts)
    sizes = np.diff(starts, append=len(group))
    at_best = np.flatnonzero(values == np.repeat(largest, sizes))
    return at_best[_starts(group[at_best])]


def _starts(group: Ints) -> Ints:
    """Where each group begins in numbers of groups that are sorted."""
    first = np.ones(len(group), bool)
    np.not_equal(group[1:], group[:-1], out=first[1:])
    return np.flatnonzero(first)


# A Newton step this short leaves an error of the order of its square.
_TOLERANCE_S = 1e-5
_STEPS = 40


def refined(
    passes: Passes, exact: Source, frames: SiteFrames, first_s: float, last_s: float
) -> Passes:
    """Passes in [first_s, last_s] whose rise and set are those of the `exact` source.

    A pass whose peak is below the mask by that source is dropped, unless it is clipped. The
    culmination stays the interpolated one: the elevation is flat there.
    """

    def above_mask(satellite: Ints, site: Ints, time_s: Floats) -> tuple[Floats, Floats]:
        state = exact.states(satellite, time_s).T
        line = LineOfSight.of(frames.up[site].T, state[:3] - frames.position_km[site].T, state[3:])
        return line.above_mask_and_rate(frames.sin_mask[site])

    peak_km, _ = above_mask(passes.satellite, passes.site, passes.culminate_s)
    passes = passes.where((peak_km >= 0) | passes.clipped_start | passes.clipped_end)
    satellite = np.tile(passes.satellite, 2)
    site = np.tile(passes.site, 2)
    time_s = np.concatenate([passes.rise_s, passes.set_s])
    slope = np.repeat([1.0, -1.0], len(passes.site))
    active = np.flatnonzero(~np.concatenate([passes.clipped_start, passes.clipped_end]))
    for _ in range(_STEPS):
        if not active.size:
            break
        above_km, rate_km_s = above_mask(satellite[active], site[active], time_s[active])
        # Past the peak of a pass that only grazes the mask Newton would run away.
        uphill = rate_km_s * slope[active] > 0
        active = active[uphill]
        step = -above_km[uphill] / rate_km_s[uphill]
        time_s[active] += step
        active = active[np.abs(step) > _TOLERANCE_S]
    rise_s, set_s = np.split(np.clip(time_s, first_s, last_s), 2)
    passes = replace(passes, rise_s=rise_s, set_s=set_s)
    return passes.where(set_s - rise_s >= SHORTEST_S)
