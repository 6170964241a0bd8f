"""Keys that sources with satellites share: who is served when, and by which satellite."""

from typing import Literal

from pydantic import Field

from scenarios.section import Section

ONLY_WITH_ANY = ("hand_over", "hand_over_gap_s", "session", "sync_delay_s")
"""Keys that stay None with serving `single`, where there is no second satellite to go to."""


class Served(Section):
    """How satellites share themselves among the clusters, and clusters among the satellites."""

    beams: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="clusters that a satellite can serve at the same time",
    )
    priority: Literal["least_recently_served", "highest_elevation"] = Field(
        default="least_recently_served", description="which cluster gets a free beam"
    )
    min_contact_s: float = Field(
        default=0.0,
        ge=0,
        le=1e9,
        description="shortest contact, or rest of a contact, that is used, s",
    )
    serving: Literal["single", "any"] = Field(
        default="single",
        description="one satellite, or any of them: each an access point of the same server",
    )
    hand_over: Literal["longest_remaining", "highest_elevation"] | None = Field(
        default=None,
        description="which satellite a cluster goes to next; null for longest_remaining",
    )
    hand_over_gap_s: float | None = Field(
        default=None,
        ge=0,
        le=1e9,
        description="longest gap, s, over which contacts of a cluster are one session; null for 0",
    )
    session: Literal["joined", "contact"] | None = Field(
        default=None,
        description="contacts joined over the hand-over gap, or each its own; null for joined",
    )
    sync_delay_s: float | None = Field(
        default=None,
        ge=0,
        le=1e9,
        description="time until the others know what one satellite received, s; null for 0",
    )


class Seen(Served):
    """Satellites that come into view: their contacts follow from geometry."""

    min_elevation_deg: float = Field(
        default=10.0,
        ge=0,
        lt=90,
        description="elevation above which a cluster has contact, degrees",
    )
