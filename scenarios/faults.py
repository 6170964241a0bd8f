"""`faults:` - what goes wrong by chance, each kind by itself; off by default."""

from pydantic import Field, model_validator

from scenarios.errors import Problem, ProblemsFound
from scenarios.section import Count, Section


class Outages(Section):
    """Satellites that fail and recover."""

    per_day: float = Field(gt=0, le=100, description="failures of a satellite per day of operation")
    mean_hours: float = Field(
        default=1.0, gt=0, le=8760, description="mean time until it works again, hours"
    )


class Churn(Section):
    """Devices that leave and return."""

    mean_present_hours: float = Field(
        ge=0.1, le=87_600, description="mean time that a device is there, hours"
    )
    mean_away_hours: float = Field(
        default=2.0, gt=0, le=87_600, description="mean time that it is away, hours"
    )


class Stragglers(Section):
    """Devices that are slower than their kind."""

    share: float = Field(gt=0, le=1, description="probability that a device is slow")
    slowdown: float = Field(
        default=4.0, ge=1, le=10_000, description="how many times as long a slow one computes"
    )


class Packets(Section):
    """Packets that are lost between devices and satellites, and sent again."""

    loss: float = Field(ge=0, le=0.9, description="share of the packets that are lost")
    bytes: Count = Field(default=1500, description="payload of a packet, bytes")


class Uploads(Section):
    """Uploads of one device that go wrong as a whole, or begin late."""

    corrupted: float = Field(
        default=0.0, ge=0, le=0.9, description="share that the satellite's checksum refuses"
    )
    not_finite: float = Field(
        default=0.0, ge=0, le=0.9, description="share of updates that are not finite"
    )
    late: float = Field(default=0.0, ge=0, le=1, description="share that begins late")
    late_minutes: float = Field(
        default=10.0, gt=0, le=1e6, description="mean delay of one that begins late, minutes"
    )

    @model_validator(mode="after")
    def _late_minutes_of_late_uploads(self) -> "Uploads":
        if "late_minutes" in self.model_fields_set and "late" not in self.model_fields_set:
            text = "is not used without late; set late too, like 0.05"
            raise ProblemsFound([Problem(("late_minutes",), text)])
        return self


class Faults(Section):
    """Faults of satellites, devices and links; each kind has its own random streams."""

    outages: Outages | None = Field(default=None, description="satellites that fail and recover")
    churn: Churn | None = Field(default=None, description="devices that leave and return")
    stragglers: Stragglers | None = Field(default=None, description="devices that are slow")
    packets: Packets | None = Field(default=None, description="packets lost and sent again")
    uploads: Uploads | None = Field(default=None, description="uploads that go wrong")
