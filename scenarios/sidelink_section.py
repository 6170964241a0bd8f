"""`link.sidelink:` - the direct links between devices on the ground; all keys are optional."""

from pydantic import Field

from scenarios.link_side import Loss
from scenarios.section import Decibels, Positive, Section


class Sidelink(Section):
    """What differs from an outdoor radio below 1 GHz: a fixed rate, or figures of a link budget."""

    rate_mbps: Positive = Field(
        default=None, le=1e6, description="fixed rate of each sidelink, Mbit/s; no budget then"
    )
    frequency_ghz: Positive = Field(
        default=None, le=1000, description="carrier frequency, GHz; null for 0.915"
    )
    bandwidth_mhz: Positive = Field(
        default=None, le=1e6, description="bandwidth of each sidelink, MHz; null for 2"
    )
    tx_power_dbm: Decibels = Field(
        default=None, description="transmit power of a device, dBm; null for 20"
    )
    path_loss_exponent: float | None = Field(
        default=None,
        ge=1,
        le=10,
        description="how fast the loss grows beyond the reference distance; null for 3",
    )
    reference_distance_m: Positive = Field(
        default=None, le=1e5, description="distance up to which there is free space, m; null for 1"
    )
    noise_figure_db: Loss = Field(default=None, description="receiver noise figure, dB; null for 7")
    other_losses_db: Loss = Field(
        default=None, description="losses that do not depend on distance, dB; null for 0"
    )
    range_km: Positive = Field(
        default=None,
        le=1000,
        description="farthest that a sidelink reaches, km, within a cluster and beyond it; null "
        "for all devices of the same cluster",
    )
    distance_km: Positive = Field(
        default=None,
        le=1000,
        description="distance between any two devices of a cluster, km; null for that of their "
        "places",
    )
