"""How a key of the settings is declared, and how the rules of a section are checked.

A section is a class; each of its keys has a meaning, limits, and rules with other keys.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Self, TypeVar, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.fields import FieldInfo

from statements import Refused, Remove, Rule, Set, Statement, needed, said, unused


def setting(meaning: str, **limits: Any) -> Any:
    """Return what a key is declared with: what it means (with its unit), and its limits."""
    return Field(description=meaning, **limits)


@dataclass(frozen=True)
class UsedWith:
    """Declares that a key is used with these values of another ``key`` of its section only.

    With an ``example`` the key must be given then. It stands beside the key, whose name it does not
    know; :class:`Settings` makes a :class:`statements.Rule` of it.
    """

    key: str
    values: tuple[str, ...]
    example: str | None = None


def used_with_kind(*kinds: str, example: str | None = None) -> UsedWith:
    """Return the declaration that a key is used with some kinds only."""
    return UsedWith("kind", kinds, example)


class Settings:
    """A section of a scenario: a frozen dataclass whose keys are checked when it is read."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    def conflicts(self) -> Iterator[Statement]:
        """Yield what does not fit together: keys of another kind, and those that a kind lacks."""
        for name, key in keys_of(type(self)).items():
            is_given = getattr(self, name) != key.default
            for rule in key.metadata:
                if isinstance(rule, UsedWith):
                    yield from said(_rules_of(name, rule, is_given=is_given), self)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if conflicts := tuple(self.conflicts()):
            raise Refused(conflicts)
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let a mapping be read where values are strict: strict dataclasses take instances only."""
        schema = handler(source)
        inner = handler.resolve_ref_schema(schema)
        while inner["type"] != "dataclass":
            inner = handler.resolve_ref_schema(inner["schema"])
        inner["strict"] = False
        return schema


def _rules_of(name: str, used: UsedWith, *, is_given: bool) -> Iterator[Rule[Any]]:
    """Yield the rule of a key that is used with some values of another: as it is given, or not."""
    first, *others = used.values
    if is_given:
        yield unused(
            name,
            when=lambda section: getattr(section, used.key) not in used.values,
            by=f"with {used.key} {{{used.key}!r}}",
            remedies=(Set(used.key, first, tuple(others)), Remove()),
        )
    elif used.example is not None:
        yield needed(
            name,
            lambda section: getattr(section, used.key) in used.values,
            f"{used.key} {{{used.key}!r}}",
            used.example,
        )


def keys_of(section: type) -> dict[str, FieldInfo]:
    """Return the keys of a class of settings with their types, defaults, meanings and limits.

    Sections of a scenario beside `learning` are models of pydantic.
    """
    if issubclass(section, BaseModel):
        return section.model_fields
    declared: Any = section
    return _declared_keys(declared)


@cache
def _declared_keys(section: Any) -> dict[str, FieldInfo]:
    hints = get_type_hints(section, include_extras=True)
    return {
        key.name: FieldInfo.from_annotated_attribute(hints[key.name], key.default)
        for key in fields(section)
    }


def given_keys(section: Settings) -> set[str]:
    """Return the keys that differ from their defaults."""
    keys = keys_of(type(section))
    return {name for name, key in keys.items() if getattr(section, name) != key.default}


def values_of(keys: type[Settings], section: Settings) -> dict[str, Any]:
    """Return the values that a section gives to the keys of ``keys``, which it has all."""
    return {name: getattr(section, name) for name in keys_of(keys)}


Value = TypeVar("Value")


class FrozenDict(dict[str, Value]):
    """A mapping of JSON values that nobody changes, so that what holds it can be hashed."""

    def __hash__(self) -> int:  # type: ignore[override]
        """Return the hash of the mapping as JSON."""
        return hash(json.dumps(self, sort_keys=True))


NO_ENTRIES: FrozenDict[Any] = FrozenDict()

Positive = Annotated[float | None, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Steps = Annotated[int | None, Field(ge=0, le=1_000_000)]
Samples = Annotated[int | None, Field(ge=1)]
Many = Annotated[int | None, Field(ge=1, le=100_000)]
TextOrNone = Annotated[str | None, Field(min_length=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Arguments = Annotated[dict[str, JsonValue], AfterValidator(FrozenDict)]
