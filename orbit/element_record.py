"""One entry of elements as the fields that a file gives, before anybody knows what they mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AGAIN = "get the file again from its source"
"""The remedy for what is broken."""


@dataclass(frozen=True)
class Record:
    """The fields of one entry, where it stands, and the units it states itself (XML and KVN).

    `lines` are those of the fields in the file, where each stands in a line of its own.
    """

    where: str
    fields: dict[str, Any]
    units: dict[str, str]
    lines: dict[str, str] = field(default_factory=dict)


_NOT_IN_NAMES = re.compile(r"[^a-z0-9]")
_FIRST = ("tle1", "tleline1", "line1")
_SECOND = ("tle2", "tleline2", "line2")
_NAME = ("tle0", "tleline0", "line0", "objectname", "satname", "satellitename", "header", "name")
_BOTH = ("tle", "tlelines", "lines")
# The fields that only mean elements have.
_MEAN = frozenset({"MEAN_MOTION", "SEMI_MAJOR_AXIS", "ECCENTRICITY", "INCLINATION"})


def two_lines(fields: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Name, line 1 and line 2 of an entry that gives these in place of mean elements, else None.

    The fields may be called tle0, tle1 and tle2 (SatNOGS), TLE_LINE0 to TLE_LINE2 (Space-Track),
    line1 and line2, or `tle` for both.
    """
    if any(fields.get(key) is not None for key in _MEAN):
        return None
    said = {_NOT_IN_NAMES.sub("", key.lower()): value for key, value in fields.items()}
    name = _text_of(said, _NAME).removeprefix("0 ")
    lines = [_text_of(said, _FIRST), _text_of(said, _SECOND)]
    if said.keys().isdisjoint(_FIRST + _SECOND):
        both: Any = next((said[key] for key in _BOTH if isinstance(said.get(key), str | list)), [])
        every = both.splitlines() if isinstance(both, str) else [str(line) for line in both]
        lines = [line for line in every if line.strip()]
        if len(lines) == 3:
            name = lines.pop(0).removeprefix("0 ")
    return (name, lines[0], lines[1]) if len(lines) == 2 else None


def is_entry(fields: Mapping[str, Any]) -> bool:
    """Whether fields are those of a satellite's elements, be they right or wrong."""
    return any(fields.get(key) is not None for key in _MEAN) or two_lines(fields) is not None


def _text_of(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(fields[name]) for name in names if fields.get(name)), "")
