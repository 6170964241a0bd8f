"""`faults:` - what goes wrong by chance, each kind by itself; off by default."""

from collections.abc import Iterator

from pydantic import Field

from scenarios.errors import wrong
from scenarios.section import Count, Section, setting
from statements import Code, Statement


class Outages(Section):
    """Satellites that fail and recover."""

    per_day: float = Field(gt=0, le=100, description="failures of a satellite per day of operation")
    mean_hours: float = setting(1.0, "mean time until it works again, hours", gt=0, le=8760)


class Churn(Section):
    """Devices that leave and return."""

    mean_present_hours: float = Field(
        ge=0.1, le=87_600, description="mean time that a device is there, hours"
    )
    mean_away_hours: float = setting(2.0, "mean time that it is away, hours", gt=0, le=87_600)


class Stragglers(Section):
    """Devices that are slower than their kind."""

    share: float = Field(gt=0, le=1, description="probability that a device is slow")
    slowdown: float = setting(4.0, "how many times as long a slow one computes", ge=1, le=10_000)


class Packets(Section):
    """Packets that are lost between devices and satellites, and sent again."""

    loss: float = Field(ge=0, le=0.9, description="share of the packets that are lost")
    bytes: Count = setting(1500, "payload of a packet, bytes")


class Uploads(Section):
    """Uploads of one device that go wrong as a whole, or begin late."""

    corrupted: float = setting(0.0, "share that the satellite's checksum refuses", ge=0, le=0.9)
    not_finite: float = setting(0.0, "share of updates that are not finite", ge=0, le=0.9)
    late: float = setting(0.0, "share that begins late", ge=0, le=1)
    late_minutes: float = setting(10.0, "mean delay of one that begins late, minutes", gt=0, le=1e6)

    def problems(self) -> Iterator[Statement]:
        """A delay of what is never late."""
        if "late_minutes" in self.model_fields_set and "late" not in self.model_fields_set:
            yield wrong(
                ("late_minutes",), "is not used without late; set late too, like 0.05", Code.UNUSED
            )


class Faults(Section):
    """Faults of satellites, devices and links; each kind has its own random streams."""

    outages: Outages | None = setting(None, "satellites that fail and recover")
    churn: Churn | None = setting(None, "devices that leave and return")
    stragglers: Stragglers | None = setting(None, "devices that are slow")
    packets: Packets | None = setting(None, "packets lost and sent again")
    uploads: Uploads | None = setting(None, "uploads that go wrong")
