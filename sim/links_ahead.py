"""Links of a cluster's passes, made some at a time: those that follow will be wanted next."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from sim.contact_links import DeviceLinks, Pass, links_of
from sim.radios import Radios

DEVICES_AT_ONCE = 300
"""Devices of all passes whose links are made together: more would be no quicker, but larger."""


class LinksAhead:
    """The passes over one cluster by number, and the links that were made ahead of their time."""

    def __init__(self, radios: Radios, devices: int) -> None:
        self._radios = radios
        self._at_once = max(1, DEVICES_AT_ONCE // devices)
        self._passes: dict[int, Callable[[], Pass]] = {}
        self._to_come: dict[int, None] = {}
        self._made: dict[int, DeviceLinks] = {}

    def add(self, number: int, make: Callable[[], Pass], wanted: bool) -> None:
        """Take in a pass, behind those of lower numbers; say whether its links will be wanted."""
        self._passes[number] = make
        if wanted:
            self._to_come[number] = None

    def links(self, number: int) -> DeviceLinks:
        """Return the links of a pass, and forget them."""
        if number not in self._made:
            following = (n for n in self._to_come if n > number)
            first = number in self._to_come  # else they are asked for once more
            some = [number, *islice(following, self._at_once - 1 if first else 0)]
            made = links_of([self._passes[n]() for n in some], self._radios)
            self._made.update(zip(some, made, strict=True))
            for n in some:
                self._to_come.pop(n, None)
        return self._made.pop(number)
