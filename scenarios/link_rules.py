"""Rules of the link: which keys go together, which are used when, and the resolved values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from channel.settings import (
    BANDS_GHZ,
    BUDGET_FORMS,
    FADED_RATES,
    ITU_FREQUENCY_GHZ,
    USED_BY_ONE_RATE,
)
from scenarios.errors import wrong
from scenarios.orbit import OrbitSource
from scenarios.presets import BANDS, BEAMWIDTH_DEG, NEGLECTS_DOWNLINK, PRESETS, LinkValues, Side
from statements import (
    Code,
    Give,
    Lower,
    Remedy,
    Remove,
    Rule,
    Set,
    Statement,
    needed,
    said,
    unused,
)

if TYPE_CHECKING:
    from scenarios.link import Link, LinkSide

LinkFacts = Mapping[str, Any]


@dataclass(frozen=True)
class LinkDirection:
    """One direction: the keys that the user gave, and all values with the preset's behind them.

    `facts` are the values and what is around: `environment`, the `source` of contacts, and whether
    it has `geometry`: does it know where satellites are?
    """

    given: LinkValues
    values: LinkValues
    facts: LinkFacts

    @property
    def broadcasts(self) -> bool:
        """Tell whether one transmission serves all devices of a cluster."""
        return self.values.get("delivery") == "broadcast"


def link_directions(link: "Link", orbit: OrbitSource) -> dict[Side, LinkDirection]:
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
        preset = _preset(link, side, keys)
        out = set[str]()
        for whole, parts in BUDGET_FORMS.items():
            out.update(parts if whole in keys else ())
            out.update(() if keys.keys().isdisjoint(parts) else (whole,))
        if link.station is None and "g_over_t_db_k" in keys:
            out.add("system_temperature_k")  # that of the preset's receiver
        out.update(dish for gain, dish in DISHES.items() if gain in keys or gain in out)
        if link.environment is not None:
            out.add("scintillation_loss_db")  # there is a table for it
        values = {key: value for key, value in preset.items() if key not in out} | keys
        directions[side] = LinkDirection(keys, values, values | around)
    return directions


DISHES: Final = {"tx_gain_dbi": "tx_dish_m", "rx_gain_dbi": "rx_dish_m"}
"""Of a resolved link: the diameter of the dish that makes a gain, in the place of the gain."""


def _preset(link: "Link", side: Side, given: LinkValues) -> LinkValues:
    """Return the preset's values of a direction; that of stations has them from its dish and band.

    The dish transmits in the uplink and receives in the downlink. It serves one satellite at a
    time, which has the whole band.
    """
    preset = PRESETS[side][link.preset]
    dish = link.station
    if dish is None:
        return preset
    band = BANDS[dish.band_of(side)][side]
    values = {**preset, **band, "aperture_efficiency": dish.efficiency}
    values["total_bandwidth_mhz"] = given.get("bandwidth_mhz", band["bandwidth_mhz"])
    if side == "uplink":
        return values | {"tx_dish_m": dish.dish_m}
    if dish.system_temperature_k is not None:
        values["system_temperature_k"] = dish.system_temperature_k
    # The whole noise of the station is in one figure: the receiver adds none to it.
    noise = {"antenna_temperature_k": values["system_temperature_k"], "noise_figure_db": 0.0}
    return values | noise | {"rx_dish_m": dish.dish_m}


def _given(side: "LinkSide") -> LinkValues:
    return {key: value for key, value in side if value is not None}


# The rules of a direction: which keys it needs, which change nothing, and what contradicts itself.


def only_with(key: str, value: str, *keys: str) -> Rule[LinkFacts]:
    """Return the rule that ``keys`` are used with one value of another key only."""
    return unused(
        *keys,
        when=lambda facts: facts.get(key) not in (None, value),
        by=f"with {key} {{{key}!r}}",
        remedies=(Set(key, value), Remove()),
    )


_NEEDED: Final[tuple[Rule[LinkFacts], ...]] = (
    needed(
        "fixed_rate_mbps",
        lambda facts: facts["rate"] == "fixed" and "fixed_rate_mbps" not in facts,
        "rate 'fixed'",
        what="in Mbit/s",
    ),
    needed(
        "exceedance_pct",
        lambda facts: facts["atmosphere"] == "itu" and "exceedance_pct" not in facts,
        "atmosphere 'itu'",
        like=1,
        what="in percent of the year",
    ),
)
# Such a key is left out if it is a preset's, and refused if the user gave it.
_UNUSED: Final[tuple[Rule[LinkFacts], ...]] = (
    unused(
        *("atmosphere", "zenith_attenuation_db", "exceedance_pct"),
        when=lambda facts: "path_gain_db" in facts,
        by="with path_gain_db {path_gain_db:g}, which holds at every elevation",
        remedies=(Remove(), "give a loss that is always there as other_losses_db"),
    ),
    unused(
        "frequency_ghz",
        when=lambda facts: "path_gain_db" in facts and not facts["geometry"],
        by="with path_gain_db {path_gain_db:g} and source {source!r}, where neither loss nor "
        "Doppler depends on it",
    ),
    unused(
        *("atmosphere", "exceedance_pct"),
        when=lambda facts: not facts["geometry"],
        by="by source {source!r}, which has no geometry",
    ),
    Rule(
        ("required_snr_db",),
        lambda facts: not facts["geometry"] and "path_gain_db" not in facts,
        "needs an SNR, and source {source!r} has no distance to compute one from",
        (Give("path_gain_db"), Remove()),
        Code.UNUSED,
    ),
    unused(
        "shadowing_margin_db",
        "rician_k_db",
        when=lambda facts: facts["environment"] is not None,
        by="with environment {environment!r}, whose tables replace it",
    ),
    unused(
        "zenith_attenuation_db",
        when=lambda facts: facts["atmosphere"] == "itu",
        by="with atmosphere 'itu', which computes it",
    ),
    unused(
        "system_temperature_k",
        when=lambda facts: facts["atmosphere"] != "itu" or "g_over_t_db_k" not in facts,
        by="where no rain warms a receiver of which G/T alone is given",
    ),
    unused(
        "required_snr_db",
        when=lambda facts: facts["rate"] == "modcod",
        by="with rate 'modcod', whose table has what each mode requires",
    ),
    unused(
        *("fading", "rician_k_db"),
        when=lambda facts: facts["rate"] not in (*FADED_RATES, "fixed"),
        by="with rate {rate!r}",
        remedies=(Remove(), Set("rate", FADED_RATES[0], FADED_RATES[1:])),
    ),
    unused(
        *("fading", "rician_k_db"),
        when=lambda facts: facts["rate"] == "fixed" and "required_snr_db" in facts,
        by="with rate 'fixed' beside required_snr_db",
        remedies=(Remove(), Remove("required_snr_db")),
    ),
    only_with("atmosphere", "itu", "exceedance_pct"),
    only_with("fading", "rician", "rician_k_db"),
    only_with("rate", "fixed", "fixed_rate_mbps"),
    *(only_with("rate", rate, key) for key, rate in USED_BY_ONE_RATE.items()),
    only_with("delivery", "unicast", "total_bandwidth_mhz"),
)


def link_problems(link: "Link", orbit: OrbitSource) -> Iterator[Statement]:
    """Yield what does not fit together, with paths from the scenario's top."""
    directions = link_directions(link, orbit)
    yield from (problem.below("link") for problem in _of_the_dish(link, directions))
    yield from (problem.below("link") for problem in _of_both(link, directions))
    for side, direction in directions.items():
        for problem in [*_twice(direction)] or _of_a_direction(direction):
            yield problem.below("link", side)
        yield from _without_range(side, direction)


