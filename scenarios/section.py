"""What all sections of a scenario share: nothing unknown, nothing coerced, nothing changed."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_START_EXAMPLE = "write it like 2026-08-22T00:00:00Z"


class Section(BaseModel):
    """A mapping of a scenario file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


# Wider than any radio, and narrow enough that 10**(dB/10) stays a finite float.
Decibels = Annotated[float | None, Field(ge=-300, le=300)]
Positive = Annotated[float | None, Field(gt=0)]


def _instant(value: Any) -> Any:
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
        raise ValueError(f"{value.isoformat()} is out of range; the years 1958 to 2099 are allowed")
    return value.astimezone(UTC)


Instant = Annotated[datetime | None, BeforeValidator(_instant)]
