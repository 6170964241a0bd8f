"""Windows of links between satellites: `isl_windows`, and as arrays `find_isls`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from itertools import combinations
from math import ceil, inf, isfinite, tau
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from orbit.checks import Rows, finite, near, shown, whole, within
from orbit.contacts import as_satellites, complain, moments, named
from orbit.earth import EARTH_RADIUS_KM, FLATTENING
from orbit.ephemeris import SampledEphemeris, motion, sampled_ephemeris, sampling_step_s
from orbit.passes import Arcs, LineOfSight, find_passes, picked, products
from orbit.propagation import failure, good_stretch
from orbit.satellite import Satellite
from orbit.secular_j2 import SecularJ2
from orbit.utc import Start, span_s
from orbit.validity import OrbitWarning, doubts
from orbit.windows import Columns, joined
from statements.arrays import Floats, Ints, Mask

if TYPE_CHECKING:
    import pandas as pd
    from skyfield.api import EarthSatellite

Pairs = Sequence[tuple[int | str, int | str]]

# Samples of an ephemeris's own step: two turns of a pair's height within a step of this length
# differ by less than a millidegree of the angle between the satellites, in any low orbits.
_FINER = 8
# Samples of pairs looked at together, and of satellites kept.
_CHUNK = 800_000
_KEPT = 2_000_000
# Of so many periods one is searched, and the others are copies of it.
_REPEATS = 100
# SGP4 never lets an eccentricity fall below 1e-6, and its perigee turns, which moves satellites by
# metres and edges by up to 10 ms, more those of short windows. Between two searched periods edges
# move evenly to a fraction of a millisecond as long as perigee turns by no more than this (rad).
_PERIGEE_TURN = 0.15
# Pieces of a window that are this close touch.
_TOUCH_S = 1e-6


@dataclass(frozen=True, eq=False)
class IslWindows(Rows):
    """Arrays of one length, sorted by (start_s, a, b): when satellites a and b see each other.

    `a` and `b` are indices into the list that was asked about; times are seconds since the start;
    ranges are the least and the largest distance in the window. A clipped window was already open
    at the start (or the first time SGP4 reaches for both), or still open at the end.
    """

    a: Ints
    b: Ints
    start_s: Floats
    end_s: Floats
    min_range_km: Floats
    max_range_km: Floats
    clipped_start: Mask
    clipped_end: Mask


def isl_windows(
    satellites: "Sequence[Satellite | EarthSatellite]",
    start: datetime,
    end: datetime,
    pairs: Pairs | None = None,
    grazing_km: float = 80.0,
    max_range_km: float | None = None,
) -> "pd.DataFrame":
    """`find_isls` as a DataFrame, one row per window of a pair, sorted by start.

    Columns: a, b (names); start_utc, end_utc (UTC timestamps, ns); duration_s; and from
    min_range_km on those of `IslWindows`. Gives an OrbitWarning for each of `doubts`. Errors as
    there.
    """
    import pandas as pd

    models = as_satellites(satellites)
    found = find_isls(models, start, end, pairs, grazing_km, max_range_km)
    for doubt in doubts(models, start, end):
        warn(str(doubt), OrbitWarning, stacklevel=2)
    return pd.DataFrame({
        "a": named(models, found.a),
        "b": named(models, found.b),
        "start_utc": moments(start, found.start_s),
        "end_utc": moments(start, found.end_s),
        "duration_s": found.end_s - found.start_s,
        **{column.name: getattr(found, column.name) for column in fields(found)[4:]},
    })  # fmt: skip


def find_isls(
    satellites: "Sequence[Satellite | EarthSatellite]",
    start: datetime,
    end: datetime,
    pairs: Pairs | None = None,
    grazing_km: float = 80.0,
    max_range_km: float | None = None,
) -> IslWindows:
    """When pairs of satellites see each other between two aware datetimes.

    The line between them stays `grazing_km` (0 or more) above the WGS 84 ellipsoid, and is at most
    `max_range_km` long. Positions are those of `contact_windows`, edges within 1 ms of SGP4's
    unless a window grazes. `pairs` are two indices or names each, by default all pairs, each once
    and the first of the list first. Satellites on circular orbits without drag of one axis and
    inclination repeat their places to each other every nodal period: one in a hundred is searched
    and, where SGP4 lets the perigee turn, edges between two searched periods are interpolated.

    Where SGP4 fails windows are cut, with an OrbitWarning, or an ElementError where it always
    fails. Raises ValueError for an empty list, anything else than a satellite, a pair that is
    unknown or one satellite twice, a perigee that is below the grazing height, a
    `max_range_km` that is not positive, and times as `contact_windows`.
    """
    models = as_satellites(satellites)
    since = Start.of(start)
    lasts_s = span_s(start, end)
    search = _Search(models, since, _limb(models, grazing_km, max_range_km))
    one, other = _indices(models, pairs)
    reach = np.array([search.reach_s(k, lasts_s) for k in range(len(models))])
    turns = np.array([_turns(model) for model in models])
    alike = np.isfinite(turns[one, 0]) & (turns[one] == turns[other]).all(axis=1)
    kinds = np.stack([
        np.maximum(reach[one, 0], reach[other, 0]), np.minimum(reach[one, 1], reach[other, 1]),
        np.where(alike, turns[one, 0], inf),
    ])  # fmt: skip
    apart = kinds[1] - kinds[0] > _TOUCH_S  # else SGP4 never knows both at a time
    one = one[apart]
    other = other[apart]
    kinds = kinds[:, apart]
    if not one.size:
        return IslWindows(*(np.zeros(0, kind) for kind in "qqdddd??"))
    spans, kind = np.unique(kinds, axis=1, return_inverse=True)
    columns = joined(
        [
            search.windows(one[kind == number], other[kind == number], *span)
            for number, span in enumerate(spans.T.tolist())
        ]
    )
    order = np.lexsort((columns["b"], columns["a"], columns["start_s"]))
    return IslWindows(**{name: columns[name][order] for name in columns})


# The line of sight between two satellites past the Earth's limb, as `orbit.passes` searches it.
# Lengths along the axis are stretched until the limb, the ellipsoid grown by the grazing height, is
# a sphere of radius R. Two satellites see each other past it where
# p1.p2 - R^2 + t1 t2 = r1 r2 (cos(angle between them) - cos(acos(R/r1) + acos(R/r2)))
# is positive, with t = sqrt(r^2 - R^2), the way from a satellite to where its ray touches the limb.


_AT_ONCE = 1 << 13
"""Samples of pairs that are looked at together, whose arrays stay in a core's own cache."""

