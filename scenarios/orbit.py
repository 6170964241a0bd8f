"""`orbit:` - where contacts come from; each source has its own keys.

A source is a class, in `Orbit`. What others ask of it are the facts of :class:`OrbitSource` and of
the classes below it, never its name: is it of a file, are there orbits, do rules of service apply?
What makes its satellites, or reads its windows, is registered in `sim/world/fleet.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, Tag

from scenarios.errors import wrong
from scenarios.section import NAME, Section, TextOrNone, setting, word_or
from statements import Code, Lower, Set, Statement, unused

# The facts of any source.


class Slots(Section):
    """One cycle: a slot for each cluster in the order of their names, then the idle ones."""

    count: int | None = setting(
        None, "served slots per cycle: the number of clusters", ge=1, le=100_000
    )
    seconds: float = setting(600.0, "length of a slot, s", gt=0, le=1e9)
    idle: int = setting(0, "slots per cycle in which nobody is served", ge=0, le=1_000_000)


class OrbitSource(Section):
    """A source of contacts: its name, and the facts of any of them."""

    source: str

    has_geometry: ClassVar[bool] = False
    """Whether it knows where satellites are."""
    needs_start: ClassVar[bool] = False
    """Whether nothing of it has a date, so that the scenario gives the start."""

    @property
    def cycle(self) -> Slots | None:
        """The idealised cycle, without a date and without satellites; None where there are some."""
        return None

    @property
    def mask_deg(self) -> float:
        """Elevation above which places without a mask of their own have contact; 0 without one."""
        return 0.0

    @property
    def named_satellite(self) -> str | None:
        """The one satellite that serves, by name or number, where there may be several."""
        return getattr(self, "satellite", None)


# Keys that sources with satellites share: who is served when, and by which satellite.


class WithService(OrbitSource):
    """Which clusters a satellite serves, and which satellite a cluster goes to."""

    beams: int = setting(1, "clusters that a satellite can serve at the same time", ge=1, le=10_000)
    priority: Literal["least_recently_served", "highest_elevation", "longest_waiting"] = setting(
        "least_recently_served",
        "which cluster gets a free beam; with least_recently_served alone, one that waits takes "
        "over a busy beam. With link.preset station longest_waiting unless it is given",
    )
    min_contact_s: float = setting(
        0.0,
        "shortest contact, or rest of a contact, that is used, s; with link.preset station 60 "
        "unless it is given",
        ge=0,
        le=1e9,
    )
    serving: Literal["single", "any"] = setting(
        "single", "one satellite, or any of them: each an access point of the same server"
    )
    hand_over: Literal["longest_remaining", "highest_elevation"] | None = setting(
        None, "which satellite a cluster goes to next; null for longest_remaining"
    )
    session: Literal["joined", "contact"] | None = setting(
        None, "contacts without a gap between them as one session, or each its own; null for joined"
    )
    max_session_s: float | None = setting(
        None,
        "longest session, s: one that lasts longer is several, in which rounds follow each other; "
        "null for any, and 3600 where one lasts all of the run",
        ge=60,
        le=1e9,
    )


class WithGeometry(WithService):
    """Satellites that come into view: their contacts follow from geometry."""

    has_geometry: ClassVar[bool] = True

    min_elevation_deg: float = setting(
        10.0, "elevation above which a cluster has contact, degrees", ge=0, lt=90
    )

    @property
    def mask_deg(self) -> float:
        """Elevation above which places without a mask of their own have contact."""
        return self.min_elevation_deg

    @property
    def satellites_known(self) -> int:
        """How many satellites the scenario itself gives; 1 for those of a file."""
        return 1


# Sources of a file: published element sets, or windows that are ready; of one satellite or of many.


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int and 0 <= value < 10**9 else value


NameOrNumber = Annotated[
    TextOrNone, BeforeValidator(_number_as_text, json_schema_input_type=str | int | None)
]


class OfFile(WithService):
    """A source that is read from a file of some `file_kind`, or from the text itself, `held_as`."""

    file_kind: ClassVar[str]
    held_as: ClassVar[str]

    path: TextOrNone
    satellite: NameOrNumber = setting(
        None, "name or catalogue number of the one that serves, for a file of several satellites"
    )
    skip_bad: bool = setting(
        default=False, meaning="whether what is bad in the file is left out, with a warning"
    )

    @property
    def text(self) -> str | None:
        """The file's text itself, in place of a path."""
        text: str | None = getattr(self, self.held_as)
        return text

    def problems(self) -> Iterator[Statement]:
        """No text, or two of them."""
        if self.path is None and self.text is None:
            text = f"is missing; give the {self.file_kind} file, or {self.held_as} with the lines"
            yield wrong("path", text, Code.MISSING)
        if self.path is not None and self.text is not None:
            text = "cannot be combined with orbit.path; remove one of the two"
            yield wrong((self.held_as,), text, Code.CONFLICT)


