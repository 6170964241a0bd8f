"""`link:` - the radios, as overrides of a preset, and what surrounds them."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from scenarios.link_side import Downlink, Uplink
from scenarios.section import Section
from scenarios.sidelink_section import Sidelink


def _form_of(value: Any) -> str | None:
    if isinstance(value, dict | Downlink):
        return "keys"
    return "neglected" if value == "neglected" else None


_NEGLECTED_OR_KEYS = Discriminator(
    _form_of,
    custom_error_type="choice",
    custom_error_message="must be 'neglected' or a mapping of link keys",
)


class Link(Section):
    """Both directions of the link."""

    preset: Literal["paper", "physical"] = Field(
        default="physical", description="values that the keys below start from"
    )
    environment: Literal["dense_urban", "urban", "suburban", "rural"] | None = Field(
        default=None,
        description="propagation scenario of 3GPP TR 38.811 around the devices; null for none",
    )
    beamwidth_deg: float | None = Field(
        default=None,
        gt=0,
        lt=180,
        description="half-power beamwidth of the satellite's antenna, degrees; null for that of "
        "its gain",
    )
    cut_transfers: Literal["resume", "restart", "drop"] = Field(
        default="resume", description="what becomes of a transfer that the end of a pass cuts off"
    )
    uplink: Uplink = Field(
        default=Uplink(), description="device to satellite: overrides of the preset"
    )
    downlink: Annotated[
        Annotated[Literal["neglected"], Tag("neglected")] | Annotated[Downlink, Tag("keys")],
        _NEGLECTED_OR_KEYS,
    ] = Field(
        default=Downlink(),
        description="satellite to device: 'neglected' (takes no time) or overrides of the preset",
    )
    sidelink: Sidelink | None = Field(
        default=None,
        description="device to device: null for none, or keys of its radio ({} for its defaults)",
    )
    relay: Literal["none", "contact", "store"] = Field(
        default="none",
        description="whom devices without a sidelink reach through the satellites: nobody, those "
        "in contact at the same time, or all, by messages that wait for contacts",
    )