Motion = Sequence[Floats]
"""Positions (3, ...) of satellites and their first one or two derivatives."""


@dataclass(frozen=True)
class Limb:
    """The ellipsoid grown by `grazing_km` hides, and so does more than `reach_km` of distance."""

    grazing_km: float
    reach_km: float = inf

    @property
    def radius_km(self) -> float:
        """Of the sphere that the limb is when stretched."""
        return EARTH_RADIUS_KM + self.grazing_km

    def lifted(self, moves: Motion) -> Motion:
        """A motion (4, ...): stretched, and the way to the limb, which is 0 within."""
        polar = EARTH_RADIUS_KM * (1 - FLATTENING) + self.grazing_km
        stretched = [np.stack([x, y, z * (self.radius_km / polar)]) for x, y, z in moves]
        squares = products(stretched, stretched)
        way = np.sqrt(np.maximum(squares[0] - self.radius_km**2, 0.0))
        over = np.where(way > 0, way, np.inf)
        ways = [way, 0.5 * squares[1] / over]
        ways += [(0.5 * bend - ways[1] ** 2) / over for bend in squares[2:]]
        return [np.concatenate([a, b[None]]) for a, b in zip(stretched, ways, strict=True)]

    def sight(self, line: Motion, one: Motion, other: Motion) -> LineOfSight:
        """From the line between two satellites and their `lifted` motions; height in km^2."""
        height = products(one, other)
        square = products(line, line)
        height[0] -= self.radius_km**2
        square[0] = np.maximum(square[0], 1e-12)  # two in one place stay a millimetre apart
        if isfinite(self.reach_km):
            left = [0.5 * (self.reach_km**2 - square[0]), *(-0.5 * rate for rate in square[1:])]
            far = left[0] < height[0]
            height = [np.where(far, a, b) for a, b in zip(left, height, strict=True)]
        # From within the limb nothing is seen.
        height[0] = np.where(one[0][3] * other[0][3] > 0, height[0], -1.0)
        return LineOfSight(height, square)