class WithElements(WithGeometry, OfFile):
    """Satellites on published element sets."""

    file_kind = "element"
    held_as = "elements"

    path: TextOrNone = setting(
        None, "element file; relative paths start at the scenario file's folder"
    )
    elements: TextOrNone = setting(None, "the file's text itself, in place of path")


class WithWindows(OfFile):
    """Contact windows that are ready: nothing is known of where satellites are."""

    file_kind = "window"
    held_as = "windows"

    path: TextOrNone = setting(
        None,
        "table of windows, or contact plan of ION or HDTN; relative paths start at the scenario "
        "file's folder",
    )
    windows: TextOrNone = setting(None, "the file's text itself, in place of path")

    def problems(self) -> Iterator[Statement]:
        """No windows or two texts of them, and elevations that these do not have."""
        yield from super().problems()
        others = {"priority": "least_recently_served", "hand_over": "longest_remaining"}
        for key, other in others.items():
            if getattr(self, key) == "highest_elevation":
                text = f"got 'highest_elevation', but source {self.source!r} has no elevations"
                yield wrong(key, text, Code.UNSUPPORTED, Set(key, other))


class TleOrbit(WithElements):
    """Satellites on published two-line element sets, propagated by SGP4."""

    source: Literal["tle"] = Field(description="two-line elements")
    checksum: Literal["verify", "ignore"] = setting(
        "verify", "whether wrong checksums are an error"
    )


class OmmOrbit(WithElements):
    """Satellites on published Orbit Mean-Elements Messages, propagated by SGP4."""

    source: Literal["omm"] = Field(
        description="Orbit Mean-Elements Messages: JSON, CSV, XML or KVN"
    )


# Sources with orbits made from scratch: one satellite by its elements, or a Walker pattern.


ALTITUDE = (
    "altitude of the mean orbit above the equator, km; sgp4 flies 10 km lower (inclination 0) to "
    "7 km higher (90) there"
)
OrbitAltitude = Annotated[
    float,
    Field(
        ge=160,
        le=2000,
        description=f"{ALTITUDE}; source keplerian has semi_major_axis_km for higher orbits",
    ),
]
_SUN = Annotated[Literal["sun-synchronous"], Tag("sun-synchronous")]
_SUN_OR_NUMBER = word_or(
    "sun-synchronous",
    lambda value: value is None or (isinstance(value, int | float) and not isinstance(value, bool)),
    "must be a number 0..180 or 'sun-synchronous'",
)
_INCLINATION = Field(
    description="inclination, degrees; 'sun-synchronous' for the one of this altitude"
)
Inclination = Annotated[
    Annotated[float, Field(ge=0, le=180), Tag("other")] | _SUN, _SUN_OR_NUMBER, _INCLINATION
]
NoInclination = Annotated[
    Annotated[float | None, Field(ge=0, le=180), Tag("other")] | _SUN, _SUN_OR_NUMBER, _INCLINATION
]
# The second division is for -1e-20, which is 360.0 after the first.
Angle = Annotated[
    float, Field(ge=-1e9, le=1e9), AfterValidator(lambda angle_deg: angle_deg % 360.0 % 360.0)
]


class _Made(WithGeometry):
    needs_start = True

    propagation: Literal["sgp4", "secular_j2"] = setting(
        "sgp4", "SGP4, or an ellipse that J2 turns at its secular rates, without short periods"
    )


class CircularOrbit(_Made):
    """A satellite on a circular orbit at the scenario's start."""

    source: Literal["circular"] = Field(description="circular elements")
    altitude_km: OrbitAltitude
    inclination_deg: Inclination
    raan_deg: Angle = setting(0.0, "right ascension of the ascending node, degrees")
    argument_of_latitude_deg: Angle = setting(
        0.0, "angle from the ascending node at the start, degrees"
    )


SGP4_RADIUS_KM = 6378.135  # WGS 72, the ellipsoid of SGP4
LOWEST_PERIGEE_KM = 120.0


