"""The scenario as a whole: what a file says, with defaults filled in and contradictions refused."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Discriminator, Field, PrivateAttr, Tag, model_validator

from learning.settings import judged_by_loss
from scenarios.compute import FIGURES, Compute
from scenarios.errors import Origin, wrong
from scenarios.faults import Faults, PlannedOutage
from scenarios.ground import Ground, ground_problems
from scenarios.learning import Learning
from scenarios.link import Isl, Link, sidelink_problems
from scenarios.link_rules import ResolvedLink, link_directions, link_problems, link_values
from scenarios.orbit import SOURCES, Orbit, OrbitSource, WithService
from scenarios.section import NAME, CountOrNone, Positive, Section, UtcInstant, setting
from statements import (
    Code,
    Give,
    KeyPath,
    Place,
    Remedy,
    Remove,
    Rule,
    Set,
    Statement,
    unused,
)


class Stop(Section):
    """When the run ends: at the first of these that is reached."""

    EARLY: ClassVar[tuple[str, ...]] = ("accuracy", "loss", "patience")
    """Keys that depend on what the run learns."""

    cycles: CountOrNone = setting(None, "complete cycles; needed with orbit source slots")
    days: Positive = setting(
        None, "simulated days; needed with orbits, null to the last of ready windows", le=36_525
    )
    rounds: CountOrNone = setting(
        None, "aggregations to stop at, of whatever method; beside cycles or days"
    )
    accuracy: float | None = setting(
        None,
        "test accuracy to stop at, 0 to 1, with learning.data.validation the validation accuracy; "
        "beside cycles or days",
        ge=0,
        le=1,
    )
    loss: float | None = setting(
        None,
        "test loss to stop at, or below, with learning.data.validation the validation loss; "
        "beside cycles or days",
    )
    patience: CountOrNone = setting(
        None,
        "evaluations in a row without a better accuracy, or loss where it judges the run, to stop "
        "after; with learning.data.validation those of validation samples; beside cycles or days",
    )

    @property
    def early(self) -> dict[str, float]:
        """The given limits that depend on what the run learns, by key."""
        limits = {key: getattr(self, key) for key in self.EARLY}
        return {key: limit for key, limit in limits.items() if limit is not None}


class DrawnStart(Section):
    """A start that each seed draws anew, so that results hold for more than one contact plan."""

    after: UtcInstant = setting(None, "earliest start, UTC; null for the elements' epoch")
    within_days: float = setting(
        ...,
        "days after it in which the seed draws the start, uniformly, to the second",
        gt=0,
        le=366,
    )


Start = Annotated[
    Annotated[UtcInstant, Tag("instant")] | Annotated[DrawnStart, Tag("drawn")],
    Discriminator(lambda value: "drawn" if isinstance(value, dict | DrawnStart) else "instant"),
]
"""A time, or how it is drawn."""


ONE = "satellite:"
"""What stands before the name of the one satellite that is the server."""


class Traffic(Section):
    """Payloads of one kind that arise at, or for, every satellite, or device of a cluster.

    They wait for the services of the client.
    """

    name: Annotated[str, Field(pattern=NAME, min_length=1, max_length=40)] = setting(
        ..., "name of the payloads, in tables and figures"
    )
    payload_mb: float = setting(..., "size of one payload, MB (10^6 bytes)", gt=0, le=1e9)
    direction: Literal["down", "up"] = setting(
        ..., "direction: down (satellites to the ground) or up (to the satellites)"
    )
    every_hours: Positive = setting(
        None,
        "hours from one payload to the next of a satellite or device; null: one at the start",
        le=1e6,
    )


class Roles(Section):
    """Who the server is and who the clients are; a server of several nodes has one model."""

    server: Annotated[str, Field(pattern=rf"^(satellites|stations|{ONE}.+)$")] = setting(
        "satellites", "who holds the model: satellites, stations or satellite:NAME"
    )
    clients: Literal["devices", "satellites", "planes"] = setting(
        "devices", "who holds the data; planes: the satellites of each are one client"
    )

    def problems(self) -> Iterator[Statement]:
        """Clients that the server cannot have."""
        if self.server == "satellites" and self.in_orbit:
            yield wrong("clients", self.wrong_clients, Code.UNSUPPORTED)

    @property
    def wrong_clients(self) -> str:
        """Say that the clients are not some that the server can have."""
        text = f"got {self.clients!r}; the clients of server 'stations' are 'satellites' or "
        text += "'planes' (or 'devices', with link.isl.route: earliest), those of 'satellites' "
        return f"{text}'devices', and satellite:NAME has any of them"

    @property
    def in_orbit(self) -> bool:
        """Whether the clients are in orbit: satellites, or planes of them."""
        return self.clients != "devices"

    @property
    def relay(self) -> str | None:
        """The satellite that serves other satellites over links between them, if one does."""
        return self.server_satellite if self.in_orbit else None

    @property
    def server_satellite(self) -> str | None:
        """The one satellite that is the server, if one is named."""
        return self.server.removeprefix(ONE) if self.server.startswith(ONE) else None


LEARNS = Give("learning", like={}, what="to train")
OF_DISHES: Final = {"priority": "longest_waiting", "min_contact_s": 60.0}
"""How preset `station` serves: no pass is given up for another, and none used for seconds."""


READ_BY_LEARNING: Final = (
    *("compute", "link.sidelink", "link.relay", "link.cut_transfers"),
    *(f"faults.{kind}" for kind in ("churn", "stragglers", "packets", "uploads")),
)
"""Keys outside `learning` that only a scenario with learning reads."""


class Scenario(Section):
    """One simulation: orbit, ground, link, compute and learning, in user units.

    Without ``learning`` it is a network study: what its links carry, and how long payloads take.
    Two scenarios are equal if all their keys are, whatever file they were read from.
    """

    description: str = setting("", "one line on what the scenario shows")
    seed: int = setting(1, "seed of every random stream", ge=0, le=2**63 - 1)
    start: Start = setting(
        None,
        "start of the simulation, UTC, or {after, within_days} that the seed draws it from; null "
        "for the elements' epoch or the first rise",
    )
    stop: Stop = Field(description="end of the run: cycles or days, and accuracy if wanted")
    roles: Roles = setting(Roles(), "who holds the data and who the model")
    orbit: Orbit = Field(discriminator="source", description="the satellites")
    ground: Ground = setting(Ground(), "the clusters of devices, or the stations")
    link: Link = setting(Link(), "the radio link")
    compute: Compute = setting(Compute(), "the devices' computing")
    learning: Learning | None = setting(
        None, "the federated learning, {} for its defaults; null for a study of the network alone"
    )
    traffic: tuple[Traffic, ...] = setting(
        (), "payloads that a network study sends", strict=False, max_length=20
    )
    faults: Faults = setting(Faults(), "what goes wrong by chance, or on a date")

    rules = (
        unused(
            *("stop.cycles", "stop.rounds", *(f"stop.{key}" for key in Stop.EARLY)),
            *READ_BY_LEARNING,
            *(f"ground.clusters.kinds.{key}" for key in (*FIGURES, "processor")),
            when=lambda case: case.learning is None and case.orbit.cycle is None,
            by="in a network study (without the key learning)",
            remedies=(Remove(), LEARNS),
        ),
        unused(
            *("ground.clusters.min_elevation_deg", "ground.stations.min_elevation_deg"),
            *("ground.clusters.places", "ground.clusters.places_path"),
            *("link.environment", "link.sidelink.range_km"),
            when=lambda case: not case.orbit.has_geometry,
            by="by source {orbit.source!r}, which has no geometry",
        ),
        unused(
            *("orbit.hand_over", "orbit.session"),
            when=lambda case: case.serving == "single",
            by="with serving {serving!r}",
            remedies=(Set("orbit.serving", "any"), Remove()),
        ),
        Rule(
            ("orbit.satellite",),
            when=lambda case: (
                case.orbit.named_satellite is not None
                and not case.roles.in_orbit
                and case.roles.server != "satellites"
                and (case.has_access or case.roles.server_satellite)
            ),
            text="cannot be combined with roles.server {roles.server!r}",
            remedies=(Remove(), Remove("roles.server")),
        ),
        unused(
            "orbit.satellite",
            when=lambda case: case.serving == "any",
            by="with serving {serving!r}",
            remedies=(Set("orbit.serving", "single"), Remove()),
        ),
        unused(
            "orbit.session",
            when=lambda case: case.has_access and getattr(case.orbit, "session", "") != "contact",
            by="with link.isl.route 'earliest', where what a satellite receives travels over links "
            "from there",
        ),
        unused(
            *("ground.stations", "ground.stations_path", "ground.stations_used"),
            when=lambda case: case.roles.server != "stations",
            by="with roles.server {roles.server!r}",
            remedies=(
                "set roles.server: stations and roles.clients: satellites",
                Remove(),
            ),
        ),
        unused(
            *("ground.acquisition_s", "ground.antennas"),
            when=lambda case: case.roles.server != "stations",
            by="with roles.server {roles.server!r}, which has no stations",
        ),
        unused(
            "ground.stations.dish_m",
            when=lambda case: case.link.preset != "station",
            by="with link.preset {link.preset!r}",
            remedies=(Remove(), "set link.preset: station with link.station"),
        ),
        unused(
            "ground.clusters",
            when=lambda case: case.roles.in_orbit,
            by="with roles.clients {roles.clients!r}",
            remedies=(Remove(), "list the places as ground.stations"),
        ),
        unused(
            "ground.clusters.kinds.lora_rank",
            when=lambda case: case.learning is None or not case.learning.lora.rank,
            by="without factors (learning.lora.rank null)",
        ),
        unused(
            "orbit.beams",
            when=lambda case: case.roles.in_orbit and case.roles.relay is None,
            by="with roles.clients {roles.clients!r}",
            remedies=(Remove(), "set ground.antennas"),
        ),
        unused(
            "link.sidelink",
            when=lambda case: case.roles.in_orbit and case.roles.relay is None,
            by="with roles.clients {roles.clients!r}",
        ),
        unused(
            *("orbit.beams", "orbit.min_elevation_deg", "ground.antennas"),
            *("link.uplink", "link.downlink", "link.sidelink"),
            when=lambda case: case.roles.relay is not None,
            by="with roles.server {roles.server!r}; remove it: link.isl says who is in sight, and "
            "how many at a time",
            remedies=(),
        ),
        unused(
            *("link.isl.within_plane", "link.isl.between_planes"),
            when=lambda case: case.roles.relay is not None and case.roles.clients == "planes",
            by="with roles.clients {roles.clients!r}, whose satellites share one model",
            remedies=(Set("", "none"),),
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _serves_whole_passes(cls, values: Any) -> Any:
        """Fill in how dishes serve where nothing else is said."""
        link, orbit = (
            values.get(key) if isinstance(values, dict) else None for key in ("link", "orbit")
        )
        preset = link.get("preset") if isinstance(link, dict) else getattr(link, "preset", None)
        if preset != "station" or not isinstance(orbit, dict):
            return values
        source = orbit.get("source")
        kind = SOURCES.get(source) if isinstance(source, str) else None
        served = kind is not None and issubclass(kind, WithService)
        return {**values, "orbit": {**OF_DISHES, **orbit}} if served else values

    _source_path: Path | None = PrivateAttr(default=None)
    _origin: Origin = PrivateAttr(default=Origin())
    _read_in: Path | None = PrivateAttr(default=None)

    @property
    def source_path(self) -> Path | None:
        """The file that the scenario was read from, if any; neither compared nor stored."""
        return self._source_path

    @property
    def overridden(self) -> tuple[str, ...]:
        """The dotted keys that were overridden when the scenario was read; not stored either."""
        return self._origin.overridden

    def remember_source(self, path: Path | None, origin: Origin) -> None:
        """Keep the file, if any, and the lines that the scenario has just been read from."""
        self._source_path, self._origin = path, origin
        self._read_in = Path.cwd()

    @property
    def paths_from(self) -> Path:
        """Where relative paths count from: the folder in which it was read, also after a move."""
        try:
            return Path() if self._read_in in (None, Path.cwd()) else self._read_in
        except OSError:  # the current folder has been removed
            return self._read_in or Path()

    def place_of(self, path: KeyPath) -> Place | None:
        """Return where a key was given, or one that it lies in; None where it was not."""
        return self._origin.place(path) if self._origin.knows(path) else None

    def __eq__(self, other: object) -> bool:
        """Compare all keys."""
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    @property
    def has_access(self) -> bool:
        """Whether devices reach their server over links between satellites."""
        return self.link.route == "mesh" and not self.roles.in_orbit

    @property
    def serving(self) -> str | None:
        """Whether one satellite serves, or any: always any over links, and of clients in orbit."""
        if self.has_access or self.roles.in_orbit:
            return "any"
        return self.orbit.serving if isinstance(self.orbit, WithService) else None

    def problems(self) -> Iterator[Statement]:
        """Sections that do not fit together."""
        orbit = self.orbit
        source = orbit.source
        geometry = orbit.has_geometry
        if orbit.cycle is not None and self.stop.cycles is None:
            text = f"is missing; source {source!r} runs a number of cycles"
            yield wrong("stop.cycles", text, Code.MISSING, Give("stop.cycles", like=40))
        if geometry and self.stop.days is None:
            text = f"is missing; source {source!r} finds contacts over so many days"
            yield wrong("stop.days", text, Code.MISSING, Give("stop.days", like=14))
        if self.learning is None:
            yield from _study_problems(self.stop, self.traffic, orbit)
        elif self.traffic:
            text = "is of a network study, which has no learning; remove one of the two"
            yield wrong("traffic", text, Code.CONFLICT, Remove("traffic"), Remove("learning"))
        elif self.stop.accuracy is not None and (
            loss := judged_by_loss(self.learning.loss, self.learning.data.objective)
        ):
            text = f"is an accuracy; with {loss} runs are judged by loss"
            yield wrong("stop.accuracy", text, Code.UNUSED, Remove())
        clusters = len(self.ground.clusters)
        if orbit.cycle is not None and orbit.cycle.count not in (None, clusters):
            text = f"got {orbit.cycle.count}; must be the number of clusters, {clusters}"
            key = ("orbit", "slots", "count")
            yield wrong(key, f"{text} (or leave it out)", Code.WRONG_VALUE)
        access = self.has_access
        yield from roles_problems(
            self.roles, orbit, self.ground, self.link, traffic=bool(self.traffic)
        )
        yield from _start_problems(self.start, orbit)
        yield from _outage_problems(self.faults.planned, self.start, orbit)
        rank = None if self.learning is None else self.learning.lora.rank
        yield from ground_problems(self.ground, orbit, rank)
        yield from link_problems(self.link, orbit)
        yield from sidelink_problems(self.link.sidelink, self.ground, orbit)
        yield from _feeder_problems(self.link, self.roles, access=access)
        alone = self.roles.clients == "satellites" and geometry
        if access and geometry:
            yield from _mesh_of_devices_problems(self.roles)
        elif self.link.isl is not None:
            yield from _isl_problems(self.link.isl, self.roles, alone=alone)
        if self.compute.battery is not None:
            yield from self._battery_problems(alone=alone)

    def _battery_problems(self, *, alone: bool) -> Iterator[Statement]:
        if not alone:
            text = "is of a satellite that is a client by itself on an orbit, and a plane would "
            text += "have several"
            yield wrong(
                "compute.battery",
                text,
                Code.UNSUPPORTED,
                Set("roles.clients", "satellites"),
                Remove("compute.battery"),
            )
        if self.compute.overridden_by(None).power_w is None:
            give = Give("compute.power_w", like=20, what="in W")
            text = "is missing; compute.battery needs it"
            yield wrong("compute.power_w", text, Code.MISSING, give)
        if self.faults.churn is not None:
            text = "cannot be combined with compute.battery, which says when satellites compute"
            yield wrong(
                "faults.churn",
                text,
                Code.CONFLICT,
                Remove("faults.churn"),
                Remove("compute.battery"),
            )


def _study_problems(
    stop: Stop, traffic: Sequence[Traffic], orbit: OrbitSource
) -> Iterator[Statement]:
    """Yield what a network study cannot use, and what it lacks."""
    if orbit.cycle is not None:
        text = f"got {orbit.source!r}, a timetable without links that carry anything; a network "
        text += "study needs orbits or windows"
        yield wrong("orbit.source", text, Code.UNSUPPORTED, LEARNS)
    if stop.days is None and not orbit.has_geometry and orbit.cycle is None:
        text = "is missing; a network study is of so many days"
        yield wrong("stop.days", text, Code.MISSING, Give("stop.days", like=2))
    names = [payload.name for payload in traffic]
    for number, name in enumerate(names):
        if name in names[:number]:
            text = f"{name!r} is the name of two kinds of payloads; give each its own"
            yield wrong(("traffic", number, "name"), text, Code.CONFLICT)


_TIME = "2026-08-22T00:00:00Z"


def _start_problems(start: datetime | DrawnStart | None, orbit: OrbitSource) -> Iterator[Statement]:
    is_drawn = isinstance(start, DrawnStart)
    if is_drawn and not orbit.has_geometry:
        text = f"cannot be drawn with source {orbit.source!r}, whose windows are the same at any "
        give = Give("start", like=_TIME, what="as one time")
        yield wrong("start", f"{text}time", Code.UNSUPPORTED, give)
    earliest = start.after if isinstance(start, DrawnStart) else start
    if earliest is None and orbit.needs_start:
        text = f"is missing; source {orbit.source!r} has no epoch"
        where = ("start", "after") if is_drawn else ("start",)
        yield wrong(where, text, Code.MISSING, Give(".".join(where), like=_TIME))


def _outage_problems(
    planned: Sequence[PlannedOutage], start: datetime | DrawnStart | None, orbit: OrbitSource
) -> Iterator[Statement]:
    """Yield what is wrong with outages on a date where no start of the run is known."""
    if isinstance(start, DrawnStart):
        why = "cannot be combined with a start that is drawn"
    elif start is None and orbit.cycle is not None:
        why = f"needs a start with source {orbit.source!r}, which has no date without"
    else:
        return
    for number, outage in enumerate(planned):
        for key, hours in (("from_utc", "from_hours"), ("to_utc", "to_hours")):
            if getattr(outage, key) is not None:
                path = ("faults", "planned", number, key)
                yield wrong(path, f"{why}; give {hours}", Code.CONFLICT)


def _mesh_of_devices_problems(roles: Roles) -> Iterator[Statement]:
    if roles.server == "satellites":
        text = f"got {roles.server!r}, which hold the model together; with link.isl.route "
        text += "'earliest' one of them does, or stations, and the others bring it: set "
        text += "satellite:NAME or stations, or link.isl.route: direct"
        yield wrong("roles.server", text, Code.CONFLICT)


def _feeder_problems(link: Link, roles: Roles, *, access: bool) -> Iterator[Statement]:
    to_stations = access and roles.server == "stations"
    if to_stations and link.feeder is None:
        text = f"is missing; it is how satellites reach {roles.server!r} with what devices send"
        give = Give("link.feeder", like={"rate_mbps": 500})
        yield wrong("link.feeder", text, Code.MISSING, give)
    elif link.feeder is not None and not to_stations:
        text = "is between stations and satellites that carry what devices send to them"
        roles_text = "set roles: {server: stations, clients: devices} with link.isl.route: earliest"
        yield wrong("link.feeder", text, Code.UNUSED, roles_text, Remove("link.feeder"))


def _isl_problems(isl: Isl, roles: Roles, *, alone: bool) -> Iterator[Statement]:
    by_satellite = bool(roles.relay)
    if not (alone or by_satellite):
        text = "is between satellites that are clients on an orbit, or carry what devices send to "
        text += "one of them"
        cures: list[Remedy] = ["set roles.clients: satellites"]
        if not roles.in_orbit:
            over = "set roles.server: satellite:NAME with link.isl.route: earliest"
            cures.append(over)
        yield wrong("link.isl", text, Code.UNUSED, *cures, Remove("link.isl"))
    elif not (isl.among_clients or by_satellite):
        text = "got 'none', as between_planes has; then there are no links: set one of the two"
        yield wrong("link.isl.within_plane", f"{text}, or remove link.isl", Code.CONFLICT)


def roles_problems(
    roles: Roles, orbit: OrbitSource, ground: Ground, link: Link, *, traffic: bool
) -> Iterator[Statement]:
    """Yield what does not fit together, with paths from the scenario's top."""
    if roles.in_orbit:
        yield from _satellites_learn(roles, orbit, ground, link)
        return
    if roles.server == "stations" and link.route == "direct":
        if traffic:
            text = "got 'devices', which reach stations over links between satellites only, and "
            text += "these carry no traffic yet"
            cures = Set("roles.clients", "satellites"), Set("roles.server", "satellites")
            yield wrong("roles.clients", text, Code.UNSUPPORTED, *cures)
        else:
            yield wrong("roles.clients", roles.wrong_clients, Code.UNSUPPORTED)
        return
    if not ground.clusters:
        yield wrong("ground.clusters", "is missing; list the clusters of devices", Code.MISSING)
    if roles.server == "stations":
        yield from _stations_given(ground)


