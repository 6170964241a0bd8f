"""What all sections of a scenario share: strict values, common types, and rules between keys."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, model_validator

from scenarios.errors import refuse
from statements import Rule, Statement, said

_START_EXAMPLE = "write it like 2026-08-22T00:00:00Z"


class Section(BaseModel):
    """A mapping of a scenario file, with the rules between its own keys."""

    # The schema of a section is built as part of the whole scenario's, and not by itself as well.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, strict=True, defer_build=True
    )

    rules: ClassVar[tuple[Rule[Any], ...]] = ()
    """Which keys, here and in sections below, are not used beside others: :func:`unused`."""

    def problems(self) -> Iterable[Statement]:
        """Return what else does not fit together, by the keys of this section."""
        return ()

    def given(self, key: str) -> Iterator[str]:
        """Yield a dotted key, if it differs from its default; one in a list for each item."""
        name, _, below = key.partition(".")
        field = type(self).model_fields.get(name)
        if field is None:
            return
        value = getattr(self, name)
        if not below and value != field.default:
            yield name
        items = enumerate(value) if isinstance(value, tuple) else [("", value)]
        for number, item in items if below else ():
            if isinstance(item, Section):
                above = f"{name}.{number}".rstrip(".")
                yield from (f"{above}.{inner}" for inner in item.given(below))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        # Keys that mean nothing come first, as they explain what is missing.
        refuse([*said(self.rules, self, self.given), *self.problems()])
        return self


def setting(default: Any, meaning: str, **limits: Any) -> Any:
    """Return the field of a key: its default, what it means (with its unit), and its limits."""
    return Field(default, description=meaning, **limits)


# Wider than any radio, and narrow enough that 10**(dB/10) stays a finite float.
Decibels = Annotated[float | None, Field(ge=-300, le=300)]
Loss = Annotated[float | None, Field(ge=0, le=300)]
Positive = Annotated[float | None, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Steps = Annotated[int | None, Field(ge=0, le=1_000_000)]
Many = Annotated[int | None, Field(ge=1, le=100_000)]
CountOrNone = Annotated[int | None, Field(ge=1, le=1_000_000_000)]
TextOrNone = Annotated[str | None, Field(min_length=1)]
NAME = r"^[A-Za-z0-9 _.\-]+$"
"""What names that traces show consist of."""


def utc_instant(value: Any) -> Any:
    """Read an ISO 8601 text as an aware UTC datetime, within the years that element sets reach."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"got {value[:40]!r}; must be a UTC time, {_START_EXAMPLE}") from None
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone; {value.isoformat()}Z is UTC")
    if not 1957 < value.year < 2100:
        raise ValueError(f"{value.isoformat()} is out of range; must be in the years 1958 to 2099")
    return value.astimezone(UTC)


UtcInstant = Annotated[datetime | None, BeforeValidator(utc_instant)]


def word_or(word: str, is_other: Callable[[Any], bool], message: str) -> Discriminator:
    """Return what chooses in a union with the tags ``word`` and "other"; ``message`` if neither."""

    def tag(value: Any) -> str | None:
        if is_other(value):
            return "other"
        return word if value == word else None

    return Discriminator(tag, custom_error_type="choice", custom_error_message=message)
