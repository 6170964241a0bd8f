"""Elevation masks of clusters and stations: one for all azimuths, or a horizon."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag


def _kind_of_mask(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return "horizon"
    if isinstance(value, str):
        return "file"
    return "other" if value is None or isinstance(value, int | float) else None


def _as_pairs(value: Any) -> Any:
    return tuple(tuple(pair) if isinstance(pair, list) else pair for pair in value)


def _each_azimuth_once(pairs: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    seen: dict[float, float] = {}
    for azimuth_deg, elevation_deg in pairs:
        if seen.setdefault(azimuth_deg % 360.0, elevation_deg) != elevation_deg:
            raise ValueError(
                f"azimuth {azimuth_deg:g} has two elevations; give each azimuth once (0 and 360 "
                "are the same)"
            )
    if len(seen) < 2:
        raise ValueError("a horizon has two azimuths or more; give a number for all azimuths")
    return pairs


_AZIMUTH = Annotated[float, Field(ge=0, le=360)]
_ELEVATION = Annotated[float, Field(ge=0, lt=90)]
MaskOrHorizon = Annotated[
    Annotated[float | None, Field(ge=0, lt=90), Tag("other")]
    | Annotated[
        tuple[tuple[_AZIMUTH, _ELEVATION], ...],
        Field(max_length=3600),
        AfterValidator(_each_azimuth_once),
        BeforeValidator(_as_pairs),
        Tag("horizon"),
    ]
    | Annotated[str, Field(min_length=1), Tag("file")],
    Discriminator(
        _kind_of_mask,
        custom_error_type="choice",
        custom_error_message="must be a number 0..90, a list of pairs [azimuth, elevation], or the "
        "name of a file of them",
    ),
]
"""One elevation for all azimuths, or a horizon: pairs, or a file of them."""
