"""What all sections of a scenario share: strict values, common types, and rules between keys."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, model_validator

from scenarios.errors import refuse
from statements import Remove, Rule, Set, Statement, said, unused

_START_EXAMPLE = "write it like 2026-08-22T00:00:00Z"


class Section(BaseModel):
    """A mapping of a scenario file, with the rules between its own keys."""

    # The schema of a section is built as part of the whole scenario's, and not by itself as well.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, strict=True, defer_build=True
    )

    def problems(self) -> Iterable[Statement]:
        """Return what does not fit together, by the keys of this section."""
        return ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self.problems())
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
Times = Annotated[int | None, Field(ge=1, le=1_000_000_000)]
Text = Annotated[str | None, Field(min_length=1)]
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


Instant = Annotated[datetime | None, BeforeValidator(utc_instant)]


def word_or(word: str, is_other: Callable[[Any], bool], message: str) -> Discriminator:
    """Return what chooses in a union with the tags ``word`` and "other"; ``message`` if neither."""

    def tag(value: Any) -> str | None:
        if is_other(value):
            return "other"
        return word if value == word else None

    return Discriminator(tag, custom_error_type="choice", custom_error_message=message)


# Rules between keys: which keys are not used, and when.


Facts = Mapping[str, Any]
NO_GEOMETRY = "by source {source!r}, which has no geometry"


def only_with(key: str, value: str, *keys: str) -> Rule[Facts]:
    """Return the rule that ``keys`` are used with one value of another key only."""
    return unused(
        *keys,
        when=lambda facts: facts.get(key) not in (None, value),
        by=f"with {key} {{{key}!r}}",
        remedies=(Set(key, value), Remove()),
    )


def without_geometry(section: Section, source: str, *keys: str) -> Iterator[Statement]:
    """Yield what is said of each key that is given and needs to know where satellites are."""
    given = (key for key in keys if getattr(section, key, None) is not None)
    yield from said([unused(key, by=NO_GEOMETRY) for key in given], {"source": source})
