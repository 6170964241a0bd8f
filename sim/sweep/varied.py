"""What a sweep varies: values of keys, as `-p KEY=SPEC` says them, and variants.

Methods are fairly compared with settings of their own, which a grid of keys cannot say. A variant
has a name and the keys that it sets, and is compared as the values of one key are; the sweep's rows
have the names in a column of their own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from scenarios.files import read_text
from scenarios.parsing import parse_yaml
from sim.analysis.labels import METHOD, VARIANT
from sim.errors import InputError
from sim.formatting import as_yaml
from statements import Code, Place, Refused, sentence

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
            refuse_values(key, "is given twice; keep one")
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
            refuse_values(key, f"{text} is not finite; give finite numbers")
    found = _RANGE.fullmatch(text)
    return _items(key, text) if found is None else _range(key, text, *found.groups())


def _range(key: str, text: str, start: str, stop: str, step: str | None) -> Spec:
    first = Fraction(Decimal(start))
    last = Fraction(Decimal(stop))
    if last < first:
        refuse_values(key, f"{text} is reversed; write it from the least to the greatest")
    if step is None:
        refuse_values(key, "is a range without a step; give start:stop:step")
    by = Fraction(Decimal(step))
    if by <= 0:
        refuse_values(key, f"{text} has a step of {step}; it must be above 0")
    whole = all(_WHOLE.fullmatch(part) for part in (start, stop, step))
    if whole and max(abs(first), abs(last)) > _MOST_WHOLE:
        refuse_values(key, f"{text} is too large; whole numbers go up to {_MOST_WHOLE}")
    count = (last - first) // by + 1
    if count > MOST_POINTS:
        refuse_values(key, f"{text} has more than {MOST_POINTS:,} values; give a larger step")
    # Exact, as they are decimal; ints where all three were written as whole numbers.
    return tuple((int if whole else float)(first + by * number) for number in range(count))


def _items(key: str, text: str) -> Spec:
    if not text:
        refuse_values(key, "has no values; give a,b,c or start:stop:step")
    try:
        values = parse_yaml(f"[{text}]").value
    except Refused as found:
        refuse_values(key, f"{text} is no list of values: {sentence(found.statement)}")
    # YAML takes a comma at the end for the end of the list.
    if not values or text.endswith(","):
        refuse_values(key, f"{text} has an empty item; give a,b,c or start:stop:step")
    return tuple(values)


def refuse_values(key: str, text: str) -> NoReturn:
    """Raise InputError that says what is wrong with the values of a key."""
    raise InputError.of_option(f"-p {key}", Code.WRONG_VALUE, "{text}", text=text)


Keys = Mapping[str, Any]
"""Values by dotted key."""
Variants = Mapping[str, Keys]
"""The keys that a variant sets, by its name."""


def read_variants(path: Path) -> dict[str, dict[str, Any]]:
    """Return the variants of a YAML file: names, each with dotted keys and their values.

    A name without keys stands for the scenario as it is, or for the method of that name if
    there is one. Raises InputError that says what is wrong, and where.
    """
    option = f"--variants {path}"
    if not path.is_file():
        _refuse(option, "there is no such file; write names, each with the keys that it sets")
    try:
        document = parse_yaml(read_text(path))
    except Refused as found:
        # The line of the file is that of the text.
        raise InputError(found.statement, Place(option=option)) from None
    listed = document.value
    if not isinstance(listed, dict) or not listed:
        _refuse(option, "should be names, each with the keys that it sets, like fedavg-slow: "
                "{learning.method: fedavg, learning.step_size: 0.01}")  # fmt: skip
    return {str(name): _keys_of(option, str(name), keys) for name, keys in listed.items()}


def _keys_of(option: str, name: str, keys: Any) -> dict[str, Any]:
    from sim.analysis.methods import known_method

    if keys is None:
        return {} if known_method(name) is None else {METHOD: name}
    if not isinstance(keys, dict):
        _refuse(option, f"{name}: should be dotted keys with their values, not {as_yaml(keys)}")
    return dict(keys)


def _refuse(option: str, text: str) -> NoReturn:
    raise InputError.of_option(option, Code.WRONG_FILE, "{text}", text=text)


def as_overrides(keys: Keys) -> dict[str, Any]:
    """Return values by key as `scenarios.load` takes them: it reads text as YAML."""
    return {
        key: json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value
        for key, value in keys.items()
    }


def _refuse_equals(variants: Variants) -> None:
    """Refuse variants that are the same run by two names."""
    first: dict[str, str] = {}
    for name, keys in variants.items():
        other = first.setdefault(json.dumps(dict(keys), sort_keys=True, default=str), name)
        if other != name:
            raise InputError.of_option(
                "--variants",
                Code.CONFLICT,
                "{one} and {name} set the same keys",
                "keep one of them (--replications runs more seeds)",
                one=other,
                name=name,
            )


@dataclass(frozen=True)
class Axes:
    """What is varied: values by key, where one key may be the name of a variant."""

    specs: Mapping[str, Spec]
    variants: Variants
    file: Path | None = None
    """Where the variants stand, if they are of a file."""

    @classmethod
    def of(cls, specs: Mapping[str, Spec], file: Path | None = None) -> Axes:
        """Return the axes of a sweep with the variants of a file, if any."""
        return cls.named(specs, None if file is None else read_variants(file), file)

    @classmethod
    def named(
        cls, specs: Mapping[str, Spec], variants: Variants | None, file: Path | None = None
    ) -> Axes:
        """Return the axes of a sweep with these variants, if any."""
        if not variants:
            return cls(specs, {})
        _refuse_equals(variants)
        return cls({VARIANT: tuple(variants), **specs}, variants, file)

    @property
    def variant_keys(self) -> Sequence[str]:
        """All keys that some variant sets."""
        return list(dict.fromkeys(key for keys in self.variants.values() for key in keys))

    def overrides(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys that the values of one point set, as `scenarios.load` takes them."""
        return as_overrides(self.set_by(values))

    def of_a_file(self, values: Mapping[str, Any]) -> Collection[str]:
        """Return the keys of a point that a file sets: it may not ask for all that users may."""
        return self.variants[values[VARIANT]].keys() if self.file else ()

    def place_of(self, name: str) -> Place:
        """Return where a variant stands, as a line of an error begins."""
        whole = "variant" if self.file is None else f"--variants {self.file}: variant"
        return Place(option=f"{whole} {name}:")

    def set_by(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keys that the values of one point set, with their values."""
        found: dict[str, Any] = {}
        for key, value in values.items():
            found |= self.variants[value] if key == VARIANT and self.variants else {key: value}
        return found
