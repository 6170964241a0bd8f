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

from scenarios.files import ALLOW_CODE, may_be_code, read_text
from scenarios.parsing import parse_yaml
from sim.analysis.labels import METHOD, VARIANT
from sim.errors import InputError
from sim.formatting import as_yaml, last_parts
from sim.sweep.specs import Spec, refuse
from statements import Code, Other, Place, Refused

Keys = Mapping[str, Any]
"""Values by dotted key."""
Variants = Mapping[str, Keys]
"""The keys that a variant sets, by its name."""


def read_variants(path: Path, option: str = "") -> dict[str, dict[str, Any]]:
    """Return the variants of a YAML file: names, each with dotted keys and their values.

    A name without keys stands for the scenario as it is, or for the method of that name if
    there is one. Raises InputError that says what is wrong, and where: of an ``option`` as it was
    typed, else of ``--variants``.
    """
    option = option or f"--variants {path}"
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


def keys_of_file(text: str) -> dict[str, Any]:
    """Return the overrides of ``FILE:NAME``, a variant of a file; without a name of its only one.

    Raises InputError if there is none of that name, and for Python code, which a file may not run.
    """
    path, _, name = text.rpartition(":") if not Path(text).is_file() else (text, "", "")
    variants = read_variants(Path(path or text), f"--set @{text}")
    if not name and len(variants) == 1:
        [name] = variants
    if name not in variants:
        raise InputError.of_option(
            f"--set @{text}",
            Code.WRONG_VALUE if name else Code.MISSING,
            f"has no {name}" if name else "",
            Other(
                said=f"name one of {', '.join(variants)}, like @{path or text}:"
                f"{next(iter(variants))}"
            ),
        )
    keys = variants[name]
    if code := next((value for key, value in keys.items() if may_be_code(key, value)), None):
        raise InputError.of_option(
            f"--set @{text}",
            Code.NO_CONSENT,
            "{code} names Python code, which a file may not run by itself",
            Other(said=f"allow it by {ALLOW_CODE}=1, or set it by --set"),
            code=code,
        )
    return as_overrides(keys)


def variants_of_key(key: str, spec: Spec) -> dict[str, dict[str, Any]] | None:
    """Return the variants that the values of a key make if one sets other keys too, else None.

    Such a value is written as ``scaffold:{learning.step_size: 0.1}``. Each variant is named by its
    value, and by what it sets where another has the same one.
    """
    if not any(map(_sets_keys, spec)):
        return None
    found: dict[str, dict[str, Any]] = {}
    values = [_parted(value) for value in spec]
    alike = [as_yaml(value) for value, _ in values]
    for (value, keys), text in zip(values, alike, strict=True):
        name = text
        if keys and alike.count(text) > 1:
            heads = last_parts(list(keys))
            said = zip(heads, keys.values(), strict=True)
            name = " ".join([text, *(f"{head}={as_yaml(own)}" for head, own in said)])
        if key in keys:
            refuse(key, f"{text} sets {key} itself; leave it out of the braces")
        if name in found:
            refuse(key, f"{name} comes twice; keep one")
        found[name] = {key: value, **keys}
    return found


def _sets_keys(value: Any) -> bool:
    """Whether a value is written with keys of its own: one pair, of a value and dotted keys."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [keys] = value.values()
    return (
        isinstance(keys, dict)
        and bool(keys)
        and all(isinstance(key, str) and "." in key for key in keys)
    )


def _parted(value: Any) -> tuple[Any, dict[str, Any]]:
    """Return a value, and the keys that it sets beside its own."""
    if not _sets_keys(value):
        return value, {}
    [(head, keys)] = value.items()
    return (parse_yaml(head).value if isinstance(head, str) else head), dict(keys)


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
        """Return the axes of a sweep; InputError where there are variants in two places."""
        return cls.named(specs, None if file is None else read_variants(file), file)

    @classmethod
    def named(
        cls, specs: Mapping[str, Spec], variants: Variants | None, file: Path | None = None
    ) -> Axes:
        """Return the axes of a sweep with these variants, if any."""
        own = {key: found for key, spec in specs.items() if (found := variants_of_key(key, spec))}
        if len(own) > 1 or (own and variants):
            key = list(own)[-1]
            other = "--variants" if variants else f"-p {next(iter(own))}"
            refuse(key, f"has values with keys of their own, as {other} has; "
                   "write all of them into one file for --variants")  # fmt: skip
        if variants:
            _refuse_equals(variants)
            return cls({VARIANT: tuple(variants), **specs}, variants, file)
        for key, made in own.items():
            named: dict[str, Spec] = {
                VARIANT if other == key else other: tuple(made) if other == key else spec
                for other, spec in specs.items()
            }
            return cls(named, made)
        return cls(specs, {})

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