def _of_the_dish(link: "Link", directions: Mapping[Side, LinkDirection]) -> Iterator[Statement]:
    """A noise temperature beside another figure of the same noise, or without a downlink."""
    if link.station is None or link.station.system_temperature_k is None:
        return
    own: LinkValues = directions["downlink"].given if "downlink" in directions else {}
    rivals = ["g_over_t_db_k", "antenna_temperature_k"]
    if own.get("atmosphere") == "itu":
        rivals.remove("g_over_t_db_k")  # its rain warms a receiver of this temperature
    rival = next((key for key in rivals if key in own), None)
    if rival is not None or "downlink" not in directions:
        by = "without a downlink" if rival is None else f"with downlink.{rival} {own[rival]:g}"
        cures = (Remove(), *(() if rival is None else (Remove(f"downlink.{rival}"),)))
        yield from said([unused("station.system_temperature_k", by=by, remedies=cures)], own)


def _twice(direction: LinkDirection) -> Iterator[Statement]:
    for whole, parts in BUDGET_FORMS.items():
        rivals = [part for part in parts if part in direction.given]
        if whole in direction.given and rivals:
            text = f"cannot be combined with {' and '.join(rivals)}; keep one form"
            yield wrong(whole, text, Code.CONFLICT)


def _of_a_direction(direction: LinkDirection) -> Iterator[Statement]:
    values = direction.values
    facts = direction.facts
    for whole, parts in BUDGET_FORMS.items():
        for part in parts:
            if whole not in values and part not in values and DISHES.get(part) not in values:
                text = f"is missing; the keys given replace the preset's {whole}"
                yield wrong(part, text, Code.MISSING, Give(part))
    yield from said(_NEEDED, facts)
    yield from said(_UNUSED, facts, lambda key: [key] if key in direction.given else [])
    rate = facts["rate"]
    band_mhz = facts["bandwidth_mhz"]
    total_mhz = facts["total_bandwidth_mhz"]
    frequency_ghz = float(facts["frequency_ghz"])
    allowed = ITU_FREQUENCY_GHZ
    if facts["atmosphere"] == "itu" and not allowed.low <= frequency_ghz <= allowed.high:
        text = f"got {frequency_ghz:g}; atmosphere 'itu' has models for {allowed.low:g} to "
        others = Set("atmosphere", "cosecant", ("inverse_elevation",))
        text += f"{allowed.high:g} GHz"
        yield wrong("frequency_ghz", text, Code.UNSUPPORTED, others)
    if rate == "outage" and facts["fading"] == "none":
        remedy = Set("fading", "rayleigh", ("rician",))
        yield wrong("fading", "got 'none', but rate 'outage' needs fading", Code.CONFLICT, remedy)
    if not direction.broadcasts and band_mhz > total_mhz:
        text = f"got {band_mhz:g}; must be at most total_bandwidth_mhz, {total_mhz:g}"
        yield wrong("bandwidth_mhz", text, Code.WRONG_VALUE, Lower("bandwidth_mhz", to=total_mhz))


