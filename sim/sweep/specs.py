"""Values of the keys of a sweep, as `-p KEY=SPEC` says them."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

from scenarios.parsing import parse_yaml
from sim.errors import InputError
from statements import Code, Refused, sentence

# As YAML 1.2 has them, but for leading zeros: 08:30:00 is a time and no range.
_NUMBER = r"[-+]?(?:(?:0|[1-9]\d{0,29})(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER}))?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.?(inf|infinity|nan)", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
_MOST_WHOLE = 2**63 - 1


Spec = Sequence[Any]
MOST_POINTS = 100_000
"""Points of a sweep, and values of a key: more are a slip in a range."""


def read_pairs(pairs: Sequence[str]) -> dict[str, Spec]:
    """Return the values of each key of ``KEY=SPEC`` texts; a key may be given once."""
    specs: dict[str, Spec] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise InputError.of_option(
                f"-p {pair}",
                Code.WRONG_VALUE,
                "should be KEY=SPEC, like -p orbit.altitude_km=400:1200:100",
            )
        spec = read_spec(key, text)
        if key in specs:
            refuse(key, "is given twice; keep one")
        specs[key] = spec
    return specs


def read_spec(key: str, text: str) -> Spec:
    """Return what a SPEC says: ``a,b,c`` or ``start:stop:step``.

    Items are read as YAML: a comma within brackets or quotes belongs to its item. Text with colons
    that are not between plain numbers is no range.
    """
    text = text.strip()
    parts = text.split(":")
    numeric = all(re.fullmatch(_NUMBER, part) or _NOT_FINITE.fullmatch(part) for part in parts)
    for part in parts if numeric and len(parts) in (2, 3) else ():
        if _NOT_FINITE.fullmatch(part) or not math.isfinite(float(part)):
            refuse(key, f"{text} is not finite; give finite numbers")
    found = _RANGE.fullmatch(text)
    return _items(key, text) if found is None else _range(key, text, *found.groups())


def _range(key: str, text: str, start: str, stop: str, step: str | None) -> Spec:
    first = Fraction(Decimal(start))
    last = Fraction(Decimal(stop))
    if last < first:
        refuse(key, f"{text} is reversed; write it from the least to the greatest")
    if step is None:
        refuse(key, "is a range without a step; give start:stop:step")
    by = Fraction(Decimal(step))
    if by <= 0:
        refuse(key, f"{text} has a step of {step}; it must be above 0")
    whole = all(_WHOLE.fullmatch(part) for part in (start, stop, step))
    if whole and max(abs(first), abs(last)) > _MOST_WHOLE:
        refuse(key, f"{text} is too large; whole numbers go up to {_MOST_WHOLE}")
    count = (last - first) // by + 1
    if count > MOST_POINTS:
        refuse(key, f"{text} has more than {MOST_POINTS:,} values; give a larger step")
    # Exact, as they are decimal; ints where all three were written as whole numbers.
    return tuple((int if whole else float)(first + by * number) for number in range(count))


def _items(key: str, text: str) -> Spec:
    if not text:
        refuse(key, "has no values; give a,b,c or start:stop:step")
    try:
        values = parse_yaml(f"[{text}]").value
    except Refused as found:
        refuse(key, f"{text} is no list of values: {sentence(found.statement)}")
    # YAML takes a comma at the end for the end of the list.
    if not values or text.endswith(","):
        refuse(key, f"{text} has an empty item; give a,b,c or start:stop:step")
    return tuple(values)


def refuse(key: str, text: str) -> NoReturn:
    """Raise InputError that says what is wrong with the values of a key."""
    raise InputError.of_option(f"-p {key}", Code.WRONG_VALUE, "{text}", text=text)
