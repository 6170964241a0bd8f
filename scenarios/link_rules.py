"""Rules of the link: which keys go together, which are used when, and the resolved values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from channel.settings import (
    BANDS_GHZ,
    BUDGET_FORMS,
    REPLACED_BY_ENVIRONMENT,
    USED_BY_ONE_RATE,
)
from scenarios.errors import Problem
from scenarios.orbit import Orbit
from scenarios.presets import BEAMWIDTH_DEG, NEGLECTS_DOWNLINK, PRESETS, LinkValues, Side
from scenarios.section import (
    NO_GEOMETRY,
    Facts,
    UnusedKeys,
    only_with,
    refused_keys,
    unused_keys,
    without_geometry,
)

if TYPE_CHECKING:
    from scenarios.link import Link, LinkSide


@dataclass(frozen=True)
class LinkDirection:
    """One direction: the keys that the user gave, and all values with the preset's behind them.

    `facts` are the values and what is around: `environment`, the `source` of contacts, and whether
    it has `geometry`: does it know where satellites are?
    """

    given: LinkValues
    values: LinkValues
    facts: Facts

    @property
    def broadcasts(self) -> bool:
        """Tell whether one transmission serves all devices of a cluster."""
        return self.values.get("delivery") == "broadcast"


def link_directions(link: "Link", orbit: Orbit) -> dict[Side, LinkDirection]:
    """Return the uplink and, unless it is neglected, the downlink."""
    given: dict[Side, LinkValues] = {"uplink": _given(link.uplink)}
    if link.downlink != "neglected":
        keys = _given(link.downlink)
        if keys or link.preset not in NEGLECTS_DOWNLINK:
            given["downlink"] = keys
    around = {
        "environment": link.environment,
        "source": orbit.source,
        "geometry": orbit.has_geometry,
    }
    directions = {}
    for side, keys in given.items():
        preset = PRESETS[side][link.preset]
        out = set[str]()
        for whole, parts in BUDGET_FORMS.items():
            out.update(parts if whole in keys else ())
            out.update(() if keys.keys().isdisjoint(parts) else (whole,))
        if link.environment is not None:
            out.add("scintillation_loss_db")  # there is a table for it
        values = {key: value for key, value in preset.items() if key not in out} | keys
        directions[side] = LinkDirection(keys, values, values | around)
    return directions


def _given(side: "LinkSide") -> LinkValues:
    return {key: value for key, value in side if value is not None}


# The rules of a direction: which keys it needs, which change nothing, and what contradicts itself.


@dataclass(frozen=True)
class NeededKey:
    """Declares that ``key`` must be given with one value of ``another``; ``hint`` is how."""

    key: str
    another: str
    value: str
    hint: str


_NEEDED: Final = (
    NeededKey("fixed_rate_mbps", "rate", "fixed", "in Mbit/s"),
    NeededKey("exceedance_pct", "atmosphere", "itu", "in percent of the year, like 1"),
)
# Such a key is left out if it is a preset's, and refused if the user gave it.
_UNUSED: Final[tuple[UnusedKeys, ...]] = (
    UnusedKeys(
        ("atmosphere", "zenith_attenuation_db", "exceedance_pct"),
        lambda facts: "path_gain_db" in facts,
        "is not used with path_gain_db {path_gain_db:g}, which holds at every elevation; leave it "
        "out, or give a loss that is always there as other_losses_db",
    ),
    UnusedKeys(
        ("frequency_ghz",),
        lambda facts: "path_gain_db" in facts and not facts["geometry"],
        "is not used with path_gain_db {path_gain_db:g} and source {source!r}, where neither loss "
        "nor Doppler depends on it; leave it out",
    ),
    UnusedKeys(
        ("atmosphere", "exceedance_pct"),
        lambda facts: not facts["geometry"],
        NO_GEOMETRY,
    ),
    UnusedKeys(
        ("required_snr_db",),
        lambda facts: not facts["geometry"] and "path_gain_db" not in facts,
        "needs an SNR, and source {source!r} has no distance to compute one from; give "
        "path_gain_db, or leave it out",
    ),
    UnusedKeys(
        (*REPLACED_BY_ENVIRONMENT, "rician_k_db"),
        lambda facts: facts["environment"] is not None,
        "is not used with environment {environment!r}, whose tables replace it; leave it out",
    ),
    UnusedKeys(
        ("zenith_attenuation_db",),
        lambda facts: facts["atmosphere"] == "itu",
        "is not used with atmosphere 'itu', which computes it; leave it out",
    ),
    UnusedKeys(
        ("required_snr_db",),
        lambda facts: facts["rate"] == "modcod",
        "is not used with rate 'modcod', whose table has what each mode requires; leave it out",
    ),
    UnusedKeys(
        ("fading", "rician_k_db"),
        lambda facts: facts["rate"] in ("shannon", "modcod"),
        "is not used with rate {rate!r}; leave it out, or set rate: ergodic or outage",
    ),
    UnusedKeys(
        ("fading", "rician_k_db"),
        lambda facts: facts["rate"] == "fixed" and "required_snr_db" in facts,
        "is not used with rate 'fixed' beside required_snr_db; leave one of the two out",
    ),
    only_with("atmosphere", "itu", "exceedance_pct"),
    only_with("fading", "rician", "rician_k_db"),
    only_with("rate", "fixed", "fixed_rate_mbps"),
    *(only_with("rate", rate, key) for key, rate in USED_BY_ONE_RATE.items()),
    only_with("delivery", "unicast", "sharing", "total_bandwidth_mhz"),
)


def link_problems(link: "Link", orbit: Orbit) -> Iterator[Problem]:
    """Yield what does not fit together, with paths from the scenario's top."""
    directions = link_directions(link, orbit)
    if not orbit.has_geometry:
        for problem in without_geometry(link, orbit.source, "environment", "beamwidth_deg"):
            yield problem.below("link")
    yield from (problem.below("link") for problem in _of_both(link, directions))
    for side, direction in directions.items():
        for problem in [*_twice(direction)] or _of_a_direction(direction):
            yield problem.below("link", side)