class KeplerianOrbit(_Made):
    """A satellite on Brouwer mean elements at the scenario's start, as SGP4 takes them."""

    source: Literal["keplerian"] = Field(description="mean Keplerian elements")
    semi_major_axis_km: float = Field(ge=6500, le=60_000, description="semi-major axis, km")
    eccentricity: float = setting(0.0, "eccentricity", ge=0, lt=1)
    inclination_deg: float = Field(ge=0, le=180, description="inclination, degrees")
    raan_deg: Angle = setting(0.0, "right ascension of the ascending node, degrees")
    argument_of_perigee_deg: Angle = setting(
        0.0, "angle from the ascending node to the perigee, degrees"
    )
    mean_anomaly_deg: Angle = setting(0.0, "mean anomaly at the start, degrees")
    bstar: float = setting(0.0, "SGP4's drag term B*, per Earth radius; 0 for no drag", ge=-1, le=1)

    rules = (
        unused(
            "bstar",
            when=lambda orbit: orbit.propagation == "secular_j2",
            by="with propagation {propagation!r}, which has no drag",
        ),
    )

    def problems(self) -> Iterator[Statement]:
        """A perigee in the air."""
        height_km = self.semi_major_axis_km * (1.0 - self.eccentricity) - SGP4_RADIUS_KM
        if height_km < LOWEST_PERIGEE_KM:
            text = f"got {self.eccentricity:g}; puts the perigee at {height_km:.0f} km of altitude"
            text += f", and it must be at least {LOWEST_PERIGEE_KM:g} km: lower it, or raise "
            yield wrong("eccentricity", f"{text}semi_major_axis_km", Code.WRONG_VALUE)


class _Pattern(Section):
    """How a shell is laid out, beside its size and its orbit."""

    pattern: Literal["delta", "star"] = setting(
        "delta", "ascending nodes over 360 (delta) or 180 (star) degrees"
    )
    phasing: int = setting(
        0,
        "offset between neighbouring planes, in units of 360 degrees / satellites",
        ge=0,
        le=19_999,
    )
    raan_deg: Angle = setting(0.0, "right ascension of the first plane's ascending node, degrees")
    argument_of_latitude_deg: Angle = setting(
        0.0, "angle of the first satellite from its node, degrees"
    )

    def problems(self) -> Iterator[Statement]:
        """Numbers of satellites and planes that do not go together."""
        satellites = getattr(self, "satellites", None)
        planes = getattr(self, "planes", None)
        if satellites is None or planes is None:
            return
        if satellites % planes:
            text = f"got {satellites}; must be a multiple of planes, {planes}"
            yield wrong("satellites", text, Code.WRONG_VALUE)
        if self.phasing >= planes:
            yield wrong(
                "phasing",
                f"got {self.phasing}; must be below planes, {planes}",
                Code.WRONG_VALUE,
                Lower("phasing", to=planes - 1),
            )


MOST_SATELLITES = 20_000
Size = Annotated[int, Field(ge=1, le=MOST_SATELLITES)]
NoSize = Annotated[int | None, Field(ge=1, le=MOST_SATELLITES)]


class Shell(_Pattern):
    """One Walker pattern of several; at an altitude, or on an axis that may be of any orbit."""

    name: Annotated[str | None, Field(pattern=NAME, max_length=64)] = setting(
        None, "what names of its satellites begin with; null for its number"
    )
    altitude_km: Annotated[float | None, Field(ge=160, le=2000)] = setting(
        None, f"{ALTITUDE}; semi_major_axis_km in its place for higher orbits"
    )
    semi_major_axis_km: Annotated[float | None, Field(ge=6500, le=60_000)] = setting(
        None, "semi-major axis in place of altitude_km, km"
    )
    inclination_deg: Inclination
    satellites: Size = Field(description="number of satellites in all planes")
    planes: Size = Field(description="number of orbital planes")

    def problems(self) -> Iterator[Statement]:
        """Not one height, and satellites that do not go together."""
        if self.semi_major_axis_km is None:
            if self.altitude_km is None:
                yield wrong(
                    "altitude_km", "is missing; give it, or semi_major_axis_km", Code.MISSING
                )
        elif self.altitude_km is not None:
            yield wrong(
                "semi_major_axis_km",
                "cannot be combined with altitude_km; keep one",
                Code.CONFLICT,
            )
        elif self.inclination_deg == "sun-synchronous":
            text = "got 'sun-synchronous', which needs altitude_km in place of semi_major_axis_km"
            yield wrong("inclination_deg", text, Code.CONFLICT)
        yield from super().problems()


class Use(Section):
    """The part of each shell that is there, evenly spread: a study of sizes in a constellation."""

    planes: NoSize = setting(None, "planes that are there; null for all")
    satellites_per_plane: NoSize = setting(
        None, "satellites of such a plane that are there; null for all"
    )


