"""Sources with published element sets: files of one satellite or of many."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from scenarios.serving_keys import Seen


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int and 0 <= value < 10**9 else value


NameOrNumber = Annotated[
    str | None, BeforeValidator(_number_as_text, json_schema_input_type=str | int | None)
]


class _Elements(Seen):
    path: str | None = Field(
        default=None,
        min_length=1,
        description="element file; relative paths count from the scenario file",
    )
    elements: str | None = Field(
        default=None, min_length=1, description="the file's text itself, in place of path"
    )
    satellite: NameOrNumber = Field(
        default=None,
        min_length=1,
        description="name or catalogue number, for a file of several satellites",
    )


class TleOrbit(_Elements):
    """Satellites on published two-line element sets, propagated by SGP4."""

    source: Literal["tle"] = Field(description="two-line elements")
    checksum: Literal["verify", "ignore"] = Field(
        default="verify", description="whether wrong checksums are an error"
    )


class OmmOrbit(_Elements):
    """Satellites on published Orbit Mean-Elements Messages, propagated by SGP4."""

    source: Literal["omm"] = Field(description="Orbit Mean-Elements Messages: JSON, CSV or XML")
