"""The links of many passes as one table: geometry, rates and bits of all of them at once.

A row is a device in a pass. No bit of a row depends on which other passes are in the table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from datetime import datetime
from functools import partial

import numpy as np

from channel import CLEAR_PATH, Link, LinkCurve, Path
from channel.link_curve import CurveTable
from sim.links.beam import Beam, DeviceLinks, PassFigures, RangeGrid, served_bits
from sim.links.pass_geometry import Grid, Pass, PassGeometry, SeenPoints, cut_grid
from sim.links.rate_points import LinkView, LossyGrid, RatePoints, rate_points
from statements.arrays import Floats, Ints, Mask

CELLS = 2
"""Cells of a grid for which curves are made at once where the band is shared anew all the time."""


Batches = dict[int, tuple[CurveTable, int]]
"""Curves of passes by number: a table of many, and which batch of it."""


class LinkTable:
    """The links of P passes, and what each device could upload in each.

    ``capacity_bits`` are those of uplinks, row after row; ``first_row`` (P,) is that of each pass.
    ``doppler_hz`` (P, 2) is as in ``DeviceLinks``.
    """

    def __init__(self, passes: Sequence[Pass], start: datetime) -> None:
        """Make the links of at least one pass; all are of one plan."""
        self._passes = passes
        self._geometry = geometry = PassGeometry(passes, start)
        self._path = _drawn(passes, geometry.devices)
        self._uplinks, self._downlinks = self._directions()
        self.doppler_hz = geometry.doppler_hz
        self.first_row = geometry.first_row
        each = (curves.row_capacity_bits(n) for curves, n in self._uplinks.values())
        self.capacity_bits = np.concatenate(list(each))

    def uplink_bits(self, number: int, start_s: float, end_s: float) -> Floats:
        """Bits (K,) that each device of a pass could upload between two times; nan for none."""
        curves, batch = self._uplinks[number]
        return served_bits(curves.batch(batch), start_s, end_s)

    def links(self, number: int) -> DeviceLinks:
        """Both directions of one pass, each device's from its own AOS to its own LOS."""
        geometry = self._geometry
        downlink = None
        if number in self._downlinks:
            downlink = self._beam(number, 1, *self._downlinks[number])
        uplink = self._beam(number, 0, *self._uplinks[number])
        grid = geometry.grid
        place = (geometry.block(number, grid, x) for x in (grid.time_s, grid.slant_range_m))
        shift_hz, residual_hz = self.doppler_hz[number].tolist()
        return DeviceLinks(uplink, downlink, (shift_hz, residual_hz), RangeGrid(*place))

    def _directions(self) -> tuple[Batches, Batches]:
        """Return for each pass the table of the passes with the same links, and its batch there.

        Of uplinks, and of downlinks.
        """
        groups: dict[tuple[Link, Link | None], list[int]] = {}
        for number, each in enumerate(self._passes):
            up, down = each.place.radios
            links = up.link, None if down is None else down.link
            groups.setdefault(links, []).append(number)
        uplinks: Batches = {}
        downlinks: Batches = {}
        for links, numbers in groups.items():
            some = np.zeros(len(self._passes), bool)
            some[numbers] = True
            losses, devices = self._losses(some)
            for link, found in zip(links, (uplinks, downlinks), strict=True):
                if link is not None:
                    curves = self._of(link, losses, devices)
                    found |= {number: (curves, batch) for batch, number in enumerate(numbers)}
        return dict(sorted(uplinks.items())), dict(sorted(downlinks.items()))

    def _losses(self, some: Mask) -> tuple[LossyGrid, Ints]:
        """Return what links lose in some passes (P,), and how many devices each of these has."""
        devices = self._geometry.devices
        return LossyGrid(self._geometry.grid.of(np.repeat(some, devices))), devices[some]

    def _of(self, link: Link, losses: LossyGrid, devices: Ints) -> CurveTable:
        """Curves of a link at the points of a grid whose passes have so many ``devices`` each."""
        view = LinkView(link, self._path, self._geometry.views)
        grid = losses.grid
        rate_bps, found = rate_points(view, losses)
        if found is None:
            points = grid.every_points
            time_s = grid.every_s
            seen = self._geometry.seen[grid.rows]
            if not seen.all():
                rate_bps = rate_bps * np.repeat(seen, points)
            return CurveTable(devices, points[np.cumsum(devices) - 1], time_s, rate_bps)
        points, source = _aligned(grid, found, devices)
        rate_bps = found.curve_bps * self._geometry.seen[found.row]
        return CurveTable(devices, points, found.time_s[source], rate_bps[source])

    def _beam(self, number: int, way: int, curves: CurveTable, batch: int) -> Beam:
        radio = self._passes[number].place.radios[way]
        curve = curves.batch(batch)
        if radio is None or radio.sharing != "equal_share":
            return Beam(curve, radio)
        whole = partial(self._whole, number)
        narrow = partial(self._narrow, number)
        return Beam(curve, radio, whole, narrow)

    def _whole(self, number: int, link: Link) -> LinkCurve:
        """The curves (K) of another link in a pass whose devices share the band."""
        some = np.arange(len(self._passes)) == number
        return self._of(link, *self._losses(some)).batch(0)

    def _narrow(self, number: int, link: Link, now_s: float, who: Mask) -> tuple[LinkCurve, float]:
        """Return curves of the devices in ``who`` (K,) from a time on, and until when they hold.

        The rows of other devices carry nothing.
        """
        geometry = self._geometry
        each = self._passes[number]
        points = each.columns
        step_s = float(geometry.steps_s[number])
        common_s = each.rise_s + np.arange(points) * step_s
        common_s[-1] = each.set_s
        cell = min(int(np.searchsorted(common_s, now_s, "right")) - 1, points - 2)
        first = cell // CELLS * CELLS
        part = slice(first, first + CELLS + 1)
        grid = geometry.grid
        seen = SeenPoints(
            time_s=geometry.block(number, grid, grid.time_s)[who, part].ravel(),
            elevation_deg=geometry.block(number, grid, grid.elevation_deg)[who, part].ravel(),
            slant_range_m=geometry.block(number, grid, grid.slant_range_m)[who, part].ravel(),
        )
        rows = self.first_row[number] + np.flatnonzero(who)
        columns = len(seen.time_s) // len(rows)
        narrow = cut_grid(
            geometry.views,
            rows,
            points=np.full(len(rows), columns),
            seen=seen,
            step_s=np.full(len(rows), step_s),
            inner=np.zeros(len(seen.time_s), bool),
        )
        of_senders = self._of(link, LossyGrid(narrow), np.array([len(rows)])).batch(0)
        shape = (len(who), of_senders.time_s.shape[1])
        time_s: Floats = np.zeros(shape)
        time_s[who] = of_senders.time_s
        rate_bps: Floats = np.zeros(shape)
        rate_bps[who] = of_senders.rate_bps
        return LinkCurve(time_s, rate_bps), float(common_s[first + columns - 1])


