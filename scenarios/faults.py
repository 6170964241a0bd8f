"""`faults:` - what goes wrong by chance, each kind by itself, or on a date; off by default."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, field_validator

from scenarios.errors import wrong
from scenarios.section import Count, Section, TextOrNone, UtcInstant, setting
from statements import Code, Give, Statement


class Outages(Section):
    """Satellites that fail and recover."""

    per_day: float = Field(
        ge=0, le=100, description="failures of a satellite per day of operation; 0 for none"
    )
    mean_hours: float = setting(1.0, "mean time until it works again, hours", gt=0, le=8760)


class Churn(Section):
    """Devices that leave and return."""

    mean_present_hours: float = Field(
        ge=0.1, le=87_600, description="mean time that a device is there, hours"
    )
    mean_away_hours: float = setting(2.0, "mean time that it is away, hours", gt=0, le=87_600)


class Stragglers(Section):
    """Devices that are slower than their kind."""

    share: float = Field(ge=0, le=1, description="probability that a device is slow; 0 for none")
    slowdown: float = setting(4.0, "how many times as long a slow one computes", ge=1, le=10_000)


class Packets(Section):
    """Packets that are lost between devices and satellites, and sent again."""

    loss: float = Field(ge=0, le=0.9, description="share of the packets that are lost")
    bytes: Count = setting(1500, "payload of a packet, bytes")


class Uploads(Section):
    """Uploads of one device that go wrong as a whole."""

    corrupted: float = setting(0.0, "share that the satellite's checksum refuses", ge=0, le=0.9)


WHO = ("satellite", "station", "cluster", "link")
"""Keys that say who is out; a planned outage has one of them."""
BEGINS = ("from_utc", "from_hours")
ENDS = ("to_utc", "to_hours")
_Hours = Annotated[float | None, Field(le=1e6)]


class PlannedOutage(Section):
    """A satellite, a station, a cluster or one link that is out from one time to another."""

    satellite: TextOrNone = setting(None, "name of the satellite that is out")
    station: TextOrNone = setting(None, "name of the station that is out")
    cluster: TextOrNone = setting(None, "name of the cluster whose contacts are out")
    link: tuple[str, str] | None = setting(
        None,
        "names of the two ends of the link that is out: two satellites, or one and what it flies "
        "over",
        strict=False,
    )
    from_utc: UtcInstant = setting(None, "when it begins, UTC")
    to_utc: UtcInstant = setting(
        None, "when it ends, UTC; without an end it lasts as long as the run"
    )
    from_hours: _Hours = setting(None, "hours from the start of the run until it begins", ge=0)
    to_hours: _Hours = setting(None, "hours from the start of the run until it ends", gt=0)

    @property
    def kind(self) -> str:
        """Which of the keys in ``WHO`` is given."""
        return next(key for key in WHO if getattr(self, key) is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """Who is out: one name, or those of a link's ends."""
        value: str | tuple[str, str] = getattr(self, self.kind)
        return (value,) if isinstance(value, str) else value

    def as_given(self) -> dict[str, Any]:
        """Return the keys that it has, as JSON."""
        return self.model_dump(mode="json", exclude_none=True)

    def problems(self) -> Iterator[Statement]:
        """Nobody or several that are out, and times that are missing, twice there or reversed."""
        if not any(getattr(self, key) is not None for key in WHO):
            text = "says nobody that is out; give satellite, station, cluster or link"
            yield wrong("", text, Code.MISSING)
        for keys in (WHO, BEGINS, ENDS):
            given = [key for key in keys if getattr(self, key) is not None]
            for key in given[1:]:
                text = f"cannot be combined with {given[0]}; keep one of them"
                yield wrong(key, text, Code.CONFLICT)
        if self.link is not None and self.link[0] == self.link[1]:
            yield wrong("link", "needs two ends that differ", Code.WRONG_VALUE)
        if all(getattr(self, key) is None for key in BEGINS):
            text = "is missing; it says when the outage begins (or from_utc, a time)"
            yield wrong("from_hours", text, Code.MISSING, Give("from_hours", like=24))
        for begin, end in zip(BEGINS, ENDS, strict=True):
            first, last = getattr(self, begin), getattr(self, end)
            if None not in (first, last) and last <= first:
                yield wrong(end, f"is not later than {begin}; give a later time", Code.CONFLICT)


def _as_given(planned: tuple[PlannedOutage, ...]) -> list[dict[str, Any]]:
    return [outage.as_given() for outage in planned]


class Faults(Section):
    """Faults of satellites, devices and links; each kind by chance has its own random streams."""

    planned: Annotated[tuple[PlannedOutage, ...], PlainSerializer(_as_given)] = setting(
        (), "list of outages on a date, which planners know", strict=False, max_length=10_000
    )
    outages: Outages | None = setting(None, "satellites that fail and recover")
    churn: Churn | None = setting(None, "devices that leave and return")
    stragglers: Stragglers | None = setting(None, "devices that are slow")
    packets: Packets | None = setting(None, "packets lost and sent again")
    uploads: Uploads | None = setting(None, "uploads that go wrong")

    @field_validator("outages", "stragglers")
    @classmethod
    def _none_of_them(cls, kind: Outages | Stragglers | None) -> Outages | Stragglers | None:
        """A rate of 0, as sweeps begin with, is a run without that kind: the same one."""
        rate = kind.per_day if isinstance(kind, Outages) else kind and kind.share
        return kind if rate else None