class WalkerOrbit(_Made, _Pattern):
    """A Walker constellation: equal circular orbits, evenly spread over planes, or shells of it."""

    source: Literal["walker"] = Field(description="Walker constellation")
    altitude_km: Annotated[float | None, Field(ge=160, le=2000)] = setting(
        None, f"{ALTITUDE}; orbit.shells have semi_major_axis_km for higher orbits"
    )
    inclination_deg: NoInclination = None
    satellites: NoSize = setting(None, "number of satellites in all planes")
    planes: NoSize = setting(None, "number of orbital planes")
    shells: tuple[Shell, ...] | None = setting(
        None, "several patterns in place of one", strict=False, min_length=1, max_length=100
    )
    use: Use = setting(Use(), "the planes and satellites that are there")
    serving: Literal["single", "any"] = setting(
        "any", "one satellite, or any of them: each an access point of the same server"
    )
    satellite: NameOrNumber = setting(None, "name of the one satellite of serving single")

    rules = (
        unused(
            *Shell.model_fields,
            when=lambda orbit: orbit.shells is not None,
            by="with shells; give it in each of them",
            remedies=(),
        ),
    )

    def problems(self) -> Iterator[Statement]:
        """Shells that do not go together, and more of them in use than there is."""
        if self.shells is None:
            yield from self._one_pattern()
            yield from super().problems()
        names = [shell.name for shell in self.patterns]
        for index, name in enumerate(names):
            if name in names[:index]:
                text = f"{name!r} is taken; names must be unique"
                yield wrong(("shells", index, "name"), text, Code.WRONG_VALUE)
        yield from self._more_used_than_there()
        total = sum(shell.satellites for shell in self.shells or ())
        if total > MOST_SATELLITES:
            text = f"have {total} satellites in all; must be at most {MOST_SATELLITES}"
            yield wrong("shells", text, Code.WRONG_VALUE)

    def _one_pattern(self) -> Iterator[Statement]:
        for key in ("altitude_km", "inclination_deg", "satellites", "planes"):
            if getattr(self, key) is None:
                described = WalkerOrbit.model_fields[key].description or ""
                meaning = described.partition(";")[0]
                yield wrong(key, f"is missing; give the {meaning}, or shells", Code.MISSING)

    def _more_used_than_there(self) -> Iterator[Statement]:
        for shell in self.shells or (self,):
            planes = shell.planes or MOST_SATELLITES
            each = (shell.satellites or MOST_SATELLITES) // planes
            for key, there in (("planes", planes), ("satellites_per_plane", each)):
                wanted = getattr(self.use, key) or 0
                if wanted > there:
                    text = f"got {wanted}; there are {there}"
                    yield wrong(("use", key), text, Code.WRONG_VALUE, Lower(f"use.{key}", to=there))

    @property
    def patterns(self) -> tuple[Shell, ...]:
        """The shells, each with its name; or the one pattern, without a name."""
        if self.shells is None:
            keys = {key: getattr(self, key, None) for key in Shell.model_fields}
            return (Shell.model_construct(None, **keys | {"name": ""}),)
        return tuple(
            shell.model_copy(update={"name": shell.name or str(number)})
            for number, shell in enumerate(self.shells, 1)
        )

    @property
    def satellites_known(self) -> int:
        """How many satellites there are, of all shells."""
        use = self.use
        return sum(
            (use.planes or shell.planes)
            * (use.satellites_per_plane or shell.satellites // shell.planes)
            for shell in self.patterns
        )


# Sources without geometry: windows that are ready, and the idealised cycle of slots.


_AnyName = Annotated[
    str,
    Field(min_length=1, max_length=400),
    BeforeValidator(_number_as_text, json_schema_input_type=str | int),
]
_Column = Literal[
    "satellite", "site", "rise_utc", "set_utc", "duration_s", "culminate_utc",
    "max_elevation_deg", "min_slant_range_km",
]  # fmt: skip


class ContactsOrbit(WithWindows):
    """Contact windows that are ready: an export of ours, or a table of another tool."""

    source: Literal["contacts"] = Field(description="ready contact windows")
    columns: dict[_Column, Annotated[str, Field(min_length=1)]] = setting(
        {}, "what columns are called in the file: {rise_utc: AOS, duration_s: Length (min)}"
    )
    names: Annotated[dict[_AnyName, _AnyName] | None, Field(max_length=100_000)] = setting(
        None,
        "names of satellites and places, by those in the file: {'Zürich (ETH)': Zurich}; null: as "
        "there",
    )


class SlotOrbit(OrbitSource):
    """The idealised cycle of the EMS-FL paper: no geometry, one cluster per slot."""

    source: Literal["slots"] = Field(description="idealised cycle")
    slots: Slots = setting(Slots(), "the cycle's slots")

    @property
    def cycle(self) -> Slots:
        """The cycle."""
        return self.slots


Orbit = (
    TleOrbit | OmmOrbit | CircularOrbit | KeplerianOrbit | WalkerOrbit | ContactsOrbit | SlotOrbit
)
SOURCES: Mapping[str, type[OrbitSource]] = {
    get_args(kind.model_fields["source"].annotation)[0]: kind for kind in get_args(Orbit)
}
"""The class of each source, by its name."""