def _drawn(passes: Sequence[Pass], devices: Ints) -> Path:
    """Return the draws of every row; without any environment they have no effect."""
    places = {id(p.place): p.place for p in passes}.values()
    radios = [radio for place in places for radio in place.radios if radio is not None]
    if all(radio.link.environment is None for radio in radios):
        return CLEAR_PATH
    names = ("los_quantile", "shadowing_deviate", "k_deviate")
    pairs = list(zip(passes, devices.tolist(), strict=True))
    draws = [[np.broadcast_to(np.ravel(getattr(p.path, n)), k) for p, k in pairs] for n in names]
    return Path(*map(np.concatenate, draws))


def _aligned(grid: Grid, found: RatePoints, devices: Ints) -> tuple[Ints, Ints]:
    """As many points in all rows of a pass, which has so many ``devices``.

    Returns how many (P,), and which of the points found each of them is: where a row has fewer, its
    last one is repeated. This goes cell by cell, so that the grid's times stay in one column.
    """
    row_of_pass = np.cumsum(devices) - devices
    row = np.cumsum(np.diff(found.row, prepend=found.row[0]) != 0)
    number = np.arange(len(row))
    pass_of_row = np.repeat(np.arange(len(devices)), devices)
    cell = np.cumsum(found.given) - 1
    inside = number - np.flatnonzero(found.given)[cell]
    more = np.bincount(cell) - 1
    columns = grid.points[row_of_pass]
    first_column = np.cumsum(columns) - columns
    column = first_column[pass_of_row[row]] + cell - grid.first[row]
    width = np.ones(int(columns.sum()), np.int64)
    np.maximum.at(width, column[found.given], more + 1)
    begin = np.cumsum(width) - width
    points = np.add.reduceat(width, first_column)
    place = begin[column] - begin[first_column][pass_of_row[row]] + inside
    each = points[pass_of_row]
    source = np.zeros(int(each.sum()), np.int64)
    source[(np.cumsum(each) - each)[row] + place] = number
    return points, np.maximum.accumulate(source)