def _satellites_learn(
    roles: Roles, orbit: OrbitSource, ground: Ground, link: Link
) -> Iterator[Statement]:
    if orbit.cycle is not None:
        text = f"got {orbit.source!r}, which has no satellites that could be clients"
        yield wrong("orbit.source", f"{text}; use another source, like walker", Code.UNSUPPORTED)
    elif not orbit.has_geometry and roles.clients == "planes":
        text = "got 'planes', which windows of a file do not tell"
        yield wrong(
            "roles.clients",
            text,
            Code.UNSUPPORTED,
            Set("roles.clients", "satellites"),
            "use another orbit.source",
        )
    if roles.relay is None:
        yield from _stations_given(ground)
        if "downlink" not in link_directions(link, orbit):
            text = "is neglected, but carries the updates of clients in orbit; give its keys, like "
            text += "{rate: fixed, fixed_rate_mbps: 10}"
            yield wrong("link.downlink", text, Code.CONFLICT)
        return
    if link.isl is None:
        text = f"is missing; it is how clients in orbit reach {roles.server!r}"
        give = Give("link.isl", like={"rate_mbps": 100})
        yield wrong("link.isl", text, Code.MISSING, give)
    if not orbit.has_geometry:
        text = f"got {orbit.source!r}, which does not tell when satellites see each other; use "
        yield wrong("orbit.source", f"{text}another source, like walker", Code.UNSUPPORTED)


def _stations_given(ground: Ground) -> Iterator[Statement]:
    if (ground.stations is None) == (ground.stations_path is None):
        text = "is missing; roles.server 'stations' needs it, or ground.stations_path (not both)"
        yield wrong("ground.stations", text, Code.MISSING)
    if ground.stations is not None and (ground.stations_used or 0) > len(ground.stations):
        text = f"got {ground.stations_used}; there are {len(ground.stations)} stations"
        yield wrong("ground.stations_used", text, Code.WRONG_VALUE)


def resolved_link(scenario: Scenario) -> ResolvedLink:
    """Return the link's values in user units; see :func:`scenarios.link_rules.link_values`."""
    return link_values(scenario.link, scenario.orbit)
