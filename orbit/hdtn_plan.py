"""Contact plans of HDTN: JSON."""

import json
import re
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any

import numpy as np

from orbit.checks import shown
from orbit.dtn_entries import YEARS, Entry, Plan, check_span, quantity
from orbit.files import MOST_ROWS, TableError, no_json
from orbit.tables import OF_PASSES, OnBad

_UNIX_FROM_S = 1e9
"""Times of HDTN above it count from 1970, those below from the start of the plan."""
_UNIX_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_TO_S = (datetime(YEARS[1], 1, 1, tzinfo=UTC) - _UNIX_ZERO).total_seconds()
_RATES = ("rateBitsPerSec", "rate")


def of_json(text: str, source: str, on_bad: OnBad | None) -> Plan:
    """Return what a plan of HDTN says; TableError for what cannot be read, or `on_bad` of it."""
    plan = Plan(source, on_bad)
    whole, items = _items_of(text, source)
    lines = _lines_of_items(text, len(items))
    if isinstance(whole, dict):
        named = whole.get("nodes")
        if isinstance(named, dict):
            plan.names |= {str(node): str(name) for node, name in named.items()}
        plan.zero = _zero_of(whole.get("start"), source)

    def contact(place: int, item: Any) -> None:
        if not isinstance(item, dict):
            raise ValueError(f"{shown(item)} is no contact; give startTime, endTime, source, ...")
        rate = next((key for key in _RATES if item.get(key) is not None), _RATES[0])
        for key in ("startTime", "endTime", "source", "dest", rate):
            if item.get(key) is None:
                raise ValueError(f"{key} is missing; add it to the contact")
        start, end = (_time_of(item[key], key) for key in ("startTime", "endTime"))
        check_span(start, end)
        light = item.get("owlt")
        plan.contacts.append(
            Entry(
                place, start, end, str(item["source"]), str(item["dest"]),
                quantity(item[rate], rate, "bits per second"),
                nan if light is None else quantity(light, "owlt", "light seconds"),
            )
        )  # fmt: skip

    for place, item in zip(lines, items, strict=True):
        plan.each(place, contact, item)
    return plan


def _items_of(text: str, source: str) -> tuple[Any, list[Any]]:
    """What JSON says, and its list of contacts."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise TableError(f"{source}:{line}: {no_json(error, text)}") from None
    items = whole.get("contacts") if isinstance(whole, dict) else whole
    objects = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    if not isinstance(items, list) or (objects and not any(map(_has_ends, objects))):
        raise TableError(
            f"{source}:1: JSON without a list of contacts as HDTN has it: "
            '{"contacts": [{"startTime": 0, "endTime": 60, "source": 1, "dest": 2, ...}]}; give '
            f"passes as a CSV table with the columns {', '.join(OF_PASSES)}"
        )
    if len(items) > MOST_ROWS:
        raise TableError(f"{source}:1: more than {MOST_ROWS} contacts; give a part of them")
    return whole, items


def _has_ends(contact: dict[str, Any]) -> bool:
    return not contact.keys().isdisjoint(("source", "dest"))


def _time_of(value: Any, key: str) -> datetime | float:
    seconds = quantity(value, key, "seconds")
    if seconds < _UNIX_FROM_S:
        return seconds
    if seconds >= _UNIX_TO_S:
        raise ValueError(
            f"{key} {shown(value)} is beyond {YEARS[1] - 1} in seconds since 1970; if it is in "
            "milliseconds, give seconds"
        )
    return _UNIX_ZERO + timedelta(seconds=seconds)


def _zero_of(text: Any, source: str) -> datetime | None:
    if text is None:
        return None
    try:
        zero = datetime.fromisoformat(str(text))
        zero = zero.astimezone(UTC) if zero.tzinfo else zero.replace(tzinfo=UTC)
        if not YEARS[0] <= zero.year < YEARS[1]:
            raise ValueError
    except (ValueError, OverflowError):
        raise TableError(f"{source}:1: start {shown(text)} is no time; write it in UTC") from None
    return zero


def _lines_of_items(text: str, count: int) -> list[int]:
    """The line of each contact, where each begins with a brace of its own; else their numbers."""
    begin = text.find("[")
    opened = [match.start() for match in re.finditer(r"\{", text[begin:])]
    if len(opened) != count:
        return list(range(1, count + 1))
    before = text.count("\n", 0, begin) + 1
    ends = np.array([match.start() for match in re.finditer("\n", text[begin:])])
    lines: list[int] = (before + np.searchsorted(ends, opened)).tolist()
    return lines