@dataclass(frozen=True)
class PairSamples:
    """What pairs of satellites (by index (n,) each) of an ephemeris see at its times.

    Samples stand pair by pair, T each; `lifted` (4, N, T) is the limb's of all satellites.
    """

    ephemeris: SampledEphemeris
    limb: Limb
    lifted: Motion
    one: Ints
    other: Ints

    @cached_property
    def seen(self) -> LineOfSight:
        """At each sample (n T,)."""
        samples = self.ephemeris.samples
        node = self.ephemeris.node[:2].reshape(2, 3, -1, samples)
        found = np.empty((4, len(self.one), samples))
        few = max(1, _AT_ONCE // samples)
        for begin in range(0, len(self.one), few):
            # Of several pairs samples are brought together; those of one are left where they are.
            some = slice(begin, begin + few) if few > 1 else begin
            moves, others = (
                [each[:, index[some]] for each in (*self.lifted, *node)]
                for index in (self.one, self.other)
            )
            line = [b - a for a, b in zip(moves[2:], others[2:], strict=True)]
            sight = self.limb.sight(line, moves[:2], others[:2])
            found[:2, some] = sight.height
            found[2:, some] = sight.square
        height, square = found.reshape(2, 2, -1)
        return LineOfSight(list(height), list(square))

    @cached_property
    def visible(self) -> Mask:
        """Whether each sample is in sight."""
        return self.seen.height[0] >= 0

    @cached_property
    def linked(self) -> Mask:
        """Whether the next sample is the next one of the same pair."""
        linked = np.ones((len(self.one), self.ephemeris.samples), bool)
        linked[:, -1] = False
        return linked.ravel()

    def sin_mask(self, left: Ints) -> Floats:
        """No mask."""
        return np.zeros(len(left))

    def arcs(self, left: Ints) -> Arcs:
        """The steps `left` as the ephemeris has them."""
        pair, number = np.divmod(left, self.ephemeris.samples)
        rows = (each[pair] * self.ephemeris.samples + number for each in (self.one, self.other))
        powers = [self.ephemeris.polynomials(row) for row in rows]

        def at(which: Ints, x: Floats, derivatives: int = 2) -> LineOfSight:
            one, other = (motion(picked(each, which), x, derivatives) for each in powers)
            line = [b - a for a, b in zip(one, other, strict=True)]
            return self.limb.sight(line, self.limb.lifted(one), self.limb.lifted(other))

        return at

    def pair(self, left: Ints) -> tuple[Ints, Ints]:
        """The numbers of the pairs of samples `left`, twice."""
        number = left // self.ephemeris.samples
        return number, number

    def time_s(self, left: Ints, x: Floats) -> Floats:
        """Seconds since the start at fractions x of steps `left`."""
        grid_s = self.ephemeris.time_s[left % self.ephemeris.samples]
        return grid_s + x * self.ephemeris.step_s[0]


# The search.


def _limb(models: Sequence[Satellite], grazing_km: float, max_range_km: float | None) -> Limb:
    within(grazing_km, 0, 100_000, "grazing_km")
    for satellite in models:
        perigee_km = EARTH_RADIUS_KM * (satellite.model.a * (1 - satellite.model.ecco) - 1)
        if perigee_km <= grazing_km:
            raise ValueError(
                f"grazing_km: {grazing_km:g} is above the orbit of {satellite.name!r}, which comes "
                f"as low as {perigee_km:.0f} km; give less"
            )
    if max_range_km is None:
        return Limb(grazing_km)
    if finite(max_range_km, "max_range_km", "give kilometres, or None") <= 0:
        raise ValueError(f"max_range_km {max_range_km} is not positive; give kilometres, or None")
    return Limb(grazing_km, max_range_km)


def _indices(models: Sequence[Satellite], pairs: Pairs | None) -> tuple[Ints, Ints]:
    """Either satellite of each pair."""
    if pairs is None:
        found = [*combinations(range(len(models)), 2)]
    else:
        names = [model.name for model in models]
        found = [(_index(names, a, (a, b)), _index(names, b, (a, b))) for a, b in pairs]
    if not found:
        raise ValueError(f"satellites: {len(models)} make no pair; give two, and a pair or more")
    for a, b in found:
        if a == b:
            raise ValueError(f"pairs: {(a, b)} are not two satellites; give two of the list")
    one, other = np.array(found).T
    return one, other


def _index(names: list[str], which: int | str, pair: Any) -> int:
    if isinstance(which, str):
        if names.count(which) == 1:
            return names.index(which)
        many = "several satellites have this name" if which in names else near(which, names)
        raise ValueError(f"pairs: {shown(which)} of {shown(pair)} names no satellite; {many}")
    if not 0 <= whole(which, "pairs: satellite") < len(names):
        raise ValueError(f"pairs: satellite {which} is outside 0 to {len(names) - 1}")
    return int(which)


def _turns(satellite: Satellite) -> tuple[float, float, float]:
    """Nodal period (s), mean motion and inclination; infinite where places do not repeat with it.

    Without eccentricity, drag and the Moon all depends on the argument of latitude alone.
    """
    model = satellite.model
    if model.ecco > 0 or model.bstar != 0 or getattr(model, "method", "n") != "n":
        return inf, inf, inf
    rate = getattr(model, "mdot", model.no_kozai) + model.argpdot
    return 60 * tau / rate, model.no_kozai, model.inclo


@dataclass(frozen=True)
class _Search:
    """Windows of pairs of satellites, times in seconds since a start."""

    satellites: Sequence[Satellite]
    start: Start
    limb: Limb

    def reach_s(self, index: int, lasts_s: float) -> tuple[float, float]:
        """The part of the span in which SGP4 knows a satellite; complains when that is not all."""
        model = self.satellites[index]
        good = good_stretch(model, self.start, lasts_s, sampling_step_s(model))
        if good is None or good.fails_before or good.fails_after:
            complain(failure(index, model, self.start, lasts_s, good))
        return (good.first_s, good.last_s) if good else (inf, -inf)

    def windows(
        self, one: Ints, other: Ints, first_s: float, last_s: float, period_s: float
    ) -> Columns:
        """Columns of IslWindows of pairs that see the same again after each period.

        The time is searched in blocks: of a period, the first of some whole ones, from which the
        others follow; without a period, such that memory is bounded.
        """
        members, index = np.unique(np.stack([one, other]), return_inverse=True)
        step_s = min(sampling_step_s(self.satellites[k]) for k in members) / _FINER
        block_s = min(period_s, step_s * (100 + _KEPT // len(members)))
        blocks = max(1, ceil((last_s - _TOUCH_S - first_s) / block_s))
        every = index.reshape(2, -1)
        times = _REPEATS if block_s == period_s else 1

        def search(number: int, pairs: Ints) -> Columns:
            begin_s = first_s + number * block_s
            end_s = first_s + (number + 1) * block_s
            # What is copied, or lies between others, is searched whole: the end cuts the copies.
            until_s = min(end_s, last_s) if times == 1 or blocks == 1 else end_s
            return self._found(members, pairs, begin_s, until_s, step_s)

        def cut(columns: Columns) -> Columns:
            """Without what opens after the end; what goes on there has the ranges until then."""
            begun = columns["start_s"] < last_s - _TOUCH_S
            kept = {name: values[begun] for name, values in columns.items()}
            late = np.flatnonzero(kept["end_s"] > last_s)
            if late.size:
                pairs = np.searchsorted(members, np.stack([kept["a"][late], kept["b"][late]]))
                begin_s = first_s + (blocks - 1) * block_s
                until_end = self._found(members, pairs, begin_s, last_s, step_s)
                going_on = {n: v[until_end["clipped_end"]] for n, v in until_end.items()}
                pair = going_on["a"] * len(self.satellites) + going_on["b"]
                wanted = kept["a"][late] * len(self.satellites) + kept["b"][late]
                order = np.argsort(pair)
                place = order[
                    np.minimum(np.searchsorted(pair, wanted, sorter=order), len(order) - 1)
                ]
                same = pair[place] == wanted
                for name in ("min_range_km", "max_range_km"):
                    kept[name][late[same]] = going_on[name][place[same]]
                kept["clipped_end"][late] = True
                kept["end_s"][late] = last_s
            return kept

        models = [self.satellites[k].model for k in members]
        if times == 1 or blocks == 1 or all(isinstance(model, SecularJ2) for model in models):
            pieces = []
            for number in range(0, blocks, times):
                copies = min(times, blocks - number)
                pieces.append(_repeated(search(number, every), period_s, copies))
            return _merged(cut(joined(pieces)), first_s, last_s)
        turn_rad = max(abs(model.argpdot) for model in models) * period_s / 60
        times = max(2, int(_PERIGEE_TURN / max(turn_rad, _PERIGEE_TURN / times)))
        pieces = []
        before = search(0, every)
        for begin in range(0, blocks, times):
            end = begin + times
            after = search(end, every)
            pieces += _between(search, (begin, before), (end, after), every, members, period_s)
            before = after
        return _merged(cut(joined(pieces)), first_s, last_s)

    def _found(
        self, members: Ints, pairs: Ints, first_s: float, last_s: float, step_s: float
    ) -> Columns:
        """Columns of IslWindows of pairs (2, n) of members, cut at both times.

        No bit of a window that ends before `last_s` depends on it.
        """
        models = [self.satellites[k] for k in members]
        ephemeris = sampled_ephemeris(models, self.start, first_s, last_s, step_s)
        lifted = self.limb.lifted([*ephemeris.node[:2].reshape(2, 3, len(models), -1)])
        pieces = []
        few = max(1, _CHUNK // ephemeris.samples)
        for begin in range(0, pairs.shape[1], few):
            some = pairs[:, begin : begin + few]
            samples = PairSamples(ephemeris, self.limb, lifted, *some)
            passes = find_passes(samples, "both", last_s)
            one, other = some[:, passes.site]
            times_s = passes.rise_s, passes.closest_s, passes.farthest_s, passes.set_s
            states = [(ephemeris.states(one, t), ephemeris.states(other, t)) for t in times_s]
            ranges_km = [np.linalg.norm((b - a)[:, :3], axis=1) for a, b in states]
            pieces.append({
                "a": members[one], "b": members[other],
                "start_s": passes.rise_s, "end_s": passes.set_s,
                "min_range_km": np.minimum.reduce(ranges_km),
                "max_range_km": np.maximum.reduce(ranges_km),
                "clipped_start": passes.clipped_start, "clipped_end": passes.clipped_end,
            })  # fmt: skip
        return joined(pieces)


def _repeated(columns: Columns, period_s: float, times: int) -> Columns:
    """The windows as often, a period later each time."""
    found = {name: np.tile(values, times) for name, values in columns.items()}
    if times > 1:
        late_s = np.repeat(period_s * np.arange(times), len(columns["start_s"]))
        found["start_s"] += late_s
        found["end_s"] += late_s
    return found


Searched = tuple[int, Columns]
"""A block by its number, and the windows in it."""


def _between(
    search: Callable[[int, Ints], Columns],
    begin: Searched,
    end: Searched,
    pairs: Ints,
    members: Ints,
    period_s: float,
) -> list[Columns]:
    """The windows of pairs (2, n) of members in the blocks from `begin` on and before `end`.

    Windows that both have move evenly between them; pairs of which one of them has other windows
    than the other are searched half-way, and so on.
    """
    first, left = begin
    last, right = end
    blocks = last - first
    if blocks == 1:
        return [left]
    many = int(members.max()) + 1
    of_first = _PairWindows.of(left, many)
    of_last = _PairWindows.of(right, many)
    numbers = (members[pairs] * [[many], [1]]).sum(axis=0)
    odd = np.array([of_first.shape(number) != of_last.shape(number) for number in numbers.tolist()])
    alike = of_first.only(numbers[~odd])
    alike_later = of_last.only(numbers[~odd])
    pieces = []
    for block in range(blocks):
        moved = dict(alike)
        for name, later_s in _MOVING.items():
            drift = alike_later[name] - alike[name] - later_s * period_s * blocks
            moved[name] = alike[name] + later_s * period_s * block + drift * (block / blocks)
        pieces.append(moved)
    if odd.any():
        some = pairs[:, odd]
        middle = (first + last) // 2
        half = middle, search(middle, some)
        before = of_first.only(numbers[odd])
        after = of_last.only(numbers[odd])
        pieces += _between(search, (first, before), half, some, members, period_s)
        pieces += _between(search, half, (last, after), some, members, period_s)
    return pieces


_MOVING = {"start_s": 1, "end_s": 1, "min_range_km": 0, "max_range_km": 0}
"""What differs between two periods, and by how many of them it is later in the next one."""


@dataclass(frozen=True)
class _PairWindows:
    """Windows sorted by pair and start; `number` (n,) says of which pair each is."""

    number: Ints
    columns: Columns

    @classmethod
    def of(cls, columns: Columns, many: int) -> "_PairWindows":
        """Of satellites whose places are below `many`."""
        number = columns["a"] * many + columns["b"]
        order = np.lexsort((columns["start_s"], number))
        return cls(number[order], {name: values[order] for name, values in columns.items()})

    def only(self, numbers: Ints) -> Columns:
        """Those of some pairs."""
        kept = np.isin(self.number, numbers)
        return {name: values[kept] for name, values in self.columns.items()}

    def shape(self, number: int) -> list[tuple[bool, bool]]:
        """Which ends of each window of a pair are cut off by the block."""
        rows = slice(*np.searchsorted(self.number, [number, number + 1]))
        clips = self.columns["clipped_start"][rows], self.columns["clipped_end"][rows]
        return list(zip(*(clip.tolist() for clip in clips), strict=True))


def _merged(columns: Columns, first_s: float, last_s: float) -> Columns:
    """The windows whole where they were cut between two times, clipped at these."""
    order = np.lexsort((columns["start_s"], columns["b"], columns["a"]))
    pieces = {name: values[order] for name, values in columns.items()}
    if not order.size:
        return pieces
    new = (np.diff(pieces["a"]) != 0) | (np.diff(pieces["b"]) != 0)
    new |= pieces["start_s"][1:] - pieces["end_s"][:-1] > _TOUCH_S
    begins = np.flatnonzero(np.append(True, new))
    ends = np.append(begins[1:], len(order)) - 1
    whole_ = {name: values[begins] for name, values in pieces.items()}
    whole_["end_s"] = pieces["end_s"][ends]
    whole_["clipped_end"] = pieces["clipped_end"][ends]
    for name, of_all in (("min_range_km", np.minimum), ("max_range_km", np.maximum)):
        whole_[name] = of_all.reduceat(pieces[name], begins)
    whole_["clipped_start"] &= whole_["start_s"] <= first_s + _TOUCH_S
    whole_["clipped_end"] &= whole_["end_s"] >= last_s - _TOUCH_S
    return whole_