def _without_range(side: Side, direction: LinkDirection) -> Iterator[Statement]:
    facts = direction.facts
    rate = facts["rate"]
    if not facts["geometry"] and rate != "fixed" and "path_gain_db" not in facts:
        text = f"got {rate!r}, but source {facts['source']!r} has no slant range to compute it from"
        helps: list[Remedy] = [
            Set("link.preset", "paper"),
            Give(f"link.{side}.path_gain_db", like=-140),
            f"give link.{side}.rate: fixed with fixed_rate_mbps",
        ]
        if side == "downlink":
            helps.append(Set("link.downlink", "neglected"))
        yield wrong(("link", side, "rate"), text, Code.UNSUPPORTED, *helps)


# Rules on what both directions of a link share: surroundings and time.


_ROUNDING = 1e-9


def _of_both(link: "Link", directions: Mapping[Side, LinkDirection]) -> Iterator[Statement]:
    if link.environment is not None and directions["uplink"].facts["geometry"]:
        yield from _environment(link.environment, directions)
    # Directions that take turns have at most all of the time; a neglected one takes none.
    duty = {side: float(direction.values["duty"]) for side, direction in directions.items()}
    turns = next((side for side in duty if duty[side] < 1), None)
    if turns is not None and sum(duty.values()) > 1 + _ROUNDING:
        other = next(side for side in duty if side != turns)
        text = (
            f"got {duty[turns]:g}; directions that take turns have at most 1 together, and "
            f"link.{other}.duty is {duty[other]:g}"
        )
        remedy = Lower(f"{other}.duty", to=1 - duty[turns])
        yield wrong((turns, "duty"), text, Code.CONFLICT, remedy)


def _environment(name: str, directions: Mapping[Side, LinkDirection]) -> Iterator[Statement]:
    for side, direction in directions.items():
        gain_db = direction.values.get("path_gain_db")
        frequency_ghz = float(direction.values["frequency_ghz"])
        if gain_db is not None:
            text = (
                f"got {name!r}, but link.{side} has path_gain_db {gain_db:g} at every elevation; "
                "leave one of the two out (preset: physical has no path_gain_db)"
            )
            yield wrong("environment", text, Code.CONFLICT)
        if not any(band.low <= frequency_ghz <= band.high for band in BANDS_GHZ.values()):
            text = (
                f"got {frequency_ghz:g}; environment {name!r} has tables for 1 to 6 and 17 to 40 "
                "GHz; choose one of these, or leave link.environment out"
            )
            yield wrong((side, "frequency_ghz"), text, Code.UNSUPPORTED)
    radios = [direction.values for direction in directions.values()]
    if all(radio["rate"] == "fixed" and "required_snr_db" not in radio for radio in radios):
        text = f"got {name!r}, but rate 'fixed' does not change with it; give required_snr_db too"
        text += ", choose another rate, or leave it out"
        yield wrong("environment", text, Code.UNUSED)


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


def link_values(link: "Link", orbit: OrbitSource) -> ResolvedLink:
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
    whole = ["environment", "cut_transfers"]
    if link.downlink == "neglected" and link.preset not in NEGLECTS_DOWNLINK:
        whole.append("downlink")
    fields = type(link).model_fields
    return {
        "environment": link.environment,
        "beamwidth_deg": None if has_gain else BEAMWIDTH_DEG.get(link.preset),
        "cut_transfers": link.cut_transfers,
        "uplink": _applicable(directions["uplink"]),
        "downlink": "neglected" if downlink is None else _applicable(downlink),
        "overridden": [
            *(f"link.{key}" for key in whole if getattr(link, key) != fields[key].default),
            *(f"link.{side}.{key}" for side in directions for key in directions[side].given),
        ],
    }


def _applicable(direction: LinkDirection) -> LinkValues:
    rules = [rule for rule in _UNUSED if rule.when(direction.facts)]
    unused_keys = {key for rule in rules for key in rule.keys} - _EVERY_RADIO
    values = {key: value for key, value in direction.values.items() if key not in unused_keys}
    own = {"total_bandwidth_mhz": values["bandwidth_mhz"]} if direction.broadcasts else {}
    return values | own
