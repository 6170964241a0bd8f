"""The links of all passes of a plan, in tables of as many passes as are quick to make at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from datetime import datetime

import numpy as np

from sim.links.beam import DeviceLinks, PassFigures
from sim.links.link_table import LinkTable
from sim.links.pass_geometry import Pass
from statements.arrays import Floats, Ints

LOG = logging.getLogger("leomix.run")
POINTS_AT_ONCE = 1 << 17
"""Points of a table, about: a larger one would be no quicker, and take more memory."""
PASSES_AGAIN = 32
"""Passes that are made again at once, of those that were made before, and asked for in turn: at
first. It is twice as many each time that those are asked for which follow them."""
TABLES = 2
"""Tables that are kept: contacts that overlap are in one that ends and in one that begins."""


class PlanLinks:
    """Links and figures of all passes by number.

    They are made when they are first asked for, and with them those that will be asked for next:
    ``soon`` has the numbers in the order in which they are expected. What is asked for again after
    its table is gone is made again, alone: to the last bit the same. As that takes longer, the log
    says so once. What was only made with others and is asked for in turn is made again with some of
    those that follow it.
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
        self._last_place = -1
        self._again = PASSES_AGAIN
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
        last = len(self._soon)
        known: Container[int] = self._figures
        if number in self._figures:
            known = self._asked
            last = min(last, place + self._wanted_again(place))
        self._last_place = place
        for later in range(place + 1, last):
            if points >= POINTS_AT_ONCE:
                break
            following = self._soon[later]
            if following not in known:
                some.append((following, self._make(following)))
                points += some[-1][1].points
        return some

    def _wanted_again(self, place: int) -> int:
        """How many passes are made again at once, from the one at a ``place`` of ``soon`` on."""
        in_turn = place - self._last_place in range(self._again + 1)
        if not in_turn:
            self._again = PASSES_AGAIN
            return 1
        wanted = self._again
        self._again = min(2 * wanted, POINTS_AT_ONCE)
        return wanted

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