def _twice(direction: LinkDirection) -> Iterator[Problem]:
    for whole, parts in BUDGET_FORMS.items():
        rivals = [part for part in parts if part in direction.given]
        if whole in direction.given and rivals:
            text = f"cannot be combined with {' and '.join(rivals)}; keep one form"
            yield Problem((whole,), text)


def _of_a_direction(direction: LinkDirection) -> Iterator[Problem]:
    values = direction.values
    facts = direction.facts
    for whole, parts in BUDGET_FORMS.items():
        for part in parts:
            if whole not in values and part not in values:
                text = f"the keys given replace the preset's {whole}, so give {part} too"
                yield Problem((part,), f"is missing; {text}")
    for need in _NEEDED:
        if facts[need.another] == need.value and need.key not in values:
            text = f"is missing; {need.another} {need.value!r} needs it, {need.hint}"
            yield Problem((need.key,), text)
    yield from refused_keys(_UNUSED, facts, direction.given)
    rate = facts["rate"]
    band_mhz = facts["bandwidth_mhz"]
    total_mhz = facts["total_bandwidth_mhz"]
    if rate == "outage" and facts["fading"] == "none":
        text = "got 'none', but rate 'outage' needs fading; set fading to rayleigh or rician"
        yield Problem(("fading",), text)
    if not direction.broadcasts and band_mhz > total_mhz:
        text = f"got {band_mhz:g}; must be at most total_bandwidth_mhz, {total_mhz:g}"
        yield Problem(("bandwidth_mhz",), text)
    if not facts["geometry"] and rate != "fixed" and "path_gain_db" not in facts:
        text = f"got {rate!r}, but source {facts['source']!r} has no slant range to compute it "
        text += "from; use preset: paper, rate: fixed, path_gain_db, or for the downlink "
        yield Problem(("rate",), f"{text}'neglected'")


# Rules on what both directions of a link share: surroundings and time.


_ROUNDING = 1e-9


