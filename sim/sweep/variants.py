"""Variants of a sweep: named sets of keys, which are compared as the values of one key are.

Methods are fairly compared with settings of their own, which a grid of keys cannot say. A variant
has a name and the keys that it sets; the sweep's rows have the names in a column of their own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from scenarios.files import read_text
from scenarios.parsing import parse_yaml
from sim.analysis.labels import METHOD, VARIANT
from sim.errors import InputError
from sim.formatting import as_yaml
from sim.sweep.specs import Spec
from statements import Code, Other, Place, Refused

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
                Other(said="keep one of them (--replications runs more seeds)"),
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
