"""`link:` - the radios, as overrides of a preset, in the units of a link budget."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from scenarios.section import Decibels, Positive, Section


class LinkSide(Section):
    """What differs from the preset in one direction; all keys are optional."""

    frequency_ghz: Positive = Field(default=None, le=1000, description="carrier frequency, GHz")
    bandwidth_mhz: Positive = Field(
        default=None, le=1e6, description="bandwidth of one device, MHz"
    )
    total_bandwidth_mhz: Positive = Field(
        default=None, le=1e6, description="bandwidth of the beam, shared by the devices, MHz"
    )
    tx_power_dbm: Decibels = Field(default=None, description="transmit power, dBm")
    tx_gain_dbi: Decibels = Field(default=None, description="transmit antenna gain, dBi")
    eirp_dbw: Decibels = Field(default=None, description="EIRP, dBW; in place of power and gain")
    rx_gain_dbi: Decibels = Field(default=None, description="receive antenna gain, dBi")
    noise_figure_db: float | None = Field(
        default=None, ge=0, le=300, description="receiver noise figure, dB"
    )
    antenna_temperature_k: Positive = Field(
        default=None, le=1e6, description="antenna noise temperature, K"
    )
    g_over_t_db_k: Decibels = Field(
        default=None,
        description="receiver G/T, dB/K; in place of gain, noise figure and temperature",
    )
    other_losses_db: float | None = Field(
        default=None, ge=0, le=300, description="losses that do not depend on elevation, dB"
    )
    zenith_attenuation_db: float | None = Field(
        default=None,
        ge=0,
        le=300,
        description="atmospheric attenuation at 90 degrees of elevation, dB",
    )
    path_gain_db: float | None = Field(
        default=None,
        ge=-300,
        lt=0,
        description="fixed large-scale fading in place of free space, dB",
    )
    fading: Literal["none", "rayleigh", "rician"] | None = Field(
        default=None, description="small-scale fading"
    )
    rician_k_db: Decibels = Field(
        default=None, description="Rician K factor, dB; with fading rician"
    )
    rate: Literal["ergodic", "shannon", "fixed"] | None = Field(
        default=None, description="how the rate follows from the signal-to-noise ratio"
    )
    fixed_rate_mbps: Positive = Field(
        default=None, le=1e9, description="rate of one device, Mbit/s; with rate fixed"
    )


def _form_of(value: Any) -> str | None:
    if isinstance(value, dict | LinkSide):
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
    uplink: LinkSide = Field(
        default=LinkSide(), description="device to satellite: overrides of the preset"
    )
    downlink: Annotated[
        Annotated[Literal["neglected"], Tag("neglected")] | Annotated[LinkSide, Tag("keys")],
        _NEGLECTED_OR_KEYS,
    ] = Field(
        default=LinkSide(),
        description="satellite to device: 'neglected' (takes no time) or overrides of the preset",
    )