# The links of all passes of a plan, in tables of as many passes as are quick to make at once.

LOG = logging.getLogger("leomix.run")
POINTS_AT_ONCE = 1 << 17
"""Points of a table, about: a larger one would be no quicker, and take more memory."""
TABLES = 2
"""Tables that are kept: contacts that overlap are in one that ends and in one that begins."""


class PlanLinks:
    """Links and figures of all passes by number.

    They are made when they are first asked for, and with them those that will be asked for next:
    ``soon`` has the numbers in the order in which they are expected. What is asked for again after
    its table is gone is made again, alone: to the last bit the same. As that takes longer, the log
    says so once.
    """

    def __init__(
        self,
        start: datetime,
        make: Callable[[int], Pass],
        served_s: Callable[[int], tuple[float, float]],
        soon: Ints,
    ) -> None:
        """``make`` draws for the devices of a pass; ``served_s`` is its service, nan for none."""
        self._start = start
        self._make = make
        self._served_s = served_s
        self._soon = soon.tolist()
        self._place_in_soon = {number: place for place, number in enumerate(self._soon)}
        self._tables: list[tuple[dict[int, int], LinkTable]] = []
        self._figures: dict[int, tuple[float, ...]] = {}
        self._asked: set[int] = set()
        self._remade = False

    def links(self, number: int) -> DeviceLinks:
        """Return the links of a pass: views of its table, which they keep."""
        place, table = self._table(number)
        self._asked.add(number)
        return table.links(place)

    def figures(self, numbers: Ints) -> PassFigures:
        """Return the figures of passes (N,)."""
        rows = []
        for number in numbers.tolist():
            if number not in self._figures:
                self._table(number)
            rows.append(self._figures[number])
        return PassFigures.of(rows)

    def _table(self, number: int) -> tuple[int, LinkTable]:
        """Return the place of a pass in its table, and the table."""
        for places, table in self._tables:
            if number in places:
                return places[number], table
        if number in self._asked and not self._remade:
            self._remade = True
            LOG.info("links of contact %s, let go to save memory, are made again: slower", number)
        numbers, passes = zip(*self._with_following(number), strict=True)
        table = LinkTable(passes, self._start)
        places = {n: place for place, n in enumerate(numbers)}
        # One pass out of turn would send those away that are in turn.
        if len(numbers) > 1 or passes[0].points >= POINTS_AT_ONCE:
            self._tables = [*self._tables[1 - TABLES :], (places, table)]
        self._remember(numbers, passes, table)
        return places[number], table

    def _with_following(self, number: int) -> list[tuple[int, Pass]]:
        """Return a pass and, when it is first asked for, those that will be asked for next."""
        some = [(number, self._make(number))]
        points = some[0][1].points
        place = self._place_in_soon.get(number)
        if place is None or number in self._asked:
            return some
        # Who asks for figures has them made: only links may be made again.
        known: Container[int] = self._asked if number in self._figures else self._figures
        for following in self._soon[place + 1 :]:
            if points >= POINTS_AT_ONCE:
                break
            if following not in known:
                some.append((following, self._make(following)))
                points += some[-1][1].points
        return some

    def _remember(self, numbers: Sequence[int], passes: Sequence[Pass], table: LinkTable) -> None:
        least_bits: Floats = np.minimum.reduceat(table.capacity_bits, table.first_row)
        least = (least_bits / 8.0).tolist()
        for place, (number, each) in enumerate(zip(numbers, passes, strict=True)):
            start_s, end_s = self._served_s(number)
            in_service = least[place]
            if not (start_s <= each.rise_s and each.set_s <= end_s):
                in_service = float(table.uplink_bits(place, start_s, end_s).min()) / 8.0
            doppler_hz = table.doppler_hz[place].tolist()
            self._figures[number] = least[place], in_service, *doppler_hz