def _of_both(link: "Link", directions: Mapping[Side, LinkDirection]) -> Iterator[Problem]:
    if link.environment is not None and directions["uplink"].facts["geometry"]:
        yield from _environment(link.environment, directions)
    # Directions that take turns have at most all of the time; a neglected one takes none.
    duty = {side: float(direction.values["duty"]) for side, direction in directions.items()}
    turns = next((side for side in duty if duty[side] < 1), None)
    if turns is not None and sum(duty.values()) > 1 + _ROUNDING:
        other = next(side for side in duty if side != turns)
        text = (
            f"got {duty[turns]:g}; directions that take turns have at most 1 together, and "
            f"link.{other}.duty is {duty[other]:g}: set that to {1 - duty[turns]:g} or less"
        )
        yield Problem((turns, "duty"), text)


def _environment(name: str, directions: Mapping[Side, LinkDirection]) -> Iterator[Problem]:
    for side, direction in directions.items():
        gain_db = direction.values.get("path_gain_db")
        frequency_ghz = float(direction.values["frequency_ghz"])
        if gain_db is not None:
            text = (
                f"got {name!r}, but link.{side} has path_gain_db {gain_db:g} at every elevation; "
                "leave one of the two out (preset: physical has no path_gain_db)"
            )
            yield Problem(("environment",), text)
        if not any(band.low <= frequency_ghz <= band.high for band in BANDS_GHZ.values()):
            text = (
                f"got {frequency_ghz:g}; environment {name!r} has tables for 1 to 6 and 17 to 40 "
                "GHz; choose one of these, or leave link.environment out"
            )
            yield Problem((side, "frequency_ghz"), text)
    radios = [direction.values for direction in directions.values()]
    if all(radio["rate"] == "fixed" and "required_snr_db" not in radio for radio in radios):
        text = f"got {name!r}, but rate 'fixed' does not change with it; give required_snr_db too"
        yield Problem(("environment",), f"{text}, choose another rate, or leave it out")


# A link's values: the preset with the user's overrides put in, as far as they apply.


_EVERY_RADIO = frozenset({"frequency_ghz", "total_bandwidth_mhz"})


class ResolvedLink(TypedDict):
    """Both directions with every value filled in, and the dotted keys that the user gave."""

    environment: str | None
    beamwidth_deg: float | None
    cut_transfers: str
    uplink: LinkValues
    downlink: LinkValues | Literal["neglected"]
    overridden: list[str]


def link_values(link: "Link", orbit: Orbit) -> ResolvedLink:
    """Return the link's values in user units, as the keys of `link.uplink` name them.

    Keys that do not apply are left out: the budget form that was not chosen, `rician_k_db` without
    Rician fading, `fixed_rate_mbps` without a fixed rate, `path_gain_db` with free space, and all
    others that would change nothing; `scintillation_loss_db` where the tables of the environment
    give it. Every radio has a frequency and a total bandwidth; that of a broadcast is its own.
    """
    directions = link_directions(link, orbit)
    downlink = directions.get("downlink")
    gains = {"uplink": "rx_gain_dbi", "downlink": "tx_gain_dbi"}  # the satellite's
    has_gain = any(gains[side] in direction.given for side, direction in directions.items())
    usual_deg = None if has_gain else BEAMWIDTH_DEG.get(link.preset)
    whole = ["environment", "beamwidth_deg", "cut_transfers"]
    if link.downlink == "neglected" and link.preset not in NEGLECTS_DOWNLINK:
        whole.append("downlink")
    fields = type(link).model_fields
    return {
        "environment": link.environment,
        "beamwidth_deg": usual_deg if link.beamwidth_deg is None else link.beamwidth_deg,
        "cut_transfers": link.cut_transfers,
        "uplink": _applicable(directions["uplink"]),
        "downlink": "neglected" if downlink is None else _applicable(downlink),
        "overridden": [
            *(f"link.{key}" for key in whole if getattr(link, key) != fields[key].default),
            *(f"link.{side}.{key}" for side in directions for key in directions[side].given),
        ],
    }


def _applicable(direction: LinkDirection) -> LinkValues:
    unused = unused_keys(_UNUSED, direction.facts).keys() - _EVERY_RADIO
    values = {key: value for key, value in direction.values.items() if key not in unused}
    own = {"total_bandwidth_mhz": values["bandwidth_mhz"]} if direction.broadcasts else {}
    return values | own
