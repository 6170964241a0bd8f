"""The words at the edge: one line, or JSON, of a statement."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from statements.code import Code, Severity

if TYPE_CHECKING:
    from statements.remedies import Change
    from statements.statement import KeyPath, Place, Statement

_LONGEST_SHOWN = 60
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")


def line(said: Statement, place: Place | None = None) -> str:
    """Return ``file:line: key: what is wrong; what to do``, or ``--set key: ...``."""
    key = dotted(said.path)
    text = sentence(said)
    if place is None:
        return ": ".join(part for part in (str(said.line or ""), key, text) if part)
    text += f" (at {place.at})" if place.at else ""
    if place.option:
        return f"{' '.join(part for part in (place.option, key) if part)}: {text}"
    file = ":".join(str(part) for part in (place.file, said.line or place.line) if part)
    return ": ".join(part for part in (file, key, text) if part)


def sentence(said: Statement) -> str:
    """Return what is wrong and what helps, without the key."""
    refused = said.severity is Severity.REFUSAL
    joint = "; " if refused and said.code is not Code.MISSING else ": "
    todo = remedies_text(said.remedies, dotted(said.path))
    return joint.join(part for part in (filled(said.text, said.values), todo) if part)


def remedies_text(remedies: Iterable[Change | str], about: str = "") -> str:
    """Return what helps, one way or another, in a statement about the key ``about``."""
    words = (one if isinstance(one, str) else one.words(about) for one in remedies)
    *most, last = [*words] or [""]
    return f"{', '.join(most)}, or {last}" if most else last


class _Filler(string.Formatter):
    """Takes a name with dots for one name."""

    def get_field(self, field_name: str, _args: Any, kwargs: Any) -> Any:
        """Return a value by its name, and the name."""
        return kwargs[field_name], field_name


def filled(text: str, values: Mapping[str, Any]) -> str:
    """Return a template with its values; a text without any is one already."""
    return _Filler().vformat(text, (), values) if values else text


def dotted(path: KeyPath) -> str:
    """Write a path as a user does, `ground.clusters.0.name`, on one line: odd keys are quoted."""
    keys = map(str, path)
    return ".".join(key if _PLAIN_KEY.fullmatch(key) else shown(key) for key in keys)


def shown(value: object) -> str:
    """Return a value for a message: on one line, shortened, and for every value."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python is willing to print
        return f"a very large {type(value).__name__}"
    text = {"None": "nothing", "True": "true", "False": "false"}.get(text, text)
    text = " ".join(text.split("\n"))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def as_json(said: Statement, place: Place | None = None) -> dict[str, Any]:
    """Return all of a statement, and its line for those who only want to show it."""
    about = dotted(said.path)
    values = {name: _plain(value) for name, value in said.values.items()}
    template = said.text
    if values != said.values:  # what JSON has no form for cannot be formatted again
        template = filled(said.text, said.values).replace("{", "{{").replace("}", "}}")
    return {
        "code": said.code.value,
        "severity": said.severity.value,
        "keys": [dotted(key) for key in said.keys],
        "values": values,
        "says": template,
        "remedies": [one.as_json(about) for one in said.remedies],
        "place": None if place is None else {**vars(place), "line": said.line or place.line},
        "text": line(said, place),
    }


def refused_json(error: ValueError) -> dict[str, Any]:
    """Return what an error of wrong input refuses first, as JSON."""
    from statements.statement import Refused, statement_of

    return as_json(statement_of(error), error.place if isinstance(error, Refused) else None)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such numbers
        return shown(value)
    if isinstance(value, PurePath):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else shown(value)
