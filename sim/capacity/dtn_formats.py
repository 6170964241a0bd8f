"""Contact plans as text for DTN stacks: commands of ION's ionadmin, or JSON of HDTN.

Both count nodes from 1, and know whole seconds, whole rates and whole light seconds only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from sim.capacity.volumes import LinkVolumes
from sim.errors import InputError
from statements import Code
from statements.arrays import Ints


class Format(NamedTuple):
    """A format: what writes pieces of whole seconds from a start on, and endings of its files."""

    text: Callable[[LinkVolumes, datetime], str]
    endings: tuple[str, ...]


def plan_text(to: str, links: LinkVolumes, start: datetime) -> str:
    """Return the contact plan of pieces of whole seconds in the format ``to``: ion or hdtn.

    A piece whose rate rounds to 0 is left out. Raises InputError for another format, and where no
    piece is left.
    """
    if not isinstance(to, str) or to not in FORMATS:
        raise InputError.of(
            Code.WRONG_VALUE,
            "",
            "{to!r} is no format of contact plans",
            f"use {' or '.join(FORMATS)}",
            to=to,
        )
    text = FORMATS[to].text(links, start)
    if not text:
        raise InputError.of(
            Code.NOT_RECORDED,
            "",
            "no contact lasts a whole second at a rate above 0: nothing to export",
        )
    return text


def rates(links: LinkVolumes, unit_bits: int) -> Ints:
    """Return the mean rate of each piece in whole units of so many bits per second, rounded."""
    return np.rint(links.bits / (links.end_s - links.start_s) / unit_bits).astype(np.int64)


def light_seconds(links: LinkVolumes) -> Ints:
    """Return the one-way light time of each piece in whole seconds, rounded."""
    return np.rint(links.delay_s).astype(np.int64)


def ion_text(links: LinkVolumes, start: datetime) -> str:
    """Return the commands ``a contact`` and ``a range`` of each piece; empty without any.

    A range from a lower to a higher number holds in both directions.
    """
    rate = rates(links, 8)
    contacts = [
        f"a contact +{begin} +{end} {source} {target} {rate[piece]}"
        for piece, source, target, begin, end in _whole(links, rate)
    ]
    if not contacts:
        return ""
    light_s = light_seconds(links)
    spans = {
        (begin, end, *sorted((source, target))): light_s[piece]
        for piece, source, target, begin, end in _whole(links, rate)
    }
    ranges = [
        f"a range +{begin} +{end} {low} {high} {distance}"
        for (begin, end, low, high), distance in spans.items()
    ]
    at = start.astimezone(UTC)
    head = [
        "# Contact plan for ionadmin, by leomix. Rates are bytes per second, ranges light seconds.",
        f"# Times count from {at:%Y-%m-%dT%H:%M:%SZ}, or from whenever ionadmin reads this; for",
        f"# that date, remove the mark of the next line:\n# @ {at:%Y/%m/%d-%H:%M:%S}",
        *(f"# node {number} {json.dumps(name)}" for number, name in enumerate(links.nodes, 1)),
    ]
    return "\n".join([*head, *contacts, *ranges, ""])


def hdtn_text(links: LinkVolumes, start: datetime) -> str:
    """Return HDTN's JSON: a contact a line, and keys that it does not read; empty without any.

    These are ``start``, and the name of each node by its number.
    """
    rate = rates(links, 1)
    light_s = light_seconds(links)
    contacts = [
        {
            "contact": number,
            "source": source,
            "dest": target,
            "startTime": begin,
            "endTime": end,
            "rateBitsPerSec": int(rate[piece]),
            "owlt": int(light_s[piece]),
        }
        for number, (piece, source, target, begin, end) in enumerate(_whole(links, rate))
    ]
    if not contacts:
        return ""
    lines = ",\n".join(f"  {json.dumps(contact)}" for contact in contacts)
    names = json.dumps({str(number): name for number, name in enumerate(links.nodes, 1)})
    about = json.dumps(f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return f'{{\n"start": {about},\n"nodes": {names},\n"contacts": [\n{lines}\n]\n}}\n'


FORMATS = {
    "ion": Format(ion_text, (".ionrc", ".txt")),
    "hdtn": Format(hdtn_text, (".json",)),
}
"""Formats by name."""


def _whole(links: LinkVolumes, rate: Ints) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield pieces of a rate above 0: number, both nodes counted from 1, first and last second."""
    for piece in np.flatnonzero(rate > 0).tolist():
        source, target = int(links.source[piece]) + 1, int(links.target[piece]) + 1
        yield piece, source, target, int(links.start_s[piece]), int(links.end_s[piece])
